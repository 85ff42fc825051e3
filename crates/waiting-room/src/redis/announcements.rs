//! What the instances tell each other over the same Redis.
//!
//! A message is who says it, the topic and the text, with a space between them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use boxoffice_domain::announcements::{Announcements, Heard, Topic};
use tokio::sync::{broadcast, mpsc};

use super::core::Core;

/// What could not be said.
const LOST: &str = "boxoffice_announcements_lost_total";
/// How many announcements may wait for being sent. Further ones are lost.
const OUTGOING_MAX: usize = 256;
/// How many that were heard may wait for being heeded. Whoever has more to heed is told that some were missed.
const INCOMING_MAX: usize = 1_024;

/// Both ends of the announcements.
pub(super) struct Announcer {
    /// What tells the own messages from those of others.
    own: String,
    outgoing: mpsc::Sender<String>,
    incoming: broadcast::Sender<Heard>,
}

impl Announcer {
    /// The announcer, and what has to be [published](publish).
    pub(super) fn new() -> (Self, mpsc::Receiver<String>) {
        let (outgoing, to_publish) = mpsc::channel(OUTGOING_MAX);
        let (incoming, _) = broadcast::channel(INCOMING_MAX);
        metrics::counter!(LOST).absolute(0);
        let own = format!("{:016x}", RandomState::new().hash_one(0));
        (Self { own, outgoing, incoming }, to_publish)
    }

    pub(super) fn listen(&self) -> Announced {
        Announced(self.incoming.subscribe())
    }

    /// Something may have been said that was not heard.
    pub(super) fn has_missed(&self) {
        // Nobody may be listening.
        let _ = self.incoming.send(Heard::Missed);
    }

    /// Passes a message on. Those that are not ours, or from this instance itself, are left alone.
    pub(super) fn hear(&self, message: &[u8]) {
        let Ok(message) = std::str::from_utf8(message) else { return };
        let mut words = message.splitn(3, ' ');
        if let (Some(from), Some(topic), Some(text)) = (words.next(), words.next(), words.next())
            && from != self.own
            && let Some(topic) = Topic::named(topic)
        {
            let _ = self.incoming.send(Heard::Said { topic, text: text.into() });
        }
    }
}

impl Announcements for Announcer {
    fn has_listeners(&self) -> bool {
        true
    }

    fn announce(&self, topic: Topic, text: String) {
        if self.outgoing.try_send(format!("{} {} {text}", self.own, topic.name())).is_err() {
            lost();
        }
    }
}

/// Publishes what is announced, in its order. Ends with the announcer.
pub(super) async fn publish(core: Arc<Core>, mut outgoing: mpsc::Receiver<String>) {
    while let Some(message) = outgoing.recv().await {
        let mut command = redis::cmd("PUBLISH");
        command.arg(core.announcements_channel()).arg(message);
        if core.link.query(&command).await.is_err() {
            lost();
        }
    }
}

fn lost() {
    metrics::counter!(LOST).increment(1);
}

/// What the other instances announce, from when listening began.
#[derive(Debug)]
pub struct Announced(broadcast::Receiver<Heard>);

impl Announced {
    /// Waits for the next announcement. Nothing is lost where this is dropped before it has come.
    pub async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Ok(heard) => heard,
            Err(broadcast::error::RecvError::Lagged(_)) => Heard::Missed,
            // The waiting room is gone: nobody will say anything.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
