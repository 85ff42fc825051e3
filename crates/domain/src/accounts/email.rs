//! The e-mail address of an account, which its holder verifies by a code.

use async_trait::async_trait;

use super::PasswordHash;
use crate::{
    AccountId, StorageError, Timestamp,
    mail::{EmailAddress, MailLanguage, NewMail},
    seconds_after,
    text::debug_without_content,
    time::seconds_until,
};

/// How long a code is good, in minutes.
pub const EMAIL_CODE_MINUTES_VALID: u32 = 15;
/// How many codes of an account may be tried in an hour, whichever mails they are from.
pub const EMAIL_CODE_ATTEMPTS_MAX: u32 = 5;
/// How many mails with a code an account gets in an hour, and how many go to an address, whichever accounts ask.
pub const EMAIL_CODE_MAILS_MAX: u32 = 5;
/// How long acts are counted together.
const HOUR_SECONDS: u32 = 3_600;

/// What is stored of a code: SHA-256 of the account id and the code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EmailCodeHash(pub [u8; 32]);

/// The SHA-256 of an address, under which the mails to it are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressHash(pub [u8; 32]);

debug_without_content! {
    EmailCodeHash;
    AddressHash;
}

/// How often something was done in an hour.
///
/// ```
/// use boxoffice_domain::{accounts::HourlyCount, fixtures::instant};
/// let mut count = HourlyCount::new(instant(0));
/// assert_eq!([count.take(2, instant(1)), count.take(2, instant(2))], [Ok(()), Ok(())]);
/// assert_eq!(count.take(2, instant(3)), Err(3_597));
/// assert_eq!(count.take(2, instant(3_600)), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct HourlyCount {
    pub count: u32,
    /// When the hour began.
    pub since: Timestamp,
}

impl HourlyCount {
    /// None in the hour that begins now.
    pub fn new(now: Timestamp) -> Self {
        Self { count: 0, since: now }
    }

    /// Counts an act if there were fewer than `max` in the hour. Otherwise, gives in how many seconds the hour is over.
    pub fn take(&mut self, max: u32, now: Timestamp) -> Result<(), u64> {
        let until = seconds_after(self.since, HOUR_SECONDS);
        if now >= until {
            *self = Self::new(now);
        }
        if self.count >= max {
            return Err(seconds_until(now, until));
        }
        self.count += 1;
        Ok(())
    }
}

/// The e-mail of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct AccountEmail {
    /// The address that its holder has verified.
    pub address: Option<EmailAddress>,
    pub verified_at: Option<Timestamp>,
    /// The language of its mail; `None`: it was not chosen.
    pub language: Option<MailLanguage>,
    /// The address that waits for its code, and when that expires.
    pub pending: Option<(EmailAddress, Timestamp)>,
}

/// The address that an account is to have, and the code that its holder has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PendingEmail {
    pub address: EmailAddress,
    pub code_hash: EmailCodeHash,
    pub expires_at: Timestamp,
}

/// The code of an account, and how often codes were sent and tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct EmailCode {
    pub account_id: AccountId,
    pub pending: Option<PendingEmail>,
    pub attempts: HourlyCount,
    pub mails: HourlyCount,
}

/// What became of a code that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailCodeTried {
    /// It is right. The account has the address, and the code is not good again.
    Right(EmailAddress),
    /// It is wrong, has expired or was used.
    Wrong,
    /// Too many were tried. After so many seconds one may be.
    TooMany {
        /// See there.
        seconds_left: u64,
    },
}

impl EmailCode {
    /// Of an account that has asked for none.
    pub fn new(account_id: AccountId, now: Timestamp) -> Self {
        Self { account_id, pending: None, attempts: HourlyCount::new(now), mails: HourlyCount::new(now) }
    }

    /// Takes a code in place of the one before, and says whether its mail goes out. `to_address` are the mails that went to
    /// the address. If they are as many as may be, the account does not learn it, and a code that the address has got stays
    /// good. What was tried before is not forgotten.
    pub fn begin(&mut self, pending: PendingEmail, to_address: &mut HourlyCount, now: Timestamp) -> Result<bool, u64> {
        self.mails.take(EMAIL_CODE_MAILS_MAX, now)?;
        let is_sent = to_address.take(EMAIL_CODE_MAILS_MAX, now).is_ok();
        let has_code = |known: &PendingEmail| known.address == pending.address && now < known.expires_at;
        if is_sent || !self.pending.as_ref().is_some_and(has_code) {
            self.pending = Some(pending);
        }
        Ok(is_sent)
    }

    /// Tries a code. The attempt is counted before it is made, so that of many at once no more are made than may be.
    pub fn attempt(&mut self, code_hash: EmailCodeHash, now: Timestamp) -> EmailCodeTried {
        let Some(pending) = self.pending.as_ref().filter(|pending| now < pending.expires_at) else {
            return EmailCodeTried::Wrong;
        };
        if let Err(seconds_left) = self.attempts.take(EMAIL_CODE_ATTEMPTS_MAX, now) {
            return EmailCodeTried::TooMany { seconds_left };
        }
        if pending.code_hash != code_hash {
            return EmailCodeTried::Wrong;
        }
        let address = pending.address.clone();
        self.pending = None;
        EmailCodeTried::Right(address)
    }
}

/// The holder of an account wants it to have an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct NewEmail {
    pub account_id: AccountId,
    /// The hash of the password that the holder has shown to know.
    pub verified: PasswordHash,
    pub pending: PendingEmail,
    pub address_hash: AddressHash,
    /// The mail with the code.
    pub mail: NewMail,
}

/// What became of the wish for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailBegun {
    /// The address waits for its code. Whether the mail goes out, the caller is not to learn.
    Begun {
        /// See there.
        is_sent: bool,
    },
    /// The account has got as many mails as it may. After so many seconds it may get one.
    TooMany {
        /// See there.
        seconds_left: u64,
    },
    /// The account has another password hash than the one that was verified, or nobody signs in to it.
    Changed,
}

/// Keeps the addresses of accounts. Several accounts may have one address: it is none to sign in with.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AccountEmails: Send + Sync {
    /// The e-mail of an account, which is empty if the account has none, and its last code, also an expired one.
    async fn find_email(&self, account_id: AccountId) -> Result<AccountEmail, StorageError>;

    /// [Begins](EmailCode::begin) to verify an address: stores the code and queues its mail, in one step. The address that
    /// was verified before stays until then.
    async fn begin_email(&self, email: NewEmail) -> Result<EmailBegun, StorageError>;

    /// [Tries](EmailCode::attempt) a code, atomically. With the right one the account has the address, and what lets its
    /// password be reset by a mail to the former one is void. Several calls with the right one at the same instant may all
    /// be answered as the first.
    async fn verify_email(
        &self,
        account_id: AccountId,
        code_hash: EmailCodeHash,
    ) -> Result<EmailCodeTried, StorageError>;

    /// Removes the address of an account, the one that waits for its code, and what lets its password be reset; `false`,
    /// and nothing is changed, if the account has another password hash than the one that was verified. How often codes were
    /// sent and tried is kept.
    async fn remove_email(&self, account_id: AccountId, verified: PasswordHash) -> Result<bool, StorageError>;

    /// Sets the language of the mail to an account; does nothing if it was erased.
    async fn set_language(&self, account_id: AccountId, language: MailLanguage) -> Result<(), StorageError>;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fixtures::instant;

    fn pending(address: &str, code: u8, expires: i64) -> PendingEmail {
        let address = EmailAddress::new(address).unwrap();
        PendingEmail { address, code_hash: EmailCodeHash([code; 32]), expires_at: instant(expires) }
    }

    fn code() -> EmailCode {
        EmailCode::new(AccountId::new(Uuid::from_u128(1)), instant(0))
    }

    fn count() -> HourlyCount {
        HourlyCount::new(instant(0))
    }

    #[test]
    fn a_code_is_good_once_and_until_it_expires() {
        let mut code = code();
        assert_eq!(code.attempt(EmailCodeHash([1; 32]), instant(0)), EmailCodeTried::Wrong);
        let address = pending("a@example.org", 1, 900);
        assert_eq!(code.begin(address.clone(), &mut count(), instant(0)), Ok(true));
        let mut late = code.clone();
        assert_eq!(late.attempt(EmailCodeHash([1; 32]), instant(900)), EmailCodeTried::Wrong);
        assert_eq!(code.attempt(EmailCodeHash([2; 32]), instant(899)), EmailCodeTried::Wrong);
        assert_eq!(code.attempt(EmailCodeHash([1; 32]), instant(899)), EmailCodeTried::Right(address.address));
        assert_eq!(code.attempt(EmailCodeHash([1; 32]), instant(899)), EmailCodeTried::Wrong);
    }

    #[test]
    fn another_code_gives_no_further_attempts() {
        let mut code = code();
        for tried in 0..2 * EMAIL_CODE_ATTEMPTS_MAX {
            let now = i64::from(tried);
            if tried % 3 == 0 {
                assert_eq!(code.begin(pending("a@example.org", 1, now + 900), &mut count(), instant(now)), Ok(true));
            }
            let attempt = code.attempt(EmailCodeHash([9; 32]), instant(now));
            if tried < EMAIL_CODE_ATTEMPTS_MAX {
                assert_eq!(attempt, EmailCodeTried::Wrong, "{tried}");
            } else {
                assert_eq!(attempt, EmailCodeTried::TooMany { seconds_left: 3_600 - u64::from(tried) }, "{tried}");
            }
        }
        let attempt = code.attempt(EmailCodeHash([1; 32]), instant(100));
        assert_eq!(attempt, EmailCodeTried::TooMany { seconds_left: 3_500 }, "nor is the right one tried");
    }

    #[test]
    fn an_account_asks_for_so_many_codes_an_hour() {
        let mut code = code();
        for number in 0..EMAIL_CODE_MAILS_MAX {
            let address = pending(&format!("a{number}@example.org"), 1, 900);
            assert_eq!(code.begin(address, &mut count(), instant(0)), Ok(true));
        }
        let last = code.clone();
        assert_eq!(code.begin(pending("b@example.org", 2, 900), &mut count(), instant(10)), Err(3_590));
        assert_eq!(code, last);
        assert_eq!(code.begin(pending("b@example.org", 2, 4_500), &mut count(), instant(3_600)), Ok(true));
    }

    #[test]
    fn an_address_that_has_got_enough_mails_gets_none_and_keeps_its_code() {
        let mut full = HourlyCount { count: EMAIL_CODE_MAILS_MAX, since: instant(0) };
        let mut code = code();
        assert_eq!(code.begin(pending("a@example.org", 1, 900), &mut count(), instant(0)), Ok(true));
        assert_eq!(code.begin(pending("a@example.org", 2, 910), &mut full, instant(10)), Ok(false));
        assert_eq!(code.pending, Some(pending("a@example.org", 1, 900)));
        assert_eq!(code.begin(pending("b@example.org", 3, 920), &mut full, instant(20)), Ok(false));
        assert_eq!(code.pending, Some(pending("b@example.org", 3, 920)));
    }
}
