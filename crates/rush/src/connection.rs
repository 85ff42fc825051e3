//! A connection that stays open, with one request on it at a time.
//!
//! A measuring client shares its cores with the server that it measures, and takes from the server what it spends.
//! A request is therefore one write of bytes that were put together before, and a response is parsed no further than
//! to find its end.

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Prepared;

const HEAD_BYTES_MAX: usize = 64 * 1_024;
/// Several times the map of the largest hall.
const BODY_BYTES_MAX: usize = 64 * 1_024 * 1_024;
const HEADERS_MAX: usize = 64;
/// A server that takes longer for a connection cannot be reached.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// A server that takes longer for a response has failed.
const RESPONSE_TIME_MAX: Duration = Duration::from_mins(1);

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    head: Bytes,
    pub body: Bytes,
}

impl Response {
    /// The first header field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(&self.head).ok()?;
        let fields = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    /// The body of a successful response. Errors leave the body out, because a token may be in it.
    pub fn read<T: DeserializeOwned>(&self) -> io::Result<T> {
        if !(200..300).contains(&self.status) {
            let code = self.code().unwrap_or_default();
            return Err(io::Error::other(format!("the server answered {} {code}", self.status)));
        }
        serde_json::from_slice(&self.body).map_err(io::Error::other)
    }

    /// The `code` of an error.
    pub fn code(&self) -> Option<String> {
        if self.status < 400 {
            return None;
        }
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        problem.get("code")?.as_str().map(str::to_owned)
    }
}

#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    received: BytesMut,
    /// Whether the server keeps it open for another request.
    open: bool,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, stream: connect(address).await?, received: BytesMut::with_capacity(16 * 1_024), open: true })
    }

    /// Opens connections, one after the other.
    pub async fn open_many(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        let mut open = Vec::with_capacity(count);
        for _ in 0..count {
            open.push(Self::open(address).await?);
        }
        Ok(open)
    }

    /// Sends a request and waits for the response. Sends nothing twice: after an error, only the next request opens
    /// the connection again.
    pub async fn send(&mut self, request: &Prepared) -> io::Result<Response> {
        if !self.open {
            self.stream = connect(self.address).await?;
            self.received.clear();
        }
        // If anything fails from here on, the next bytes on this connection may be the rest of this response.
        self.open = false;
        within(RESPONSE_TIME_MAX, "response", self.exchange(request)).await
    }

    async fn exchange(&mut self, request: &Prepared) -> io::Result<Response> {
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
        self.open = head.keeps_open;
        Ok(Response {
            status: head.status,
            head: self.received.split_to(head.bytes).freeze(),
            body: self.received.split_to(head.body_bytes).freeze(),
        })
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
    let stream = within(CONNECT_TIME_MAX, "connection", TcpStream::connect(address)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn within<T>(max: Duration, what: &str, act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no {what} within {} s", max.as_secs()));
    timeout(max, act).await.map_err(late)?
}

/// Where a response ends.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
    keeps_open: bool,
}

impl Head {
    /// The head, if all of it has come.
    fn parse(received: &[u8]) -> io::Result<Option<Self>> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(received).map_err(|error| invalid(error.to_string()))?;
        let httparse::Status::Complete(bytes) = parsed else {
            let endless = received.len() > HEAD_BYTES_MAX;
            return if endless { Err(invalid("the head of a response does not end".to_owned())) } else { Ok(None) };
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
            _ => return Err(invalid("a response without a length, or too long".to_owned())),
        };
        Ok(Some(Self { status, bytes, body_bytes, keeps_open }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_where_its_head_says() {
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
}
