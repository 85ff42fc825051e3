//! A client that speaks HTTP by hand, as badly as a test wants.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use super::{PATIENCE, client::document, server::Server};

/// The smallest receive buffer, so that little of a response is taken unless it is read.
const RECEIVE_BYTES: u32 = 4_096;

/// How long it takes at most to see that a connection is refused.
const SOON: Duration = Duration::from_millis(500);

pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::connect_from(server, Ipv4Addr::LOCALHOST).await
    }

    /// Connects from this address of the machine.
    pub(crate) async fn connect_from(server: &Server, address: Ipv4Addr) -> Self {
        Self::connect_to(server.address(), address).await
    }

    /// Connects to a server, or to what is in front of it.
    pub(crate) async fn connect_to(server: SocketAddr, address: Ipv4Addr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(RECEIVE_BYTES).expect("it is set");
        socket.bind(SocketAddr::new(IpAddr::V4(address), 0)).expect("the address is of this machine");
        Self { stream: socket.connect(server).await.expect("the server accepts") }
    }

    /// Whether a server closes a connection from this address at once, or does not let it come about.
    pub(crate) async fn is_refused(server: SocketAddr, address: Ipv4Addr) -> bool {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(IpAddr::V4(address), 0)).expect("the address is of this machine");
        match socket.connect(server).await {
            Ok(stream) => Self { stream }.is_closed().await,
            Err(_) => true,
        }
    }

    /// A connection from this address, unless a server closes it soon.
    pub(crate) async fn unless_refused(server: SocketAddr, address: Ipv4Addr) -> Option<Self> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(IpAddr::V4(address), 0)).expect("the address is of this machine");
        let mut stream = socket.connect(server).await.ok()?;
        let is_closed = matches!(timeout(SOON, stream.read(&mut [0; 1])).await, Ok(Ok(0) | Err(_)));
        (!is_closed).then_some(Self { stream })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("it is sent");
    }

    /// Sends the text again and again, with a pause each time, until the server closes the connection.
    pub(crate) async fn drip(mut self, text: &str, pause: Duration) {
        let mut buf = [0; 1_024];
        loop {
            tokio::select! {
                read = self.stream.read(&mut buf) => match read {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                },
                () = sleep(pause) => if self.stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                },
            }
        }
    }

    /// Reads this many bytes again and again, with a pause each time, until the server closes the connection.
    pub(crate) async fn sip(mut self, bytes: usize, pause: Duration) {
        let mut buf = vec![0; bytes];
        while self.stream.read_exact(&mut buf).await.is_ok() {
            sleep(pause).await;
        }
    }

    /// Whether the server has closed the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read(&mut [0; 1])).await.expect("a byte or the end");
        !matches!(read, Ok(1..))
    }

    /// Sends a text, unless the server has closed the connection.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// The status and the body of the next response, which has a length.
    pub(crate) async fn response(&mut self) -> (u16, String) {
        self.try_response().await.expect("a response")
    }

    /// The next response; `None` if the server has closed the connection.
    pub(crate) async fn try_response(&mut self) -> Option<(u16, String)> {
        self.try_whole_response().await.map(|(status, _, body)| (status, body))
    }

    /// The status, the head in small letters, and the body of the next response.
    pub(crate) async fn try_whole_response(&mut self) -> Option<(u16, String, String)> {
        let read = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.stream.read_u8().await?);
            }
            let head = String::from_utf8(head).expect("a head is text").to_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let length = field("content-length:").map_or(0, |length| length.parse().expect("a length"));
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await?;
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            io::Result::Ok((status, head, String::from_utf8(body).expect("a body is text")))
        };
        timeout(PATIENCE, read).await.expect("a response within the time").ok()
    }

    /// The next response, which has to be this problem.
    pub(crate) async fn refused(&mut self, status: u16, code: &str) {
        let (answered, body) = self.response().await;
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{body}");
        document().check_component("Problem", &problem).expect("it is as documented");
    }
}
