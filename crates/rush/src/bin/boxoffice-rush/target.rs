//! The server that the crowd goes to.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};

/// The address behind a URL. Another machine is allowed only on request: for a server that does not expect it, a crowd
/// is an attack.
pub(crate) async fn resolve(url: &str, allow_remote: bool) -> anyhow::Result<SocketAddr> {
    let found = tokio::net::lookup_host(authority(url)?).await.with_context(|| format!("{url} cannot be found"))?;
    let addresses: Vec<_> = found.collect();
    if !allow_remote && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
        bail!("{url} is not this machine: a crowd is sent elsewhere only with --allow-remote");
    }
    addresses.first().copied().with_context(|| format!("{url} has no address"))
}

/// Host and port.
fn authority(url: &str) -> anyhow::Result<String> {
    let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        bail!("`{url}` must begin with http://");
    };
    let plain = |character: char| character.is_ascii_alphanumeric() || "-.:[]".contains(character);
    let is_valid = !authority.is_empty() && !authority.starts_with(':') && authority.chars().all(plain);
    ensure!(is_valid, "`{url}` must be like http://127.0.0.1:8080");
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        assert_eq!(authority("http://127.0.0.1:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(authority("http://localhost/").unwrap(), "localhost:80");
        assert_eq!(authority("http://[::1]:81").unwrap(), "[::1]:81");
        assert_eq!(authority("http://[::1]").unwrap(), "[::1]:80");
        for wrong in ["https://localhost", "localhost:8080", "http://", "http://:80", "http://a/b", "http://me@a"] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn another_machine_is_refused_unless_it_is_allowed() {
        assert!(resolve("http://127.0.0.1:81", false).await.is_ok());
        assert!(resolve("http://[::ffff:127.0.0.1]:81", false).await.is_ok());
        assert!(resolve("http://[::1]80", false).await.is_err());
        let error = resolve("http://192.0.2.1:81", false).await.unwrap_err().to_string();
        assert!(error.contains("--allow-remote"), "{error}");
        assert_eq!(resolve("http://192.0.2.1:81", true).await.unwrap(), "192.0.2.1:81".parse().unwrap());
    }
}
