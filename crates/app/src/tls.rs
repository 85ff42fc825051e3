//! TLS without a proxy: a certificate and its key, which may change while the server runs.

use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, Result, bail, ensure};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use crate::{private_files, settings::Settings};

/// What a client is offered, the best first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// The name of HTTP/2 in a handshake.
pub(crate) const HTTP2: &[u8] = b"h2";

/// A certificate and its key, as the files have them now.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Loaded>,
}

struct Loaded {
    texts: Texts,
    config: Arc<ServerConfig>,
}

/// The text of the certificate, and that of its key.
#[derive(PartialEq, Eq)]
struct Texts(Vec<u8>, Vec<u8>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Tls {
    /// The files that the settings name, if they do.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Arc<Self>>> {
        match (&settings.tls_certificate_file, &settings.tls_key_file) {
            (Some(certificate), Some(key)) => Ok(Some(Arc::new(Self::load(certificate, key)?))),
            (None, None) => Ok(None),
            _ => bail!("`tls_certificate_file` and `tls_key_file` belong together: set both, or neither"),
        }
    }

    fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let loaded = Loaded::read(certificate, key)?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current: RwLock::new(loaded) })
    }

    /// Reads the files again, and returns whether they have changed. If they cannot be used, what was read before stays.
    pub(crate) fn reload(&self) -> Result<bool> {
        let loaded = Loaded::read(&self.certificate, &self.key)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let has_changed = current.texts != loaded.texts;
        if has_changed {
            *current = loaded;
        }
        Ok(has_changed)
    }

    /// What makes handshakes with the present certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }
}

impl Loaded {
    fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let texts = Texts(read(certificate)?, read(key)?);
        refuse_if_public(key)?;
        let pair = || format!("the certificate {} and the key {} cannot be used", certificate.display(), key.display());
        let config = configure(&texts).with_context(pair)?;
        Ok(Self { texts, config: Arc::new(config) })
    }
}

/// Refuses a key that every user of the machine may read. A group may: programs that renew certificates are not the server.
fn refuse_if_public(key: &Path) -> Result<()> {
    let mode = fs::metadata(key)?.permissions().mode() & 0o777;
    let is_open = mode & 0o007 != 0 && !private_files::is_credential(key);
    let key = key.display();
    ensure!(!is_open, "every user of the machine may read or write {key} (mode {mode:o}): run `chmod o= {key}`");
    Ok(())
}

fn configure(Texts(certificate, key): &Texts) -> Result<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
    ensure!(!chain.is_empty(), "there is no certificate in the form PEM");
    // What the parser says of a key may quote it.
    let key = PrivateKeyDer::from_pem_slice(key).ok().context("there is no key in the form PEM")?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth();
    let mut config = config.with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use boxoffice_testkit::{Authority, CertificateFiles};

    use super::*;

    fn private(files: &CertificateFiles) {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_changed_certificate_counts_and_one_that_does_not_fit_does_not() {
        let authority = Authority::create();
        let files = authority.issue("server", &["localhost"]);
        private(&files);
        let tls = Tls::load(&files.certificate, &files.key).unwrap();
        assert!(!tls.reload().unwrap());
        let other = authority.issue("other", &["localhost"]);
        fs::copy(&other.certificate, &files.certificate).unwrap();
        let error = format!("{:#}", tls.reload().unwrap_err());
        assert!(error.contains("server.pem") && error.contains("cannot be used"), "{error}");
        fs::copy(&other.key, &files.key).unwrap();
        private(&files);
        assert!(tls.reload().unwrap() && !tls.reload().unwrap());
    }

    #[test]
    fn what_is_no_certificate_or_no_key_is_named_and_never_quoted() {
        let authority = Authority::create();
        let files = authority.issue("server", &["localhost"]);
        private(&files);
        let refusal = |certificate: &Path, key: &Path| format!("{:#}", Tls::load(certificate, key).unwrap_err());
        assert!(refusal(&files.key, &files.key).contains("there is no certificate"));
        let other = authority.issue("other", &["localhost"]).certificate;
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(refusal(&files.certificate, &other).contains("there is no key"));
        assert!(refusal(Path::new("/nowhere.pem"), &files.key).contains("cannot read /nowhere.pem"));
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
        let open = refusal(&files.certificate, &files.key);
        assert!(open.contains("(mode 644): run `chmod o= ") && open.contains("server.key"), "{open}");
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
        Tls::load(&files.certificate, &files.key).unwrap();
    }
}
