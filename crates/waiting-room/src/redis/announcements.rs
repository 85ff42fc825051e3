//! What the instances tell each other over the same Redis.
//!
//! A message is who says it, a number, a word and a text, with a space between them. The word is a topic, or one of two
//! of our own: `alive`, which is said all the time, and `gone`, which is said at the end. Each announcement has the next
//! number of its instance, and `alive` and `gone` have that of the last one. So whoever listens knows of each other
//! instance whether it has heard all of it, up to [`SILENCE_MAX`] ago: there is no gap in the numbers, and no silence.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::announcements::{Announcements, Heard, Topic};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::link::Link;

/// How many announcements may wait for being sent. Further ones are lost.
const OUTGOING_MAX: usize = 256;
/// How many that were heard may wait for being heeded. Whoever has more to heed is told that some were missed.
const INCOMING_MAX: usize = 1_024;
/// How often an instance shows that it is alive.
const ALIVE_INTERVAL: Duration = Duration::from_millis(100);
/// After how long a silence something may have been missed.
const SILENCE_MAX: Duration = Duration::from_millis(300);
/// How long ago an instance may have announced something that is busy with it.
const BUSY_MAX: Duration = Duration::from_secs(1);
/// After how long a silence an instance is taken to be gone. One that cannot reach Redis sells on to those who were
/// admitted before, until their admissions and holds are over.
const GONE_AFTER: Duration = Duration::from_mins(30);
/// How long taking leave may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// What could not be said.
const LOST: &str = "boxoffice_announcements_lost_total";
const ALIVE: &str = "alive";
const GONE: &str = "gone";

/// Both ends of the announcements.
pub(super) struct Announcer {
    /// What tells the own messages from those of others.
    own: String,
    speaking: Mutex<Speaking>,
    incoming: broadcast::Sender<Heard>,
    hearing: Mutex<Hearing>,
}

struct Speaking {
    /// The number of the last announcement, whether or not it was sent.
    last: u64,
    outgoing: mpsc::Sender<Outgoing>,
}

/// What is to be published.
pub(super) enum Outgoing {
    Said { number: u64, topic: Topic, text: String },
    Gone { told: oneshot::Sender<()> },
}

#[derive(Default)]
struct Hearing {
    /// Since when nothing can have been missed, if nothing can.
    since: Option<Instant>,
    others: HashMap<String, Other>,
}

/// Another instance.
struct Other {
    heard_at: Instant,
    number: u64,
    /// When it last announced something about each topic.
    said_at: [Option<Instant>; Topic::ALL.len()],
}

impl Announcer {
    /// The announcer, and what has to be [published](publish).
    pub(super) fn new() -> (Self, mpsc::Receiver<Outgoing>) {
        let (outgoing, to_publish) = mpsc::channel(OUTGOING_MAX);
        let (incoming, _) = broadcast::channel(INCOMING_MAX);
        metrics::counter!(LOST).absolute(0);
        let own = format!("{:016x}", RandomState::new().hash_one(0));
        let speaking = Mutex::new(Speaking { last: 0, outgoing });
        (Self { own, speaking, incoming, hearing: Mutex::default() }, to_publish)
    }

    pub(super) fn listen(&self) -> Announced {
        Announced(self.incoming.subscribe())
    }

    /// Listening begins: whatever was said before may not have been heard.
    pub(super) fn begins_to_listen(&self) {
        locked(&self.hearing).since = Some(Instant::now());
        self.has_missed();
    }

    /// Nothing is heard any more.
    pub(super) fn listens_no_more(&self) {
        locked(&self.hearing).since = None;
    }

    fn has_missed(&self) {
        // Nobody may be listening.
        let _ = self.incoming.send(Heard::Missed);
    }

    /// Passes a message on. Those that are not ours, or from this instance itself, are left alone.
    pub(super) fn hear(&self, message: &[u8]) {
        let Ok(message) = std::str::from_utf8(message) else { return };
        let mut words = message.splitn(4, ' ');
        let (Some(from), Some(number), Some(word)) = (words.next(), words.next(), words.next()) else { return };
        let Ok(number) = number.parse() else { return };
        if from == self.own {
            return;
        }
        let said = Topic::named(word);
        if self.is_gap(from, number, word, said) {
            self.has_missed();
        }
        if let (Some(topic), Some(text)) = (said, words.next()) {
            let _ = self.incoming.send(Heard::Said { topic, text: text.into() });
        }
    }

    /// Takes notice of a message, and tells whether others may have been missed before it.
    fn is_gap(&self, from: &str, number: u64, word: &str, said: Option<Topic>) -> bool {
        let mut hearing = locked(&self.hearing);
        let heard_at = Instant::now();
        if word == GONE {
            return hearing.others.remove(from).is_none_or(|other| other.number != number);
        }
        let before = hearing.others.get(from).map(|other| other.number);
        let new = Other { heard_at, number, said_at: [None; Topic::ALL.len()] };
        let other = hearing.others.entry(from.to_owned()).or_insert(new);
        (other.heard_at, other.number) = (heard_at, number);
        if let Some(topic) = said {
            other.said_at[topic as usize] = Some(heard_at);
        }
        // What is said next has the next number; what shows a sign of life, the last one. A word of another version
        // may be either.
        let expected = |before: u64| if word == ALIVE { before == number } else { before + 1 == number };
        before.is_none_or(|before| !expected(before))
    }

    fn message(&self, number: u64, word: &str, text: &str) -> String {
        format!("{} {number} {word} {text}", self.own)
    }
}

#[async_trait]
impl Announcements for Announcer {
    fn has_listeners(&self) -> bool {
        true
    }

    fn hears_all(&self) -> bool {
        let now = Instant::now();
        let mut hearing = locked(&self.hearing);
        hearing.others.retain(|_, other| now - other.heard_at < GONE_AFTER);
        // By then everybody who is there has shown a sign of life.
        hearing.since.is_some_and(|since| now - since > SILENCE_MAX)
            && hearing.others.values().all(|other| now - other.heard_at < SILENCE_MAX)
    }

    fn others_busy_with(&self, topic: Topic) -> usize {
        let now = Instant::now();
        let busy = |other: &&Other| other.said_at[topic as usize].is_some_and(|at| now - at < BUSY_MAX);
        locked(&self.hearing).others.values().filter(busy).count()
    }

    fn announce(&self, topic: Topic, text: String) {
        let mut speaking = locked(&self.speaking);
        speaking.last += 1;
        // One that is lost leaves a gap in the numbers.
        let said = Outgoing::Said { number: speaking.last, topic, text };
        if speaking.outgoing.try_send(said).is_err() {
            lost();
        }
    }

    async fn leave(&self) {
        let (told, tells) = oneshot::channel();
        let outgoing = locked(&self.speaking).outgoing.clone();
        let leaving = async {
            if outgoing.send(Outgoing::Gone { told }).await.is_ok() {
                // Where it is dropped, it could not be said.
                let _ = tells.await;
            }
        };
        if timeout(LEAVE_MAX, leaving).await.is_err() {
            tracing::debug!("the other instances could not be told that this one leaves");
        }
    }
}

/// Publishes what is announced, in its order, and signs of life in between. Ends with the last word.
pub(super) async fn publish(
    announcer: Arc<Announcer>,
    link: Arc<Link>,
    channel: String,
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    let say = async |message: String| {
        let mut command = redis::cmd("PUBLISH");
        command.arg(&channel).arg(message);
        link.query(&command).await.is_ok()
    };
    let mut alive = interval(ALIVE_INTERVAL);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = outgoing.recv() => next,
            _ = alive.tick() => {
                // While something waits, that will be said, and is a sign of life itself.
                let last = {
                    let speaking = locked(&announcer.speaking);
                    outgoing.is_empty().then_some(speaking.last)
                };
                if let Some(last) = last {
                    say(announcer.message(last, ALIVE, "")).await;
                }
                continue;
            }
        };
        match next {
            Some(Outgoing::Said { number, topic, text }) => {
                if !say(announcer.message(number, topic.name(), &text)).await {
                    lost();
                }
            }
            Some(Outgoing::Gone { told }) => {
                let last = locked(&announcer.speaking).last;
                say(announcer.message(last, GONE, "")).await;
                // Whoever waited may have given up.
                let _ = told.send(());
                return;
            }
            None => return,
        }
    }
}

fn lost() {
    metrics::counter!(LOST).increment(1);
}

/// Nothing that is done under these locks can panic half-way.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn hear(announcer: &Announcer, message: &str) {
        announcer.hear(message.as_bytes());
    }

    /// What was heard since the last call.
    fn heard(announced: &mut Announced) -> Vec<String> {
        let word = |heard| match heard {
            Heard::Said { topic, text } => format!("{} {text}", topic.name()),
            Heard::Missed => "missed".to_owned(),
        };
        std::iter::from_fn(|| announced.0.try_recv().ok()).map(word).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn whether_all_was_heard_is_known_by_numbers_and_signs_of_life() {
        let (announcer, _outgoing) = Announcer::new();
        let mut announced = announcer.listen();
        assert!(!announcer.hears_all(), "nothing is listened to");
        announcer.begins_to_listen();
        assert_eq!(heard(&mut announced), ["missed"]);
        assert!(!announcer.hears_all(), "somebody may be there who has not spoken yet");
        advance(SILENCE_MAX + ALIVE_INTERVAL).await;
        assert!(announcer.hears_all(), "there is nobody");
        // Somebody comes, of whom something may have been missed.
        hear(&announcer, "other 7 alive ");
        assert_eq!(heard(&mut announced), ["missed"]);
        hear(&announcer, "other 8 catalog ");
        hear(&announcer, "other 8 alive ");
        hear(&announcer, "other 9 seats of three words");
        assert_eq!(heard(&mut announced), ["catalog ", "seats of three words"]);
        assert!(announcer.hears_all());
        // A gap is told before what comes after it, whichever way it is found.
        hear(&announcer, "other 11 seats later");
        assert_eq!(heard(&mut announced), ["missed", "seats later"]);
        hear(&announcer, "other 12 alive ");
        assert_eq!(heard(&mut announced), ["missed"]);
        // One of a later version says something that we do not know.
        hear(&announcer, "other 13 weather fine");
        hear(&announcer, "other 13 alive ");
        assert!(heard(&mut announced).is_empty());
        advance(SILENCE_MAX).await;
        assert!(!announcer.hears_all(), "it has fallen silent");
        hear(&announcer, "third 0 alive ");
        assert!(!announcer.hears_all(), "one is enough");
        hear(&announcer, "other 13 gone ");
        assert_eq!(heard(&mut announced), ["missed"], "because of the third one");
        assert!(announcer.hears_all(), "it has taken leave");
        advance(SILENCE_MAX).await;
        assert!(!announcer.hears_all());
        advance(GONE_AFTER).await;
        assert!(announcer.hears_all(), "it was silent for so long that it is taken to be gone");
        announcer.listens_no_more();
        assert!(!announcer.hears_all());
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_busy_with_what_they_announced_lately() {
        let (announcer, _outgoing) = Announcer::new();
        hear(&announcer, "other 0 alive ");
        assert_eq!(announcer.others_busy_with(Topic::Seats), 0);
        hear(&announcer, "other 1 seats text");
        hear(&announcer, "third 1 seats text");
        hear(&announcer, "third 2 catalog ");
        assert_eq!(Topic::ALL.map(|topic| announcer.others_busy_with(topic)), [2, 1, 0]);
        advance(BUSY_MAX / 2).await;
        hear(&announcer, "other 2 seats text");
        hear(&announcer, "third 2 alive ");
        advance(BUSY_MAX / 2).await;
        assert_eq!(Topic::ALL.map(|topic| announcer.others_busy_with(topic)), [1, 0, 0]);
        hear(&announcer, "other 2 gone ");
        assert_eq!(announcer.others_busy_with(Topic::Seats), 0);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_left_alone() {
        let (announcer, _outgoing) = Announcer::new();
        let mut announced = announcer.listen();
        let own = format!("{} 1 seats own", announcer.own);
        for message in ["", "one", "one 2", "one x seats text", "one -1 seats text", &own] {
            hear(&announcer, message);
        }
        announcer.hear(&[0xFF, 0xFE]);
        assert!(heard(&mut announced).is_empty());
    }

    #[tokio::test]
    async fn what_is_lost_leaves_a_gap() {
        let (announcer, mut outgoing) = Announcer::new();
        for number in 0..OUTGOING_MAX + 5 {
            announcer.announce(Topic::Seats, number.to_string());
        }
        let mut numbers = Vec::new();
        while let Ok(Outgoing::Said { number, .. }) = outgoing.try_recv() {
            numbers.push(number);
        }
        announcer.announce(Topic::Seats, "after".to_owned());
        let Ok(Outgoing::Said { number, .. }) = outgoing.try_recv() else { panic!("it is sent") };
        let sent = OUTGOING_MAX as u64;
        assert_eq!((numbers, number), ((1..=sent).collect(), sent + 6));
    }
}
