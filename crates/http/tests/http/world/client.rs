//! Requests to the router, and its responses, which are checked against the OpenAPI document.

use std::{convert::Infallible, net::SocketAddr, sync::LazyLock};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, Version},
};
use boxoffice_http::Code;
use boxoffice_testkit::openapi::{Document, Exchange};
use futures::Stream;
use serde_json::Value;
use tower::ServiceExt;

/// A request.
pub(crate) struct Ask {
    method: Method,
    path: String,
    version: Version,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    let headers = vec![("host", "localhost".to_owned())];
    Ask { method: Method::GET, path: path.into(), version: Version::HTTP_11, headers, body: Body::empty() }
}

pub(crate) fn delete(path: impl Into<String>) -> Ask {
    get(path).method(Method::DELETE)
}

#[expect(clippy::needless_pass_by_value, reason = "a body is made where it is passed")]
pub(crate) fn post(path: impl Into<String>, body: Value) -> Ask {
    let ask = get(path).method(Method::POST);
    if body.is_null() { ask } else { ask.raw("application/json", body.to_string()) }
}

pub(crate) fn patch(path: impl Into<String>, body: Value) -> Ask {
    post(path, body).method(Method::PATCH)
}

impl Ask {
    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn raw(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::from(body.into());
        self.header("content-type", media_type)
    }

    /// With a JSON body that comes in pieces, as the stream gives them.
    pub(crate) fn in_pieces<S>(mut self, pieces: S) -> Self
    where
        S: Stream<Item = Result<Vec<u8>, Infallible>> + Send + 'static,
    {
        self.body = Body::from_stream(pieces);
        self.header("content-type", "application/json")
    }

    /// With this access token.
    pub(crate) fn signed_in(self, token: &str) -> Self {
        self.without("authorization").header("authorization", format!("Bearer {token}"))
    }

    /// As the customer, with this queue token.
    pub(crate) fn queued(self, token: &str) -> Self {
        self.signed_in("customer").header("queue-token", token)
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn into_request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path).version(self.version);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(self.body).unwrap()
    }

    pub(crate) async fn send(self, router: &Router) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let answer = self.unchecked(router).await;
        answer.check(&method, path.split('?').next().unwrap());
        answer
    }

    /// The response, without comparing it with the document.
    pub(crate) async fn unchecked(self, router: &Router) -> Answer {
        let response = router.clone().oneshot(self.into_request()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
    }
}

/// The response to a client with this address and port.
pub(crate) async fn from(router: &Router, address: &str, ask: Ask) -> Answer {
    let address: SocketAddr = address.parse().unwrap();
    ask.send(&router.clone().layer(Extension(ConnectInfo(address)))).await
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

static DOCUMENT: LazyLock<Document> =
    LazyLock::new(|| Document::new(serde_json::to_value(boxoffice_http::openapi()).unwrap()));

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem that this is, which has to have this code.
    pub(crate) fn refuses(&self, code: Code) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code.as_str(), "{problem}");
        assert_eq!((self.status, &problem["status"]), (code.status(), &code.status().as_u16().into()));
        assert_eq!(problem["title"], code.title());
        assert_eq!(problem["type"], format!("urn:boxoffice:problem:{}", code.as_str()));
        assert_eq!(problem["request_id"], self.header("x-request-id").unwrap());
        problem
    }

    /// The pointer and code of each violation.
    pub(crate) fn violations(&self) -> Vec<(String, String)> {
        self.errors(Code::ValidationFailed)
    }

    /// Expects that these query parameters are refused, each with this code, and nothing else.
    pub(crate) fn refuses_parameters(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, code)| (format!("/{name}"), (*code).to_owned())).collect();
        assert_eq!(self.errors(Code::MalformedRequest), expected);
    }

    fn errors(&self, code: Code) -> Vec<(String, String)> {
        let problem = self.refuses(code);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }

    /// Expects that this is the only violation.
    pub(crate) fn violates(&self, pointer: &str, code: &str) {
        assert_eq!(self.violations(), [(pointer.to_owned(), code.to_owned())]);
    }

    pub(crate) fn succeeds(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks that the document describes this response.
    fn check(&self, method: &Method, path: &str) {
        let method = method.as_str();
        if DOCUMENT.describes(method, path) {
            let (status, headers, body) = (self.status.as_u16(), &self.headers, &String::from_utf8_lossy(&self.body));
            let checked = DOCUMENT.check(&Exchange { method, path, status, headers, body });
            checked.unwrap_or_else(|wrong| panic!("{method} {path} {status}: {wrong} in {body}"));
        }
    }
}
