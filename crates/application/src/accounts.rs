//! Signing up, signing in, and staying signed in.

mod email;
mod guesses;
mod known;
mod password_reset;
mod refresh_token;
mod revocations;
mod second_factor;
mod sessions;
mod sign_in;

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, Clock, EntropySource, Network, SessionId, StorageError,
    accounts::{
        AccessTokens, Account, AccountChange, AccountEmails, AccountRecords, Accounts, ChangedAccount, ClientName,
        CreateAccountError, Credentials, Erasure, GuessablePassword, GuessingRule, HashingError, LoginId, Password,
        PasswordChange, PasswordHash, PasswordHasher, PasswordResets, Role, SecondFactors, Sessions, Standing,
    },
    history::Actor,
    idempotency::{Idempotency, KeyReused, Made},
    text::Name,
};
use boxoffice_peers::Peers;

use guesses::{Subject, refuse_guessable};
use refresh_token::RefreshSecret;

pub use email::{EmailError, VerifyEmailError};
pub use guesses::Guesses;
pub use known::KnownAccounts;
pub use password_reset::PasswordResetError;
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
    /// Whether mail is sent. Otherwise no address is verified, and no password reset begins.
    pub mails_are_sent: bool,
    /// How often a password may be wrong.
    pub guessing: GuessingRule,
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

impl SignUp {
    /// Refuses a password that is guessed first.
    pub fn check(&self) -> Result<(), GuessablePassword> {
        refuse_guessable(&self.password, &self.login_id, &self.name)
    }
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
    /// The network from which it comes; `None` if that is not known.
    pub network: Option<Network>,
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
    /// Who is signed in.
    pub account_id: AccountId,
    pub session_id: SessionId,
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
        f.debug_struct("SessionTokens").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    #[error("the login id is taken")]
    LoginIdTaken,
    #[error(transparent)]
    Guessable(#[from] GuessablePassword),
    /// The account is there already, and too many passwords were wrong for it.
    #[error("too many passwords were wrong")]
    TooManyPasswords {
        /// After how many seconds another one may be tried.
        seconds_left: u64,
    },
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
    Guessable(#[from] GuessablePassword),
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A caller was not signed in.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SignInRefused {
    /// The account that has the login id, for those who run the server. The caller does not learn it.
    pub account_id: Option<AccountId>,
    #[source]
    pub error: SignInError,
}

/// Why a caller was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or another password. The caller does not learn which of the two.
    #[error("the login id or the password is wrong")]
    InvalidCredentials,
    /// Too many passwords were wrong for this login id, whether there is an account or not.
    #[error("too many passwords were wrong")]
    TooManyPasswords {
        /// After how many seconds another one may be tried.
        seconds_left: u64,
    },
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
    /// Too many passwords were wrong.
    #[error("too many passwords were wrong")]
    TooManyPasswords {
        /// After how many seconds another one may be tried.
        seconds_left: u64,
    },
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    #[error(transparent)]
    Confirmed(#[from] ConfirmedError),
    /// The new one.
    #[error(transparent)]
    Guessable(#[from] GuessablePassword),
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
    /// Not the refresh token of a live session.
    #[error("the refresh token is not valid")]
    Invalid,
    /// It had been spent longer ago, so one of two who had it is a thief, and the session has ended. The caller does not
    /// learn that.
    #[error("the refresh token was spent")]
    Reused {
        /// Whose session it was.
        account_id: AccountId,
        session_id: SessionId,
    },
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
    pub emails: Arc<dyn AccountEmails>,
    pub resets: Arc<dyn PasswordResets>,
    pub passwords: Arc<dyn PasswordHasher>,
    pub tokens: Arc<dyn AccessTokens>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
    pub settings: SessionSettings,
    /// What is refused although its access tokens have not expired yet.
    pub revocations: Revocations,
    /// How often passwords were wrong.
    pub guesses: Guesses,
    /// The accounts that existed lately.
    pub known: Arc<KnownAccounts>,
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
        sign_up.check()?;
        let SignUp { login_id, password, name } = sign_up;
        let password_hash = self.passwords.hash(password.clone()).await?;
        let id = AccountId::new(self.entropy.uuid());
        let account = Account { id, login_id, name, role, created_at: self.clock.now() };
        let (account_made, standing) = (account.clone(), Standing::default());
        let credentials =
            Credentials { account: account_made, standing, password_hash, idempotency: idempotency.clone() };
        let existing = match self.accounts.create(credentials).await {
            Ok(()) => {
                self.known.note(id);
                return Ok(Made::now(account));
            }
            Err(CreateAccountError::LoginIdTaken(existing)) => existing,
            Err(CreateAccountError::Storage(error)) => return Err(error.into()),
        };
        let (Some(first), Some(again)) = (existing.idempotency, idempotency) else {
            return Err(SignUpError::LoginIdTaken);
        };
        if first.key != again.key {
            return Err(SignUpError::LoginIdTaken);
        }
        let subject = Subject::SignIn(existing.account.login_id.clone());
        let replayed = first.replay(&again, existing.account)?;
        self.count_guess(&subject).await.map_err(|seconds_left| SignUpError::TooManyPasswords { seconds_left })?;
        if !self.passwords.verify(password, Some(existing.password_hash)).await? {
            return Err(KeyReused.into());
        }
        self.guesses.forget(&subject, self.peers.as_ref()).await;
        Ok(replayed)
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
            Some(password) => {
                let known = self.accounts.credentials(login_id).await?;
                let Some(name) = name.clone().or(known.map(|known| known.account.name)) else {
                    return Ok(None);
                };
                refuse_guessable(&password, login_id, &name)?;
                Some(self.passwords.hash(password).await?)
            }
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

    /// Gives the caller another password, and ends all other sessions of the account.
    pub async fn change_password(
        &self,
        identity: Identity,
        current: &str,
        next: Password,
    ) -> Result<(), ChangePasswordError> {
        let Confirmed { account, verified } = self.confirm(identity, current).await?;
        refuse_guessable(&next, &account.login_id, &account.name)?;
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
        let verified = self.confirm(identity, password).await?.verified;
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

    /// Confirms that the caller knows the password of its account.
    async fn confirm(&self, identity: Identity, password: &str) -> Result<Confirmed, ConfirmedError> {
        let password = Password::new(password).map_err(|_| ConfirmedError::InvalidCredentials)?;
        let subject = Subject::Confirm(identity.account_id);
        self.count_guess(&subject).await.map_err(|seconds_left| ConfirmedError::TooManyPasswords { seconds_left })?;
        let credentials = match self.accounts.find(identity.account_id).await? {
            Some(account) => self.accounts.credentials(&account.login_id).await?,
            None => None,
        };
        let credentials = credentials.filter(|known| known.standing.may_sign_in());
        let hash = credentials.as_ref().map(|known| known.password_hash.clone());
        let verified = self.passwords.verify(password, hash).await?;
        let known = credentials.filter(|_| verified).ok_or(ConfirmedError::InvalidCredentials)?;
        self.guesses.forget(&subject, self.peers.as_ref()).await;
        Ok(Confirmed { account: known.account, verified: known.password_hash })
    }

    /// Counts an attempt to guess a password, or says in how many seconds one may be made.
    async fn count_guess(&self, subject: &Subject) -> Result<(), u64> {
        self.guesses.count(subject, self.settings.guessing, self.peers.as_ref(), self.clock.now()).await
    }

    /// The account of the caller.
    pub async fn me(&self, identity: Identity) -> Result<Option<Account>, StorageError> {
        self.accounts.find(identity.account_id).await
    }
}

/// The account of a caller who knows its password.
struct Confirmed {
    account: Account,
    /// The hash of the password.
    verified: PasswordHash,
}
