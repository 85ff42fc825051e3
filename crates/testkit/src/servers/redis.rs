//! Private Redis servers, and a cluster of them. They hold everything in memory: one that starts again is empty.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use tokio::sync::OnceCell;

use super::{
    attempts, free_port,
    keeper::{Keeper, blocking},
    until,
};

/// How far a node of a cluster listens to the others above its own port.
const BUS_OFFSET: u16 = 10_000;
const SLOTS: u16 = 16_384;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A Redis server that is private to this process.
#[derive(Debug)]
pub struct RedisServer {
    is_sentinel: bool,
    port: u16,
    keeper: Keeper,
}

impl RedisServer {
    /// Starts an empty server and waits until it answers.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further options for the server.
    pub async fn start_with(options: &[&str]) -> io::Result<Self> {
        Self::start_as(false, options).await
    }

    /// Starts a sentinel, which watches nothing yet.
    pub async fn start_sentinel() -> io::Result<Self> {
        Self::start_as(true, &[]).await
    }

    async fn start_as(is_sentinel: bool, options: &[&str]) -> io::Result<Self> {
        let kind = if is_sentinel { "sentinel" } else { "redis" };
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let start = || async {
            let port = free_port()?;
            let server = Self { is_sentinel, port, keeper: Keeper::new(kind, port, &options).await? };
            server.start_again().await?;
            Ok(server)
        };
        attempts(start).await
    }

    /// One that every test of this process shares. Never stop it: other tests use it.
    pub async fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub async fn process_id(&self) -> io::Result<u32> {
        let info = self.command("INFO server").await?;
        let id = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
        id.ok_or_else(|| io::Error::other("Redis does not show the id of its process"))
    }

    /// Kills the server (SIGKILL) and waits until it is gone, and everything in it.
    pub async fn kill(&self) -> io::Result<()> {
        self.keeper.ask("kill").await.map(drop)
    }

    /// Stops the server where it is (SIGSTOP): it accepts connections and answers nothing.
    pub async fn pause(&self) -> io::Result<()> {
        self.keeper.ask("pause").await.map(drop)
    }

    /// Lets a paused server go on (SIGCONT).
    pub async fn resume(&self) -> io::Result<()> {
        self.keeper.ask("resume").await.map(drop)
    }

    /// Starts the server again, empty and on the same port, and waits until it answers.
    pub async fn start_again(&self) -> io::Result<()> {
        let folder = self.keeper.start().await?;
        // A sentinel does not show its folder.
        let (command, expected) =
            if self.is_sentinel { ("ROLE", "sentinel") } else { ("CONFIG GET dir", folder.as_str()) };
        let is_this = || async { Ok(self.command(command).await?.lines().any(|line| line == expected)) };
        self.keeper.until_ready(is_this).await
    }

    /// Sends a command, whose words hold no spaces, and returns the answer; a list has one entry a line.
    pub async fn command(&self, command: &str) -> io::Result<String> {
        command_at(self.address(), command.to_owned()).await
    }

    async fn knows_the_cluster(&self) -> io::Result<bool> {
        let info = self.command("CLUSTER INFO").await?;
        let says = |word: &str| info.lines().any(|line| line == word);
        Ok(says("cluster_state:ok") && says("cluster_slots_assigned:16384") && says("cluster_size:3"))
    }
}

pub(super) async fn command_at(address: SocketAddr, command: String) -> io::Result<String> {
    blocking(move || {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        (&stream).write_all(format!("{command}\r\n").as_bytes())?;
        read_answer(&mut BufReader::new(&stream))
    })
    .await
}

fn read_answer(answers: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let line = line.trim_end();
    let refusal = || io::Error::new(io::ErrorKind::InvalidData, format!("not an answer of Redis: {line}"));
    let (kind, rest) = line.split_at_checked(1).ok_or_else(refusal)?;
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "-" => Err(io::Error::other(rest.to_owned())),
        "$" => {
            let Ok(length) = rest.parse::<usize>() else { return Ok(String::new()) };
            let mut bytes = vec![0; length + 2];
            answers.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let count: usize = rest.parse().map_err(|_| refusal())?;
            let entries: io::Result<Vec<String>> = (0..count).map(|_| read_answer(answers)).collect();
            entries.map(|entries| entries.join("\n"))
        }
        _ => Err(refusal()),
    }
}

/// A Redis Cluster of three nodes without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three nodes, assigns each a third of the slots, and waits until each node reports a working cluster.
    pub async fn start() -> io::Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(RedisServer::start_with(&["--cluster-enabled", "yes"]).await?);
        }
        let cluster = Self { nodes };
        let share = SLOTS / 3;
        for (node, first) in cluster.nodes.iter().zip([0, share, 2 * share]) {
            let last = if first == 2 * share { SLOTS - 1 } else { first + share - 1 };
            let slots: Vec<String> = (first..=last).map(|slot| slot.to_string()).collect();
            node.command(&format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await?;
            for other in &cluster.nodes {
                let (port, bus) = (other.port, other.port + BUS_OFFSET);
                node.command(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await?;
            }
        }
        for node in &cluster.nodes {
            until("the node knows the cluster", || node.knows_the_cluster()).await?;
        }
        Ok(cluster)
    }

    /// One that every test of this process shares. Never stop its nodes: other tests use them.
    pub async fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceCell<RedisCluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Where it is, by all of its nodes.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }
}
