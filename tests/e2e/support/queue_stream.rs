//! The queue stream: the server-sent events of an account's place.

use boxoffice_rush::Request;
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    PATIENCE,
    client::{Buyer, document},
    text,
};

pub(crate) struct QueueStream {
    response: Response,
    text: String,
}

impl QueueStream {
    pub(crate) async fn open(buyer: &Buyer) -> Self {
        Self::open_by(buyer, |request| request).await
    }

    /// Opens it for a client at this address, if the server trusts the test to know that.
    pub(crate) async fn open_from(buyer: &Buyer, address: &str) -> Self {
        Self::open_by(buyer, |request| request.header("x-forwarded-for", address)).await
    }

    async fn open_by(buyer: &Buyer, change: impl FnOnce(Request) -> Request) -> Self {
        let request = change(buyer.asks.get("/v1/queue/events").header("accept", "text/event-stream"));
        let response = buyer.api.open(&request).await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new() }
    }

    /// The next status of a stream that goes on.
    pub(crate) async fn status(&mut self) -> Value {
        self.next().await.expect("the stream goes on")
    }

    /// The next status; `None` if the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let (name, status) = self.event().await?;
        assert_eq!(name, "status", "{status}");
        Some(status)
    }

    /// The code of the event that tells why the stream ends, after which it has to.
    pub(crate) async fn end(mut self) -> String {
        loop {
            let (name, data) = self.event().await.expect("an event that tells the end");
            if name == "end" {
                assert_eq!(self.event().await, None);
                return text(&data, "code").to_owned();
            }
        }
    }

    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                // A comment only shows that the stream is alive.
                if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                    let schema = if name == "end" { "QueueStreamEnd" } else { "QueueStatus" };
                    let data = serde_json::from_str(data).expect("the data are JSON");
                    document().check_component(schema, &data).expect("the data are as documented");
                    return Some((name.to_owned(), data));
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event within the time");
            self.text.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")?).expect("it is text"));
        }
    }

    /// Waits until the stream breaks, as it does when the server is killed.
    pub(crate) async fn broken(mut self) {
        let broken = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        timeout(PATIENCE, broken).await.expect("the stream breaks off");
    }
}
