//! The HTTP client.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Sends requests, over connections that it keeps.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How long a connection may take to open, so that an address that does not answer leaves time for another.
const CONNECT_MAX: Duration = Duration::from_secs(4);
/// Stripe closes connections that are idle for a minute.
const IDLE_MAX: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 32;

/// Makes a client. It chooses its cryptography itself, and so depends on no default of the process.
pub(crate) fn client(is_secure: bool) -> Result<HttpClient, rustls::Error> {
    let roots = if is_secure { roots() } else { RootCertStore::empty() };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_MAX));
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .build(connector.wrap_connector(http)))
}

/// The authorities of the operating system, or those of Mozilla if it has none, as in a container of one program.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_needs_no_default_of_the_process() {
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
        client(true).unwrap();
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
