//! The addresses of accounts, and resets of passwords.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    accounts::{
        Account, AccountChange, AccountEmail, AccountEmails, ChangedAccount, Credentials, EmailBegun, EmailCode,
        EmailCodeHash, EmailCodeTried, HourlyCount, NewEmail, NewPasswordReset, PASSWORD_RESET_MINUTES_VALID,
        PASSWORD_RESETS_MAX, PasswordHash, PasswordReset, PasswordResets, ResetTokenHash,
    },
    events::{Event, EventBatch},
    mail::{MailLanguage, NewMail},
};
use chrono::TimeDelta;

use super::{MemoryStore, Rows};

/// A reset of a password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reset {
    account_id: AccountId,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
}

impl Rows {
    fn may_sign_in(&self, account_id: AccountId) -> bool {
        self.accounts.get(&account_id).is_some_and(|account| account.standing.may_sign_in())
    }

    fn has_password(&self, account_id: AccountId, verified: &PasswordHash) -> bool {
        let has = |account: &Credentials| account.password_hash == *verified;
        self.may_sign_in(account_id) && self.accounts.get(&account_id).is_some_and(has)
    }

    /// Makes the tokens of an account void that were not used.
    pub(super) fn void_resets(&mut self, account_id: AccountId, now: Timestamp) {
        for reset in self.resets.values_mut().filter(|reset| reset.account_id == account_id) {
            reset.used_at.get_or_insert(now);
        }
    }

    /// Removes what is stored of the e-mail of an account.
    pub(super) fn remove_email(&mut self, account_id: AccountId) {
        self.emails.remove(&account_id);
        self.email_codes.remove(&account_id);
        self.resets.retain(|_, reset| reset.account_id != account_id);
        self.mails.retain(|_, mail| mail.account_id != account_id);
    }

    /// The account of a token that may be used.
    fn account_of_reset(&self, token_hash: ResetTokenHash, now: Timestamp) -> Option<AccountId> {
        let reset = self.resets.get(&token_hash)?;
        let is_good = reset.used_at.is_none() && now < reset.expires_at && self.may_sign_in(reset.account_id);
        is_good.then_some(reset.account_id)
    }
}

#[async_trait]
impl AccountEmails for MemoryStore {
    async fn find_email(&self, account_id: AccountId) -> Result<AccountEmail, StorageError> {
        let rows = self.rows();
        let pending = rows.email_codes.get(&account_id).and_then(|code| code.pending.as_ref());
        let pending = pending.map(|pending| (pending.address.clone(), pending.expires_at));
        Ok(AccountEmail { pending, ..rows.emails.get(&account_id).cloned().unwrap_or_default() })
    }

    async fn begin_email(&self, email: NewEmail) -> Result<EmailBegun, StorageError> {
        let NewEmail { account_id, verified, pending, address_hash, mail } = email;
        let now = self.now();
        let mut rows = self.rows();
        if !rows.has_password(account_id, &verified) {
            return Ok(EmailBegun::Changed);
        }
        let code = rows.email_codes.get(&account_id).cloned();
        let mut code = code.unwrap_or_else(|| EmailCode::new(account_id, now));
        let mut to_address = rows.address_mails.get(&address_hash).copied().unwrap_or_else(|| HourlyCount::new(now));
        let is_sent = match code.begin(pending, &mut to_address, now) {
            Ok(is_sent) => is_sent,
            Err(seconds_left) => return Ok(EmailBegun::TooMany { seconds_left }),
        };
        rows.email_codes.insert(account_id, code);
        rows.address_mails.insert(address_hash, to_address);
        if is_sent {
            rows.queue_mail(mail);
        }
        Ok(EmailBegun::Begun { is_sent })
    }

    async fn verify_email(
        &self,
        account_id: AccountId,
        code_hash: EmailCodeHash,
    ) -> Result<EmailCodeTried, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        if !rows.may_sign_in(account_id) {
            return Ok(EmailCodeTried::Wrong);
        }
        let code = rows.email_codes.get_mut(&account_id);
        let tried = code.map_or(EmailCodeTried::Wrong, |code| code.attempt(code_hash, now));
        if let EmailCodeTried::Right(address) = &tried {
            let email = rows.emails.entry(account_id).or_default();
            (email.address, email.verified_at) = (Some(address.clone()), Some(now));
            rows.void_resets(account_id, now);
        }
        Ok(tried)
    }

    async fn remove_email(&self, account_id: AccountId, verified: PasswordHash) -> Result<bool, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        if !rows.has_password(account_id, &verified) {
            return Ok(false);
        }
        if let Some(code) = rows.email_codes.get_mut(&account_id) {
            code.pending = None;
        }
        if let Some(email) = rows.emails.get_mut(&account_id) {
            (email.address, email.verified_at) = (None, None);
        }
        rows.void_resets(account_id, now);
        Ok(true)
    }

    async fn set_language(&self, account_id: AccountId, language: MailLanguage) -> Result<(), StorageError> {
        let mut rows = self.rows();
        let is_erased = |account: &Credentials| account.standing.erased_at.is_some();
        if !rows.accounts.get(&account_id).is_none_or(is_erased) {
            rows.emails.entry(account_id).or_default().language = Some(language);
        }
        Ok(())
    }
}

#[async_trait]
impl PasswordResets for MemoryStore {
    async fn begin_reset(&self, reset: NewPasswordReset) -> Result<bool, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let named = rows.accounts.values().find(|account| account.account.login_id == reset.login_id);
        let account_id = named.map(|account| account.account.id).filter(|id| rows.may_sign_in(*id));
        let address = |id: &AccountId| rows.emails.get(id).and_then(|email| email.address.clone());
        let Some((account_id, address)) = account_id.and_then(|id| Some((id, address(&id)?))) else {
            return Ok(false);
        };
        let counted = now - TimeDelta::minutes(60 - i64::from(PASSWORD_RESET_MINUTES_VALID));
        let is_counted = |known: &&Reset| known.account_id == account_id && known.expires_at > counted;
        if rows.resets.values().filter(is_counted).count() >= PASSWORD_RESETS_MAX as usize {
            return Ok(false);
        }
        let NewPasswordReset { token_hash, expires_at, mail_id, notice, .. } = reset;
        rows.resets.insert(token_hash, Reset { account_id, expires_at, used_at: None });
        rows.queue_mail(NewMail { id: mail_id, account_id, to: Some(address), notice, created_at: now });
        Ok(true)
    }

    async fn find_reset(&self, token_hash: ResetTokenHash) -> Result<Option<Account>, StorageError> {
        let rows = self.rows();
        let account_id = rows.account_of_reset(token_hash, self.now());
        Ok(account_id.map(|id| rows.accounts[&id].account.clone()))
    }

    async fn complete(&self, reset: PasswordReset) -> Result<Option<ChangedAccount>, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let Some(account_id) = rows.account_of_reset(reset.token_hash, now) else {
            return Ok(None);
        };
        let known = rows.accounts.get_mut(&account_id).expect("it was found");
        AccountChange { password_hash: Some(reset.next), ..AccountChange::default() }.apply(known, now);
        let (account, access_version) = (known.account.clone(), Some(known.standing.access_version));
        rows.void_resets(account_id, now);
        let events = vec![Event::PasswordChanged { account_id }];
        rows.batches.push(EventBatch { id: self.entropy.uuid(), events, occurred_at: now });
        let ended_sessions = rows.end_sessions(account_id, |_| true, now);
        Ok(Some(ChangedAccount { account, ended_sessions, access_version }))
    }
}
