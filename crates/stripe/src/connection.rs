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
    client_trusting(if is_secure { roots() } else { RootCertStore::empty() })
}

fn client_trusting(roots: RootCertStore) -> Result<HttpClient, rustls::Error> {
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
    use boxoffice_testkit::Authority;
    use http::Request;
    use rustls::{
        ServerConfig,
        crypto::CryptoProvider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers each request over TLS with 204, and returns its port.
    async fn serve(authority: &Authority) -> u16 {
        let files = authority.issue("stripe", &["localhost"]);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(files.certificate).unwrap()],
                PrivateKeyDer::from_pem_file(files.key).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn only_a_server_that_a_known_authority_has_certified_is_sent_anything() {
        assert!(CryptoProvider::get_default().is_none(), "the client depends on no default of the process");
        let authority = Authority::create();
        let port = serve(&authority).await;
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from(authority.der())).unwrap();
        for (client, host, is_answered) in [
            (client_trusting(trusted.clone()).unwrap(), "localhost", true),
            (client_trusting(trusted).unwrap(), "127.0.0.1", false),
            (client(true).unwrap(), "localhost", false),
        ] {
            let request = Request::get(format!("https://{host}:{port}/")).body(Full::default()).unwrap();
            let outcome = client.request(request).await;
            assert_eq!(outcome.is_ok(), is_answered, "{host}: {outcome:?}");
        }
    }
}
