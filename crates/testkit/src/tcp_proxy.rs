//! A network that can be broken: a proxy on the loopback in front of another port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mysql_async::Opts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::servers::free_port;

/// What a `MySQL` client sends to commit, as one packet: its length, its number, `COM_QUERY`, the text.
pub const MYSQL_COMMIT: &[u8] = b"\x07\x00\x00\x00\x03COMMIT";

const CHUNK_BYTES: usize = 16 * 1024;
const BACKLOG: u32 = 1_024;
const BIND_ATTEMPTS_MAX: usize = 500;
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// What becomes of connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Network {
    /// They reach the target.
    Whole,
    /// New ones are refused, as by a machine on which nobody listens. Those that are open go on.
    Refusing,
    /// New ones are taken, and what comes over them or those that are open is swallowed, without a word.
    Swallowing,
}

/// When a connection is cut over which certain bytes come from its client.
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
    /// The first of so many meetings with these bytes is cut, and the others pass.
    one_in: usize,
}

/// A proxy in front of a port. It goes, with its connections, when it is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    network: watch::Sender<Network>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    cut: Mutex<Option<Cut>>,
    met: AtomicUsize,
    cuts: AtomicUsize,
    /// Every open connection ends at the next change.
    sweeps: watch::Sender<usize>,
}

impl TcpProxy {
    /// Listens on a free port of the loopback, in front of `target`.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = listen(address)?;
        let shared = Arc::new(Shared {
            target,
            cut: Mutex::new(None),
            met: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            sweeps: watch::Sender::new(0),
        });
        let network = watch::Sender::new(Network::Whole);
        let task = tokio::spawn(run(address, listener, Arc::clone(&shared), network.subscribe()));
        Ok(Self { address, shared, network, task })
    }

    /// Listens in front of the database server of a URL. The second value is that URL, through the proxy.
    pub async fn before_database(url: &str) -> io::Result<(Self, String)> {
        let options = Opts::from_url(url).map_err(io::Error::other)?;
        let (host, port) = (options.ip_or_hostname().to_owned(), options.tcp_port());
        let target = tokio::net::lookup_host((host.as_str(), port)).await?.next();
        let proxy = Self::start(target.ok_or_else(|| io::Error::other("the host has no address"))?)?;
        let here = format!("@{}/", proxy.address);
        let through = url.replacen(&format!("@{host}:{port}/"), &here, 1);
        let separator = if through.contains('?') { '&' } else { '?' };
        if through.contains(&here) {
            // The client would otherwise ask the server for its socket, and go past the proxy.
            Ok((proxy, format!("{through}{separator}prefer_socket=false")))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "the URL names no user, host and port"))
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what becomes of connections. When it returns, no connection is taken as before.
    pub async fn set(&self, network: Network) {
        self.network.send_replace(network);
        // The port is closed and opened by the task; one sees it by connecting.
        let refusing = network == Network::Refusing;
        while TcpStream::connect(self.address).await.is_err() != refusing {
            sleep(BIND_PAUSE).await;
        }
    }

    /// Cuts every connection that is open.
    pub fn cut_all(&self) {
        self.shared.sweeps.send_modify(|sweeps| *sweeps += 1);
    }

    /// From now on, cuts one in `one_in` of the connections over which `bytes` come, the next one first.
    pub fn cut_when(&self, bytes: &'static [u8], at: CutAt, one_in: usize) {
        self.shared.met.store(0, Ordering::SeqCst);
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
    fn cut(&self) -> std::sync::MutexGuard<'_, Option<Cut>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection is cut that has met the bytes of a cut.
    fn decide(&self, cut: Cut) -> bool {
        self.met.fetch_add(1, Ordering::SeqCst).is_multiple_of(cut.one_in)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before may still be closing on this port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn listen_again(address: SocketAddr) -> Option<TcpListener> {
    for _ in 0..BIND_ATTEMPTS_MAX {
        if let Ok(listener) = listen(address) {
            return Some(listener);
        }
        sleep(BIND_PAUSE).await;
    }
    None
}

/// Takes connections while the network is not refusing them.
async fn run(address: SocketAddr, listener: TcpListener, shared: Arc<Shared>, mut network: watch::Receiver<Network>) {
    let (mut listener, mut connections) = (Some(listener), JoinSet::new());
    loop {
        let refusing = *network.borrow_and_update() == Network::Refusing;
        if refusing {
            listener = None;
        } else if listener.is_none() {
            listener = listen_again(address).await;
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = network.changed() => if changed.is_err() { return },
            accepted = accepted => if let Ok((client, _)) = accepted {
                connections.spawn(carry(client, Arc::clone(&shared), network.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from its client's first byte to its end.
async fn carry(client: TcpStream, shared: Arc<Shared>, network: watch::Receiver<Network>) {
    let mut sweeps = shared.sweeps.subscribe();
    tokio::select! {
        _ = sweeps.changed() => {}
        // How a connection ended is for its two ends to find out.
        _ended = carry_whole(client, &shared, &network) => {}
    }
}

async fn carry_whole(client: TcpStream, shared: &Shared, network: &watch::Receiver<Network>) -> io::Result<()> {
    if *network.borrow() == Network::Swallowing {
        // Held open until it is swept away.
        let _client = client;
        return std::future::pending().await;
    }
    let target = TcpStream::connect(shared.target).await?;
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut target_reads, mut target_writes) = target.into_split();
    let met = tokio::select! {
        met = carry_requests(&mut client_reads, &mut target_writes, shared, network) => met?,
        ended = carry_answers(&mut target_reads, &mut client_writes, network) => return ended,
    };
    let Some((at, bytes)) = met else { return Ok(()) };
    let client = (client_reads, client_writes);
    if at != CutAt::Request {
        target_writes.write_all(&bytes).await?;
        let client = (at == CutAt::Answer).then_some(client);
        // The target is not cut off before it has answered, so it did all that it was asked for.
        target_reads.readable().await?;
        drop(client);
    }
    shared.cuts.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Carries until the client ends, or meets the bytes of a cut: then gives what has not been carried yet.
async fn carry_requests(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    shared: &Shared,
    network: &watch::Receiver<Network>,
) -> io::Result<Option<(CutAt, Vec<u8>)>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    // The last bytes of the chunks before, among which the beginning of a match may be.
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(None);
        }
        if *network.borrow() == Network::Swallowing {
            continue;
        }
        let read = &chunk[..count];
        let armed = *shared.cut();
        if let Some(cut) = armed.filter(|cut| meets(&mut tail, read, cut.bytes) && shared.decide(*cut)) {
            return Ok(Some((cut.at, read.to_vec())));
        }
        to.write_all(read).await?;
    }
}

/// Whether `bytes` end in what has just been read. `tail` is what was read before, and is brought up to date.
fn meets(tail: &mut Vec<u8>, read: &[u8], bytes: &[u8]) -> bool {
    tail.extend_from_slice(read);
    let met = tail.windows(bytes.len()).any(|window| window == bytes);
    let kept = if met { 0 } else { tail.len().min(bytes.len() - 1) };
    tail.drain(..tail.len() - kept);
    met
}

async fn carry_answers(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    network: &watch::Receiver<Network>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        if *network.borrow() != Network::Swallowing {
            to.write_all(&chunk[..count]).await?;
        }
    }
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

    /// What comes back for a line; none where the connection is cut.
    async fn ask(stream: &mut TcpStream, line: &str) -> Option<String> {
        stream.write_all(line.as_bytes()).await.ok()?;
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer).await.ok()?;
        Some(String::from_utf8(answer).unwrap())
    }

    async fn until(what: impl Fn() -> bool) {
        let met = async {
            while !what() {
                sleep(BIND_PAUSE).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), met).await.expect("it happens in time");
    }

    #[tokio::test]
    async fn a_whole_network_carries_both_ways_and_a_cut_ends_all() {
        let (target, _) = echo().await;
        let proxy = TcpProxy::start(target).unwrap();
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            assert_eq!(ask(&mut stream, "hello\n").await.as_deref(), Some("hello\n"));
            streams.push(stream);
        }
        proxy.cut_all();
        for stream in &mut streams {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut again, "again\n").await.is_some());
        assert_eq!(proxy.cuts(), 0);
    }

    #[tokio::test]
    async fn a_refusing_network_takes_nobody_new_and_comes_back_on_the_same_port() {
        let (target, _) = echo().await;
        let proxy = TcpProxy::start(target).unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut open, "before\n").await.is_some());
        proxy.set(Network::Refusing).await;
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(ask(&mut open, "still open\n").await.is_some());
        proxy.set(Network::Whole).await;
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut new, "after\n").await.is_some());
    }

    #[tokio::test]
    async fn a_swallowing_network_says_nothing() {
        let (target, lines) = echo().await;
        let proxy = TcpProxy::start(target).unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut open, "before\n").await.is_some());
        proxy.set(Network::Swallowing).await;
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        for stream in [&mut open, &mut new] {
            let answered = tokio::time::timeout(Duration::from_millis(200), ask(stream, "into the dark\n")).await;
            assert!(answered.is_err(), "{answered:?}");
        }
        assert_eq!(lines.load(Ordering::SeqCst), 1);
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
            until(|| lines.load(Ordering::SeqCst) == 1 + reaches && proxy.cuts() == 1).await;
            // The second one passes, even where it comes in two pieces, and the third one is cut, as it is in pieces.
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            assert!(ask(&mut stream, "COM").await.is_some(), "{at:?}");
            assert!(ask(&mut stream, "MIT\n").await.is_some(), "{at:?}");
            assert!(ask(&mut stream, "COM").await.is_some(), "{at:?}");
            assert_eq!(ask(&mut stream, "MIT\n").await, None, "{at:?}");
            until(|| proxy.cuts() == 2).await;
            proxy.cut_nothing();
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            assert!(ask(&mut stream, "COMMIT\n").await.is_some(), "{at:?}");
        }
    }
}
