//! A real load balancer in front of several instances: `HAProxy`, with the configuration that operators get.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::{
    Authority, TestFolder,
    servers::{free_port, scripts, until},
};

/// The places in the operators' configuration that a test replaces.
const PLAIN: &str = "bind :80\n";
const PUBLIC: &str = "bind :443 ssl crt /etc/haproxy/boxoffice.pem ";
const METRICS: &str = "bind :8405\n";
/// Its limit of connections, which the many clients of a test at one address would exceed.
const CONNECTIONS: &str = "sc0_conn_cur gt 256 }";
const SOCKET: &str = "/run/haproxy/boxoffice.sock mode";
const SERVERS: [(&str, &str); 3] = [("one", "10.0.0.11:8080"), ("two", "10.0.0.12:8080"), ("three", "10.0.0.13:8080")];

/// `HAProxy` in front of up to three instances. It ends when it is dropped.
#[derive(Debug)]
pub struct LoadBalancer {
    address: SocketAddr,
    metrics: SocketAddr,
    secure: SecureFront,
    folder: TestFolder,
    process: Child,
}

/// The ports of a proxy that its users meet.
#[derive(Debug)]
pub struct SecureFront {
    /// Where it takes requests over TLS.
    pub secure: SocketAddr,
    /// Where it sends clients on that come without TLS.
    pub plain: SocketAddr,
    /// The authority that has signed its certificate.
    pub authority: Authority,
}

impl SecureFront {
    pub(crate) fn new() -> io::Result<Self> {
        let [secure, plain] = [free_port()?, free_port()?].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Ok(Self { secure, plain, authority: Authority::create() })
    }
}

impl LoadBalancer {
    /// Starts it with `docs/operations/haproxy.cfg` in front of these instances, for any number of connections.
    pub async fn start(instances: &[SocketAddr]) -> io::Result<Self> {
        Self::start_limited(instances, u32::MAX).await
    }

    /// Starts it with this limit for the connections of one address.
    pub async fn start_limited(instances: &[SocketAddr], connections_max: u32) -> io::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/haproxy.cfg");
        let folder = TestFolder::create();
        let [address, metrics] = [free_port()?, free_port()?].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let secure = SecureFront::new()?;
        let files = secure.authority.issue("boxoffice", &["127.0.0.1", "localhost"]);
        let (certificate, key) = (fs::read_to_string(files.certificate)?, fs::read_to_string(files.key)?);
        folder.write("boxoffice.pem", &(certificate + &key));
        let text = replaced(&fs::read_to_string(path)?, CONNECTIONS, &format!("sc0_conn_cur gt {connections_max} }}"))?;
        let text = replaced(&text, METRICS, &format!("bind {metrics}\n"))?;
        let configuration = configure(&text, address, &secure, folder.path(), instances)?;
        let file = folder.write("haproxy.cfg", &configuration);
        let process =
            Command::new(scripts().join("balance")).arg("haproxy").arg(&file).stdin(Stdio::piped()).spawn()?;
        let balancer = Self { address, metrics, secure, folder, process };
        // The operators' socket opens a moment after the port.
        let is_ready =
            || async { Ok(TcpStream::connect(address).await.is_ok() && balancer.instances_up().await.is_ok()) };
        let log = |error| io::Error::other(format!("{error}:\n{}", balancer.log()));
        until("HAProxy listens", is_ready).await.map_err(log)?;
        Ok(balancer)
    }

    /// Where the clients of tests connect that have no TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where Prometheus scrapes `/metrics`.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// Where all others connect.
    pub fn front(&self) -> &SecureFront {
        &self.secure
    }

    /// Whether each instance gets requests, in the order of the instances.
    pub async fn instances_up(&self) -> io::Result<Vec<bool>> {
        // Comma-separated: the proxy, the server, …, and its status as the eighteenth.
        let table = self.command("show stat").await?;
        let rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let servers = rows.filter(|row| row.first() == Some(&"boxoffice") && row.get(1) != Some(&"BACKEND"));
        Ok(servers.map(|row| row.get(17).is_some_and(|status| status.starts_with("UP"))).collect())
    }

    /// Waits until an instance gets requests, or no longer does.
    pub async fn wait_for(&self, instance: usize, up: bool) -> io::Result<()> {
        let is_seen = || async { Ok(self.instances_up().await?.get(instance) == Some(&up)) };
        until(&format!("HAProxy sees instance {instance} as up = {up}"), is_seen).await
    }

    /// Sends a command to the operators' socket, and returns the answer.
    pub async fn command(&self, command: &str) -> io::Result<String> {
        let mut socket = UnixStream::connect(self.folder.join("s")).await?;
        socket.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Its log: one line for each request.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("haproxy.cfg.log")).unwrap_or_default()
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// The operators' configuration, with the addresses of a test.
fn configure(
    text: &str,
    address: SocketAddr,
    front: &SecureFront,
    folder: &Path,
    instances: &[SocketAddr],
) -> io::Result<String> {
    if instances.len() > SERVERS.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the configuration has fewer instances"));
    }
    let certificate = folder.join("boxoffice.pem");
    let public = format!("bind {address}\n    bind {} ssl crt {} ", front.secure, certificate.display());
    let mut text = replaced(text, PUBLIC, &public)?;
    text = replaced(&text, PLAIN, &format!("bind {}\n", front.plain))?;
    text = replaced(&text, SOCKET, &format!("{} mode", folder.join("s").display()))?;
    for (index, (name, place)) in SERVERS.into_iter().enumerate() {
        let line = format!("    server {name} {place}\n");
        let instead = instances.get(index).map(|instance| format!("    server {name} {instance}\n"));
        text = replaced(&text, &line, &instead.unwrap_or_default())?;
    }
    Ok(text)
}

/// Replaces what occurs exactly once in a text.
pub(crate) fn replaced(text: &str, what: &str, with: &str) -> io::Result<String> {
    if text.matches(what).count() == 1 {
        Ok(text.replace(what, with))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("the configuration does not have `{what}` once")))
    }
}
