//! Requests, and the bytes that they become.

use serde::Serialize;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header fields, each name once.
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Vec<u8>>,
}

/// The bytes of a request, put together before the measured time begins.
#[derive(Clone, Debug)]
pub struct Prepared(pub(crate) Vec<u8>);

impl Request {
    /// A request without header fields and without a body.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body: None }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new("POST", path).json(body)
    }

    #[must_use]
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        let mut request = self.without(name);
        request.headers.push((name, value.into()));
        request
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    /// Sets the access token of the account that asks.
    #[must_use]
    pub fn bearer(self, access_token: &str) -> Self {
        self.header("authorization", format!("Bearer {access_token}"))
    }

    /// Sets the token of the place in the queue.
    #[must_use]
    pub fn queue_token(self, token: &str) -> Self {
        self.header("queue-token", token)
    }

    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        self.header("idempotency-key", key)
    }

    #[must_use]
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", media_type)
    }

    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        self.body("application/json", serde_json::to_vec(body).expect("a body of a request has a JSON form"))
    }

    pub fn prepare(&self) -> Prepared {
        // Every method but GET is expected to have a body, so the request says how long it is even without one.
        let length = self.body.as_ref().map_or(0, Vec::len).to_string();
        let length = (self.method != "GET").then_some(("content-length", length));
        let mut text = format!("{} {} HTTP/1.1\r\nhost: boxoffice\r\n", self.method, self.path);
        for (name, value) in self.headers.iter().chain(&length) {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        Prepared(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &Request) -> String {
        String::from_utf8(request.prepare().0).unwrap()
    }

    #[test]
    fn requests_are_written_as_they_are_sent() {
        let request = Request::post("/v1/x", &serde_json::json!({"a": 1})).bearer("t");
        let expected = "POST /v1/x HTTP/1.1\r\nhost: boxoffice\r\ncontent-type: application/json\r\n\
                        authorization: Bearer t\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
        assert_eq!(text(&request), expected);
        assert!(text(&Request::get("/")).ends_with("boxoffice\r\n\r\n"));
        assert!(text(&Request::new("DELETE", "/")).ends_with("content-length: 0\r\n\r\n"));
    }

    #[test]
    fn a_header_field_is_there_once_or_not_at_all() {
        let request = Request::get("/").key("a").key("b");
        assert_eq!(request.headers, [("idempotency-key", "b".to_owned())]);
        assert!(request.without("idempotency-key").headers.is_empty());
    }
}
