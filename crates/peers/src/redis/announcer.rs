//! Announcements on the wire, and whether all of them were received.
//!
//! A message is `INSTANCE NUMBER WORD TEXT`. The word is a topic, or `alive`, which each instance sends all the time, or
//! `gone`, which it sends at the end. Each announcement has the next number of its instance; `alive` and `gone` have that
//! of the last one. So a subscriber knows of each peer whether it has received everything up to [`SILENCE_MAX`] ago: there
//! is no gap in the numbers, and no silence.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::link::{Link, Listener};
use crate::{Announcement, Subscription, Topic};

/// How many announcements may wait to be sent. Further ones are lost.
const OUTGOING_MAX: usize = 256;
/// How many received announcements may wait to be applied. A slower subscriber gets [`Announcement::Missed`].
const INCOMING_MAX: usize = 1_024;
/// How often an instance shows that it is alive.
const ALIVE_INTERVAL: Duration = Duration::from_millis(100);
/// After how long a silence something may have been missed.
const SILENCE_MAX: Duration = Duration::from_millis(300);
/// How long ago a peer has published something that counts as busy with it.
const BUSY_MAX: Duration = Duration::from_secs(1);
/// For how long a silent peer counts as alive. One that cannot reach Redis sells on to accounts that were admitted before,
/// until their admissions and holds are over.
const GONE_AFTER: Duration = Duration::from_secs(30 * 60);
/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// Announcements that could not be sent.
const LOST: &str = "boxoffice_announcements_lost_total";
const ALIVE: &str = "alive";
const GONE: &str = "gone";

/// Both ends of the announcements.
pub(super) struct Announcer {
    /// What the messages of this instance begin with.
    own: String,
    /// The number of the last announcement, whether or not it was sent. Locked until that one waits in `outgoing`.
    last: Mutex<u64>,
    outgoing: mpsc::Sender<Outgoing>,
    incoming: broadcast::Sender<Announcement>,
    receiving: Mutex<Receiving>,
}

/// What is to be sent.
pub(super) struct Outgoing {
    number: u64,
    /// The name of a topic, or [`GONE`].
    word: &'static str,
    text: String,
}

#[derive(Default)]
struct Receiving {
    /// Since when nothing can have been missed, if nothing can.
    since: Option<Instant>,
    peers: HashMap<String, Peer>,
}

/// Another instance.
struct Peer {
    received_at: Instant,
    number: u64,
    /// When it last published on each topic.
    published_at: [Option<Instant>; Topic::ALL.len()],
}

impl Announcer {
    /// The announcer, and what has to be [sent](Self::send).
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (outgoing, to_send) = mpsc::channel(OUTGOING_MAX);
        let (incoming, _) = broadcast::channel(INCOMING_MAX);
        metrics::counter!(LOST).absolute(0);
        let own = format!("{:016x}", RandomState::new().hash_one(0));
        (Arc::new(Self { own, last: Mutex::default(), outgoing, incoming, receiving: Mutex::default() }), to_send)
    }

    pub(super) fn subscribe(&self) -> Subscription {
        Subscription(self.incoming.subscribe())
    }

    fn missed(&self) {
        // Fails if there is no subscriber.
        let _ = self.incoming.send(Announcement::Missed);
    }

    /// Notes a message, and returns whether earlier ones may have been missed.
    fn is_gap(&self, from: &str, number: u64, word: &str, topic: Option<Topic>) -> bool {
        let mut receiving = locked(&self.receiving);
        let received_at = Instant::now();
        let before = receiving.peers.remove(from);
        if word == GONE {
            return before.is_none_or(|before| before.number != number);
        }
        let mut published_at = before.as_ref().map_or([None; Topic::ALL.len()], |before| before.published_at);
        if let Some(topic) = topic {
            published_at[topic as usize] = Some(received_at);
        }
        receiving.peers.insert(from.to_owned(), Peer { received_at, number, published_at });
        // An announcement has the next number, a sign of life the last one. A word of another version may be either.
        let expected = |before: u64| if word == ALIVE { before == number } else { before + 1 == number };
        before.is_none_or(|before| !expected(before.number))
    }

    pub(super) fn all_received(&self) -> bool {
        let now = Instant::now();
        let mut receiving = locked(&self.receiving);
        receiving.peers.retain(|_, peer| now - peer.received_at < GONE_AFTER);
        // By then every peer has shown a sign of life.
        receiving.since.is_some_and(|since| now - since > SILENCE_MAX)
            && receiving.peers.values().all(|peer| now - peer.received_at < SILENCE_MAX)
    }

    pub(super) fn busy_with(&self, topic: Topic) -> u32 {
        let now = Instant::now();
        let busy = |peer: &&Peer| peer.published_at[topic as usize].is_some_and(|at| now - at < BUSY_MAX);
        let count = locked(&self.receiving).peers.values().filter(busy).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(super) fn publish(&self, topic: Topic, text: String) {
        let mut last = locked(&self.last);
        *last += 1;
        // One that is lost leaves a gap in the numbers.
        if self.outgoing.try_send(Outgoing { number: *last, word: topic.name(), text }).is_err() {
            lost();
        }
    }

    pub(super) async fn leave(&self) {
        let number = *locked(&self.last);
        let leaving = async {
            if self.outgoing.send(Outgoing { number, word: GONE, text: String::new() }).await.is_ok() {
                self.outgoing.closed().await;
            }
        };
        if timeout(LEAVE_MAX, leaving).await.is_err() {
            tracing::debug!("the peers do not know that this instance leaves");
        }
    }

    /// Sends what is published, in its order, and signs of life in between if it is to show any. Ends with [`GONE`].
    pub(super) async fn send(
        self: Arc<Self>,
        link: Arc<Link>,
        mut outgoing: mpsc::Receiver<Outgoing>,
        shows_life: bool,
    ) {
        let channel = channel(&link);
        let send = async |number: u64, word: &str, text: &str| {
            let mut command = redis::cmd("PUBLISH");
            command.arg(&channel).arg(format!("{} {number} {word} {text}", self.own));
            link.query(&command).await.is_ok()
        };
        let mut alive = interval(ALIVE_INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                next = outgoing.recv() => {
                    let Some(Outgoing { number, word, text }) = next else { return };
                    let is_sent = send(number, word, &text).await;
                    if word == GONE {
                        return;
                    }
                    if !is_sent {
                        lost();
                    }
                }
                _ = alive.tick(), if shows_life => {
                    // What waits to be sent is a sign of life itself.
                    let last = {
                        let last = locked(&self.last);
                        outgoing.is_empty().then_some(*last)
                    };
                    if let Some(last) = last {
                        send(last, ALIVE, "").await;
                    }
                }
            }
        }
    }
}

impl Listener for Arc<Announcer> {
    /// What was published before may have been missed.
    fn begins(&self) {
        locked(&self.receiving).since = Some(Instant::now());
        self.missed();
    }

    /// Passes a message on, unless it is none of boxoffice's or from this instance.
    fn apply(&self, _channel: &str, message: &[u8]) {
        let Ok(message) = std::str::from_utf8(message) else { return };
        let mut words = message.splitn(4, ' ');
        let (Some(from), Some(number), Some(word)) = (words.next(), words.next(), words.next()) else { return };
        let Ok(number) = number.parse() else { return };
        if from == self.own {
            return;
        }
        let topic = Topic::named(word);
        if self.is_gap(from, number, word, topic) {
            self.missed();
        }
        if let (Some(topic), Some(text)) = (topic, words.next()) {
            let _ = self.incoming.send(Announcement::Published { topic, text: text.into() });
        }
    }

    fn ends(&self) {
        locked(&self.receiving).since = None;
    }
}

/// The channel on which all instances publish.
pub(super) fn channel(link: &Link) -> String {
    format!("{}:peers", link.prefix())
}

fn lost() {
    metrics::counter!(LOST).increment(1);
}

/// Nothing that is done under these locks can panic half-way.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn receive(announcer: &Arc<Announcer>, message: &str) {
        announcer.apply("channel", message.as_bytes());
    }

    /// What was received since the last call.
    fn received(subscription: &mut Subscription) -> Vec<String> {
        let word = |announcement| match announcement {
            Announcement::Published { topic, text } => format!("{} {text}", topic.name()),
            Announcement::Missed => "missed".to_owned(),
        };
        std::iter::from_fn(|| subscription.try_next()).map(word).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_and_signs_of_life_tell_whether_all_was_received() {
        const NOW: Duration = Duration::ZERO;
        let (announcer, _outgoing) = Announcer::new();
        let mut subscription = announcer.subscribe();
        assert!(!announcer.all_received(), "nothing is received");
        announcer.begins();
        assert_eq!(received(&mut subscription), ["missed"]);
        assert!(!announcer.all_received(), "a peer may be there that has not sent anything yet");
        let steps: [(Duration, &str, &[&str], bool); 14] = [
            // There are no peers.
            (SILENCE_MAX + ALIVE_INTERVAL, "", &[], true),
            // A peer comes, of which something may have been missed.
            (NOW, "other 7 alive ", &["missed"], true),
            (NOW, "other 8 catalog ", &["catalog "], true),
            (NOW, "other 8 alive ", &[], true),
            (NOW, "other 9 seats of three words", &["seats of three words"], true),
            // A gap is reported before what comes after it, whichever way it is found.
            (NOW, "other 11 seats later", &["missed", "seats later"], true),
            (NOW, "other 12 alive ", &["missed"], true),
            // A peer of a later version publishes on a topic that this one does not know.
            (NOW, "other 13 weather fine", &[], true),
            (NOW, "other 13 alive ", &[], true),
            // One silent peer is enough, until it leaves.
            (SILENCE_MAX, "", &[], false),
            (NOW, "third 0 alive ", &["missed"], false),
            (NOW, "other 13 gone ", &[], true),
            // After a long silence a peer counts as gone.
            (SILENCE_MAX, "", &[], false),
            (GONE_AFTER, "", &[], true),
        ];
        for (passed, message, expected, all_received) in steps {
            advance(passed).await;
            receive(&announcer, message);
            assert_eq!(received(&mut subscription), expected, "{message}");
            assert_eq!(announcer.all_received(), all_received, "{passed:?}, {message}");
        }
        announcer.ends();
        assert!(!announcer.all_received());
    }

    #[tokio::test(start_paused = true)]
    async fn peers_are_busy_with_what_they_published_lately() {
        let (announcer, _outgoing) = Announcer::new();
        receive(&announcer, "other 0 alive ");
        assert_eq!(announcer.busy_with(Topic::Seats), 0);
        receive(&announcer, "other 1 seats text");
        receive(&announcer, "third 1 seats text");
        receive(&announcer, "third 2 catalog ");
        assert_eq!(Topic::ALL.map(|topic| announcer.busy_with(topic)), [2, 1, 0]);
        advance(BUSY_MAX / 2).await;
        receive(&announcer, "other 2 seats text");
        receive(&announcer, "third 2 alive ");
        advance(BUSY_MAX / 2).await;
        assert_eq!(Topic::ALL.map(|topic| announcer.busy_with(topic)), [1, 0, 0]);
        receive(&announcer, "other 2 gone ");
        assert_eq!(announcer.busy_with(Topic::Seats), 0);
    }

    #[tokio::test]
    async fn other_messages_are_ignored() {
        let (announcer, _outgoing) = Announcer::new();
        let mut subscription = announcer.subscribe();
        let own = format!("{} 1 seats own", announcer.own);
        for message in ["", "one", "one 2", "one x seats text", "one -1 seats text", &own] {
            receive(&announcer, message);
        }
        announcer.apply("channel", &[0xFF, 0xFE]);
        assert!(received(&mut subscription).is_empty());
    }

    #[tokio::test]
    async fn what_is_lost_leaves_a_gap() {
        let (announcer, mut outgoing) = Announcer::new();
        for number in 0..OUTGOING_MAX + 5 {
            announcer.publish(Topic::Seats, number.to_string());
        }
        let mut sent =
            || -> Vec<_> { std::iter::from_fn(|| outgoing.try_recv().ok()).map(|sent| sent.number).collect() };
        let last = OUTGOING_MAX as u64;
        assert_eq!(sent(), (1..=last).collect::<Vec<_>>());
        announcer.publish(Topic::Seats, "after".to_owned());
        assert_eq!(sent(), [last + 6]);
    }
}
