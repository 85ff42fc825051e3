//! Choosing another password by a mail to the verified address of the account.

use async_trait::async_trait;
use uuid::Uuid;

use super::{Account, ChangedAccount, LoginId, PasswordHash};
use crate::{StorageError, Timestamp, mail::Notice, text::debug_without_content};

/// How long a token is good, in minutes.
pub const PASSWORD_RESET_MINUTES_VALID: u32 = 30;
/// How many resets of an account are begun in an hour. The hour of a reset begins with it.
pub const PASSWORD_RESETS_MAX: u32 = 3;

/// The SHA-256 of the token of a reset: what is stored of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResetTokenHash(pub [u8; 32]);

debug_without_content! {
    ResetTokenHash;
}

/// Somebody wants the password of an account to be reset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct NewPasswordReset {
    pub login_id: LoginId,
    pub token_hash: ResetTokenHash,
    pub expires_at: Timestamp,
    pub mail_id: Uuid,
    /// What the mail says, with the token.
    pub notice: Notice,
}

/// The bearer of a token chooses the password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PasswordReset {
    pub token_hash: ResetTokenHash,
    pub next: PasswordHash,
}

/// Keeps the resets of passwords.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait PasswordResets: Send + Sync {
    /// Stores a reset and queues its mail, in one step, if there is an account with this login id, its holder may sign in,
    /// it has a verified address, and fewer than [`PASSWORD_RESETS_MAX`] of its resets were begun in the hour before. Says
    /// whether it did, which the one who asks is not to learn. Earlier tokens stay good.
    async fn begin_reset(&self, reset: NewPasswordReset) -> Result<bool, StorageError>;

    /// The account whose password the token resets; `None` if it is unknown, was used or has expired, or nobody may sign in
    /// to the account.
    async fn find_reset(&self, token_hash: ResetTokenHash) -> Result<Option<Account>, StorageError>;

    /// Uses a token: gives its account the password, ends all its sessions, makes its access tokens and its other
    /// tokens of resets void, and stores [`PasswordChanged`](crate::events::Event::PasswordChanged), all in one step. The
    /// second factor stays. `None`, and nothing is changed, where [`Self::find_reset`] finds nothing: of several calls with
    /// one token, one changes the password.
    async fn complete(&self, reset: PasswordReset) -> Result<Option<ChangedAccount>, StorageError>;
}
