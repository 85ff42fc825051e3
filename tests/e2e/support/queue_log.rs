//! Redis's own log of every step on a queue: which account was admitted when, and in which order.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use boxoffice_testkit::servers::{RedisMonitor, RedisServer, RedisStep};

/// An account in the queue, as Redis knows it: the bytes of its id.
pub(crate) type Member = Vec<u8>;

/// Notes every step on the queue of a concert.
pub(crate) async fn listen(redis: &RedisServer, concert: &str) -> RedisMonitor {
    redis.monitor(&[&format!("{{{concert}}}"), "ours_since"]).await.expect("Redis shows what it does")
}

#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) at_micros: u64,
    pub(crate) member: Member,
}

/// What became of a queue, from the start of a Redis to its end.
#[derive(Debug, Default)]
pub(crate) struct QueueLog {
    /// Since when this Redis is ours, in microseconds.
    pub(crate) ours_since: Option<u64>,
    /// All that joined or returned, each with its place, in that order.
    pub(crate) entered: Vec<(Member, u64)>,
    /// How many of them had entered when the first ones were called.
    pub(crate) entered_before_calls: usize,
    /// The admissions from the front of the queue, in their order.
    pub(crate) admitted: Vec<Admission>,
    /// The admissions of accounts that hold seats, and had been admitted by a queue that was lost.
    pub(crate) admitted_again: Vec<Admission>,
    /// The accounts that left before they were admitted.
    pub(crate) left: HashSet<Member>,
    pub(crate) most: usize,
}

/// The queue as it is after each step.
#[derive(Default)]
struct Replay {
    log: QueueLog,
    waiting: BTreeSet<(u64, Member)>,
    places: BTreeMap<Member, u64>,
    active: HashSet<Member>,
    /// The accounts that were taken from the front and are to be admitted next.
    called: VecDeque<Member>,
}

impl QueueLog {
    /// Replays the steps. An account that is admitted must be the first in the queue at that instant, or have been
    /// admitted before by a queue that was lost; and at most `max_active` are admitted after each step.
    pub(crate) fn replay(steps: &[RedisStep], max_active: usize) -> Self {
        let mut replay = Replay::default();
        for step in steps {
            replay.take(step);
            assert!(replay.active.len() <= max_active, "{} are admitted after {step:?}", replay.active.len());
        }
        assert!(replay.called.is_empty(), "{} were called and not admitted", replay.called.len());
        replay.log
    }

    /// The accounts that were admitted from the front, in that order.
    pub(crate) fn order(&self) -> Vec<Member> {
        self.admitted.iter().map(|admission| admission.member.clone()).collect()
    }

    /// The accounts that entered and did not leave before they were admitted, in the order in which they entered.
    pub(crate) fn stayed(&self) -> Vec<Member> {
        let members = self.entered.iter().map(|(member, _)| member);
        members.filter(|member| !self.left.contains(*member)).cloned().collect()
    }
}

impl Replay {
    fn take(&mut self, step: &RedisStep) {
        let words: Vec<&[u8]> = step.words.iter().map(Vec::as_slice).collect();
        let [command, key, arguments @ ..] = words.as_slice() else { return };
        let key = key.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        match (*command, key, arguments) {
            (b"SET", b"ours_since", [since, ..]) => {
                self.log.ours_since.get_or_insert(number(since));
            }
            (b"ZADD", b"waiting", [place, member]) => self.enter(number(place), member.to_vec()),
            (b"ZREM", b"waiting", [member]) => self.take_out(&member.to_vec()),
            (b"ZPOPMIN", b"waiting", [count]) => self.call(number(count), step),
            (b"ZADD", b"ending", [_, member]) => self.admit(step.at_micros, member.to_vec()),
            (b"ZREM", b"ending", [member]) => {
                self.active.remove(*member);
            }
            _ => {
                let written = ["ZADD", "ZREM", "ZPOPMIN", "ZPOPMAX", "ZINCRBY", "DEL", "RENAME", "ZUNIONSTORE"];
                let is_write = written.iter().any(|known| known.as_bytes() == *command);
                assert!(!is_write || !matches!(key, b"waiting" | b"ending"), "an unknown step: {step:?}");
            }
        }
    }

    fn enter(&mut self, place: u64, member: Member) {
        assert!(!self.active.contains(&member), "an admitted account waits");
        self.waiting.insert((place, member.clone()));
        let before = self.places.insert(member.clone(), place);
        assert_eq!(before, None, "an account has two places");
        self.log.entered.push((member, place));
    }

    fn take_out(&mut self, member: &Member) {
        if let Some(place) = self.places.remove(member) {
            self.waiting.remove(&(place, member.clone()));
            self.log.left.insert(member.clone());
        }
    }

    fn call(&mut self, count: u64, step: &RedisStep) {
        assert!(self.called.is_empty(), "the next ones were called before the first ones were admitted: {step:?}");
        if self.log.admitted.is_empty() {
            self.log.entered_before_calls = self.log.entered.len();
        }
        for _ in 0..count {
            let Some((_, member)) = self.waiting.pop_first() else { break };
            self.places.remove(&member);
            self.called.push_back(member);
        }
    }

    fn admit(&mut self, at_micros: u64, member: Member) {
        if !self.active.insert(member.clone()) {
            // Only the end of the admission has changed.
            return;
        }
        self.log.most = self.log.most.max(self.active.len());
        let admission = Admission { at_micros, member };
        if self.called.is_empty() {
            self.log.left.remove(&admission.member);
            self.log.admitted_again.push(admission);
        } else {
            assert_eq!(
                self.called.pop_front().as_ref(),
                Some(&admission.member),
                "an account was admitted out of order"
            );
            self.log.admitted.push(admission);
        }
    }
}

fn number(text: &[u8]) -> u64 {
    let text = std::str::from_utf8(text).expect("a number");
    text.parse().unwrap_or_else(|error| panic!("`{text}` is no whole number: {error}"))
}

/// The check itself: what it lets pass proves nothing unless it stops what is wrong.
mod tests {
    use super::*;

    const JOINED: [&str; 2] = ["ZADD p:{c}:waiting 1 a", "ZADD p:{c}:waiting 2 b"];

    fn replay(more: &[&str], max_active: usize) -> Result<QueueLog, ()> {
        let step = |(index, line): (usize, &&str)| RedisStep {
            at_micros: index as u64,
            words: line.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
        };
        let steps: Vec<_> = JOINED.iter().chain(more).enumerate().map(step).collect();
        std::panic::catch_unwind(|| QueueLog::replay(&steps, max_active)).map_err(drop)
    }

    #[test]
    fn admissions_in_order_are_listed_with_the_most_at_once() {
        let in_order = ["ZPOPMIN p:{c}:waiting 5", "ZADD p:{c}:ending 9 a", "ZADD p:{c}:ending 9 b"];
        let log = replay(&in_order, 2).unwrap();
        assert_eq!((log.order(), log.most), (vec![b"a".to_vec(), b"b".to_vec()], 2));
    }

    #[test]
    fn what_must_not_be_is_found() {
        let too_many = ["ZPOPMIN p:{c}:waiting 5", "ZADD p:{c}:ending 9 a", "ZADD p:{c}:ending 9 b"];
        replay(&too_many, 1).unwrap_err();
        replay(&["ZPOPMIN p:{c}:waiting 1", "ZADD p:{c}:ending 9 b"], 2).unwrap_err();
        replay(&["ZPOPMIN p:{c}:waiting 2", "ZADD p:{c}:ending 9 a"], 2).unwrap_err();
        replay(&["ZADD p:{c}:waiting 3 a"], 2).unwrap_err();
        replay(&["ZPOPMAX p:{c}:waiting 1"], 2).unwrap_err();
    }
}
