//! Where a broker is.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};

/// The seconds between the heartbeats of a connection, unless the URL has `?heartbeat=`. A broker that is gone is noticed
/// after two of them.
const HEARTBEAT_SECONDS: u16 = 10;

/// The URL of a broker: `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps` for TLS. What shows it leaves user and password
/// out. A virtual host is written as in a URL: that called `/` is `%2f`, and is meant if there is none.
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpUrl(AMQPUri);

impl AmqpUrl {
    /// Reads a URL. The refusal says what is wrong without repeating the text, in which there may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let forms = || "must be `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or with `amqps` for TLS".to_owned();
        let mut uri: AMQPUri = text.parse().map_err(|_| forms())?;
        if uri.authority.host.is_empty() {
            return Err("must name a host".to_owned());
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }
}

impl fmt::Display for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        let scheme = if *scheme == AMQPScheme::AMQPS { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}:{}/{}", authority.host, authority.port, vhost.replace('/', "%2f"))
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("amqp://haneul:s3cret@broker", "amqp://broker:5672/%2f"),
            ("amqps://haneul:s3cret@broker.example/shop?heartbeat=3", "amqps://broker.example:5671/shop"),
            ("amqp://haneul:s3cret@127.0.0.1:1234/%2f", "amqp://127.0.0.1:1234/%2f"),
        ] {
            let url = AmqpUrl::parse(text).expect("a URL");
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("\"{shown}\"")));
        }
        let heartbeat = |text: &str| AmqpUrl::parse(text).expect("a URL").uri().query.heartbeat;
        assert_eq!((heartbeat("amqp://broker"), heartbeat("amqp://broker?heartbeat=3")), (Some(10), Some(3)));
    }

    #[test]
    fn a_refusal_does_not_repeat_the_text() {
        for text in
            ["", "s3cret", "http://a:s3cret@broker", "amqp:s3cret", "amqp://a:s3cret@broker:99999", "amqp://a:s3cret@"]
        {
            let refusal = AmqpUrl::parse(text).expect_err(text);
            assert!(!refusal.contains("s3cret") && refusal.starts_with("must "), "{refusal}");
        }
    }
}
