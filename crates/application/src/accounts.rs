//! Signing up, signing in, and staying signed in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::{
    AccountId, Clock, EntropySource, SessionId, StorageError, Timestamp,
    accounts::{
        AccessClaims, AccessTokenError, AccessTokens, Account, AccountChange, Accounts, CreateAccountError,
        Credentials, HashingError, LoginId, Password, PasswordHasher, RefreshHash, Role, RotateRequest, Rotation,
        Session, Sessions,
    },
    history::Actor,
    idempotency::{Idempotency, KeyReused, Made},
    seconds_after,
    text::Name,
};
use boxoffice_peers::{Peers, Topic};
use sha2::{Digest, Sha256};

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
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct SignUp {
    pub login_id: LoginId,
    pub password: Password,
    pub name: Name,
}

/// What is to change of an account; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ChangeAccount {
    pub role: Option<Role>,
    pub name: Option<Name>,
    pub password: Option<Password>,
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
    #[error(transparent)]
    Hashing(#[from] HashingError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Not the refresh token of a live session. If it had been spent before, the session has ended.
    #[error("the refresh token is not valid")]
    Invalid,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Signing up, signing in, and staying signed in.
pub struct AccountService {
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    pub passwords: Arc<dyn PasswordHasher>,
    pub tokens: Arc<dyn AccessTokens>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
    pub settings: SessionSettings,
    /// The ended sessions whose access tokens have not expired yet.
    pub ended: EndedSessions,
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
        let credentials = Credentials { account: account.clone(), password_hash, idempotency: idempotency.clone() };
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
    /// there is no such account. Another password ends all sessions of the account. This process refuses their access
    /// tokens from now on. Its peers do so when they receive the announcements or, if those are lost, when the tokens
    /// expire.
    pub async fn change(
        &self,
        login_id: &LoginId,
        change: ChangeAccount,
    ) -> Result<Option<(Account, usize)>, ChangeAccountError> {
        let ChangeAccount { role, name, password } = change;
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let changed = self.accounts.change(login_id, AccountChange { role, name, password_hash }).await?;
        Ok(changed.map(|changed| {
            changed.ended_sessions.iter().for_each(|id| self.forget_session(*id));
            (changed.account, changed.ended_sessions.len())
        }))
    }

    /// Opens a session. Refusing a text that cannot be a login id takes as long as refusing a wrong one. A text that
    /// cannot be a password is refused at once, whatever the login id, and so says nothing about it.
    pub async fn sign_in(&self, login_id: &str, password: &str) -> Result<SessionTokens, SignInError> {
        let password = Password::new(password).map_err(|_| SignInError::InvalidCredentials)?;
        let credentials = match LoginId::new(login_id) {
            Ok(login_id) => self.accounts.credentials(&login_id).await?,
            Err(_) => None,
        };
        let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
        let verified = self.passwords.verify(password, hash).await?;
        let credentials = credentials.filter(|_| verified).ok_or(SignInError::InvalidCredentials)?;
        let Credentials { account, password_hash, .. } = credentials;
        let now = self.clock.now();
        let (id, secret) = (SessionId::new(self.entropy.uuid()), self.entropy.secret());
        let session = Session {
            id,
            account_id: account.id,
            refresh_hash: hash_of(secret),
            created_at: now,
            expires_at: seconds_after(now, self.settings.refresh_seconds),
        };
        if !self.sessions.open(session, password_hash).await? {
            // The password was changed while it was verified.
            return Err(SignInError::InvalidCredentials);
        }
        Ok(self.issue(&account, id, secret, now)?)
    }

    /// Exchanges a refresh token for the next pair of tokens, which spends it. Presenting it a second time ends the
    /// session for every holder (RFC 9700, section 4.14.2).
    pub async fn refresh(&self, refresh_token: &str) -> Result<SessionTokens, RefreshError> {
        let (session_id, secret) = parse_refresh_token(refresh_token).ok_or(RefreshError::Invalid)?;
        let now = self.clock.now();
        let next = self.entropy.secret();
        let request = RotateRequest {
            session_id,
            presented: hash_of(secret),
            next: hash_of(next),
            expires_at: seconds_after(now, self.settings.refresh_seconds),
        };
        match self.sessions.rotate(request).await? {
            Rotation::Rotated(account) => Ok(self.issue(&account, session_id, next, now)?),
            Rotation::Reused => {
                tracing::warn!(%session_id, "a spent refresh token was presented; the session is ended");
                self.forget_session(session_id);
                Err(RefreshError::Invalid)
            }
            Rotation::Unknown => Err(RefreshError::Invalid),
        }
    }

    /// Ends the session of the caller. This process refuses its access tokens from now on. Its peers do so when they
    /// receive the announcement or, if that is lost, when the tokens expire.
    pub async fn sign_out(&self, identity: Identity) -> Result<(), StorageError> {
        self.sessions.end(identity.session_id).await?;
        self.forget_session(identity.session_id);
        Ok(())
    }

    /// Refuses the access tokens of a session that a peer has ended, which it publishes under [`Topic::Sessions`].
    pub fn apply_ended_session(&self, text: &str) {
        if let Ok(id) = text.parse() {
            self.remember_ended(id);
        }
    }

    /// Refuses the access tokens of a session that has ended, here and at the peers.
    fn forget_session(&self, id: SessionId) {
        self.remember_ended(id);
        self.peers.publish(Topic::Sessions, id.to_string());
    }

    /// The caller that an access token names.
    pub fn authenticate(&self, access_token: &str) -> Result<Identity, AccessTokenError> {
        let claims = self.tokens.verify(access_token, self.clock.now())?;
        if self.ended.contains(claims.session_id) {
            return Err(AccessTokenError::Invalid);
        }
        Ok(Identity { account_id: claims.account_id, session_id: claims.session_id, role: claims.role })
    }

    /// The account of the caller.
    pub async fn me(&self, identity: Identity) -> Result<Option<Account>, StorageError> {
        self.accounts.find(identity.account_id).await
    }

    fn issue(
        &self,
        account: &Account,
        session_id: SessionId,
        secret: [u8; 32],
        now: Timestamp,
    ) -> Result<SessionTokens, StorageError> {
        let expires_at = seconds_after(now, self.settings.access_seconds);
        let claims = AccessClaims { account_id: account.id, session_id, role: account.role, expires_at };
        Ok(SessionTokens {
            access_token: self.tokens.issue(&claims, now)?,
            expires_in_seconds: self.settings.access_seconds,
            refresh_token: format_refresh_token(session_id, secret),
        })
    }

    fn remember_ended(&self, id: SessionId) {
        let now = self.clock.now();
        self.ended.insert(id, seconds_after(now, self.settings.access_seconds), now);
    }
}

/// Sessions that were ended, each kept until its last access token has expired.
#[derive(Debug, Default)]
pub struct EndedSessions(Mutex<HashMap<SessionId, Timestamp>>);

impl EndedSessions {
    /// From this many on, each insertion removes those whose tokens have expired.
    const PRUNE_ABOVE: usize = 10_000;

    fn contains(&self, id: SessionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    fn insert(&self, id: SessionId, until: Timestamp, now: Timestamp) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= Self::PRUNE_ABOVE {
            ended.retain(|_, until| *until > now);
        }
        ended.insert(id, until);
    }
}

fn hash_of(secret: [u8; 32]) -> RefreshHash {
    RefreshHash(Sha256::digest(secret).into())
}

fn format_refresh_token(id: SessionId, secret: [u8; 32]) -> String {
    let mut bytes = [0; 48];
    bytes[..16].copy_from_slice(id.uuid().as_bytes());
    bytes[16..].copy_from_slice(&secret);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The session that a refresh token names, whether it is valid or not.
pub fn session_of(refresh_token: &str) -> Option<SessionId> {
    parse_refresh_token(refresh_token).map(|(id, _)| id)
}

fn parse_refresh_token(text: &str) -> Option<(SessionId, [u8; 32])> {
    let mut bytes = [0; 48];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (id, secret) = bytes.split_first_chunk::<16>()?;
    let secret = secret.try_into().ok()?;
    (length == bytes.len()).then(|| (SessionId::new(uuid::Uuid::from_bytes(*id)), secret))
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::instant;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn ended_sessions_are_pruned_when_there_are_many_and_only_those_whose_tokens_have_expired() {
        let ended = EndedSessions::default();
        let id = |number: usize| SessionId::new(Uuid::from_u128(number as u128));
        let insert = |number, until, now| {
            ended.insert(id(number), instant(until), instant(now));
            ended.0.lock().unwrap().len()
        };
        assert_eq!([insert(1, 10, 0), insert(2, 11, 10)], [1, 2], "a few are kept longer than needed");
        for number in 3..EndedSessions::PRUNE_ABOVE {
            insert(number, 10, 0);
        }
        assert_eq!(insert(0, 12, 9), EndedSessions::PRUNE_ABOVE, "none has expired");
        assert_eq!(insert(EndedSessions::PRUNE_ABOVE, 12, 10), 3);
        assert!([0, 2, EndedSessions::PRUNE_ABOVE].into_iter().all(|number| ended.contains(id(number))));
    }
}
