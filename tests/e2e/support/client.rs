//! A client of the API, and somebody who buys.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{StreamExt, stream};
use reqwest::{Client, Method, Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    PATIENCE, eventually,
    openapi_check::{Exchange, document},
    server::PASSWORD,
};

/// How many accounts are made at once.
const SIGN_UPS_AT_ONCE: usize = 32;
const REQUEST_SECONDS_MAX: u64 = 60;
/// How many connections a client keeps that it does not use.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// What a process may have open where it is not known: what most systems allow.
const OPEN_FILES_USUAL: usize = 1_024;

/// A server's API.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    url: Arc<str>,
    /// Whether a load balancer stands before it, which may answer by itself.
    is_balanced: bool,
    /// The code of every problem that was answered, with its status.
    codes: Arc<Mutex<BTreeSet<(u16, String)>>>,
}

/// A request.
pub(crate) struct Ask {
    api: Api,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
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

/// A text that no other call gives in this process.
pub(crate) fn fresh(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// How many requests may be under way in this process: each takes a connection, here and in the server, and a process
/// may not have any number of them open. There is room for all of a stampede where the limit is not very low.
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

    /// As [`Self::new`], for what is behind a load balancer.
    pub(crate) fn balanced(url: &str) -> Self {
        Self { is_balanced: true, ..Self::new(url) }
    }

    pub(crate) fn ask(&self, method: Method, path: impl Into<String>) -> Ask {
        let (api, path) = (self.clone(), path.into());
        Ask { api, method, path, headers: Vec::new(), body: None, may_be_internal: false }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask(Method::POST, path).json(body)
    }

    /// A page that is no part of the API.
    pub(crate) async fn page(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.expect("the server answers")
    }

    /// The sum of all series of a metric.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").send().await.text;
        let is_of_it = |rest: &str| rest.starts_with('{') || rest.starts_with(' ');
        let series = text.lines().filter(|line| line.strip_prefix(name).is_some_and(is_of_it));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(crate) fn codes(&self) -> BTreeSet<(u16, String)> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn queue_token(self, token: &str) -> Self {
        self.header("queue-token", token)
    }

    pub(crate) fn key(self, key: impl Into<String>) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", media_type)
    }

    /// Lets the answer be 500, which otherwise fails the test.
    pub(crate) fn may_be_internal(mut self) -> Self {
        self.may_be_internal = true;
        self
    }

    /// The answer; none where the server is gone.
    pub(crate) async fn try_send(self) -> Option<Answer> {
        let asked = format!("{} {}", self.method, self.path);
        let mut request = self.api.client.request(self.method.clone(), format!("{}{}", self.api.url, self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let permit = connections().acquire().await.expect("it is never closed");
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        drop(permit);

        if self.api.is_balanced && !headers.contains_key("x-content-type-options") {
            return of_balancer(status, headers, text, asked);
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let exchange = Exchange { method: self.method.as_str(), path, status, headers: &headers, body: &text };
        let json = document().check(&exchange);
        let json = json.unwrap_or_else(|wrong| panic!("{asked} was answered with {status}, but {wrong}\n{text}"));
        assert!(status != 500 || self.may_be_internal, "{asked} was answered with {text}");
        if let Some((_, chosen)) = self.headers.iter().find(|(name, _)| *name == "x-request-id") {
            assert_eq!(headers["x-request-id"], chosen.as_str(), "{asked}");
        }
        if let (400.., Some(code)) = (status, json["code"].as_str()) {
            let mut codes = self.api.codes.lock().unwrap_or_else(PoisonError::into_inner);
            codes.insert((status, code.to_owned()));
        }
        Some(Answer { status, headers, text, json, asked })
    }

    pub(crate) async fn send(self) -> Answer {
        let asked = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|| panic!("{asked} was not answered"))
    }

    /// The response before its body, which may have no end.
    async fn open(self) -> Response {
        let mut request = self.api.client.request(self.method, format!("{}{}", self.api.url, self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.send().await.expect("the server answers")
    }
}

/// What the load balancer itself answered: a refusal where no instance was there, and none where an instance was that
/// went away before it answered. Both look like a problem of ours.
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
    /// The body of an answer of this status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        &self.json
    }

    /// The body of a refusal with this status and code.
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

    /// The id in the body.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("{} gave no id: {}", self.asked, self.text)).to_owned()
    }

    /// The pointers and codes of a refused body.
    pub(crate) fn violations(&self) -> Vec<(&str, &str)> {
        let errors = self.json["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| Some((error["pointer"].as_str()?, error["code"].as_str()?))).collect()
    }
}

/// Somebody who is signed in, and may be in line.
#[derive(Clone)]
pub(crate) struct Buyer {
    pub(crate) api: Api,
    pub(crate) login_id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Empty before joining.
    pub(crate) queue_token: String,
}

impl Buyer {
    /// Signs up and in.
    pub(crate) async fn new(api: &Api) -> Self {
        let login_id = fresh("buyer");
        let account = json!({"login_id": login_id, "password": PASSWORD, "name": "Haneul Kim"});
        api.post("/v1/accounts", &account).send().await.is(201);
        Self::sign_in(api, &login_id).await
    }

    /// Many of them.
    pub(crate) async fn many(api: &Api, count: usize) -> Vec<Self> {
        stream::iter(0..count).map(|_| Self::new(api)).buffered(SIGN_UPS_AT_ONCE).collect().await
    }

    /// Many of them, admitted to a concert.
    pub(crate) async fn many_admitted(api: &Api, count: usize, concert: &str) -> Vec<Self> {
        let admitted = |_| async {
            let mut buyer = Self::new(api).await;
            assert_eq!(buyer.join(concert).await["status"], "active");
            buyer
        };
        stream::iter(0..count).map(admitted).buffered(SIGN_UPS_AT_ONCE).collect().await
    }

    pub(crate) async fn sign_in(api: &Api, login_id: &str) -> Self {
        let answer = api.post("/v1/sessions", &json!({"login_id": login_id, "password": PASSWORD})).send().await;
        let session = answer.is(201);
        let token = |name: &str| session[name].as_str().expect("a token").to_owned();
        Self {
            api: api.clone(),
            login_id: login_id.to_owned(),
            access_token: token("access_token"),
            refresh_token: token("refresh_token"),
            queue_token: String::new(),
        }
    }

    /// The 16 bytes of the account's id, as its access token says it.
    pub(crate) fn account_bytes(&self) -> Vec<u8> {
        let claims = self.access_token.split('.').nth(1).expect("a token has three parts");
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("it is in Base64");
        let claims: Value = serde_json::from_slice(&claims).expect("it is JSON");
        let digits = claims["sub"].as_str().expect("an id").replace('-', "");
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    pub(crate) fn ask(&self, method: Method, path: impl Into<String>) -> Ask {
        let ask = self.api.ask(method, path).bearer(&self.access_token);
        if self.queue_token.is_empty() { ask } else { ask.queue_token(&self.queue_token) }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        self.ask(Method::GET, path)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Ask {
        self.ask(Method::DELETE, path)
    }

    pub(crate) fn post(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask(Method::POST, path).json(body)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask(Method::PATCH, path).json(body)
    }

    /// A request for a place in line.
    pub(crate) fn ask_join(&self, concert: &str) -> Ask {
        self.ask(Method::POST, format!("/v1/concerts/{concert}/queue")).without("queue-token")
    }

    /// Gets in line, and keeps the token.
    pub(crate) async fn join(&mut self, concert: &str) -> Value {
        let answer = self.ask_join(concert).send().await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        answer.json["token"].as_str().expect("a token").clone_into(&mut self.queue_token);
        answer.json
    }

    /// Where the token stands.
    pub(crate) async fn queue(&self) -> Value {
        self.get("/v1/queue").send().await.is(200).clone()
    }

    pub(crate) async fn queue_status(&self) -> String {
        self.queue().await["status"].as_str().expect("a status").to_owned()
    }

    /// Gets in line and waits until it is admitted.
    pub(crate) async fn be_admitted(&mut self, concert: &str) {
        let mut status = self.join(concert).await;
        if status["status"] != "active" {
            let this = self.clone();
            status = eventually("the account is admitted", || async {
                let status = this.queue().await;
                (status["status"] == "active").then_some(status)
            })
            .await;
        }
        assert_eq!((&status["status"], &status["position"]), (&json!("active"), &json!(0)));
    }

    pub(crate) async fn leave(&self) {
        self.delete("/v1/queue").send().await.is(204);
    }

    pub(crate) fn ask_hold(&self, performance: &str, seats: &[&str]) -> Ask {
        self.post("/v1/reservations", &json!({"performance_id": performance, "seats": seats}))
    }

    /// Holds seats; gives the id of the reservation.
    pub(crate) async fn hold(&self, performance: &str, seats: &[&str]) -> String {
        let answer = self.ask_hold(performance, seats).send().await;
        answer.is(201);
        answer.id()
    }

    pub(crate) fn ask_charge(&self, amount: i64) -> Ask {
        self.post("/v1/wallet/charges", &json!({"amount": amount})).key(fresh("charge"))
    }

    pub(crate) async fn charge(&self, amount: i64) {
        self.ask_charge(amount).send().await.is(201);
    }

    pub(crate) fn ask_pay(&self, reservation: &str) -> Ask {
        self.post("/v1/payments", &json!({"reservation_id": reservation})).key(fresh("payment"))
    }

    /// Pays; gives the id of the payment.
    pub(crate) async fn pay(&self, reservation: &str) -> String {
        let answer = self.ask_pay(reservation).send().await;
        answer.is(201);
        answer.id()
    }

    pub(crate) fn ask_cancel(&self, reservation: &str) -> Ask {
        self.ask(Method::POST, format!("/v1/reservations/{reservation}/cancel"))
    }

    pub(crate) async fn reservation(&self, id: &str) -> Value {
        self.get(format!("/v1/reservations/{id}")).send().await.is(200).clone()
    }

    pub(crate) async fn balance(&self) -> i64 {
        self.get("/v1/wallet").send().await.is(200)["balance"].as_i64().expect("a number")
    }

    pub(crate) async fn seats(&self, performance: &str) -> Value {
        self.get(format!("/v1/performances/{performance}/seats")).send().await.is(200).clone()
    }

    /// A whole list, page by page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let answer = self.get(format!("{path}{separator}limit=100{cursor}")).send().await;
            let page = answer.is(200);
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Listens to where the token stands.
    pub(crate) async fn events(&self) -> Events {
        let response = self.get("/v1/queue/events").header("accept", "text/event-stream").open().await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().expect("a field"))
        );
        Events { response, text: String::new() }
    }
}

/// Events of a line as they come.
pub(crate) struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The next status; none where the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                // A comment only shows that the stream is alive.
                if let (Some("status"), Some(data)) = (field("event:"), field("data:")) {
                    let status = serde_json::from_str(data).expect("the data are JSON");
                    document().check_component("QueueStatus", &status).expect("the data are a queue status");
                    return Some(status);
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event within the time");
            self.text.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")?).expect("it is text"));
        }
    }

    /// Waits until the stream breaks off, as it does when the server is killed.
    pub(crate) async fn broken(mut self) {
        let broken = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        timeout(PATIENCE, broken).await.expect("the stream breaks off");
    }
}
