//! A client of the API that checks every response against the `OpenAPI` document, and a buyer who uses it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use boxoffice_rush::{Request, buyer};
use boxoffice_testkit::openapi::{Document, Exchange};
use boxoffice_tests::read;
use futures::{StreamExt, stream};
use reqwest::{Client, Method, Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{eventually, list, server::PASSWORD, text};

/// How many accounts are made at once.
const SIGN_UPS_AT_ONCE: usize = 32;
const REQUEST_SECONDS_MAX: u64 = 60;
const IDLE_CONNECTIONS_MAX: usize = 64;
/// The usual limit of open files, if the limit of this process is not known.
const OPEN_FILES_USUAL: usize = 1_024;

#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    url: Arc<str>,
    /// Whether there is a load balancer, which may answer by itself.
    is_balanced: bool,
    /// The code of every problem that came, with its status.
    codes: Arc<Mutex<BTreeSet<(String, u16, String)>>>,
}

pub(crate) struct Ask {
    api: Api,
    request: Request,
    may_be_internal: bool,
}

/// A response that is as documented.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null where the body is no JSON.
    pub(crate) json: Value,
    asked: String,
}

/// The document that every answer is checked against.
pub(crate) fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| Document::new(serde_json::from_str(&read("docs/openapi.json")).expect("it is JSON")))
}

/// A text that is unique in this process.
pub(crate) fn fresh(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Limits the requests in flight of this process: each has a connection open, here and in the server. Unless the limit
/// of open files is very low, a whole stampede fits.
fn connections() -> &'static Semaphore {
    static CONNECTIONS: OnceLock<Semaphore> = OnceLock::new();
    CONNECTIONS.get_or_init(|| {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let soft_limit = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Semaphore::new(soft_limit.unwrap_or(OPEN_FILES_USUAL).clamp(256, 8_192) / 2)
    })
}

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(REQUEST_SECONDS_MAX));
        let client = client.pool_max_idle_per_host(IDLE_CONNECTIONS_MAX).build();
        Self { client: client.expect("a client"), url: url.into(), is_balanced: false, codes: Arc::default() }
    }

    /// As [`Self::new`], for servers behind a load balancer.
    pub(crate) fn balanced(url: &str) -> Self {
        Self { is_balanced: true, ..Self::new(url) }
    }

    pub(crate) fn ask(&self, request: Request) -> Ask {
        Ask { api: self.clone(), request, may_be_internal: false }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        self.ask(Request::get(path))
    }

    pub(crate) fn post(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask(Request::post(path, body))
    }

    /// Sends a request, and gives the response before its body, which may have no end.
    pub(super) async fn open(&self, request: &Request) -> reqwest::Result<Response> {
        let method = request.method.parse::<Method>().expect("a method");
        let mut sent = self.client.request(method, format!("{}{}", self.url, request.path));
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        sent.send().await
    }

    /// All metrics, in the text format of Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").send().await.text
    }

    /// The sum of all series of a metric.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let is_of_it = |rest: &str| rest.starts_with('{') || rest.starts_with(' ');
        let series = text.lines().filter(|line| line.strip_prefix(name).is_some_and(is_of_it));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The operation, the status and the code of every refusal so far; the operation is empty if there was none.
    pub(crate) fn codes(&self) -> BTreeSet<(String, u16, String)> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ask {
    fn with(mut self, change: impl FnOnce(Request) -> Request) -> Self {
        self.request = change(self.request);
        self
    }

    pub(crate) fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        self.with(|request| request.header(name, value))
    }

    pub(crate) fn without(self, name: &str) -> Self {
        self.with(|request| request.without(name))
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with(|request| request.bearer(token))
    }

    pub(crate) fn queue_token(self, token: &str) -> Self {
        self.with(|request| request.queue_token(token))
    }

    pub(crate) fn key(self, key: impl Into<String>) -> Self {
        self.with(|request| request.key(key))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.with(|request| request.json(body))
    }

    pub(crate) fn raw(self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.with(|request| request.body(media_type, body))
    }

    /// Lets the answer be 500, which otherwise fails the test.
    pub(crate) fn may_be_internal(mut self) -> Self {
        self.may_be_internal = true;
        self
    }

    /// The answer; `None` if the server is gone.
    pub(crate) async fn try_send(self) -> Option<Answer> {
        let Self { api, request, may_be_internal } = self;
        let asked = format!("{} {}", request.method, request.path);
        let permit = connections().acquire().await.expect("it is never closed");
        let response = api.open(&request).await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        drop(permit);

        if api.is_balanced && !headers.contains_key("x-content-type-options") {
            return of_balancer(status, headers, text, asked);
        }
        let path = request.path.split('?').next().unwrap_or_default();
        let exchange = Exchange { method: &request.method, path, status, headers: &headers, body: &text };
        let json = document().check(&exchange);
        let json = json.unwrap_or_else(|wrong| panic!("{asked} was answered with {status}, but {wrong}\n{text}"));
        assert!(status != 500 || may_be_internal, "{asked} was answered with {text}");
        if let Some((_, chosen)) = request.headers.iter().find(|(name, _)| *name == "x-request-id") {
            assert_eq!(headers["x-request-id"], chosen.as_str(), "{asked}");
        }
        if let (400.., Some(code)) = (status, json["code"].as_str()) {
            let mut codes = api.codes.lock().unwrap_or_else(PoisonError::into_inner);
            let operation = document().operation_id(&request.method, path).unwrap_or_default();
            codes.insert((operation.to_owned(), status, code.to_owned()));
        }
        Some(Answer { status, headers, text, json, asked })
    }

    pub(crate) async fn send(self) -> Answer {
        let asked = format!("{} {}", self.request.method, self.request.path);
        self.try_send().await.unwrap_or_else(|| panic!("{asked} was not answered"))
    }
}

/// An answer of the load balancer itself: a refusal if there was no instance, and none if an instance ended before it
/// answered. Both look like a problem of ours.
fn of_balancer(status: u16, headers: HeaderMap, text: String, asked: String) -> Option<Answer> {
    if status == 408 {
        // This machine was too slow to send its request.
        return None;
    }
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    document().check_component("Problem", &json).unwrap_or_else(|wrong| panic!("{asked}: {wrong}: {text}"));
    let expected = if status == 404 { "not_found" } else { "unavailable" };
    assert_eq!((&json["status"], &json["code"]), (&json!(status), &json!(expected)), "{asked}: {text}");
    assert!(status == 404 || headers.contains_key("retry-after"), "{asked}: {text}");
    match status {
        502 | 504 => None,
        404 | 503 => Some(Answer { status, headers, text, json, asked }),
        other => panic!("{asked}: the load balancer answered {other}: {text}"),
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        &self.json
    }

    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str) -> &Value {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}: {}", self.asked, self.text);
        &self.json
    }

    /// Whether it is the first answer to a request that was sent before.
    pub(crate) fn is_replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("{} gave no id: {}", self.asked, self.text)).to_owned()
    }

    /// The pointers and codes of a refused body.
    pub(crate) fn violations(&self) -> Vec<(&str, &str)> {
        list(&self.json, "errors").iter().map(|error| (text(error, "pointer"), text(error, "code"))).collect()
    }
}

/// A buyer who is signed in, and may be in a queue.
#[derive(Clone)]
pub(crate) struct Buyer {
    pub(crate) api: Api,
    pub(crate) login_id: String,
    pub(crate) refresh_token: String,
    /// The tokens, and the requests that they are for.
    pub(crate) asks: boxoffice_rush::Buyer,
}

impl Buyer {
    /// Signs up and in.
    pub(crate) async fn new(api: &Api) -> Self {
        let login_id = fresh("buyer");
        api.ask(buyer::sign_up(&login_id, PASSWORD, "Haneul Kim")).send().await.is(201);
        Self::sign_in(api, &login_id).await
    }

    /// Signs up and in, joins the queue and waits until admitted.
    pub(crate) async fn admitted(api: &Api, concert: &str) -> Self {
        let mut buyer = Self::new(api).await;
        buyer.be_admitted(concert).await;
        buyer
    }

    pub(crate) async fn many(api: &Api, count: usize) -> Vec<Self> {
        stream::iter(0..count).map(|_| Self::new(api)).buffered(SIGN_UPS_AT_ONCE).collect().await
    }

    /// Buyers who have joined the queue one after the other.
    pub(crate) async fn many_in_queue(api: &Api, count: usize, concert: &str) -> Vec<Self> {
        let mut buyers = Self::many(api, count).await;
        for buyer in &mut buyers {
            buyer.join(concert).await;
        }
        buyers
    }

    pub(crate) async fn many_admitted(api: &Api, count: usize, concert: &str) -> Vec<Self> {
        let admitted = |_| async {
            let mut buyer = Self::new(api).await;
            assert_eq!(buyer.join(concert).await["status"], "active");
            buyer
        };
        stream::iter(0..count).map(admitted).buffered(SIGN_UPS_AT_ONCE).collect().await
    }

    pub(crate) async fn sign_in(api: &Api, login_id: &str) -> Self {
        let answer = api.ask(buyer::sign_in(login_id, PASSWORD)).send().await;
        let session = answer.is(201);
        Self {
            api: api.clone(),
            login_id: login_id.to_owned(),
            refresh_token: text(session, "refresh_token").to_owned(),
            asks: boxoffice_rush::Buyer::new(text(session, "access_token")),
        }
    }

    /// The 16 bytes of the account's id, as its access token says it.
    pub(crate) fn account_bytes(&self) -> Vec<u8> {
        let claims = self.asks.access_token.split('.').nth(1).expect("a token has three parts");
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("it is in Base64");
        let claims: Value = serde_json::from_slice(&claims).expect("it is JSON");
        text(&claims, "sub").parse::<Uuid>().expect("an id").into_bytes().into()
    }

    pub(crate) fn ask(&self, method: &str, path: impl Into<String>) -> Ask {
        self.api.ask(self.asks.request(method, path))
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        self.api.ask(self.asks.get(path))
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Ask {
        self.ask("DELETE", path)
    }

    pub(crate) fn post(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask("POST", path).json(body)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask("PATCH", path).json(body)
    }

    pub(crate) fn ask_join(&self, concert: &str) -> Ask {
        self.api.ask(self.asks.join(concert))
    }

    /// Joins the queue, and keeps the token.
    pub(crate) async fn join(&mut self, concert: &str) -> Value {
        let answer = self.ask_join(concert).send().await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        self.keep_token(&answer);
        answer.json
    }

    pub(crate) fn keep_token(&mut self, answer: &Answer) {
        text(&answer.json, "token").clone_into(&mut self.asks.queue_token);
    }

    pub(crate) async fn queue(&self) -> Value {
        self.api.ask(self.asks.poll()).send().await.is(200).clone()
    }

    pub(crate) async fn queue_status(&self) -> String {
        text(&self.queue().await, "status").to_owned()
    }

    /// Joins the queue and waits until it is admitted.
    pub(crate) async fn be_admitted(&mut self, concert: &str) {
        let mut status = self.join(concert).await;
        if status["status"] != "active" {
            status = eventually("the account is admitted", async || {
                let status = self.queue().await;
                (status["status"] == "active").then_some(status)
            })
            .await;
        }
        assert_eq!((&status["status"], &status["position"]), (&json!("active"), &json!(0)));
    }

    pub(crate) async fn leave(&self) {
        self.api.ask(self.asks.leave()).send().await.is(204);
    }

    pub(crate) fn ask_hold(&self, performance: &str, seats: &[&str]) -> Ask {
        self.api.ask(self.asks.hold(performance, seats))
    }

    /// Holds seats; gives the id of the reservation.
    pub(crate) async fn hold(&self, performance: &str, seats: &[&str]) -> String {
        let answer = self.ask_hold(performance, seats).send().await;
        answer.is(201);
        answer.id()
    }

    pub(crate) fn ask_charge(&self, amount: i64) -> Ask {
        self.api.ask(self.asks.charge(amount)).key(fresh("charge"))
    }

    pub(crate) async fn charge(&self, amount: i64) {
        self.ask_charge(amount).send().await.is(201);
    }

    pub(crate) fn ask_pay(&self, reservation: &str) -> Ask {
        self.api.ask(self.asks.pay(reservation)).key(fresh("payment"))
    }

    /// Pays; gives the id of the payment.
    pub(crate) async fn pay(&self, reservation: &str) -> String {
        let answer = self.ask_pay(reservation).send().await;
        answer.is(201);
        answer.id()
    }

    pub(crate) fn ask_cancel(&self, reservation: &str) -> Ask {
        self.api.ask(self.asks.cancel(reservation))
    }

    pub(crate) async fn reservation(&self, id: &str) -> Value {
        self.get(format!("/v1/reservations/{id}")).send().await.is(200).clone()
    }

    pub(crate) async fn balance(&self) -> i64 {
        self.api.ask(self.asks.wallet()).send().await.is(200)["balance"].as_i64().expect("a number")
    }

    pub(crate) async fn seats(&self, performance: &str) -> Value {
        self.api.ask(self.asks.seats(performance)).send().await.is(200).clone()
    }

    /// A whole list, page by page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let answer = self.get(format!("{path}{separator}limit=100{cursor}")).send().await;
            let page = answer.is(200);
            items.extend_from_slice(list(page, "items"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}
