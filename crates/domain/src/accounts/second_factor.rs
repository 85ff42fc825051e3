//! A second factor of signing in: codes of a device that change with the time (TOTP, RFC 6238), and recovery codes.

use async_trait::async_trait;

use super::PasswordHash;
use crate::{
    AccountId, SessionId, StorageError, Timestamp, seconds_after,
    text::debug_without_content,
    time::{doubled_seconds, seconds_until},
};

/// How many codes may be tried in a row before each further one has to wait.
pub const CODE_ATTEMPTS_FREE: u32 = 5;
/// The longest wait.
const WAIT_SECONDS_MAX: u32 = 3_600;
/// How many recovery codes an account gets.
pub const RECOVERY_CODES: usize = 10;

/// The key that the holder's device shares with the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TotpSecret(pub [u8; 20]);

/// The SHA-256 of a recovery code: what is stored of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecoveryHash(pub [u8; 32]);

debug_without_content! {
    TotpSecret;
    RecoveryHash;
}

/// The second factor of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct SecondFactor {
    pub account_id: AccountId,
    pub secret: TotpSecret,
    pub created_at: Timestamp,
    /// When the holder showed that the device knows the key. Before, signing in does not ask for a code.
    pub confirmed_at: Option<Timestamp>,
    /// The time step of the last code that was taken. No code of it or before is taken again.
    pub last_step: u64,
    /// How many codes were tried since the last right one.
    pub attempts_count: u32,
    /// When the last of them was tried.
    pub attempted_at: Option<Timestamp>,
    /// Those of the recovery codes that were not used.
    pub recovery_hashes: Vec<RecoveryHash>,
}

/// What became of the wish to try a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeAttempt {
    /// It is counted, and may be tried with this factor.
    Allowed(Box<SecondFactor>),
    /// Too many were wrong. After so many seconds one may be tried.
    TooMany {
        /// See there.
        seconds_left: u64,
    },
    /// The account has no second factor.
    Missing,
}

/// A right code, which is good once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightCode {
    /// One of the device, by its time step.
    Step(u64),
    /// A recovery code.
    Recovery(RecoveryHash),
}

impl SecondFactor {
    /// A factor that is still to be confirmed.
    pub fn new(account_id: AccountId, secret: TotpSecret, now: Timestamp) -> Self {
        Self {
            account_id,
            secret,
            created_at: now,
            confirmed_at: None,
            last_step: 0,
            attempts_count: 0,
            attempted_at: None,
            recovery_hashes: Vec::new(),
        }
    }

    /// Counts an attempt before it is made, so that of many at once no more are made than may be. After the free ones each
    /// has to come 1, 2, 4 … minutes after the one before, at most an hour.
    pub fn attempt(&mut self, now: Timestamp) -> Result<(), u64> {
        if let (Some(doublings), Some(at)) = (self.attempts_count.checked_sub(CODE_ATTEMPTS_FREE), self.attempted_at) {
            let free_at = seconds_after(at, doubled_seconds(60, doublings, WAIT_SECONDS_MAX));
            if now < free_at {
                return Err(seconds_until(now, free_at));
            }
        }
        self.attempts_count = self.attempts_count.saturating_add(1);
        self.attempted_at = Some(now);
        Ok(())
    }

    /// Takes a right code, and says whether it was good: none is a second time.
    pub fn take(&mut self, code: RightCode) -> bool {
        let is_good = match code {
            RightCode::Step(step) => step > self.last_step,
            RightCode::Recovery(hash) => self.recovery_hashes.contains(&hash),
        };
        if is_good {
            match code {
                RightCode::Step(step) => self.last_step = step,
                RightCode::Recovery(hash) => self.recovery_hashes.retain(|kept| *kept != hash),
            }
            (self.attempts_count, self.attempted_at) = (0, None);
        }
        is_good
    }
}

/// The holder of an account turns its second factor on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Confirmation {
    pub account_id: AccountId,
    /// The key that the code was made with.
    pub secret: TotpSecret,
    pub code: RightCode,
    pub recovery_hashes: Vec<RecoveryHash>,
    /// The session of the holder, which goes on.
    pub kept: SessionId,
}

/// A second factor was turned on or off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorChanged {
    /// The sessions that ended.
    pub ended_sessions: Vec<SessionId>,
    /// The number from which on access tokens of the account count.
    pub access_version: u64,
}

/// Keeps the second factors.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait SecondFactors: Send + Sync {
    /// Stores a factor that is to be confirmed, in place of an earlier one that was not; `false` if the account has one that
    /// was confirmed.
    async fn begin(&self, factor: SecondFactor) -> Result<bool, StorageError>;

    /// The second factor of an account, confirmed or not.
    async fn find_factor(&self, account_id: AccountId) -> Result<Option<SecondFactor>, StorageError>;

    /// Counts an [attempt](SecondFactor::attempt), atomically.
    async fn attempt(&self, account_id: AccountId) -> Result<CodeAttempt, StorageError>;

    /// [Takes](SecondFactor::take) a right code, atomically: of several calls with one code, one returns `true`.
    async fn take(&self, account_id: AccountId, code: RightCode) -> Result<bool, StorageError>;

    /// Turns a factor on that has this key and was not confirmed: takes the code, keeps the recovery codes, makes the access
    /// tokens of the account void and ends its other sessions, all in one step. `None` if the code is not good, or there is
    /// no such factor.
    async fn confirm(&self, confirmation: Confirmation) -> Result<Option<FactorChanged>, StorageError>;

    /// Removes the factor of an account, and makes its access tokens void; `None` if there is none, or the account has
    /// another password hash than the one that was verified.
    async fn remove(
        &self,
        account_id: AccountId,
        verified: PasswordHash,
    ) -> Result<Option<FactorChanged>, StorageError>;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fixtures::instant;

    fn factor() -> SecondFactor {
        SecondFactor::new(AccountId::new(Uuid::from_u128(1)), TotpSecret([7; 20]), instant(0))
    }

    #[test]
    fn after_five_wrong_codes_each_has_to_wait_longer_up_to_an_hour() {
        let mut factor = factor();
        for _ in 0..CODE_ATTEMPTS_FREE {
            assert_eq!(factor.attempt(instant(0)), Ok(()));
        }
        let mut now = 0;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(factor.attempt(instant(now)), Err(minutes * 60));
            now += i64::try_from(minutes * 60).unwrap() - 1;
            assert_eq!(factor.attempt(instant(now)), Err(1));
            now += 1;
            assert_eq!(factor.attempt(instant(now)), Ok(()), "{minutes}");
        }
        factor.attempts_count = u32::MAX;
        assert_eq!(factor.attempt(instant(now)), Err(3_600));
        assert!(factor.take(RightCode::Step(1)));
        assert_eq!(factor.attempt(instant(now)), Ok(()));
        assert_eq!(factor.attempts_count, 1);
    }

    #[test]
    fn a_code_is_good_once() {
        let mut factor = SecondFactor { last_step: 10, ..factor() };
        let hashes = [RecoveryHash([1; 32]), RecoveryHash([2; 32])];
        factor.recovery_hashes = hashes.to_vec();
        for (step, is_good) in [(9, false), (10, false), (11, true), (11, false), (10, false), (13, true), (12, false)]
        {
            assert_eq!(factor.take(RightCode::Step(step)), is_good, "{step}");
        }
        factor.attempt(instant(0)).unwrap();
        assert!(factor.take(RightCode::Recovery(hashes[0])));
        assert!(!factor.take(RightCode::Recovery(hashes[0])));
        assert_eq!((factor.recovery_hashes, factor.attempts_count), (hashes[1..].to_vec(), 0));
    }
}
