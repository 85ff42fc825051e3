//! A real nginx in front of instances, with the configuration that operators get.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::net::TcpStream;

use crate::{
    TestFolder,
    load_balancer::{SecureFront, replaced},
    servers::{free_port, scripts, until},
};

/// The places in the operators' configuration that a test replaces.
const PLAIN: &str = "listen 80;";
const PUBLIC: &str = "listen 443 ssl http2;";
const CERTIFICATE: &str = "ssl_certificate /etc/nginx/boxoffice.pem;";
const KEY: &str = "ssl_certificate_key /etc/nginx/boxoffice.key;";
const PID: &str = "pid /run/nginx.pid;";
const CACHE: &str = "/var/cache/nginx/";
const SERVERS: [&str; 3] = ["10.0.0.11:8080", "10.0.0.12:8080", "10.0.0.13:8080"];
const SERVER_OPTIONS: &str = "max_fails=1 fail_timeout=2s;";

/// nginx in front of up to three instances. It ends when it is dropped.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    secure: SecureFront,
    folder: TestFolder,
    process: Child,
}

impl Nginx {
    /// Starts it with `docs/operations/nginx.conf` in front of these instances.
    pub async fn start(instances: &[SocketAddr]) -> io::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/nginx.conf");
        let folder = TestFolder::create();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let secure = SecureFront::new()?;
        let configuration = configure(&fs::read_to_string(path)?, address, &secure, folder.path(), instances)?;
        let file = folder.write("nginx.conf", &configuration);
        let process = Command::new(scripts().join("balance")).arg("nginx").arg(&file).stdin(Stdio::piped()).spawn()?;
        let nginx = Self { address, secure, folder, process };
        let is_ready = || async { Ok(TcpStream::connect(address).await.is_ok()) };
        let log = |error| io::Error::other(format!("{error}:\n{}", nginx.log()));
        until("nginx listens", is_ready).await.map_err(log)?;
        Ok(nginx)
    }

    /// Where the clients of tests connect that have no TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where all others connect.
    pub fn front(&self) -> &SecureFront {
        &self.secure
    }

    /// What it says about its own failures.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("nginx.conf.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// The operators' configuration, with the addresses and folders of a test.
fn configure(
    text: &str,
    address: SocketAddr,
    front: &SecureFront,
    folder: &Path,
    instances: &[SocketAddr],
) -> io::Result<String> {
    if instances.is_empty() || instances.len() > SERVERS.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the configuration is for one to three instances"));
    }
    let files = front.authority.issue("boxoffice", &["127.0.0.1", "localhost"]);
    let mut text = replaced(text, PLAIN, &format!("listen {};", front.plain))?;
    text = replaced(&text, PUBLIC, &format!("listen {address}; listen {} ssl http2;", front.secure))?;
    text = replaced(&text, CERTIFICATE, &format!("ssl_certificate {};", files.certificate.display()))?;
    text = replaced(&text, KEY, &format!("ssl_certificate_key {};", files.key.display()))?;
    text = replaced(&text, PID, &format!("pid {};", folder.join("pid").display()))?;
    text = text.replace(CACHE, &format!("{}/", folder.display()));
    for (index, place) in SERVERS.into_iter().enumerate() {
        let line = format!("        server {place} {SERVER_OPTIONS}\n");
        let instead = instances.get(index).map(|instance| format!("        server {instance} {SERVER_OPTIONS}\n"));
        text = replaced(&text, &line, &instead.unwrap_or_default())?;
    }
    Ok(text)
}
