//! Listening to channels, over a separate connection.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::time::{interval, sleep, timeout};

use super::Link;

/// How often the connection is tested.
const TEST_INTERVAL: Duration = Duration::from_secs(5);
/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(250);

/// What is listening to channels.
pub(crate) trait Listener: Send + Sync {
    /// Listening begins: any message before may have been missed.
    fn begins(&self);

    /// A message was published on a channel.
    fn hears(&self, channel: &str, message: &[u8]);

    /// Listening ends, until it begins again.
    fn ends(&self);
}

impl Link {
    /// Listens to channels, and again whenever the connection is lost. Never ends.
    pub(crate) async fn keep_listening(self: Arc<Self>, channels: Vec<String>, listener: impl Listener) {
        for attempt in 0.. {
            let listened = self.listen(&channels, attempt, &listener).await;
            listener.ends();
            if let Err(error) = listened {
                tracing::debug!(error, "the connection that listens to Redis is lost");
            }
            sleep(PAUSE).await;
        }
    }

    async fn listen(&self, channels: &[String], attempt: usize, listener: &impl Listener) -> Result<(), String> {
        let opening = async {
            let mut pubsub = self.url.listen(attempt).await?;
            pubsub.subscribe(channels).await?;
            redis::RedisResult::Ok(pubsub)
        };
        let opened = timeout(self.connect_timeout, opening).await.map_err(|_| "no answer in time".to_owned())?;
        let (mut sink, mut messages) = opened.map_err(|error| error.to_string())?.split();
        listener.begins();
        let mut test = interval(TEST_INTERVAL);
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return Err("the connection was closed".to_owned()) };
                    listener.hears(message.get_channel_name(), message.get_payload_bytes());
                }
                _ = test.tick() => {
                    let answered = timeout(self.connect_timeout, sink.ping::<redis::Value>()).await;
                    answered.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
                }
            }
        }
    }
}
