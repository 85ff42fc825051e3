//! Sends webhooks.
//!
//! A request has a connection to itself, to an address that was checked just before: there is no pool, no proxy and no
//! redirect by which it could end up elsewhere, and a name that resolves to another address a moment later changes nothing.

use std::{
    fmt, io, iter,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::Timestamp;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use uuid::Uuid;

use super::{WebhookSecret, WebhookUrl, addresses::is_public, signature::signatures};
use crate::tls::TlsTrust;

/// How much of an answer is kept, from its beginning. Whatever is beyond is not read.
pub const ANSWER_BYTES_MAX: usize = 1_024;

/// How many addresses of a host are tried.
const ADDRESSES_MAX: usize = 4;
/// How long connecting to one of them may take before the next one is tried.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long the head of an answer may be.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// How many headers an answer may have.
const HEADERS_MAX: usize = 100;

/// How long to wait for the body of an answer, whose status has decided already.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

const AGENT: &str = concat!("boxoffice-webhooks/", env!("CARGO_PKG_VERSION"));

/// How webhooks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// How long all of it may take: finding the host, connecting, sending, and the answer.
    pub timeout: Duration,
    /// Whether endpoints may be on addresses that are not [public](super::is_public), for tests and for receivers within
    /// an operator's own network.
    pub allow_private_addresses: bool,
}

impl Default for WebhookSettings {
    /// 20 seconds, and public addresses only.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(20), allow_private_addresses: false }
    }
}

/// Finds the addresses of a host.
#[async_trait]
pub trait HostResolver: Send + Sync {
    /// All addresses of a host, for connections to this port.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system, which asks its name servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl HostResolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// An endpoint, and what it knows the sender by.
#[derive(Clone, Debug)]
pub struct WebhookTarget {
    /// Where it is.
    pub url: WebhookUrl,
    /// The secret that it knows.
    pub secret: WebhookSecret,
    /// The secret before that one, as long as the endpoint may still know no other.
    pub former_secret: Option<WebhookSecret>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryAnswer {
    /// The endpoint answered.
    Answered {
        /// Its status. Only 2xx accepts the webhook.
        status: u16,
        /// At most [`ANSWER_BYTES_MAX`] of its body, without what is no text.
        beginning: String,
    },
    /// There was no answer that counts.
    Failed(DeliveryFailure),
}

impl DeliveryAnswer {
    /// Whether the endpoint has accepted the webhook.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status: 200..=299, .. })
    }

    /// Whether the endpoint wants no more webhooks: it answered 410.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Answered { status: 410, .. })
    }
}

/// Why there was no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryFailure {
    /// It took too long. The endpoint may have accepted the webhook.
    #[error("the endpoint did not answer in time")]
    TimedOut,
    /// The name of the host has no address.
    #[error("the host was not found: {0}")]
    UnknownHost(String),
    /// The host is on no public address; this is one of its addresses.
    #[error("the address {0} is not on the public internet")]
    RefusedAddress(IpAddr),
    /// No connection could be made.
    #[error("no connection could be made: {0}")]
    Connection(String),
    /// There is no secure connection to the host, for instance because its certificate is not valid.
    #[error("no secure connection could be made: {0}")]
    Tls(String),
    /// The endpoint answered with a redirect, which is not followed.
    #[error("the endpoint answered with the redirect {status}, which is not followed")]
    Redirected {
        /// Its status, one of 3xx.
        status: u16,
    },
    /// The connection was lost, or what came is not HTTP. The endpoint may have accepted the webhook.
    #[error("the endpoint did not answer as HTTP has it: {0}")]
    Http(String),
}

/// Sends webhooks. A clone shares everything.
#[derive(Clone)]
pub struct WebhookSender {
    settings: WebhookSettings,
    trust: TlsTrust,
    resolver: Arc<dyn HostResolver>,
}

impl WebhookSender {
    /// A sender that finds hosts by this resolver, usually a [`SystemResolver`]. The addresses that it gives are checked.
    pub fn new(settings: WebhookSettings, trust: TlsTrust, resolver: Arc<dyn HostResolver>) -> Self {
        Self { settings, trust, resolver }
    }

    /// Whether endpoints may be on addresses that are not public.
    pub fn allows_private_addresses(&self) -> bool {
        self.settings.allow_private_addresses
    }

    /// Sends one webhook, once, and says what came of it. `id` is that of the event and the same at each attempt; `now` is
    /// when this attempt is made. How many requests are made at once is up to the caller.
    pub async fn send(&self, target: &WebhookTarget, id: Uuid, now: Timestamp, body: &str) -> DeliveryAnswer {
        let request = request(target, &id.to_string(), now.timestamp(), body);
        let sending = timeout(self.settings.timeout, self.exchange(&target.url, request));
        match sending.await.unwrap_or(Err(DeliveryFailure::TimedOut)) {
            // The status came in time, and says whether the webhook was accepted.
            Ok(head) => head.read().await,
            Err(failure) => DeliveryAnswer::Failed(failure),
        }
    }

    async fn exchange(&self, url: &WebhookUrl, request: Request<Full<Bytes>>) -> Result<Head, DeliveryFailure> {
        let stream = connect(&self.addresses(url).await?).await?;
        if url.is_secure() {
            let secure = self.trust.connect(url.host(), stream).await;
            ask(secure.map_err(|error| DeliveryFailure::Tls(error.to_string()))?, request).await
        } else {
            ask(stream, request).await
        }
    }

    /// The addresses of an endpoint that may be connected to.
    async fn addresses(&self, url: &WebhookUrl) -> Result<Vec<SocketAddr>, DeliveryFailure> {
        let found = if let Some(address) = url.socket_address() {
            vec![address]
        } else {
            let found = self.resolver.resolve(url.host(), url.port()).await;
            found.map_err(|error| DeliveryFailure::UnknownHost(error.to_string()))?
        };
        let Some(first) = found.first().map(SocketAddr::ip) else {
            return Err(DeliveryFailure::UnknownHost("it has no address".to_owned()));
        };
        let mut allowed = found;
        allowed.retain(|address| self.settings.allow_private_addresses || is_public(address.ip()));
        allowed.truncate(ADDRESSES_MAX);
        if allowed.is_empty() { Err(DeliveryFailure::RefusedAddress(first)) } else { Ok(allowed) }
    }
}

impl fmt::Debug for WebhookSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSender").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn request(target: &WebhookTarget, id: &str, timestamp: i64, body: &str) -> Request<Full<Bytes>> {
    let secrets = iter::once(&target.secret).chain(&target.former_secret);
    Request::post(target.url.path_and_query())
        .header(HOST, target.url.authority())
        .header(CONNECTION, "close")
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures(secrets, id, timestamp, body))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("every part was parsed before")
}

/// Connects to the first address that answers.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, DeliveryFailure> {
    let mut failure = DeliveryFailure::Connection("there is no address".to_owned());
    for address in addresses {
        match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = DeliveryFailure::Connection(error.to_string()),
            Err(_) => failure = DeliveryFailure::Connection(format!("no answer within {} s", CONNECT_MAX.as_secs())),
        }
    }
    Err(failure)
}

/// An answer of which the body is still to be read.
struct Head {
    answer: Response<Incoming>,
    /// Drives the connection, and ends with this, whatever the endpoint is still sending.
    _driving: JoinSet<hyper::Result<()>>,
}

impl Head {
    async fn read(self) -> DeliveryAnswer {
        let status = self.answer.status().as_u16();
        DeliveryAnswer::Answered { status, beginning: beginning(self.answer).await }
    }
}

/// Sends a request over a connection, and reads the head of the answer.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Head, DeliveryFailure> {
    let http = |error: hyper::Error| DeliveryFailure::Http(error.to_string());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let (mut requests, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(http)?;
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let answer = requests.send_request(request).await.map_err(http)?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(DeliveryFailure::Redirected { status: status.as_u16() });
    }
    Ok(Head { answer, _driving: driving })
}

/// The first bytes of a body. What is missing of it is no failure: the status says whether the webhook was accepted.
async fn beginning(answer: Response<Incoming>) -> String {
    let mut bytes = Vec::new();
    // Too late is the same as too much: what came so far is shown.
    let _ = timeout(BODY_PATIENCE, read_beginning(answer.into_body(), &mut bytes)).await;
    text(&bytes)
}

async fn read_beginning(mut body: Incoming, bytes: &mut Vec<u8>) {
    while bytes.len() < ANSWER_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        let data = frame.into_data().unwrap_or_default();
        bytes.extend_from_slice(&data[..data.len().min(ANSWER_BYTES_MAX - bytes.len())]);
    }
}

/// What of these bytes is text: a character that is cut at the end is left out, and so is what no page can show.
fn text(bytes: &[u8]) -> String {
    let shown = |character: &char| *character == '\n' || !character.is_control();
    bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<SocketAddr>);

    #[async_trait]
    impl HostResolver for Fixed {
        async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(self.0.clone())
        }
    }

    #[tokio::test]
    async fn of_a_host_with_several_addresses_only_public_ones_are_tried() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let [public, other] = ["1.1.1.1:443", "[2606:4700::1111]:443"].map(address);
        let private = ["127.0.0.1:443", "10.0.0.1:443", "[::1]:443"].map(address);
        let resolver = Fixed([&private[..], &[public, other], &private, &[public; 9]].concat());
        let trust = TlsTrust::of_system([]).expect("the cryptography is there");
        let sender = WebhookSender::new(WebhookSettings::default(), trust, Arc::new(resolver));
        let url = WebhookUrl::parse("https://shop.example/").expect("a URL");
        assert_eq!(sender.addresses(&url).await, Ok(vec![public, other, public, public]));
    }

    #[test]
    fn what_is_no_text_is_left_out_of_an_answer() {
        assert_eq!(text("좌석\0 is\r\ntaken\u{1b}[2J".as_bytes()), "좌석 is\ntaken[2J");
        assert_eq!(text(&"좌석".as_bytes()[..4]), "좌");
        assert_eq!(text(b"a\xff\xfeb"), "ab");
    }
}
