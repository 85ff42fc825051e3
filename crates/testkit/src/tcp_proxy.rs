//! A network that can be broken: a proxy on the loopback in front of another port.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream, lookup_host,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use url::Url;

use crate::servers::{free_port, until};

/// What a `MySQL` client sends to commit, as one packet: its length, its number, `COM_QUERY`, the text.
pub const MYSQL_COMMIT: &[u8] = b"\x07\x00\x00\x00\x03COMMIT";

const MYSQL_PORT: u16 = 3_306;
const CHUNK_BYTES: usize = 16 * 1024;
const BACKLOG: u32 = 1_024;
/// How soon to look again whether the port can be opened.
const LISTEN_PAUSE: Duration = Duration::from_millis(10);

/// How the proxy treats connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Network {
    /// They reach the target.
    Whole,
    /// New ones are refused, as if no process listened. Open ones go on.
    Refusing,
    /// New ones are accepted, and all bytes of new and open ones are lost.
    Swallowing,
}

/// When a connection is cut whose client sends certain bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CutAt {
    /// Before the target has them.
    Request,
    /// When the target has them: it works on them while the client is cut off.
    Work,
    /// When the target has answered, before any byte of the answer reaches the client.
    Answer,
}

/// Which connections are cut, and when.
#[derive(Clone, Copy, Debug)]
struct Cut {
    bytes: &'static [u8],
    at: CutAt,
    /// Of so many occurrences of the bytes, the first is cut.
    one_in: usize,
}

/// A proxy in front of a port. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    network: watch::Sender<Network>,
    cut: Mutex<Option<Cut>>,
    /// How often the bytes of the cut occurred.
    occurrences: AtomicUsize,
    cuts: AtomicUsize,
    /// Every open connection ends at the next change.
    sweeps: watch::Sender<usize>,
}

impl TcpProxy {
    /// Listens on a free port of the loopback, in front of `target`.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = listen(address)?;
        let shared = Arc::new(Shared {
            target,
            network: watch::Sender::new(Network::Whole),
            cut: Mutex::new(None),
            occurrences: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            sweeps: watch::Sender::new(0),
        });
        let task = tokio::spawn(run(address, listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Listens in front of the database server of a URL. The second value is that URL, through the proxy.
    pub async fn before_database(url: &str) -> io::Result<(Self, String)> {
        let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the URL names no host");
        let mut through = Url::parse(url).map_err(io::Error::other)?;
        let host = (through.host_str().ok_or_else(no_host)?, through.port().unwrap_or(MYSQL_PORT));
        let proxy = Self::start(lookup_host(host).await?.next().ok_or_else(no_host)?)?;
        through.set_ip_host(proxy.address.ip()).map_err(|()| no_host())?;
        through.set_port(Some(proxy.address.port())).map_err(|()| no_host())?;
        // The client would otherwise ask the server for its socket, and go past the proxy.
        through.query_pairs_mut().append_pair("prefer_socket", "false");
        Ok((proxy, through.into()))
    }

    /// Listens in front of the server of an address on the web. The second value is that address, through the proxy.
    pub fn before_web(url: &Url) -> io::Result<(Self, Url)> {
        let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the URL names no host");
        let proxy = Self::start(url.socket_addrs(|| None)?.into_iter().next().ok_or_else(no_host)?)?;
        let mut through = url.clone();
        through.set_ip_host(proxy.address.ip()).map_err(|()| no_host())?;
        through.set_port(Some(proxy.address.port())).map_err(|()| no_host())?;
        Ok((proxy, through))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how connections are treated. When it returns, every new one is treated so.
    pub async fn set(&self, network: Network) {
        self.shared.network.send_replace(network);
        // The task closes and opens the port, which only connecting shows.
        let refusing = network == Network::Refusing;
        let is_set = || async { Ok(TcpStream::connect(self.address).await.is_err() == refusing) };
        until("the proxy changes the network", is_set).await.expect("the proxy runs");
    }

    pub fn cut_all(&self) {
        self.shared.sweeps.send_modify(|sweeps| *sweeps += 1);
    }

    /// From now on, cuts one in `one_in` of the connections whose clients send `bytes`, the next one first.
    pub fn cut_when(&self, bytes: &'static [u8], at: CutAt, one_in: usize) {
        self.shared.occurrences.store(0, Ordering::SeqCst);
        *self.shared.cut() = Some(Cut { bytes, at, one_in: one_in.max(1) });
    }

    /// Cuts no more connections because of their bytes.
    pub fn cut_nothing(&self) {
        *self.shared.cut() = None;
    }

    /// How many connections were cut because of their bytes.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn cut(&self) -> MutexGuard<'_, Option<Cut>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn swallows(&self) -> bool {
        *self.network.borrow() == Network::Swallowing
    }

    /// When to cut a connection, if what its client just sent ends the bytes of a cut that applies.
    fn meets(&self, tail: &mut Vec<u8>, read: &[u8]) -> Option<CutAt> {
        let cut = (*self.cut())?;
        let applies =
            ends(tail, read, cut.bytes) && self.occurrences.fetch_add(1, Ordering::SeqCst).is_multiple_of(cut.one_in);
        applies.then_some(cut.at)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Earlier connections may still be closing on this port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections while the network does not refuse them.
async fn run(address: SocketAddr, listener: TcpListener, shared: Arc<Shared>) {
    let (mut listener, mut connections) = (Some(listener), JoinSet::new());
    let mut network = shared.network.subscribe();
    loop {
        if *network.borrow_and_update() == Network::Refusing {
            listener = None;
        } else if listener.is_none() {
            listener = listen(address).ok();
        }
        let Some(open) = &listener else {
            sleep(LISTEN_PAUSE).await;
            continue;
        };
        tokio::select! {
            changed = network.changed() => if changed.is_err() { return },
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(carry(client, Arc::clone(&shared)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from its client's first byte to its end.
async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let mut sweeps = shared.sweeps.subscribe();
    tokio::select! {
        _ = sweeps.changed() => {}
        // Both ends see for themselves how the connection ended.
        _ended = carry_whole(client, &shared) => {}
    }
}

async fn carry_whole(client: TcpStream, shared: &Shared) -> io::Result<()> {
    if shared.swallows() {
        // Stays open until a sweep.
        let _client = client;
        return std::future::pending().await;
    }
    let target = TcpStream::connect(shared.target).await?;
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut target_reads, mut target_writes) = target.into_split();
    // The last bytes of the chunks before, among which the beginning of a match may be.
    let mut tail = Vec::new();
    let cut = tokio::select! {
        cut = pump(&mut client_reads, &mut target_writes, shared, |read| shared.meets(&mut tail, read)) => cut?,
        ended = pump(&mut target_reads, &mut client_writes, shared, |_| None) => return ended.map(drop),
    };
    let Some((at, bytes)) = cut else { return Ok(()) };
    let client = (client_reads, client_writes);
    if at != CutAt::Request {
        target_writes.write_all(&bytes).await?;
        let client = (at == CutAt::Answer).then_some(client);
        // The target keeps its connection until it has answered, so it did everything that the client asked for.
        target_reads.readable().await?;
        drop(client);
    }
    shared.cuts.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Carries bytes until `from` ends, or a cut applies: then returns the bytes that were not carried.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    shared: &Shared,
    mut cut: impl FnMut(&[u8]) -> Option<CutAt>,
) -> io::Result<Option<(CutAt, Vec<u8>)>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await?;
        let read = &chunk[..count];
        if read.is_empty() {
            return Ok(None);
        }
        if shared.swallows() {
            continue;
        }
        if let Some(at) = cut(read) {
            return Ok(Some((at, read.to_vec())));
        }
        to.write_all(read).await?;
    }
}

/// Whether an occurrence of `bytes` ends in what was just read. `tail` is what was read before, and is brought up to
/// date.
fn ends(tail: &mut Vec<u8>, read: &[u8], bytes: &[u8]) -> bool {
    tail.extend_from_slice(read);
    let met = tail.windows(bytes.len()).any(|window| window == bytes);
    let kept = if met { 0 } else { tail.len().min(bytes.len() - 1) };
    tail.drain(..tail.len() - kept);
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each line with itself, and counts the lines.
    async fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, lines) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        if byte[0] == b'\n' {
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                        stream.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        (address, lines)
    }

    /// What comes back for a line; `None` if the connection is cut.
    async fn ask(stream: &mut TcpStream, line: &str) -> Option<String> {
        stream.write_all(line.as_bytes()).await.ok()?;
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer).await.ok()?;
        Some(String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn a_network_carries_both_ways_refuses_or_swallows_and_a_cut_ends_all() {
        let (target, lines) = echo().await;
        let proxy = TcpProxy::start(target).unwrap();
        let connect = || TcpStream::connect(proxy.address());
        let mut open = connect().await.unwrap();
        assert_eq!(ask(&mut open, "hello\n").await.as_deref(), Some("hello\n"));

        proxy.set(Network::Refusing).await;
        assert_eq!(connect().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(ask(&mut open, "still open\n").await.is_some());
        proxy.set(Network::Whole).await;
        let mut new = connect().await.unwrap();
        assert!(ask(&mut new, "on the same port\n").await.is_some());
        proxy.cut_all();
        for stream in [&mut open, &mut new] {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }

        let mut open = connect().await.unwrap();
        assert!(ask(&mut open, "after the cut\n").await.is_some());
        proxy.set(Network::Swallowing).await;
        let mut new = connect().await.unwrap();
        for stream in [&mut open, &mut new] {
            let answered = tokio::time::timeout(Duration::from_millis(200), ask(stream, "into the dark\n")).await;
            assert!(answered.is_err(), "{answered:?}");
        }
        assert_eq!((lines.load(Ordering::SeqCst), proxy.cuts()), (4, 0));
    }

    #[tokio::test]
    async fn a_connection_is_cut_where_it_was_asked_for_and_at_no_other_line() {
        for (at, reaches) in [(CutAt::Request, 0), (CutAt::Work, 1), (CutAt::Answer, 1)] {
            let (target, lines) = echo().await;
            let proxy = TcpProxy::start(target).unwrap();
            proxy.cut_when(b"COMMIT\n", at, 2);
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            assert!(ask(&mut stream, "COMMITS\n").await.is_some(), "{at:?}");
            assert_eq!(ask(&mut stream, "COMMIT\n").await, None, "{at:?}");
            let is_cut = || async { Ok(lines.load(Ordering::SeqCst) == 1 + reaches && proxy.cuts() == 1) };
            until("the first is cut", is_cut).await.unwrap();
            // The second one passes although it comes in two pieces, and the third one is cut, in pieces too.
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            assert!(ask(&mut stream, "COM").await.is_some(), "{at:?}");
            assert!(ask(&mut stream, "MIT\n").await.is_some(), "{at:?}");
            assert!(ask(&mut stream, "COM").await.is_some(), "{at:?}");
            assert_eq!(ask(&mut stream, "MIT\n").await, None, "{at:?}");
            until("the third is cut", || async { Ok(proxy.cuts() == 2) }).await.unwrap();
            proxy.cut_nothing();
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            assert!(ask(&mut stream, "COMMIT\n").await.is_some(), "{at:?}");
        }
    }
}
