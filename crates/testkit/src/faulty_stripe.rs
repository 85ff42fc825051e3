//! A stand-in for Stripe that misbehaves when a test wants it.
//!
//! It serves the routes that the adapter uses, in memory. Unlike other stand-ins it knows idempotency keys: the same key
//! with the same body gets the same answer, with another body it is refused, and while the first request is at work it is
//! 409. It can be stopped and started again on its port, and keeps its books, as Stripe keeps its own while a network
//! between is down.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::{ChargeId, Clock, EntropySource, fixtures::TestEntropy};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use url::{Url, form_urlencoded};

use crate::servers::{attempts, free_port};

mod books;
mod messages;

pub use books::BookedPayment;
use books::Books;
pub use messages::SentMessage;

/// The key that the server takes for the account's; it takes every other too.
pub const SECRET_KEY: &str = "sk_test_boxoffice";
/// What it signs its messages with.
pub const WEBHOOK_SECRET: &str = "whsec_test_boxoffice";

const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a change takes, so that others under its key can come meanwhile.
const WORK: Duration = Duration::from_millis(5);
/// How long a caller waits for an answer that never comes.
const NEVER: Duration = Duration::from_hours(1);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// To make a payment intent.
    Create,
    /// To read a payment intent.
    Read,
    /// To list payment intents or refunds.
    List,
    /// To search payment intents by a charge.
    Search,
    /// To cancel a payment intent.
    Cancel,
    /// To give money back.
    Refund,
}

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Closes the connection before anything happens.
    CutBefore,
    /// Does what was asked, and closes the connection instead of answering.
    CutAfter,
    /// Answers nothing, and does nothing.
    SilentBefore,
    /// Does what was asked, and answers nothing.
    SilentAfter,
    /// Does what was asked, and answers that much later.
    Slow(Duration),
    /// Says 409: another request is at work on the same object.
    Locked,
    /// Says 409: another request is at work under the same key.
    KeyInUse,
    /// Says 429, with `Retry-After` in seconds if it is given.
    TooMany(Option<u32>),
    /// Says 500 without doing anything; `Stripe-Should-Retry` if it is given.
    Broken(Option<bool>),
    /// Does what was asked, and answers with something that is no object.
    Nonsense,
    /// Does what was asked, and answers with another amount.
    OtherAmount,
}

/// The server. It ends when it is dropped.
pub struct FaultyStripe {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    books: Mutex<Books>,
    faults: Mutex<VecDeque<(Act, Fault)>>,
    /// Every request that arrived.
    requests: Mutex<Vec<(Act, String)>>,
    forgets_keys: AtomicBool,
    /// How many messages there are.
    messages: watch::Sender<usize>,
}

impl fmt::Debug for FaultyStripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStripe").field("address", &self.address).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultyStripe {
    /// Starts it with empty books. Its times are those of `clock`.
    pub async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock,
            books: Mutex::default(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            forgets_keys: AtomicBool::new(false),
            messages: watch::Sender::new(0),
        });
        attempts(|| async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let server = Self { address, shared: Arc::clone(&shared), running: Mutex::default() };
            server.start_again().await?;
            Ok(server)
        })
        .await
    }

    /// Where the API is served.
    pub fn base_url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address is part of a URL")
    }

    /// Closes the port and all connections at once. The books stay.
    pub async fn stop(&self) {
        let running = locked(&self.running).take();
        if let Some(running) = running {
            running.abort();
            running.await.ok();
        }
    }

    /// Listens again on the same port.
    pub async fn start_again(&self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        *locked(&self.running) = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
        Ok(())
    }

    /// Lets the next requests for an act be served so, one for each fault.
    pub fn misbehave(&self, act: Act, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.shared.faults).extend(faults.into_iter().map(|fault| (act, fault)));
    }

    /// Forgets all idempotency keys, as Stripe does after a day.
    pub fn forget_keys(&self) {
        locked(&self.shared.books).forget_keys();
    }

    /// Ignores idempotency keys from now on, or takes them again.
    pub fn ignore_keys(&self, ignores: bool) {
        self.shared.forgets_keys.store(ignores, Ordering::SeqCst);
    }

    /// How many requests for an act have arrived.
    pub fn count(&self, act: Act) -> usize {
        locked(&self.shared.requests).iter().filter(|(of, _)| *of == act).count()
    }

    /// The paths and queries of the requests for an act.
    pub fn paths(&self, act: Act) -> Vec<String> {
        locked(&self.shared.requests).iter().filter(|(of, _)| *of == act).map(|(_, path)| path.clone()).collect()
    }

    /// The books: all payments, in the order in which they were made.
    pub fn books(&self) -> Vec<BookedPayment> {
        locked(&self.shared.books).payments()
    }

    /// How much was taken for a charge, over all payments that name it.
    pub fn taken(&self, charge_id: ChargeId) -> i64 {
        let of_charge = |payment: &BookedPayment| payment.charge_id == Some(charge_id) && payment.is_paid;
        self.books().into_iter().filter(of_charge).map(|payment| payment.amount).sum()
    }

    /// How much was given back of a charge.
    pub fn given_back(&self, charge_id: ChargeId) -> i64 {
        let of_charge = |payment: &BookedPayment| payment.charge_id == Some(charge_id);
        self.books().into_iter().filter(of_charge).map(|payment| payment.refunded).sum()
    }

    /// Acts for a buyer whose page knows the payment intent: confirms or fails a payment that waits for it, or pays one that
    /// has no way to pay yet. Returns whether it was possible.
    pub fn act(&self, intent: &str, confirms: bool) -> bool {
        let mut books = locked(&self.shared.books);
        let is_done = books.act(intent, confirms, self.shared.clock.now());
        self.shared.messages.send_replace(books.message_count());
        is_done
    }

    /// Decides about a payment that is processing.
    pub fn decide(&self, charge_id: ChargeId, approves: bool) -> bool {
        let mut books = locked(&self.shared.books);
        let is_done = books.decide(charge_id, approves, self.shared.clock.now());
        self.shared.messages.send_replace(books.message_count());
        is_done
    }

    /// Fails a refund that was accepted, as a bank does days later.
    pub fn fail_refunds(&self, charge_id: ChargeId) {
        locked(&self.shared.books).fail_refunds(charge_id);
    }

    /// Makes a payment that boxoffice did not ask for.
    pub fn pay_elsewhere(&self, amount: i64) {
        let form = [("amount".to_owned(), amount.to_string()), ("currency".to_owned(), "krw".to_owned())];
        let form = form.into_iter().chain([
            ("payment_method".to_owned(), "pm_card_visa".to_owned()),
            ("confirm".to_owned(), "true".to_owned()),
        ]);
        locked(&self.shared.books).create(&form.collect::<Vec<_>>(), self.shared.clock.now());
    }

    /// The messages about a charge, signed when it happened; at least `count`, for which it waits.
    pub async fn messages(&self, charge_id: ChargeId, count: usize) -> Vec<SentMessage> {
        let mut changes = self.shared.messages.subscribe();
        loop {
            let messages = locked(&self.shared.books).messages(charge_id);
            if messages.len() >= count || changes.changed().await.is_err() {
                return messages;
            }
        }
    }

    /// Sends every message to this URL from now on, until it is answered with 2xx, as often as that takes while the server
    /// lives.
    pub fn deliver_to(&self, url: &Url) -> JoinHandle<()> {
        let (shared, url) = (Arc::clone(&self.shared), url.clone());
        tokio::spawn(async move { messages::deliver_all(&shared, &url).await })
    }
}

impl Drop for FaultyStripe {
    fn drop(&mut self) {
        if let Some(running) = locked(&self.running).take() {
            running.abort();
        }
    }
}

/// Serves connections until it is aborted, and all of them with it.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        connections.spawn(serve_connection(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // A connection that is cut ends with an error, which is what was wanted.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

/// A request as the books take it.
struct Asked {
    act: Act,
    path: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    key: Option<String>,
    body: Bytes,
}

/// What the books answer: a status and an object.
type Outcome = (u16, Value);

/// Ends the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Cut> {
    let Some(asked) = read(request).await else { return Ok(respond(&refusal(404, "resource_missing"), &[])) };
    locked(&shared.requests).push((asked.act, asked.path.clone() + "?" + &encode(&asked.query)));
    let fault = {
        let mut faults = locked(&shared.faults);
        let position = faults.iter().position(|(act, _)| *act == asked.act);
        position.and_then(|position| faults.remove(position)).map(|(_, fault)| fault)
    };
    match fault {
        Some(Fault::CutBefore) => return Err(Cut),
        Some(Fault::SilentBefore) => {
            sleep(NEVER).await;
            return Err(Cut);
        }
        Some(Fault::Locked) => return Ok(respond(&refusal(409, "lock_timeout"), &[])),
        Some(Fault::KeyInUse) => return Ok(respond(&books::key_in_use(), &[])),
        Some(Fault::TooMany(seconds)) => {
            let fields: Vec<_> = seconds.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
            return Ok(respond(&refusal(429, "rate_limit"), &fields));
        }
        Some(Fault::Broken(retry)) => {
            let fields: Vec<_> = retry.map(|retry| ("stripe-should-retry", retry.to_string())).into_iter().collect();
            return Ok(respond(&(500, json!({"error": {"type": "api_error"}})), &fields));
        }
        _ => {}
    }
    // A caller that hangs up leaves no work half done.
    let working = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move { work(&asked, &shared).await }
    });
    let Ok((mut outcome, is_replayed)) = working.await else { return Err(Cut) };
    match fault {
        Some(Fault::CutAfter) => return Err(Cut),
        Some(Fault::SilentAfter) => {
            sleep(NEVER).await;
            return Err(Cut);
        }
        Some(Fault::Slow(pause)) => sleep(pause).await,
        Some(Fault::Nonsense) => outcome = (200, json!("<html>")),
        Some(Fault::OtherAmount) => outcome.1["amount"] = json!(1),
        _ => {}
    }
    let fields: Vec<_> = is_replayed.then(|| ("idempotent-replayed", "true".to_owned())).into_iter().collect();
    Ok(respond(&outcome, &fields))
}

/// Does what was asked, once under its key. Returns whether it had been done before.
async fn work(asked: &Asked, shared: &Shared) -> (Outcome, bool) {
    let is_kept = !shared.forgets_keys.load(Ordering::SeqCst);
    let key = asked.key.as_deref().filter(|_| is_kept).map(str::to_owned);
    if let Some(key) = &key
        && let Some(outcome) = locked(&shared.books).begin_key(key, &asked.path, &asked.body)
    {
        return outcome;
    }
    if matches!(asked.act, Act::Create | Act::Cancel | Act::Refund) {
        sleep(WORK).await;
    }
    let mut books = locked(&shared.books);
    let outcome = books.serve(asked, shared.clock.now());
    if let Some(key) = key {
        books.end_key(&key, &outcome);
    }
    shared.messages.send_replace(books.message_count());
    (outcome, false)
}

async fn read(request: Request<Incoming>) -> Option<Asked> {
    let path = request.uri().path().to_owned();
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let is_post = request.method() == Method::POST;
    let act = match (is_post, segments.as_slice()) {
        (true, ["v1", "payment_intents"]) => Act::Create,
        (false, ["v1", "payment_intents" | "refunds"]) => Act::List,
        (false, ["v1", "payment_intents", "search"]) => Act::Search,
        (false, ["v1", "payment_intents", _]) => Act::Read,
        (true, ["v1", "payment_intents", _, "cancel"]) => Act::Cancel,
        (true, ["v1", "refunds"]) => Act::Refund,
        _ => return None,
    };
    let query = decode(request.uri().query().unwrap_or_default().as_bytes());
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let is_authorized =
        request.headers().get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"Bearer sk_"));
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await.ok()?.to_bytes();
    is_authorized.then(|| Asked { act, path, query, form: decode(&body), key, body })
}

fn decode(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn encode(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
}

fn refusal(status: u16, code: &str) -> Outcome {
    (status, json!({"error": {"type": "invalid_request_error", "code": code, "message": "not shown"}}))
}

fn respond(outcome: &Outcome, fields: &[(&str, String)]) -> Response<Full<Bytes>> {
    let (status, object) = outcome;
    let text = match object {
        Value::String(text) => text.clone(),
        object => object.to_string(),
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("content-type", "application/json")
        .header("request-id", format!("req_{}", TestEntropy.uuid().simple()));
    for (name, value) in fields {
        response = response.header(*name, value);
    }
    response.body(Full::new(Bytes::from(text))).expect("fields of a head")
}
