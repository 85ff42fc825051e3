//! Announcements on the wire, and whether all of them were received.
//!
//! A message is `INSTANCE NUMBER WORD TEXT`. The word is a topic, or `alive`, which each instance sends all the time, or
//! `gone`, which it sends at the end. Each announcement has the next number of its instance; `alive` and `gone` have that
//! of the last one. So a subscriber knows of each peer whether it has received everything up to [`SILENCE_MAX`] ago: there
//! is no gap in the numbers, and no silence.
//!
//! What arrives all the time may arrive late all the time. No clock of another machine is needed to notice it: an instance
//! receives its own `alive` too, so it knows how long ago the last one was sent that has made the round trip. If that is
//! long, what its peers have published may be under way as long. Its `alive` says how long, so that its peers know that
//! what it publishes may be late: the text is `BEAT LAG CLOCK`, the time since the instance began, that age, both in
//! milliseconds, and the time of day in microseconds since 1970, by which peers compare their clocks.

mod clock_difference;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use boxoffice_domain::Clock;
use chrono::TimeDelta;
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use self::clock_difference::{CLOCK_WINDOW, ClockDifference};
use super::link::{Link, Listener};
use crate::{Announcement, Subscription, Topic};

/// How many announcements may wait to be sent. Further ones are lost.
const OUTGOING_MAX: usize = 256;
/// How many received announcements may wait to be applied. A slower subscriber gets [`Announcement::Missed`].
const INCOMING_MAX: usize = 1_024;
/// How often an instance shows that it is alive.
const ALIVE_INTERVAL: Duration = Duration::from_millis(50);
/// How long a message may be under way; after such a silence something may have been missed.
const SILENCE_MAX: Duration = Duration::from_millis(250);
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
    clock: Arc<dyn Clock>,
    /// When this instance began.
    origin: Instant,
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
    /// When the last `alive` was sent that this instance has received from itself.
    echoed: Option<Instant>,
    peers: HashMap<String, Peer>,
}

/// Another instance.
struct Peer {
    received_at: Instant,
    number: u64,
    /// For how long what it publishes may be under way, as it says.
    lag: Duration,
    /// When it last published on each topic.
    published_at: [Option<Instant>; Topic::ALL.len()],
    ahead: ClockDifference,
}

/// What an `alive` says.
struct Alive {
    beat: Duration,
    lag: Duration,
    clock_micros: i64,
}

impl Alive {
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let (beat, lag) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let clock_micros = numbers.next()?.parse().ok()?;
        Some(Self { beat: Duration::from_millis(beat), lag: Duration::from_millis(lag), clock_micros })
    }
}

impl Announcer {
    /// The announcer, and what has to be [sent](Self::send).
    pub(super) fn new(clock: Arc<dyn Clock>) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (outgoing, to_send) = mpsc::channel(OUTGOING_MAX);
        let (incoming, _) = broadcast::channel(INCOMING_MAX);
        metrics::counter!(LOST).absolute(0);
        let own = format!("{:016x}", RandomState::new().hash_one(0));
        let (last, receiving) = (Mutex::default(), Mutex::default());
        (Arc::new(Self { own, clock, origin: Instant::now(), last, outgoing, incoming, receiving }), to_send)
    }

    pub(super) fn subscribe(&self) -> Subscription {
        Subscription(self.incoming.subscribe())
    }

    fn missed(&self) {
        // Fails if there is no subscriber.
        let _ = self.incoming.send(Announcement::Missed);
    }

    /// Notes a message, and returns whether earlier ones may have been missed.
    fn is_gap(&self, from: &str, number: u64, word: &str, topic: Option<Topic>, text: &str) -> bool {
        let mut receiving = locked(&self.receiving);
        let received_at = Instant::now();
        let before = receiving.peers.remove(from);
        if word == GONE {
            return before.is_none_or(|before| before.number != number);
        }
        // An announcement has the next number, a sign of life the last one. A word of another version may be either.
        let expected = |before: u64| if word == ALIVE { before == number } else { before + 1 == number };
        let is_gap = before.as_ref().is_none_or(|before| !expected(before.number));
        let mut peer = match before {
            Some(before) => Peer { received_at, number, ..before },
            None => Peer {
                received_at,
                number,
                lag: Duration::ZERO,
                published_at: [None; Topic::ALL.len()],
                ahead: ClockDifference::default(),
            },
        };
        if let Some(topic) = topic {
            peer.published_at[topic as usize] = Some(received_at);
        }
        // Another version says nothing.
        if let Some(alive) = (word == ALIVE).then(|| Alive::read(text)).flatten() {
            peer.lag = alive.lag;
            let here = self.clock.now().timestamp_micros();
            peer.ahead.note(received_at, TimeDelta::microseconds(alive.clock_micros.saturating_sub(here)));
        }
        receiving.peers.insert(from.to_owned(), peer);
        is_gap
    }

    /// Notes that a sign of life of this instance has come back.
    fn note_echo(&self, text: &str) {
        if let Some(alive) = Alive::read(text) {
            locked(&self.receiving).echoed = Some(self.origin + alive.beat);
        }
    }

    pub(super) fn all_received(&self) -> bool {
        let now = Instant::now();
        let mut receiving = locked(&self.receiving);
        receiving.peers.retain(|_, peer| now - peer.received_at < GONE_AFTER);
        // By then every peer has shown a sign of life.
        receiving.since.is_some_and(|since| now - since > SILENCE_MAX)
            && receiving.echoed.is_some_and(|sent| now - sent < SILENCE_MAX)
            && receiving.peers.values().all(|peer| now - peer.received_at + peer.lag < SILENCE_MAX)
    }

    /// The greatest difference to the clock of a peer that has shown a sign of life lately.
    pub(super) fn clock_difference(&self) -> Option<TimeDelta> {
        let now = Instant::now();
        let receiving = locked(&self.receiving);
        let lately = receiving.peers.values().filter(|peer| now - peer.received_at < CLOCK_WINDOW);
        lately.filter_map(|peer| peer.ahead.get()).max_by_key(TimeDelta::abs)
    }

    /// What an `alive` says that is sent now.
    fn alive(&self) -> String {
        let now = Instant::now();
        let echoed = locked(&self.receiving).echoed.unwrap_or(self.origin);
        let clock_micros = self.clock.now().timestamp_micros();
        format!("{} {} {clock_micros}", (now - self.origin).as_millis(), (now - echoed).as_millis())
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
        let mut sent = 0;
        loop {
            tokio::select! {
                next = outgoing.recv() => {
                    let Some(Outgoing { number, word, text }) = next else { return };
                    sent = number;
                    let is_sent = send(number, word, &text).await;
                    if word == GONE {
                        return;
                    }
                    if !is_sent {
                        lost();
                    }
                }
                _ = alive.tick(), if shows_life => {
                    // What waits to be sent comes after it.
                    let number = {
                        let last = locked(&self.last);
                        if outgoing.is_empty() { *last } else { sent }
                    };
                    send(number, ALIVE, &self.alive()).await;
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
        let (Ok(number), text) = (number.parse(), words.next()) else { return };
        if from == self.own {
            self.note_echo(text.filter(|_| word == ALIVE).unwrap_or_default());
            return;
        }
        let topic = Topic::named(word);
        if self.is_gap(from, number, word, topic, text.unwrap_or_default()) {
            self.missed();
        }
        if let (Some(topic), Some(text)) = (topic, text) {
            let _ = self.incoming.send(Announcement::Published { topic, text: text.into() });
        }
    }

    fn ends(&self) {
        let mut receiving = locked(&self.receiving);
        (receiving.since, receiving.echoed) = (None, None);
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
    use boxoffice_domain::fixtures::TestClock;
    use tokio::time::advance;

    use super::*;

    fn announcer() -> (Arc<Announcer>, mpsc::Receiver<Outgoing>, Arc<TestClock>) {
        let clock = Arc::new(TestClock::new());
        let (announcer, outgoing) = Announcer::new(clock.clone());
        (announcer, outgoing, clock)
    }

    fn receive(announcer: &Arc<Announcer>, message: &str) {
        announcer.apply("channel", message.as_bytes());
    }

    /// The announcer receives a sign of its life that was sent so long ago.
    fn echo(announcer: &Arc<Announcer>, ago: Duration) {
        let beat = Instant::now() - announcer.origin;
        receive(announcer, &format!("{} 0 alive {} 0 0", announcer.own, beat.saturating_sub(ago).as_millis()));
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
        let (announcer, _outgoing, _clock) = announcer();
        let mut subscription = announcer.subscribe();
        assert!(!announcer.all_received(), "nothing is received");
        announcer.begins();
        assert_eq!(received(&mut subscription), ["missed"]);
        assert!(!announcer.all_received(), "a peer may be there that has not sent anything yet");
        let steps: [(Duration, &str, &[&str], bool); 17] = [
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
            // What it publishes may be under way for long, until that is over.
            (NOW, "other 13 alive 700 249 0", &[], true),
            (NOW, "other 13 alive 700 250 0", &[], false),
            (NOW, "other 13 alive 700 60 0 and more", &[], true),
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
            echo(&announcer, NOW);
            receive(&announcer, message);
            assert_eq!(received(&mut subscription), expected, "{message}");
            assert_eq!(announcer.all_received(), all_received, "{passed:?}, {message}");
        }
        announcer.ends();
        assert!(!announcer.all_received());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_all_the_time_is_noticed_by_the_round_trip() {
        let (announcer, _outgoing, _clock) = announcer();
        advance(Duration::from_secs(5)).await;
        announcer.begins();
        advance(SILENCE_MAX + ALIVE_INTERVAL).await;
        assert!(!announcer.all_received(), "its own signs of life have not come");
        for (late, all_received) in [(20, true), (249, true), (250, false), (800, false), (20, true)] {
            let late = Duration::from_millis(late);
            receive(&announcer, "other 0 alive 100 0 0");
            echo(&announcer, late);
            assert_eq!(announcer.all_received(), all_received, "{late:?}");
            let said = announcer.alive();
            assert_eq!(Alive::read(&said).map(|alive| alive.lag), Some(late), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_are_compared_by_the_message_with_the_shortest_way() {
        let (announcer, _outgoing, clock) = announcer();
        let alive = |from: &str, ahead_milliseconds: i64| {
            let micros = clock.now().timestamp_micros() + ahead_milliseconds * 1_000;
            receive(&announcer, &format!("{from} 0 alive 1 0 {micros}"));
        };
        let difference = || announcer.clock_difference().map(|difference| difference.num_milliseconds());
        assert_eq!(difference(), None);
        alive("other", -900);
        alive("other", -3);
        alive("other", -700);
        assert_eq!(difference(), Some(-3), "the way of that message was the shortest");
        alive("third", 400);
        assert_eq!(difference(), Some(400));
        // A clock that is set right is so after two windows.
        for expected in [400, 2] {
            advance(CLOCK_WINDOW).await;
            alive("third", 2);
            alive("other", 1);
            assert_eq!(difference(), Some(expected));
        }
        advance(CLOCK_WINDOW).await;
        assert_eq!(difference(), None, "a silent peer says nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn peers_are_busy_with_what_they_published_lately() {
        let (announcer, _outgoing, _clock) = announcer();
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
        let (announcer, _outgoing, _clock) = announcer();
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
        let (announcer, mut outgoing, _clock) = announcer();
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
