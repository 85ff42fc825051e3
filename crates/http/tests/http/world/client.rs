//! Requests to the router, and its responses, which are checked against the OpenAPI document.

use std::sync::LazyLock;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderName, Method, Request, StatusCode},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A request.
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    Ask { method: Method::GET, path: path.into(), headers: Vec::new(), body: Vec::new() }
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

    pub(crate) fn raw(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
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
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).unwrap()
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

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What the fields begin with that the document does not describe for each response.
const EVERYWHERE: [&str; 9] = [
    "access-control-",
    "allow",
    "cache-control",
    "connection",
    "content-",
    "ratelimit",
    "referrer-policy",
    "vary",
    "x-",
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(boxoffice_http::openapi()).unwrap());

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of the problem that this is.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id").unwrap());
        problem["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn refuses(&self, code: Code) -> Value {
        assert_eq!(self.code(), code.as_str(), "{}", self.json());
        assert_eq!(self.status, code.status());
        let problem = self.json();
        assert_eq!(problem["title"], code.title());
        assert_eq!(problem["type"], format!("urn:boxoffice:problem:{}", code.as_str()));
        assert_eq!(self.header("www-authenticate").is_some(), code.status() == StatusCode::UNAUTHORIZED, "{code:?}");
        let waits = matches!(code, Code::Unavailable | Code::RateLimited);
        assert_eq!(self.header("retry-after").is_some(), waits, "{code:?}");
        problem
    }

    /// The pointer and code of each violation.
    pub(crate) fn violations(&self) -> Vec<(String, String)> {
        let problem = self.refuses(Code::ValidationFailed);
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
        let Some(operation) = operation_of(method, path) else { return };
        let response = &operation["responses"][self.status.as_str()];
        assert!(response.is_object(), "{method} {path} gives {}, which is not described", self.status);
        let media_type = self.header("content-type").and_then(|text| text.split(';').next());
        let described = response["content"].as_object().and_then(|content| content.keys().next());
        assert_eq!(media_type, described.map(String::as_str), "{method} {path} {}", self.status);
        if media_type.is_some_and(|media_type| media_type.ends_with("json")) {
            let schema = &response["content"][media_type.unwrap()]["schema"];
            let schema = json!({"allOf": [schema], "components": DOCUMENT["components"]});
            let answer = self.json();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let errors: Vec<_> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{method} {path} {}: {errors:?} in {answer}", self.status);
        }
        let described = response["headers"].as_object().unwrap();
        for name in self.headers.keys().map(HeaderName::as_str) {
            let known = described.keys().any(|described| described.eq_ignore_ascii_case(name));
            let everywhere = EVERYWHERE.iter().any(|prefix| name.starts_with(prefix));
            assert!(
                known || everywhere,
                "{method} {path} {} has the field {name}, which is not described",
                self.status
            );
        }
    }
}

fn operation_of<'a>(method: &Method, path: &str) -> Option<&'a Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let matches = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        let same = |(step, text): (&&str, &&str)| step.starts_with('{') || step == text;
        template.len() == path.len() && template.iter().zip(&path).all(same)
    };
    let exact = paths.get(path).or_else(|| paths.iter().find(|(template, _)| matches(template)).map(|(_, item)| item));
    exact?.get(method.as_str().to_ascii_lowercase())
}
