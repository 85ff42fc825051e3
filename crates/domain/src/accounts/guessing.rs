//! How often a password may be guessed, and which passwords are guessed first.

use super::{LoginId, Password};
use crate::{
    Timestamp, seconds_after,
    text::Name,
    time::{doubled_seconds, seconds_until},
};

/// How long after the last attempt the failed ones are forgotten.
pub const ATTEMPTS_REMEMBERED_SECONDS: u32 = 900;

/// How many attempts may fail in a row, and how long each further one has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessingRule {
    /// How many attempts wait for nothing.
    pub free: u32,
    /// The longest wait: each further attempt has to come 1, 2, 4 … seconds after the one before. 0 turns the rule off.
    pub wait_seconds_max: u32,
}

/// The attempts at one secret since the last that succeeded.
///
/// ```
/// use boxoffice_domain::{accounts::{Attempts, GuessingRule}, fixtures::instant};
///
/// let rule = GuessingRule { free: 5, wait_seconds_max: 10 };
/// let mut attempts = Attempts::default();
/// for _ in 0..5 {
///     assert_eq!(attempts.count(rule, instant(0)), Ok(()));
/// }
/// assert_eq!(attempts.count(rule, instant(0)), Err(1));
/// assert_eq!(attempts.count(rule, instant(1)), Ok(()));
/// assert_eq!(attempts.count(rule, instant(1)), Err(2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    count: u32,
    latest_at: Option<Timestamp>,
}

impl Attempts {
    /// Counts an attempt before it is made, so that of many at once no more are made than may be. If it may not be made yet,
    /// it is not counted, and the result is in how many seconds one may be.
    pub fn count(&mut self, rule: GuessingRule, now: Timestamp) -> Result<(), u64> {
        if self.latest_at.is_some_and(|at| now >= seconds_after(at, ATTEMPTS_REMEMBERED_SECONDS)) {
            *self = Self::default();
        }
        if let (Some(doublings), Some(at)) = (self.count.checked_sub(rule.free), self.latest_at) {
            let free_at = seconds_after(at, doubled_seconds(1, doublings, rule.wait_seconds_max));
            if now < free_at {
                return Err(seconds_until(now, free_at));
            }
        }
        self.count = self.count.saturating_add(1);
        self.latest_at = Some(now);
        Ok(())
    }
}

/// Why a password is among the first that are guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuessablePassword {
    /// Many people have it.
    #[error("the password is one of the most common ones")]
    Common,
    /// It is the login id.
    #[error("the password is the login id")]
    LoginId,
    /// It is the name of the person.
    #[error("the password is the name")]
    Name,
}

impl Password {
    /// Refuses what says nothing that the account does not say, in capitals or not (NIST SP 800-63B, 3.1.1.2).
    ///
    /// ```
    /// use boxoffice_domain::{accounts::{GuessablePassword, LoginId, Password}, text::Name};
    /// let (login_id, name) = (LoginId::new("haneul-kim")?, Name::new("Haneul Kim")?);
    /// let password = Password::new("HANEUL KIM")?;
    /// assert_eq!(password.differs_from(&login_id, &name), Err(GuessablePassword::Name));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn differs_from(&self, login_id: &LoginId, name: &Name) -> Result<(), GuessablePassword> {
        let folded = self.expose().trim().to_lowercase();
        if folded == login_id.as_str() {
            return Err(GuessablePassword::LoginId);
        }
        if folded == name.as_str().to_lowercase() {
            return Err(GuessablePassword::Name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::instant;

    const RULE: GuessingRule = GuessingRule { free: 5, wait_seconds_max: 10 };

    /// Attempts of which none waits longer than it has to, and when each was made.
    fn made_at(count: usize) -> Vec<i64> {
        let mut attempts = Attempts::default();
        let mut now = 0;
        (0..count)
            .map(|_| {
                while let Err(seconds) = attempts.count(RULE, instant(now)) {
                    now += i64::try_from(seconds).unwrap();
                }
                now
            })
            .collect()
    }

    #[test]
    fn after_the_free_ones_each_attempt_waits_longer_and_at_most_the_longest_wait() {
        assert_eq!(made_at(12), [0, 0, 0, 0, 0, 1, 3, 7, 15, 25, 35, 45]);
    }

    #[test]
    fn an_attempt_that_came_too_early_does_not_make_the_next_one_wait_longer() {
        let mut attempts = Attempts::default();
        (0..5).for_each(|_| attempts.count(RULE, instant(0)).unwrap());
        for _ in 0..100 {
            assert_eq!(attempts.count(RULE, instant(0)), Err(1));
        }
        assert_eq!(attempts.count(RULE, instant(1)), Ok(()));
    }

    #[test]
    fn attempts_are_forgotten_when_none_was_made_for_a_while() {
        let forgotten_after = i64::from(ATTEMPTS_REMEMBERED_SECONDS);
        for (passed, free) in [(forgotten_after - 1, 1), (forgotten_after, 5)] {
            let mut attempts = Attempts::default();
            (0..5).for_each(|_| attempts.count(RULE, instant(0)).unwrap());
            let made = (0..10).take_while(|_| attempts.count(RULE, instant(passed)).is_ok()).count();
            assert_eq!(made, free, "after {passed} s");
        }
    }

    #[test]
    fn without_a_longest_wait_nothing_waits() {
        let mut attempts = Attempts::default();
        let rule = GuessingRule { free: 0, wait_seconds_max: 0 };
        assert!((0..100).all(|_| attempts.count(rule, instant(0)).is_ok()));
    }

    #[test]
    fn a_password_is_not_what_everybody_knows_of_the_account() {
        let (login_id, name) = (LoginId::new("haneul@example.org").unwrap(), Name::new("Ha-neul Kim").unwrap());
        let differs = |text| Password::new(text).unwrap().differs_from(&login_id, &name);
        assert_eq!(differs("Haneul@example.org"), Err(GuessablePassword::LoginId));
        assert_eq!(differs(" haneul@example.org "), Err(GuessablePassword::LoginId));
        assert_eq!(differs("ha-neul kim"), Err(GuessablePassword::Name));
        assert_eq!(differs("haneul@example.org!"), Ok(()));
    }
}
