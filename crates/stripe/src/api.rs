//! Requests to Stripe's API, and when they are sent again.
//!
//! A request is sent again if its answer did not arrive or does not tell what happened: after failed connections, 409,
//! 429 and 5xx, unless `Stripe-Should-Retry` says otherwise. What changes something carries an `Idempotency-Key`, under
//! which Stripe does it once. All tries together end at the deadline of the act.

use std::{error::Error, time::Duration};

use boxoffice_domain::gateway::GatewayError;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until, timeout_at};
use url::form_urlencoded;

use crate::{
    connection::{self, HttpClient},
    objects::{ErrorBody, ErrorObject, Listed, Page},
    settings::{InvalidSettings, StripeSettings},
};

/// The version of the API that this adapter was written for. Stripe answers in its form, whatever the account's default.
pub(crate) const API_VERSION: &str = "2025-09-30.clover";

/// How many times a request is sent again.
const RETRIES_MAX: u32 = 4;
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(4);
/// A page of 100 whole payment intents is below 1 MiB.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many objects Stripe puts on a page at most.
const PAGE_OBJECTS: &str = "100";

/// Why a request got no answer that helps. It shows neither what was sent nor what Stripe wrote for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StripeError {
    #[error("no answer in time")]
    TimedOut,
    #[error("no connection, or it ended before the answer")]
    Connection(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot be read: {0}")]
    Nonsense(&'static str),
    #[error("the list is longer than is read")]
    TooMany,
    #[error("Stripe refused with {status} ({}, request {})", describe(error), request_id.as_deref().unwrap_or("unknown"))]
    Refused { status: StatusCode, error: Box<ErrorObject>, request_id: Option<String> },
}

impl StripeError {
    /// Whether the key was used with other particulars. While another request is at work under it, the status is 409.
    pub(crate) fn is_about_key(&self) -> bool {
        let Self::Refused { status, error, .. } = self else { return false };
        *status == 400 && error.kind.as_deref() == Some("idempotency_error")
    }
}

fn describe(error: &ErrorObject) -> String {
    let parts = [&error.kind, &error.code, &error.decline_code, &error.param];
    let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
    if parts.is_empty() { "no reason given".to_owned() } else { parts.join(", ") }
}

impl From<StripeError> for GatewayError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::TimedOut => Self::TimedOut,
            error if error.is_about_key() => Self::Conflict,
            error => Self::Failed(Box::new(error)),
        }
    }
}

/// The fields of a form, or of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn with(mut self, name: impl Into<String>, value: &(impl ToString + ?Sized)) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// How much of a list is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// How many objects are kept.
    pub(crate) objects: usize,
    /// How many pages of 100 objects are asked for.
    pub(crate) pages: usize,
}

/// What Stripe answered.
pub(crate) struct Answer<T> {
    pub(crate) object: T,
    /// Whether it repeats what it answered when the key was used first; since then the object may have changed.
    pub(crate) is_replayed: bool,
}

/// An answer as it came.
struct Raw {
    status: StatusCode,
    fields: HeaderMap,
    body: Bytes,
}

impl Raw {
    /// Whether the same request may be answered otherwise in a moment.
    fn invites_retry(&self) -> bool {
        match self.field("stripe-should-retry") {
            _ if self.status.is_success() => false,
            Some("true") => true,
            Some("false") => false,
            _ => self.status == 409 || self.status == 429 || self.status.is_server_error(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.field("retry-after")?.parse().ok().map(Duration::from_secs)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Answer<T>, StripeError> {
        if self.status.is_success() {
            let object = serde_json::from_slice(&self.body).map_err(|_| StripeError::Nonsense("an object"))?;
            return Ok(Answer { object, is_replayed: self.field("idempotent-replayed") == Some("true") });
        }
        let error = serde_json::from_slice::<ErrorBody>(&self.body).map(|body| body.error).unwrap_or_default();
        let request_id = self.field("request-id").map(str::to_owned);
        Err(StripeError::Refused { status: self.status, error: Box::new(error), request_id })
    }
}

/// Stripe's API, as one account.
pub(crate) struct StripeApi {
    client: HttpClient,
    base_url: String,
    authorization: header::HeaderValue,
    timeout: Duration,
    retry_pause: Duration,
}

impl StripeApi {
    pub(crate) fn new(settings: &StripeSettings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let client = connection::client(settings.api_base_url.scheme() == "https").map_err(InvalidSettings::Tls)?;
        let authorization = format!("Bearer {}", settings.secret_key.expose());
        let mut authorization = header::HeaderValue::try_from(authorization).map_err(|_| InvalidSettings::SecretKey)?;
        authorization.set_sensitive(true);
        let base_url = settings.api_base_url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base_url, authorization, timeout: settings.timeout, retry_pause: settings.retry_pause })
    }

    /// When an act that begins now has to end.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Reads an object.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Form,
        deadline: Instant,
    ) -> Result<T, StripeError> {
        let path = format!("{path}?{}", query.encode());
        self.send(&Method::GET, &path, String::new(), None, deadline).await.map(|answer| answer.object)
    }

    /// Changes something, once for each key.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        form: &Form,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<Answer<T>, StripeError> {
        self.send(&Method::POST, path, form.encode(), key, deadline).await
    }

    /// Reads a list to its end, and keeps what `keep` returns. What is beyond `most` is [`StripeError::TooMany`].
    /// `page_deadline` says when the page
    /// that is read next has to be there.
    pub(crate) async fn list<T: DeserializeOwned + Listed, K>(
        &self,
        path: &str,
        query: &Form,
        most: Most,
        page_deadline: impl Fn() -> Instant,
        keep: impl Fn(T) -> Option<K>,
    ) -> Result<Vec<K>, StripeError> {
        let mut kept = Vec::new();
        let mut query_of_page = query.clone().with("limit", PAGE_OBJECTS);
        for _ in 0..most.pages {
            let page: Page<T> = self.get(path, &query_of_page, page_deadline()).await?;
            let last = page.data.last().map(|object| object.id().to_owned());
            kept.extend(page.data.into_iter().filter_map(&keep));
            if kept.len() > most.objects {
                return Err(StripeError::TooMany);
            }
            match last {
                Some(last) if page.has_more => {
                    query_of_page = query.clone().with("limit", PAGE_OBJECTS).with("starting_after", &last);
                }
                _ => return Ok(kept),
            }
        }
        Err(StripeError::TooMany)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: String,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<Answer<T>, StripeError> {
        let body = Bytes::from(body);
        for retry in 1..=RETRIES_MAX {
            let outcome = self.exchange(method, path, body.clone(), key, deadline).await;
            let retry_after = match &outcome {
                Ok(raw) if raw.invites_retry() => raw.retry_after(),
                Err(StripeError::Connection(_)) => None,
                Ok(raw) => return raw.read(),
                Err(_) => return Err(outcome.err().unwrap_or(StripeError::TimedOut)),
            };
            let resumes_at = Instant::now() + self.pause(retry, key.unwrap_or(path), retry_after);
            if resumes_at >= deadline {
                return outcome?.read();
            }
            tracing::debug!(retry, "Stripe is asked again");
            sleep_until(resumes_at).await;
        }
        self.exchange(method, path, body, key, deadline).await?.read()
    }

    /// How long to wait before a retry: about twice as long each time, and by the name of the request a little more or less,
    /// so that requests which failed together do not come back together.
    fn pause(&self, retry: u32, name: &str, retry_after: Option<Duration>) -> Duration {
        let doubled = self.retry_pause.saturating_mul(1 << (retry - 1).min(16)).min(RETRY_PAUSE_MAX);
        let digest = Sha256::new().chain_update(name).chain_update(retry.to_be_bytes()).finalize();
        let spread = doubled / 2 + doubled / 2 * u32::from(digest[0]) / 255;
        retry_after.map_or(spread, |least| least.max(spread))
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<Raw, StripeError> {
        let request = self.request(method, path, body, key)?;
        let answered = async {
            let response = self.client.request(request).await.map_err(|error| StripeError::Connection(error.into()))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(StripeError::Connection)?;
            Ok(Raw { status: head.status, fields: head.headers, body: body.to_bytes() })
        };
        timeout_at(deadline, answered).await.unwrap_or(Err(StripeError::TimedOut))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, StripeError> {
        let uri = Uri::try_from(format!("{}{path}", self.base_url));
        let uri = uri.map_err(|_| StripeError::Nonsense("a name that would be part of a path"))?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("boxoffice/", env!("CARGO_PKG_VERSION")))
            .header("stripe-version", API_VERSION);
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.body(Full::new(body)).map_err(|_| StripeError::Nonsense("a key that would be a field"))
    }
}
