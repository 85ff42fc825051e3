//! A real load balancer in front of several instances: `HAProxy`, with the configuration that operators are given.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boxoffice_domain::EntropySource;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep};

use crate::servers::{free_port, scripts};
use boxoffice_domain::fixtures::TestEntropy;

const READY_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// What stands in the configuration of operators, and in a test for somewhere else.
const PUBLIC: &str = "bind :80\n";
const SOCKET: &str = "/run/haproxy/boxoffice.sock mode";
const SERVERS: [(&str, &str); 3] = [("one", "10.0.0.11:8080"), ("two", "10.0.0.12:8080"), ("three", "10.0.0.13:8080")];

/// `HAProxy` in front of up to three instances. It goes when it is dropped.
#[derive(Debug)]
pub struct LoadBalancer {
    address: SocketAddr,
    folder: PathBuf,
    process: Child,
}

impl LoadBalancer {
    /// Starts it with `docs/operations/haproxy.cfg` in front of these instances.
    pub async fn start(instances: &[SocketAddr]) -> io::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/haproxy.cfg");
        let folder = std::env::temp_dir().join(format!("boxoffice-balance-{}", TestEntropy.uuid().simple()));
        fs::create_dir(&folder)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let configuration = configure(&fs::read_to_string(path)?, address, &folder, instances)?;
        let file = folder.join("haproxy.cfg");
        fs::write(&file, configuration)?;
        let process = Command::new(scripts().join("balance")).arg(&file).stdin(Stdio::piped()).spawn()?;
        let mut balancer = Self { address, folder, process };
        let began = Instant::now();
        // The socket of the operators comes a moment after the port.
        while TcpStream::connect(address).await.is_err() || balancer.instances_up().await.is_err() {
            if began.elapsed() > READY_MAX || balancer.process.try_wait()?.is_some() {
                return Err(io::Error::other(format!("HAProxy does not listen:\n{}", balancer.log())));
            }
            sleep(POLL).await;
        }
        Ok(balancer)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether each instance is given requests, in the order in which they were named.
    pub async fn instances_up(&self) -> io::Result<Vec<bool>> {
        // Comma-separated: the proxy, the server, …, and its status as the eighteenth.
        let table = self.command("show stat").await?;
        let rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let servers = rows.filter(|row| row.first() == Some(&"boxoffice") && row.get(1) != Some(&"BACKEND"));
        Ok(servers.map(|row| row.get(17).is_some_and(|status| status.starts_with("UP"))).collect())
    }

    /// Waits until an instance is, or is not, given requests.
    pub async fn wait_for(&self, instance: usize, up: bool) -> io::Result<()> {
        let began = Instant::now();
        while self.instances_up().await?.get(instance) != Some(&up) {
            if began.elapsed() > READY_MAX {
                let message = format!("instance {instance} is not seen as up = {up}:\n{}", self.log());
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Says something to the socket of the operators, and gives the answer.
    pub async fn command(&self, command: &str) -> io::Result<String> {
        let mut socket = UnixStream::connect(self.folder.join("s")).await?;
        socket.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// What it has logged: one line a request.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("haproxy.cfg.log")).unwrap_or_default()
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // There is nobody left to tell about a failure.
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The configuration of operators, with the places of a test.
fn configure(text: &str, address: SocketAddr, folder: &Path, instances: &[SocketAddr]) -> io::Result<String> {
    if instances.len() > SERVERS.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the configuration has fewer instances"));
    }
    let mut text = replaced(text, PUBLIC, &format!("bind {address}\n"))?;
    text = replaced(&text, SOCKET, &format!("{} mode", folder.join("s").display()))?;
    for (index, (name, place)) in SERVERS.into_iter().enumerate() {
        let line = format!("    server {name} {place}\n");
        let instead = instances.get(index).map(|instance| format!("    server {name} {instance}\n"));
        text = replaced(&text, &line, &instead.unwrap_or_default())?;
    }
    Ok(text)
}

/// Replaces what stands in a text exactly once.
fn replaced(text: &str, what: &str, with: &str) -> io::Result<String> {
    if text.matches(what).count() == 1 {
        Ok(text.replace(what, with))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("the configuration does not have `{what}` once")))
    }
}
