//! Where to listen.

use std::{fmt, io, net::SocketAddr};

/// A host, by its address or its name, and a port. A name is looked up when the port is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(String);

impl ListenAddress {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let names_host = text.rsplit_once(':').is_some_and(|(host, port)| is_name(host) && port.parse::<u16>().is_ok());
        if names_host || text.parse::<SocketAddr>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("must be a host and a port such as 127.0.0.1:8080 or localhost:8080, not `{text}`"))
        }
    }

    /// The addresses of the host, those of IPv4 first: clients of a name that has both try both.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<_> = tokio::net::lookup_host(&self.0).await?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        Ok(addresses)
    }

    /// Whether the host is certain to be reached from this machine alone.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        match self.0.parse::<SocketAddr>() {
            Ok(address) => address.ip().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Whether a text is the name of a host, and not an address that is misspelt.
fn is_name(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    (1..=255).contains(&host.len())
        && host.bytes().all(is_plain)
        && host.split('.').all(|part| part.len() <= 63)
        && !last.is_empty()
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ListenAddress {
        ListenAddress::parse(text).unwrap()
    }

    #[test]
    fn a_host_has_a_name_or_an_address_and_a_port() {
        for good in
            ["127.0.0.1:8080", "[::1]:0", "localhost:8080", "seller-1.example.:80", "a_b:1", "0.0.0.0:80", "1and1:80"]
        {
            assert_eq!(parsed(good).to_string(), good);
        }
        let long = format!("{}:80", "x".repeat(64));
        for bad in [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:65536",
            "127.0.1:8080",
            "256.0.0.1:8080",
            "::1:8080",
            "[::1]",
            "a b:80",
            "http://localhost:80",
            ".:80",
            long.as_str(),
        ] {
            let refusal = ListenAddress::parse(bad).unwrap_err();
            assert!(refusal.contains("such as 127.0.0.1:8080 or localhost:8080"), "{bad}");
        }
    }

    #[test]
    fn only_what_is_certain_to_stay_on_this_machine_is_the_loopback() {
        for local in ["127.0.0.1:80", "127.8.8.8:80", "[::1]:80", "localhost:80", "LocalHost:80"] {
            assert!(parsed(local).is_loopback(), "{local}");
        }
        for open in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "seller.example:80", "localhost.example:80"] {
            assert!(!parsed(open).is_loopback(), "{open}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_an_address_is_itself() {
        let local = parsed("localhost:8080").resolve().await.unwrap();
        assert!(!local.is_empty() && local.iter().all(|address| address.ip().is_loopback() && address.port() == 8_080));
        assert!(local.is_sorted_by_key(SocketAddr::is_ipv6));
        assert_eq!(parsed("[::1]:9").resolve().await.unwrap(), ["[::1]:9".parse().unwrap()]);
        assert!(parsed("no-such-host.invalid:80").resolve().await.is_err());
    }
}
