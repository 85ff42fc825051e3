//! The server that the crowd goes to.

use std::net::SocketAddr;

use anyhow::{Context, bail};

/// The address behind a URL. Another machine is allowed only on request: for a server that does not expect it, a crowd
/// is an attack.
pub(crate) async fn resolve(url: &str, allow_remote: bool) -> anyhow::Result<SocketAddr> {
    let (host, port) = host_and_port(url)?;
    let found = tokio::net::lookup_host((host, port)).await.with_context(|| format!("{url} cannot be found"))?;
    let addresses: Vec<_> = found.collect();
    if !allow_remote && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
        bail!("{url} is not this machine: a crowd is sent elsewhere only with --allow-remote");
    }
    addresses.first().copied().with_context(|| format!("{url} has no address"))
}

fn host_and_port(url: &str) -> anyhow::Result<(&str, u16)> {
    let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        bail!("`{url}` must begin with http://");
    };
    let wrong = || format!("`{url}` must be like http://127.0.0.1:8080");
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').with_context(wrong)?;
            (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("80")).with_context(wrong)?)
        }
        None => authority.split_once(':').unwrap_or((authority, "80")),
    };
    let plain = |character: char| character.is_ascii_alphanumeric() || "-.:".contains(character);
    if host.is_empty() || !host.chars().all(plain) {
        bail!(wrong());
    }
    Ok((host, port.parse().ok().filter(|port| *port != 0).with_context(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        assert_eq!(host_and_port("http://127.0.0.1:8080").unwrap(), ("127.0.0.1", 8080));
        assert_eq!(host_and_port("http://localhost/").unwrap(), ("localhost", 80));
        assert_eq!(host_and_port("http://[::1]:81").unwrap(), ("::1", 81));
        assert_eq!(host_and_port("http://[::1]").unwrap(), ("::1", 80));
        for wrong in [
            "https://localhost",
            "localhost:8080",
            "http://",
            "http://:80",
            "http://a:0",
            "http://a:b",
            "http://a/b",
            "http://me@a",
            "http://[::1",
            "http://[::1]80",
        ] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn another_machine_is_refused_unless_it_is_allowed() {
        assert!(resolve("http://127.0.0.1:81", false).await.is_ok());
        assert!(resolve("http://[::ffff:127.0.0.1]:81", false).await.is_ok());
        let error = resolve("http://192.0.2.1:81", false).await.unwrap_err().to_string();
        assert!(error.contains("--allow-remote"), "{error}");
        assert_eq!(resolve("http://192.0.2.1:81", true).await.unwrap(), "192.0.2.1:81".parse().unwrap());
    }
}
