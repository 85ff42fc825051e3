//! A webhook endpoint that keeps what it receives.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use url::Url;

use crate::faulty_stripe::SentMessage;

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Takes every request, answers it with 200, and keeps it. It ends when it is dropped.
#[derive(Debug)]
pub struct MessageSink {
    address: SocketAddr,
    received: watch::Receiver<Vec<SentMessage>>,
    running: JoinHandle<()>,
}

impl MessageSink {
    /// Listens on a port of the loopback.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, received) = watch::channel(Vec::new());
        Ok(Self { address, received, running: tokio::spawn(serve(listener, Arc::new(sender))) })
    }

    /// Where messages are sent to.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/webhook", self.address)).expect("an address is part of a URL")
    }

    /// Waits until `count` messages are there whose body holds this text, and returns all of these.
    pub async fn received(&self, text: &str, count: usize) -> Vec<SentMessage> {
        let mut received = self.received.clone();
        loop {
            let found: Vec<_> = {
                let messages = received.borrow_and_update();
                messages
                    .iter()
                    .filter(|message| String::from_utf8_lossy(&message.body).contains(text))
                    .cloned()
                    .collect()
            };
            if found.len() >= count || received.changed().await.is_err() {
                return found;
            }
        }
    }
}

impl Drop for MessageSink {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(listener: TcpListener, received: Arc<watch::Sender<Vec<SentMessage>>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let received = Arc::clone(&received);
        connections.spawn(async move {
            let service = service_fn(|request| keep(request, Arc::clone(&received)));
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn keep(
    request: Request<Incoming>,
    received: Arc<watch::Sender<Vec<SentMessage>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let fields =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    if let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await {
        received.send_modify(|messages| messages.push(SentMessage { fields, body: body.to_bytes().to_vec() }));
    }
    Ok(Response::new(Full::default()))
}
