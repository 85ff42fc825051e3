//! A connection that is kept open, with one request on it at a time.
//!
//! The generator shares its cores with the server that it measures, so what it spends is taken from the
//! server. A request is therefore one write of bytes that were put together beforehand, and an answer is
//! parsed no further than to know where it ends.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The most bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1_024;
/// The most bytes of the body of an answer: several times the map of the largest hall.
const BODY_BYTES_MAX: usize = 64 * 1_024 * 1_024;
const HEADERS_MAX: usize = 64;
/// How long an answer is waited for. A server that takes longer has failed.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request(Vec<u8>);

impl Request {
    /// A request without header fields.
    pub fn new(method: &str, path: &str) -> Self {
        Self(format!("{method} {path} HTTP/1.1\r\nHost: boxoffice\r\n").into_bytes())
    }

    /// A `GET`.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A `POST`.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
        self
    }

    /// Adds the access token of an account.
    #[must_use]
    pub fn bearer(self, access_token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {access_token}"))
    }

    /// Ends the request without a body.
    #[must_use]
    pub fn empty(mut self) -> Self {
        // Some methods are expected to have a body; that there is none has to be said.
        if self.0.starts_with(b"GET") {
            self.0.extend_from_slice(b"\r\n");
        } else {
            self.0.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        }
        self
    }

    /// Ends the request with a body of JSON.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a body of a request has a JSON form");
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.extend_from_slice(fields.as_bytes());
        self.0.extend_from_slice(&body);
        self
    }
}

/// What the server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    head: Bytes,
    /// The body, as it came.
    pub body: Bytes,
}

impl Answer {
    /// The first header field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(&self.head).ok()?;
        let fields = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> io::Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let start = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into_owned();
            io::Error::other(format!("status {}: {error} in `{start}`", self.status))
        })
    }

    /// The `code` of the problem that the body tells of.
    pub fn code(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        problem.get("code")?.as_str().map(str::to_owned)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    received: BytesMut,
    /// Whether the server keeps it open for another request.
    open: bool,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, stream: connect(address).await?, received: BytesMut::with_capacity(16 * 1_024), open: true })
    }

    /// Sends a request and waits for its answer. After an error the connection is opened anew with the next
    /// request; nothing is sent twice.
    pub async fn send(&mut self, request: &Request) -> io::Result<Answer> {
        if !self.open {
            self.stream = connect(self.address).await?;
            self.received.clear();
        }
        // Whatever goes wrong from here on, what comes next on this connection may be the rest of this answer.
        self.open = false;
        let exchanged = timeout(ANSWER_TIME_MAX, self.exchange(request)).await;
        let (answer, open) = exchanged.map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))??;
        self.open = open;
        Ok(answer)
    }

    async fn exchange(&mut self, request: &Request) -> io::Result<(Answer, bool)> {
        self.stream.write_all(&request.0).await?;
        let head = loop {
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
            self.receive().await?;
        };
        self.received.reserve((head.bytes + head.body_bytes).saturating_sub(self.received.len()));
        while self.received.len() < head.bytes + head.body_bytes {
            self.receive().await?;
        }
        let answer = Answer {
            status: head.status,
            head: self.received.split_to(head.bytes).freeze(),
            body: self.received.split_to(head.body_bytes).freeze(),
        };
        Ok((answer, head.keeps_open))
    }

    async fn receive(&mut self) -> io::Result<()> {
        self.received.reserve(16 * 1_024);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Where an answer ends.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
    keeps_open: bool,
}

impl Head {
    /// The head, if it is there whole.
    fn parse(received: &[u8]) -> io::Result<Option<Self>> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(received).map_err(|error| invalid(error.to_string()))?;
        let httparse::Status::Complete(bytes) = parsed else {
            let endless = received.len() > HEAD_BYTES_MAX;
            return if endless { Err(invalid("the head of an answer does not end".to_owned())) } else { Ok(None) };
        };
        let status = response.code.unwrap_or_default();
        let (mut length, mut keeps_open) = (None, true);
        for field in response.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") {
                length = std::str::from_utf8(field.value).ok().and_then(|text| text.parse::<usize>().ok());
            } else if field.name.eq_ignore_ascii_case("connection") {
                keeps_open = !field.value.eq_ignore_ascii_case(b"close");
            }
        }
        let body_bytes = match (status, length) {
            (204 | 304, _) => 0,
            (_, Some(length)) if length <= BODY_BYTES_MAX => length,
            _ => return Err(invalid("an answer whose length is not told, or too large".to_owned())),
        };
        Ok(Some(Self { status, bytes, body_bytes, keeps_open }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\netag: \"a\"\r\n\r\n{}HTTP";
        let head = Head::parse(whole).unwrap().unwrap();
        assert_eq!((head.status, head.body_bytes, head.keeps_open), (200, 2, true));
        assert_eq!(&whole[head.bytes..head.bytes + 2], b"{}");
        assert_eq!(Head::parse(&whole[..20]).unwrap(), None);
        let nothing = Head::parse(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n").unwrap().unwrap();
        assert_eq!((nothing.body_bytes, nothing.keeps_open), (0, false));
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "a body without a length cannot be measured");
        assert!(Head::parse(b"SMTP").is_err());
    }

    #[test]
    fn requests_are_written_as_they_are_sent() {
        let request = Request::post("/v1/x").bearer("t").json(&serde_json::json!({"a": 1}));
        let text = String::from_utf8(request.0).unwrap();
        let expected = "POST /v1/x HTTP/1.1\r\nHost: boxoffice\r\nAuthorization: Bearer t\r\n\
                        Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        assert_eq!(text, expected);
        assert!(Request::get("/").empty().0.ends_with(b"boxoffice\r\n\r\n"));
        assert!(Request::post("/").empty().0.ends_with(b"Content-Length: 0\r\n\r\n"));
    }
}
