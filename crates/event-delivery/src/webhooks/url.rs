//! The URL of an endpoint.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use url::{Host, Url};

/// How long the URL of an endpoint may be.
pub const URL_BYTES_MAX: usize = 2_048;

/// Where webhooks are sent to: an address of `http` or `https`, on any port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WebhookUrl(Url);

/// Why a text is not the URL of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhookUrl {
    /// It is longer than [`URL_BYTES_MAX`].
    #[error("a URL has at most {URL_BYTES_MAX} bytes")]
    TooLong,
    /// It is no absolute URL of `http` or `https` with a host.
    #[error("must be `https://HOST/PATH`, or with `http`")]
    Malformed,
    /// It has a user or a password in it, which would be in logs; a webhook is known by its signature.
    #[error("must not have a user or a password in it")]
    Credentials,
}

impl WebhookUrl {
    /// Reads a URL. Hosts that are addresses are understood in all forms in which browsers understand them, such as
    /// `0x7f.1` for `127.0.0.1`. A fragment is left out.
    pub fn parse(text: &str) -> Result<Self, InvalidWebhookUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(InvalidWebhookUrl::TooLong);
        }
        let mut url = Url::parse(text).map_err(|_| InvalidWebhookUrl::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(InvalidWebhookUrl::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidWebhookUrl::Credentials);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host if it is an address and no name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The host, without brackets.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(if self.is_secure() { 443 } else { 80 })
    }

    /// Where to connect to if the host is an address.
    pub(super) fn socket_address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address()?, self.port()))
    }

    /// The value of the header `host`.
    pub(super) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What the first line of a request has: path and query.
    pub(super) fn path_and_query(&self) -> String {
        self.0.query().map_or_else(|| self.0.path().to_owned(), |query| format!("{}?{query}", self.0.path()))
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_for_a_request() {
        for (text, parts) in [
            ("https://shop.example/hooks?key=a%20b#top", ("shop.example", 443, "shop.example", "/hooks?key=a%20b")),
            ("http://SHOP.example:8080", ("shop.example", 8_080, "shop.example:8080", "/")),
            ("https://[2001:db8::1]:9/x", ("2001:db8::1", 9, "[2001:db8::1]:9", "/x")),
        ] {
            let url = WebhookUrl::parse(text).expect("a URL");
            let (authority, path) = (url.authority(), url.path_and_query());
            assert_eq!((url.host(), url.port(), authority.as_str(), path.as_str()), parts);
        }
    }

    #[test]
    fn a_host_that_is_an_address_is_found_in_every_form() {
        for text in ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.1."] {
            let url = WebhookUrl::parse(&format!("https://{text}/")).expect("a URL");
            assert_eq!(url.address(), Some(IpAddr::from([127, 0, 0, 1])), "{text}");
        }
        let mapped = WebhookUrl::parse("http://[::ffff:127.0.0.1]/").expect("a URL");
        assert_eq!(mapped.address(), Some("::ffff:127.0.0.1".parse().expect("an address")));
        assert_eq!(WebhookUrl::parse("http://localhost/").expect("a URL").address(), None);
    }

    #[test]
    fn a_text_that_is_no_endpoint_is_refused() {
        use InvalidWebhookUrl::{Credentials, Malformed, TooLong};
        for (text, refusal) in [
            ("ftp://shop.example/".to_owned(), Malformed),
            ("file:///etc/passwd".to_owned(), Malformed),
            ("//shop.example".to_owned(), Malformed),
            ("https://".to_owned(), Malformed),
            ("https://user@shop.example/".to_owned(), Credentials),
            ("https://user:word@shop.example/".to_owned(), Credentials),
            (format!("https://shop.example/{}", "a".repeat(URL_BYTES_MAX)), TooLong),
        ] {
            assert_eq!(WebhookUrl::parse(&text), Err(refusal), "{text}");
        }
    }
}
