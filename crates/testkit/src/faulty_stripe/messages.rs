//! Messages, signed as Stripe signs its events.

use std::{io, time::Duration};

use boxoffice_domain::{Timestamp, gateway::HeaderField};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use url::Url;

use super::{Shared, WEBHOOK_SECRET, locked};

/// How long to wait before a message is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// A message, as the webhook endpoint receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The head.
    pub fields: Vec<HeaderField>,
    /// The body.
    pub body: Vec<u8>,
}

/// Signs a body.
pub(super) fn signed(body: Vec<u8>, now: Timestamp) -> SentMessage {
    let time = now.timestamp().to_string();
    let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("HMAC takes keys of any length");
    let digest = mac.chain_update(&time).chain_update(b".").chain_update(&body).finalize().into_bytes();
    let signature = format!("t={time},v1={}", hex::encode(digest)).into_bytes();
    let content_type = ("content-type".to_owned(), b"application/json; charset=utf-8".to_vec());
    SentMessage { fields: vec![content_type, ("stripe-signature".to_owned(), signature)], body }
}

/// Sends all messages in their order, each until it is taken. Each is signed when it is sent.
pub(super) async fn deliver_all(shared: &Shared, url: &Url) {
    let mut changes = shared.messages.subscribe();
    let mut next = locked(&shared.books).message_count();
    loop {
        let message = locked(&shared.books).message(next);
        match message {
            Some(message) => {
                while !deliver(&signed(message.body.clone(), shared.clock.now()), url).await.unwrap_or(false) {
                    sleep(PAUSE).await;
                }
                next += 1;
            }
            None if changes.changed().await.is_err() => return,
            None => {}
        }
    }
}

/// Sends a message, and returns whether it was answered with 2xx.
async fn deliver(message: &SentMessage, url: &Url) -> io::Result<bool> {
    let address = url.socket_addrs(|| None)?.into_iter().next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut request = format!("POST {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", url.path()).into_bytes();
    for (name, value) in &message.fields {
        request.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", message.body.len()).as_bytes());
    request.extend_from_slice(&message.body);
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 2"))
}
