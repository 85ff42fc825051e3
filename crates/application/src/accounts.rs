//! Signing up, signing in, and staying signed in.

mod refresh_token;
mod revocations;
mod second_factor;
mod sessions;

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, Clock, EntropySource, SessionId, StorageError,
    accounts::{
        AccessTokens, Account, AccountChange, AccountRecords, Accounts, ChainKey, ChangedAccount, ClientName,
        CreateAccountError, Credentials, Erasure, HashingError, LoginId, Member, Password, PasswordChange,
        PasswordHash, PasswordHasher, Role, SecondFactors, Session, Sessions, Standing,
    },
    history::Actor,
    idempotency::{Idempotency, KeyReused, Made},
    text::Name,
};
use boxoffice_peers::Peers;

use refresh_token::RefreshSecret;

pub use refresh_token::session_of;
pub use revocations::Revocations;
pub use second_factor::{NewFactor, SecondFactorError};

/// The caller, as its access token names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub account_id: AccountId,
    /// The session in which the account signed in.
    pub session_id: SessionId,
    pub role: Role,
}

/// A caller that may be staff, and by which request it acts, for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staff {
    pub identity: Identity,
    /// `None` if it is no request.
    pub request_id: Option<String>,
}

impl From<Identity> for Staff {
    fn from(identity: Identity) -> Self {
        Self { identity, request_id: None }
    }
}

impl From<Staff> for Actor {
    fn from(staff: Staff) -> Self {
        Self { account_id: Some(staff.identity.account_id), request_id: staff.request_id }
    }
}

/// How long a sign-in lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// How long an access token is valid.
    pub access_seconds: u32,
    /// How long a session lasts without being refreshed.
    pub refresh_seconds: u32,
    /// For how long the refresh token before gives the pair again that it was exchanged for.
    pub refresh_grace_seconds: u32,
    /// How long a session lasts however often it is refreshed.
    pub session_days_max: u32,
    /// How many sessions of an account go on at once.
    pub sessions_per_account: u32,
    /// Whether staff without a second factor may only set it up.
    pub staff_needs_second_factor: bool,
    /// Whether accounts of the demonstration are signed in, whose passwords are public.
    pub demo: bool,
}

impl SessionSettings {
    /// Whether the account is signed in, and stays so.
    fn admits(&self, standing: Standing) -> bool {
        standing.may_sign_in() && (self.demo || !standing.is_demo)
    }
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct SignUp {
    pub login_id: LoginId,
    pub password: Password,
    pub name: Name,
}

/// A person who wants to sign in, as a client sent it.
#[derive(Clone)]
pub struct SignIn<'a> {
    pub login_id: &'a str,
    pub password: &'a str,
    /// A code of the second factor, if the account has one.
    pub code: Option<&'a str>,
    /// What the client calls itself.
    pub client: Option<ClientName>,
}

/// What is to change of an account; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ChangeAccount {
    pub role: Option<Role>,
    pub name: Option<Name>,
    pub password: Option<Password>,
    /// Whether nobody is to sign in.
    pub locked: Option<bool>,
    /// Whether all sessions are to end.
    pub end_sessions: bool,
    /// Whether the second factor is to be removed.
    pub remove_second_factor: bool,
}

/// What a signed-in client keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTokens {
    pub access_token: String,
    /// How long the access token is valid.
    pub expires_in_seconds: u32,
    /// Single use: exchanges for the next pair of tokens.
    pub refresh_token: String,
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("login_id", &self.login_id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTokens").field("expires_in_seconds", &self.expires_in_seconds).finish_non_exhaustive()
    }
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("the login id is taken")]
    LoginIdTaken,
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAccountError {
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a caller was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or another password. The caller does not learn which of the two.
    #[error("the login id or the password is wrong")]
    InvalidCredentials,
    /// The password is right, and the code of the second factor is missing, wrong, or was used before.
    #[error("a code of the second factor is required")]
    SecondFactorRequired,
    #[error("too many codes of the second factor were wrong")]
    TooManyCodes {
        /// After how many seconds another one may be tried.
        seconds_left: u64,
    },
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why something was not done for which the caller has to give the password again.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmedError {
    #[error("the password is wrong")]
    InvalidCredentials,
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an account was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error(transparent)]
    Confirmed(#[from] ConfirmedError),
    /// It has points, charges in progress, holds that can be paid, or tickets of performances to come.
    #[error("the account is in use")]
    InUse,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Not the refresh token of a live session. If it had been spent longer ago, the session has ended.
    #[error("the refresh token is not valid")]
    Invalid,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Signing up, signing in, and staying signed in.
pub struct AccountService {
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    /// What the holder of an account may have a copy of.
    pub records: Arc<dyn AccountRecords>,
    pub factors: Arc<dyn SecondFactors>,
    pub passwords: Arc<dyn PasswordHasher>,
    pub tokens: Arc<dyn AccessTokens>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
    pub settings: SessionSettings,
    /// What is refused although its access tokens have not expired yet.
    pub revocations: Revocations,
    pub peers: Arc<dyn Peers>,
}

impl AccountService {
    /// Makes an account of this role.
    ///
    /// If the account that has the login id was made under the same idempotency key with the same name and password,
    /// returns that account.
    pub async fn sign_up(
        &self,
        sign_up: SignUp,
        role: Role,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Account>, SignUpError> {
        let SignUp { login_id, password, name } = sign_up;
        let password_hash = self.passwords.hash(password.clone()).await?;
        let id = AccountId::new(self.entropy.uuid());
        let account = Account { id, login_id, name, role, created_at: self.clock.now() };
        let (account_made, standing) = (account.clone(), Standing::default());
        let credentials =
            Credentials { account: account_made, standing, password_hash, idempotency: idempotency.clone() };
        let existing = match self.accounts.create(credentials).await {
            Ok(()) => return Ok(Made::now(account)),
            Err(CreateAccountError::LoginIdTaken(existing)) => existing,
            Err(CreateAccountError::Storage(error)) => return Err(error.into()),
        };
        let (Some(first), Some(again)) = (existing.idempotency, idempotency) else {
            return Err(SignUpError::LoginIdTaken);
        };
        if first.key != again.key {
            return Err(SignUpError::LoginIdTaken);
        }
        let replayed = first.replay(&again, existing.account)?;
        if self.passwords.verify(password, Some(existing.password_hash)).await? {
            Ok(replayed)
        } else {
            Err(KeyReused.into())
        }
    }

    /// Changes an account for the operator. Gives the account as it is then, and how many sessions have ended; `None` if
    /// there is no such account. Another password ends all sessions of the account, and so does locking it. Another role makes the access tokens
    /// void that name the former one; sessions get new ones by refreshing. This process refuses such tokens from now on. Its
    /// peers do so when they receive the announcements or, if those are lost, when they next read what was revoked.
    pub async fn change(
        &self,
        login_id: &LoginId,
        change: ChangeAccount,
    ) -> Result<Option<(Account, usize)>, ChangeAccountError> {
        let ChangeAccount { role, name, password, locked, end_sessions, remove_second_factor } = change;
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let change = AccountChange { role, name, password_hash, locked, end_sessions, remove_second_factor };
        let changed = self.accounts.change(login_id, change).await?;
        Ok(changed.map(|changed| {
            let ChangedAccount { account, ended_sessions, access_version } = changed;
            for id in &ended_sessions {
                self.revoke_session(*id);
            }
            if let Some(version) = access_version {
                self.revoke_account(account.id, version);
            }
            (account, ended_sessions.len())
        }))
    }

    /// Opens a session. Refusing a text that cannot be a login id takes as long as refusing a wrong one. A text that
    /// cannot be a password is refused at once, whatever the login id, and so says nothing about it.
    pub async fn sign_in(&self, sign_in: SignIn<'_>) -> Result<SessionTokens, SignInError> {
        let password = Password::new(sign_in.password).map_err(|_| SignInError::InvalidCredentials)?;
        let credentials = match LoginId::new(sign_in.login_id) {
            Ok(login_id) => self.accounts.credentials(&login_id).await?,
            Err(_) => None,
        };
        // An erased account has no password.
        let credentials = credentials.filter(|known| known.standing.erased_at.is_none());
        let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
        let verified = self.passwords.verify(password, hash).await?;
        let may_sign_in = |known: &Credentials| verified && self.settings.admits(known.standing);
        let credentials = credentials.filter(may_sign_in).ok_or(SignInError::InvalidCredentials)?;
        let Credentials { account, standing, password_hash, .. } = credentials;
        if standing.second_factor_at.is_some() {
            self.check_code(account.id, sign_in.code).await?;
        }
        let now = self.clock.now();
        let (id, chain_key) = (SessionId::new(self.entropy.uuid()), ChainKey(self.entropy.secret()));
        let secret = RefreshSecret::first(id, chain_key, self.entropy.secret());
        let session = Session {
            id,
            account_id: account.id,
            chain_key: Some(chain_key),
            refresh_hash: secret.hash(),
            former_hash: None,
            created_at: now,
            last_used_at: now,
            expires_at: self.session_expires_at(now, now),
            ended_at: None,
            client: sign_in.client,
        };
        let opened = self.sessions.open(session, password_hash, self.settings.sessions_per_account).await?;
        // Without one, the account was changed while the password was verified.
        let ended = opened.ok_or(SignInError::InvalidCredentials)?;
        for id in &ended {
            self.revoke_session(*id);
        }
        Ok(self.issue(&Member { account, standing }, id, secret, now)?)
    }

    /// Gives the caller another password, and ends all other sessions of the account.
    pub async fn change_password(
        &self,
        identity: Identity,
        current: &str,
        next: Password,
    ) -> Result<(), ConfirmedError> {
        let verified = self.confirm(identity, current).await?;
        let next = self.passwords.hash(next).await?;
        let (account_id, kept) = (identity.account_id, identity.session_id);
        let change = PasswordChange { account_id, verified, next, kept };
        let ended = self.accounts.change_password(change).await?;
        // Without one, the password was changed while it was verified.
        let ended = ended.ok_or(ConfirmedError::InvalidCredentials)?;
        for id in &ended {
            self.revoke_session(*id);
        }
        Ok(())
    }

    /// Erases the account of the caller, and with it all sessions: what says who the holder is, but not what moved points.
    pub async fn erase(&self, identity: Identity, password: &str) -> Result<(), EraseError> {
        let verified = self.confirm(identity, password).await?;
        match self.accounts.erase(identity.account_id, verified).await? {
            Erasure::Erased { access_version } => {
                self.revoke_session(identity.session_id);
                self.revoke_account(identity.account_id, access_version);
                Ok(())
            }
            Erasure::InUse => Err(EraseError::InUse),
            // The account was changed while the password was verified.
            Erasure::Changed => Err(ConfirmedError::InvalidCredentials.into()),
        }
    }

    /// The hash of the caller's password, if this is the password.
    async fn confirm(&self, identity: Identity, password: &str) -> Result<PasswordHash, ConfirmedError> {
        let password = Password::new(password).map_err(|_| ConfirmedError::InvalidCredentials)?;
        let credentials = match self.accounts.find(identity.account_id).await? {
            Some(account) => self.accounts.credentials(&account.login_id).await?,
            None => None,
        };
        let credentials = credentials.filter(|known| known.standing.may_sign_in());
        let hash = credentials.map(|credentials| credentials.password_hash);
        let verified = self.passwords.verify(password, hash.clone()).await?;
        hash.filter(|_| verified).ok_or(ConfirmedError::InvalidCredentials)
    }

    /// The account of the caller.
    pub async fn me(&self, identity: Identity) -> Result<Option<Account>, StorageError> {
        self.accounts.find(identity.account_id).await
    }
}
