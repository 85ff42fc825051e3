//! What is refused although its access tokens have not expired.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use boxoffice_domain::{AccountId, SessionId, Timestamp, accounts::AccessClaims};
use chrono::TimeDelta;

/// Sessions that have ended, and accounts whose access tokens became void, each kept until the last access token that it
/// refuses has expired.
///
/// All of it follows from what is stored: an instance reads it at its start, and again what it may have missed.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<SessionId, Timestamp>,
    /// The number from which on access tokens of the account count.
    accounts: HashMap<AccountId, (u64, Timestamp)>,
    /// From this many on, the next insertion removes those that are no longer needed.
    prune_at: usize,
    /// Until when everything that is stored was read.
    read_until: Option<Timestamp>,
    is_missed: bool,
}

/// What is wrong with an access token that has not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revoked {
    /// Its session has ended.
    Session,
    /// It says of the account what is no longer so; the session may go on.
    Claims,
}

/// The fewest entries that are pruned.
const PRUNE_MIN: usize = 10_000;
/// How long after its time a change may be committed, by the clocks of all instances: a transaction takes a minute at most.
const COMMIT_TIME_MAX: TimeDelta = TimeDelta::seconds(90);

impl Revocations {
    /// Whether an access token is refused.
    pub(super) fn refuses(&self, claims: &AccessClaims) -> Option<Revoked> {
        let known = self.read();
        if known.sessions.contains_key(&claims.session_id) {
            return Some(Revoked::Session);
        }
        let version = known.accounts.get(&claims.account_id).map_or(0, |(version, _)| *version);
        (claims.access_version < version).then_some(Revoked::Claims)
    }

    /// Refuses the access tokens of a session until `until`.
    pub(super) fn add_session(&self, id: SessionId, until: Timestamp, now: Timestamp) {
        let mut known = self.write();
        known.prune(now);
        let kept = known.sessions.entry(id).or_insert(until);
        *kept = until.max(*kept);
    }

    /// Refuses the access tokens of an account that were issued under an earlier number, until `until`.
    pub(super) fn add_account(&self, id: AccountId, version: u64, until: Timestamp, now: Timestamp) {
        let mut known = self.write();
        known.prune(now);
        let (kept, kept_until) = known.accounts.entry(id).or_insert((version, until));
        *kept = version.max(*kept);
        *kept_until = until.max(*kept_until);
    }

    /// Takes note that something may have been missed.
    pub fn mark_missed(&self) {
        self.write().is_missed = true;
    }

    /// Whether something may have been missed since the last reading.
    pub fn is_missed(&self) -> bool {
        let known = self.read();
        known.is_missed || known.read_until.is_none()
    }

    /// Begins a reading at `now`, and says from when on to read: `kept` ago, or where the last reading that succeeded ended.
    pub(super) fn begin_reading(&self, now: Timestamp, kept: TimeDelta) -> Timestamp {
        let mut known = self.write();
        known.is_missed = false;
        let last = known.read_until.map(|at| at - COMMIT_TIME_MAX);
        last.unwrap_or(Timestamp::MIN_UTC).max(now - kept)
    }

    /// Ends a reading that began at `at`.
    pub(super) fn end_reading(&self, at: Timestamp, has_succeeded: bool) {
        let mut known = self.write();
        if has_succeeded {
            known.read_until = Some(at);
        } else {
            known.is_missed = true;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Removes what no token needs any more, if there is much. The next time comes when there is twice as much.
    fn prune(&mut self, now: Timestamp) {
        if self.sessions.len() + self.accounts.len() < self.prune_at.max(PRUNE_MIN) {
            return;
        }
        self.sessions.retain(|_, until| *until > now);
        self.accounts.retain(|_, (_, until)| *until > now);
        self.prune_at = 2 * (self.sessions.len() + self.accounts.len());
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{accounts::Role, fixtures::instant};
    use uuid::Uuid;

    use super::*;

    fn session(number: usize) -> SessionId {
        SessionId::new(Uuid::from_u128(number as u128))
    }

    fn claims(account: u128, session_id: SessionId, access_version: u64) -> AccessClaims {
        let account_id = AccountId::new(Uuid::from_u128(account));
        AccessClaims {
            account_id,
            session_id,
            role: Role::Promoter,
            access_version,
            has_second_factor: false,
            expires_at: instant(900),
        }
    }

    #[test]
    fn many_are_pruned_at_once_and_only_those_whose_tokens_have_expired() {
        let revocations = Revocations::default();
        let insert = |number, until, now| {
            revocations.add_session(session(number), instant(until), instant(now));
            revocations.read().sessions.len()
        };
        assert_eq!([insert(1, 10, 0), insert(2, 11, 10)], [1, 2], "a few are kept longer than needed");
        for number in 3..PRUNE_MIN {
            insert(number, 10, 0);
        }
        assert_eq!(insert(0, 12, 9), PRUNE_MIN, "none has expired");
        assert_eq!(insert(PRUNE_MIN, 12, 10), 3);
        for number in 0..PRUNE_MIN {
            insert(2 * PRUNE_MIN + number, 12, 10);
        }
        assert_eq!(insert(1, 12, 10), PRUNE_MIN + 4, "none has expired, and the next look is at twice as many");
        assert_eq!(revocations.read().prune_at, 2 * PRUNE_MIN);
        for number in [0, 2, PRUNE_MIN, 2 * PRUNE_MIN] {
            assert_eq!(revocations.refuses(&claims(1, session(number), 0)), Some(Revoked::Session), "{number}");
        }
        assert_eq!(revocations.refuses(&claims(1, session(3), 0)), None);
    }

    #[test]
    fn the_highest_number_counts_in_whatever_order_they_are_heard_of() {
        let revocations = Revocations::default();
        let (one, other) = (claims(1, session(1), 2), claims(2, session(2), 0));
        for version in [2, 1, 2] {
            revocations.add_account(one.account_id, version, instant(900), instant(0));
            assert_eq!(revocations.refuses(&one), None);
        }
        revocations.add_account(one.account_id, 3, instant(900), instant(0));
        revocations.add_account(one.account_id, 1, instant(900), instant(0));
        assert_eq!(revocations.refuses(&one), Some(Revoked::Claims));
        assert_eq!(revocations.refuses(&AccessClaims { access_version: 3, ..one }), None);
        assert_eq!(revocations.refuses(&other), None);
    }

    #[test]
    fn a_reading_begins_where_the_last_one_that_succeeded_ended() {
        let (revocations, kept) = (Revocations::default(), TimeDelta::seconds(960));
        assert!(revocations.is_missed(), "nothing was read");
        assert_eq!(revocations.begin_reading(instant(0), kept), instant(-960));
        revocations.end_reading(instant(0), false);
        assert!(revocations.is_missed());
        assert_eq!(revocations.begin_reading(instant(10), kept), instant(-950));
        revocations.end_reading(instant(10), true);
        assert!(!revocations.is_missed());
        revocations.mark_missed();
        assert!(revocations.is_missed());
        assert_eq!(revocations.begin_reading(instant(100), kept), instant(10) - COMMIT_TIME_MAX);
        assert!(!revocations.is_missed(), "what is missed from now on is read by the next reading");
        revocations.end_reading(instant(100), false);
        assert_eq!(revocations.begin_reading(instant(5_000), kept), instant(4_040));
    }
}
