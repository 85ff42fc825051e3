//! What starts private servers, and what waits for them.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

const READY_MAX: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
const START_ATTEMPTS_MAX: usize = 5;

/// Below the ports that systems assign to outgoing connections (from 32768 on): while a server is down, no client can
/// get its port by chance.
const PORT_FIRST: u16 = 20_000;
const PORT_COUNT: u16 = 12_000;

/// A private server, held by a process of `tests/servers/keep`. Dropping the last clone ends both, and removes the data
/// folder.
#[derive(Clone, Debug)]
pub(crate) struct Keeper(Arc<Mutex<Process>>);

impl Keeper {
    /// Prepares a server; `name` is its kind, as the script calls it.
    pub(crate) async fn new(name: &'static str, port: u16, options: &[String]) -> io::Result<Self> {
        let mut command = Command::new(scripts().join("keep"));
        command.arg(name).arg(port.to_string()).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        blocking(move || {
            let mut child = command.spawn()?;
            let answers = child.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
            let process = Process { requests: child.stdin.take(), answers: BufReader::new(answers), child };
            Ok(Self(Arc::new(Mutex::new(process))))
        })
        .await
    }

    /// Starts the server, and returns its data folder.
    pub(crate) async fn start(&self) -> io::Result<String> {
        self.ask("start").await?;
        self.ask("folder").await
    }

    /// Waits until a server answers. `is_this` fails until one does, and returns whether it is this one.
    pub(crate) async fn until_ready<F>(&self, is_this: impl Fn() -> F) -> io::Result<()>
    where
        F: Future<Output = io::Result<bool>>,
    {
        let is_this = &is_this;
        let is_ready = || async move {
            match is_this().await {
                Ok(true) => Ok(true),
                Ok(false) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server has taken the port")),
                Err(_) if self.ask("alive").await? == "dead" => {
                    Err(io::Error::other("the server ended while it started; its last words are above"))
                }
                Err(_) => Ok(false),
            }
        };
        until("the server answers", is_ready).await
    }

    /// Sends a request to the script, and returns its answer.
    pub(crate) async fn ask(&self, request: &'static str) -> io::Result<String> {
        let process = Arc::clone(&self.0);
        blocking(move || process.lock().unwrap_or_else(PoisonError::into_inner).ask(request)).await
    }
}

struct Process {
    child: Child,
    /// Its end ends the server.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn ask(&mut self, request: &str) -> io::Result<String> {
        // A script that refuses to run closes its input and says why: the answer says more than the failed write.
        let asked = self.requests.as_mut().map(|requests| writeln!(requests, "{request}"));
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let answer = answer.trim_end();
        match (answer.strip_prefix("failed "), asked) {
            (Some(reason), _) => Err(io::Error::other(reason.to_owned())),
            (None, Some(Err(error))) if answer.is_empty() => Err(error),
            (None, _) if answer.is_empty() => Err(io::Error::other("the keeper of the server has ended")),
            (None, _) => Ok(answer.to_owned()),
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("id", &self.child.id()).finish_non_exhaustive()
    }
}

impl Drop for Process {
    /// Ends the server, and returns when it and its data folder are gone.
    fn drop(&mut self) {
        drop(self.requests.take());
        self.child.wait().ok();
    }
}

/// Starts something on free ports. Tries several times, since another process may take a port meanwhile.
pub(crate) async fn attempts<T, F>(start: impl Fn() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    for _ in 1..START_ATTEMPTS_MAX {
        if let Ok(started) = start().await {
            return Ok(started);
        }
    }
    start().await
}

/// Waits until something holds.
pub(crate) async fn until<F>(what: &str, holds: impl Fn() -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<bool>>,
{
    let waiting = async {
        while !holds().await? {
            sleep(POLL).await;
        }
        Ok(())
    };
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("{what}: not within {READY_MAX:?}")));
    timeout(READY_MAX, waiting).await.unwrap_or_else(late)
}

/// The folder of the scripts that fetch and run servers.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers")
}

/// A port of the loopback interface that no process listens on now, and that no outgoing connection is assigned.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that start together begin at different ports; process ids that follow each other are far apart.
    let first = u64::from(std::process::id()) * 97 % u64::from(PORT_COUNT);
    for _ in 0..PORT_COUNT {
        let offset = first + u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORT_FIRST + u16::try_from(offset % u64::from(PORT_COUNT)).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port on the loopback interface"))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
