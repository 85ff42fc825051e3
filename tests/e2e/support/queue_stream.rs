//! The queue stream: the server-sent events of an account's place.

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    PATIENCE,
    client::{Buyer, document},
};

pub(crate) struct QueueStream {
    response: Response,
    text: String,
}

impl QueueStream {
    pub(crate) async fn open(buyer: &Buyer) -> Self {
        let request = buyer.asks.get("/v1/queue/events").header("accept", "text/event-stream");
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

    /// Waits until the stream breaks, as it does when the server is killed.
    pub(crate) async fn broken(mut self) {
        let broken = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        timeout(PATIENCE, broken).await.expect("the stream breaks off");
    }
}
