//! The e-mail address of an account.

use boxoffice_domain::{
    AccountId, StorageError,
    accounts::{
        AccountEmail, AddressHash, EMAIL_CODE_MINUTES_VALID, EmailBegun, EmailCodeHash, EmailCodeTried, NewEmail,
        PendingEmail,
    },
    mail::{EmailAddress, MailLanguage, NewMail, Notice},
};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{AccountService, ConfirmedError, Identity};

/// There are so many codes, each of 8 digits.
const CODES: u64 = 100_000_000;

/// Why an address was not begun to be verified, or not removed.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    #[error("the server sends no mail")]
    MailNotAvailable,
    /// The account was sent as many codes as it may be.
    #[error("too many mails were asked for")]
    TooManyMails {
        /// After how many seconds another one may be.
        seconds_left: u64,
    },
    #[error(transparent)]
    Confirmed(#[from] ConfirmedError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an address was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyEmailError {
    #[error("the code is wrong")]
    WrongCode,
    #[error("too many codes were wrong")]
    TooManyCodes {
        /// After how many seconds another one may be tried.
        seconds_left: u64,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AccountService {
    /// The e-mail of the caller, with the address that waits for a code that is still good.
    pub async fn own_email(&self, identity: Identity) -> Result<AccountEmail, StorageError> {
        let now = self.clock.now();
        let mut email = self.emails.find_email(identity.account_id).await?;
        email.pending = email.pending.filter(|(_, expires_at)| now < *expires_at);
        Ok(email)
    }

    /// Sends a code to an address that the account of the caller is to have. Other accounts may have the same one. The
    /// caller has to know the password, since the address lets the password be reset.
    pub async fn begin_email(
        &self,
        identity: Identity,
        password: &str,
        address: EmailAddress,
    ) -> Result<(), EmailError> {
        let verified = self.confirm(identity, password).await?.verified;
        if !self.settings.mails_are_sent {
            return Err(EmailError::MailNotAvailable);
        }
        let (account_id, now) = (identity.account_id, self.clock.now());
        let code = new_code(self.entropy.secret());
        let pending = PendingEmail {
            address: address.clone(),
            code_hash: code_hash(account_id, &code),
            expires_at: now + TimeDelta::minutes(i64::from(EMAIL_CODE_MINUTES_VALID)),
        };
        let address_hash = AddressHash(Sha256::digest(address.as_str()).into());
        let notice = Notice::EmailVerification { code, minutes_valid: EMAIL_CODE_MINUTES_VALID };
        let mail = NewMail { id: self.entropy.uuid(), account_id, to: Some(address), notice, created_at: now };
        match self.emails.begin_email(NewEmail { account_id, verified, pending, address_hash, mail }).await? {
            EmailBegun::Begun { is_sent } => {
                if !is_sent {
                    tracing::info!(%account_id, "no mail is sent to an address that has got as many as it may");
                }
                Ok(())
            }
            EmailBegun::TooMany { seconds_left } => Err(EmailError::TooManyMails { seconds_left }),
            // The account was changed while the password was verified.
            EmailBegun::Changed => Err(ConfirmedError::InvalidCredentials.into()),
        }
    }

    /// Verifies the address that the code was sent to.
    pub async fn verify_email(&self, identity: Identity, code: &str) -> Result<(), VerifyEmailError> {
        let hash = code_hash(identity.account_id, code);
        match self.emails.verify_email(identity.account_id, hash).await? {
            EmailCodeTried::Right(_) => Ok(()),
            EmailCodeTried::Wrong => Err(VerifyEmailError::WrongCode),
            EmailCodeTried::TooMany { seconds_left } => Err(VerifyEmailError::TooManyCodes { seconds_left }),
        }
    }

    /// Removes the address of the caller.
    pub async fn remove_email(&self, identity: Identity, password: &str) -> Result<(), EmailError> {
        let verified = self.confirm(identity, password).await?.verified;
        let is_removed = self.emails.remove_email(identity.account_id, verified).await?;
        // The account was changed while the password was verified.
        if is_removed { Ok(()) } else { Err(ConfirmedError::InvalidCredentials.into()) }
    }

    /// Sets the language of the mail to the caller.
    pub async fn set_language(&self, identity: Identity, language: MailLanguage) -> Result<(), StorageError> {
        self.emails.set_language(identity.account_id, language).await
    }
}

fn new_code(random: [u8; 32]) -> String {
    // The last bytes: the first ones of a test are always the same. That 2^64 is no multiple makes no code noticeably
    // likelier.
    let number = random[random.len() - 8..].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:08}", number % CODES)
}

/// What is stored of a code, however it is typed. The account id makes equal codes of two accounts different.
fn code_hash(account_id: AccountId, code: &str) -> EmailCodeHash {
    let digits: String = code.chars().filter(char::is_ascii_digit).collect();
    let hashed = Sha256::new_with_prefix(account_id.uuid().as_bytes()).chain_update(digits);
    EmailCodeHash(hashed.finalize().into())
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::uuid::Uuid;

    use super::*;

    #[test]
    fn a_code_has_eight_digits_and_is_hashed_with_its_account() {
        let mut random = [0; 32];
        assert_eq!(new_code(random), "00000000");
        random[31] = 7;
        assert_eq!(new_code(random), "00000007");
        assert_eq!(new_code([0xff; 32]).len(), 8);
        let (one, other) = (AccountId::new(Uuid::from_u128(1)), AccountId::new(Uuid::from_u128(2)));
        assert!(code_hash(one, "12345678") == code_hash(one, " 1234-5678"));
        assert!(code_hash(one, "12345678") != code_hash(other, "12345678"));
    }
}
