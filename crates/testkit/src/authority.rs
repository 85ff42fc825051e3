//! A private authority that issues certificates.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use crate::TestFolder;

/// An authority that no system trusts by itself, with its files in a folder of its own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TestFolder,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A certificate and its key, in the form PEM.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

impl Authority {
    pub fn create() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "An authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let folder = TestFolder::create();
        folder.write("authority.pem", &issuer.pem());
        Self { issuer, folder }
    }

    /// The certificate of the authority.
    pub fn file(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The certificate of the authority, as it is sent.
    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Issues a certificate for these hosts. Its files are called by `name`; those of an earlier one of that name are replaced.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> CertificateFiles {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let write = |ending: &str, text: String| {
            let (path, new) = (self.folder.join(&format!("{name}{ending}")), self.folder.join("new"));
            fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).expect("the file is written");
            path
        };
        CertificateFiles { key: write(".key", key.serialize_pem()), certificate: write(".pem", certificate.pem()) }
    }
}
