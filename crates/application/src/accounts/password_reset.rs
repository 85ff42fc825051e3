//! Choosing another password by a mail.

use std::error::Error;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::{
    AccountId, StorageError,
    accounts::{
        ChangedAccount, GuessablePassword, HashingError, LoginId, NewPasswordReset, PASSWORD_RESET_MINUTES_VALID,
        Password, PasswordReset, ResetTokenHash,
    },
    mail::Notice,
};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{AccountService, Subject, refuse_guessable};

/// Why a password was not reset.
#[derive(Debug, thiserror::Error)]
pub enum PasswordResetError {
    /// No such token, or it was used, is void, or has expired. The caller does not learn which of these.
    #[error("the token of the reset is not valid")]
    Invalid,
    /// The new password.
    #[error(transparent)]
    Guessable(#[from] GuessablePassword),
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AccountService {
    /// Sends a token to the verified address of the account with this login id, if there are such an account and address.
    /// Nothing says whether there are: a failure is logged here, and the caller is answered before this is done.
    pub async fn begin_password_reset(&self, login_id: LoginId) {
        let (random, now) = (self.entropy.secret(), self.clock.now());
        let token = URL_SAFE_NO_PAD.encode(random);
        let reset = NewPasswordReset {
            login_id,
            token_hash: token_hash(&token),
            expires_at: now + TimeDelta::minutes(i64::from(PASSWORD_RESET_MINUTES_VALID)),
            mail_id: self.entropy.uuid(),
            notice: Notice::PasswordReset { token, minutes_valid: PASSWORD_RESET_MINUTES_VALID },
        };
        match self.resets.begin_reset(reset).await {
            Ok(is_begun) => tracing::debug!(is_begun, "a reset of a password was asked for"),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "a reset of a password was not begun"),
        }
    }

    /// Gives the account of a token another password, and ends all its sessions. Its second factor stays, so that the mailbox
    /// alone lets nobody sign in to an account that has one. Names the account.
    pub async fn complete_password_reset(&self, token: &str, next: Password) -> Result<AccountId, PasswordResetError> {
        let token_hash = token_hash(token);
        let account = self.resets.find_reset(token_hash).await?.ok_or(PasswordResetError::Invalid)?;
        refuse_guessable(&next, &account.login_id, &account.name)?;
        let next = self.passwords.hash(next).await?;
        let changed = self.resets.complete(PasswordReset { token_hash, next }).await?;
        let ChangedAccount { account, ended_sessions, access_version } = changed.ok_or(PasswordResetError::Invalid)?;
        for id in &ended_sessions {
            self.revoke_session(*id);
        }
        if let Some(version) = access_version {
            self.revoke_account(account.id, version);
        }
        // Those who guessed the former password do not keep its holder waiting.
        self.guesses.forget(&Subject::SignIn(account.login_id.clone()), self.peers.as_ref()).await;
        Ok(account.id)
    }
}

fn token_hash(token: &str) -> ResetTokenHash {
    ResetTokenHash(Sha256::digest(token).into())
}
