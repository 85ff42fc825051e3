//! TLS to brokers and to the endpoints of webhooks.

use std::{fmt, io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Which authorities may issue the certificates of other servers.
///
/// It brings its cryptography along: nothing has to be installed for the process, and what other crates choose for theirs
/// makes no difference here.
#[derive(Clone)]
pub struct TlsTrust {
    roots: RootCertStore,
    connector: TlsConnector,
}

impl TlsTrust {
    /// The authorities that the system trusts, and those whose certificates are given as DER.
    pub fn of_system(further: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, rustls::Error> {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some certificates that the system trusts cannot be read");
        }
        let mut roots = RootCertStore::empty();
        // Systems list some authorities in forms that rustls does not take.
        roots.add_parsable_certificates(found.certs);
        for der in further {
            roots.add(CertificateDer::from(der))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Ok(Self { roots, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Makes a connection secure. Fails unless the other side is `host`.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

impl fmt::Debug for TlsTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTrust").field("authorities", &self.roots.len()).finish_non_exhaustive()
    }
}
