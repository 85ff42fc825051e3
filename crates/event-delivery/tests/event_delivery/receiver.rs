//! Endpoints for webhooks: each does what its test wants.

use std::{
    fs::File,
    io::BufReader,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_testkit::Authority;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::{Duration, sleep},
};
use tokio_rustls::TlsAcceptor;

/// What an endpoint does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Sends these bytes and closes.
    Answers(Vec<u8>),
    /// Sends nothing, and keeps the connection open.
    IsSilent,
    /// Sends these bytes once, and then the others again and again, with a pause between them.
    Dribbles(&'static [u8], &'static [u8], Duration),
}

impl Behaviour {
    /// A status with a short body.
    pub(crate) fn status(status: u16) -> Self {
        Self::Answers(format!("HTTP/1.1 {status} x\r\ncontent-length: 4\r\n\r\nbody").into_bytes())
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) first_line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.iter().filter(|(known, _)| known == name).collect();
        let [(_, value)] = values.as_slice() else { panic!("{name} is there {} times", values.len()) };
        value
    }
}

/// An endpoint on the loopback. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::start_with(behaviour, None).await
    }

    /// As [`Self::start`], over TLS.
    pub(crate) async fn start_with(behaviour: Behaviour, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, received) = (listener.local_addr().expect("an address"), Arc::default());
        let requests = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behaviour, requests, acceptor) = (behaviour.clone(), Arc::clone(&requests), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, behaviour, &requests).await,
                        Some(acceptor) => serve(acceptor.accept(stream).await.ok()?, behaviour, &requests).await,
                    }
                });
            }
        });
        Self { address, received, task }
    }

    /// The requests that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    behaviour: Behaviour,
    requests: &Mutex<Vec<Received>>,
) -> Option<()> {
    let request = read(&mut stream).await?;
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    match behaviour {
        Behaviour::Answers(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            stream.shutdown().await.ok()
        }
        Behaviour::IsSilent => std::future::pending().await,
        Behaviour::Dribbles(first, next, pause) => {
            stream.write_all(first).await.ok()?;
            loop {
                stream.write_all(next).await.ok()?;
                sleep(pause).await;
            }
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.split("\r\n");
    let first_line = lines.next().expect("a line").to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_lowercase(), value.to_owned())
    };
    let headers: Vec<_> = lines.map(header).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").expect("a length").1.parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { first_line, headers, body: String::from_utf8(body).expect("text") })
}

/// Accepts connections over TLS as this host.
pub(crate) fn acceptor(authority: &Authority, host: &str) -> TlsAcceptor {
    let files = authority.issue(host, &[host]);
    let mut certificate = BufReader::new(File::open(files.certificate).expect("a file"));
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(&mut certificate).collect();
    let key = PrivateKeyDer::from_pem_file(files.key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates.expect("certificates"), key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}
