//! A private Galera cluster: three nodes of `MariaDB` that each take writes, and agree at every commit.

use std::{io, slice};

use crate::servers::{DatabaseServer, ServerKind, attempts, free_port, until};

/// How many nodes there are: the fewest of which one may be lost.
const NODES: usize = 3;

/// A cluster of three nodes. Each is a [`DatabaseServer`], and can be killed like any other.
#[derive(Debug)]
pub struct GaleraCluster {
    nodes: Vec<DatabaseServer>,
}

/// The ports of a node: for clients, for the group, and for the transactions that a node missed.
#[derive(Clone, Copy, Debug)]
struct Ports {
    clients: u16,
    group: u16,
    missed: u16,
}

impl GaleraCluster {
    /// Starts the nodes with the same empty data, and waits until all are one group.
    pub async fn start() -> io::Result<Self> {
        attempts(Self::start_once).await
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
            let node = DatabaseServer::start_at(ServerKind::MariaDb, "galera", ports.clients, &options).await?;
            nodes.push(node);
            wait_for_members(&nodes, nodes.len()).await?;
        }
        Ok(Self { nodes })
    }

    pub fn nodes(&self) -> &[DatabaseServer] {
        &self.nodes
    }

    /// Creates an empty database on all nodes.
    pub async fn create_database(&self, name: &str) -> io::Result<()> {
        self.nodes[0].create_database(name).await
    }

    /// How often the cluster refused a commit of this node because another node committed first.
    pub async fn refused_commits(&self, node: usize) -> io::Result<u64> {
        let failures = status(&self.nodes[node], "wsrep_local_cert_failures").await?;
        let ended = status(&self.nodes[node], "wsrep_local_bf_aborts").await?;
        Ok(failures + ended)
    }

    /// Waits until the remaining nodes, named by their indexes, are one group that serves.
    pub async fn wait_for(&self, nodes: &[usize]) -> io::Result<()> {
        for node in nodes {
            wait_for_members(slice::from_ref(&self.nodes[*node]), nodes.len()).await?;
        }
        Ok(())
    }
}

fn options(group: &str, ports: Ports) -> Vec<String> {
    // The group notices a lost node within seconds, not after fifteen, and yet not a node that waits for a busy processor.
    let provider = [
        "base_host=127.0.0.1".to_owned(),
        format!("base_port={}", ports.group),
        format!("gmcast.listen_addr=tcp://127.0.0.1:{}", ports.group),
        format!("ist.recv_addr=127.0.0.1:{}", ports.missed),
        "gcache.size=64M".to_owned(),
        "evs.keepalive_period=PT0.5S".to_owned(),
        "evs.suspect_timeout=PT4S".to_owned(),
        "evs.inactive_timeout=PT6S".to_owned(),
    ];
    vec![
        format!("--wsrep-cluster-address={group}"),
        format!("--wsrep-node-address=127.0.0.1:{}", ports.group),
        format!("--wsrep-provider-options={}", provider.join(";")),
        // What one node committed is visible through every other.
        "--wsrep-sync-wait=1".to_owned(),
    ]
}

/// Waits until each node sees this many members, itself included, and has all of their transactions.
async fn wait_for_members(nodes: &[DatabaseServer], members: usize) -> io::Result<()> {
    const SYNCED: u64 = 4;
    for node in nodes {
        let has_joined = || async {
            let (seen, state) = (status(node, "wsrep_cluster_size").await, status(node, "wsrep_local_state").await);
            Ok(seen.is_ok_and(|seen| seen == members as u64) && state.is_ok_and(|state| state == SYNCED))
        };
        until(&format!("{members} nodes are one group"), has_joined).await?;
    }
    Ok(())
}

async fn status(node: &DatabaseServer, name: &str) -> io::Result<u64> {
    let row: Option<(String, String)> = node.query_first(&format!("SHOW GLOBAL STATUS LIKE '{name}'")).await?;
    row.and_then(|(_, value)| value.parse().ok()).ok_or_else(|| io::Error::other(format!("no status {name}")))
}
