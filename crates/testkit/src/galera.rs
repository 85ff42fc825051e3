//! A private Galera cluster: three nodes of `MariaDB` that each take writes, and agree at every commit.

use std::io;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::time::{Instant, sleep};

use crate::servers::{DatabaseServer, ServerKind, free_port};

/// How many nodes there are: the fewest of which one may be lost.
pub const NODES: usize = 3;
const START_ATTEMPTS_MAX: usize = 3;
const JOINED_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A cluster of [`NODES`] nodes. Each is a [`DatabaseServer`], to be killed like any other.
#[derive(Debug)]
pub struct GaleraCluster {
    nodes: Vec<DatabaseServer>,
}

/// The ports of a node beside that of its clients: for the group, and for what a node that was away has missed.
#[derive(Clone, Copy, Debug)]
struct Ports {
    clients: u16,
    group: u16,
    missed: u16,
}

impl GaleraCluster {
    /// Starts the nodes with the same empty data, and waits until all are one group.
    pub async fn start() -> io::Result<Self> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS_MAX {
            match Self::start_once().await {
                Ok(cluster) => return Ok(cluster),
                // Another process may have taken a port in the meantime.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    async fn start_once() -> io::Result<Self> {
        let mut ports = Vec::with_capacity(NODES);
        for _ in 0..NODES {
            ports.push(Ports { clients: free_port()?, group: free_port()?, missed: free_port()? });
        }
        let group: Vec<_> = ports.iter().map(|ports| format!("127.0.0.1:{}", ports.group)).collect();
        let group = format!("gcomm://{}", group.join(","));
        let mut nodes = Vec::with_capacity(NODES);
        for ports in ports {
            let mut options = options(&group, ports);
            if nodes.is_empty() {
                options.push("--wsrep-new-cluster".to_owned());
            }
            let node = DatabaseServer::start_at(ServerKind::MariaDb, "galera", ports.clients, options).await?;
            nodes.push(node);
            wait_for_members(&nodes, nodes.len()).await?;
        }
        Ok(Self { nodes })
    }

    /// The nodes.
    pub fn nodes(&self) -> &[DatabaseServer] {
        &self.nodes
    }

    /// Creates an empty database on all nodes.
    pub async fn create_database(&self, name: &str) -> io::Result<()> {
        self.nodes[0].create_database(name).await
    }

    /// How often the cluster has refused a commit of this node, because of one of another node that came first.
    pub async fn refused_commits(&self, node: usize) -> io::Result<u64> {
        let failures = status(&self.nodes[node], "wsrep_local_cert_failures").await?;
        let ended = status(&self.nodes[node], "wsrep_local_bf_aborts").await?;
        Ok(failures + ended)
    }

    /// Waits until the nodes that are left, named by their places, are one group that serves.
    pub async fn wait_for(&self, nodes: &[usize]) -> io::Result<()> {
        for node in nodes {
            wait_for_members(std::slice::from_ref(&self.nodes[*node]), nodes.len()).await?;
        }
        Ok(())
    }
}

fn options(group: &str, ports: Ports) -> Vec<String> {
    // A node that is gone is noticed within seconds, not after fifteen.
    let provider = [
        "base_host=127.0.0.1".to_owned(),
        format!("base_port={}", ports.group),
        format!("gmcast.listen_addr=tcp://127.0.0.1:{}", ports.group),
        format!("ist.recv_addr=127.0.0.1:{}", ports.missed),
        "gcache.size=64M".to_owned(),
        "evs.keepalive_period=PT0.5S".to_owned(),
        "evs.suspect_timeout=PT2S".to_owned(),
        "evs.inactive_timeout=PT4S".to_owned(),
    ];
    vec![
        format!("--wsrep-cluster-address={group}"),
        format!("--wsrep-node-address=127.0.0.1:{}", ports.group),
        format!("--wsrep-provider-options={}", provider.join(";")),
        // What was answered through one node is seen through every other.
        "--wsrep-sync-wait=1".to_owned(),
    ]
}

/// Waits until each node sees this many members, itself among them, and has all that they have.
async fn wait_for_members(nodes: &[DatabaseServer], members: usize) -> io::Result<()> {
    const SYNCED: u64 = 4;
    let began = Instant::now();
    for node in nodes {
        loop {
            let seen = status(node, "wsrep_cluster_size").await;
            let state = status(node, "wsrep_local_state").await;
            if let (Ok(seen), Ok(SYNCED)) = (&seen, &state)
                && u64::try_from(members).is_ok_and(|members| members == *seen)
            {
                break;
            }
            if began.elapsed() > JOINED_MAX {
                let message = format!("{members} nodes did not become one group: {seen:?} members, state {state:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            sleep(POLL).await;
        }
    }
    Ok(())
}

async fn status(node: &DatabaseServer, name: &str) -> io::Result<u64> {
    let options = Opts::from_url(&node.url("")).map_err(io::Error::other)?;
    let mut connection = Conn::new(options).await.map_err(io::Error::other)?;
    let row: Option<(String, String)> =
        connection.query_first(format!("SHOW GLOBAL STATUS LIKE '{name}'")).await.map_err(io::Error::other)?;
    connection.disconnect().await.map_err(io::Error::other)?;
    row.and_then(|(_, value)| value.parse().ok()).ok_or_else(|| io::Error::other(format!("no status {name}")))
}
