//! Sessions: one for each sign-in, and the access tokens that name them.

use async_trait::async_trait;

use super::{Member, PasswordHash, Role};
use crate::{AccountId, SessionId, StorageError, Timestamp, text::debug_without_content};

/// The SHA-256 of a refresh secret: what is stored of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshHash(pub [u8; 32]);

debug_without_content! {
    RefreshHash;
}

/// One sign-in of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Session {
    /// Its id; access tokens name it.
    pub id: SessionId,
    pub account_id: AccountId,
    /// The hash of the one refresh secret that is valid now.
    pub refresh_hash: RefreshHash,
    pub created_at: Timestamp,
    /// When it ends if it is not refreshed before.
    pub expires_at: Timestamp,
}

/// A holder of a refresh secret exchanges it for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotateRequest {
    /// The session.
    pub session_id: SessionId,
    /// The hash of the secret that was presented.
    pub presented: RefreshHash,
    /// The hash of the secret that takes its place.
    pub next: RefreshHash,
    /// When the session ends from then on, if it is not refreshed before.
    pub expires_at: Timestamp,
}

/// What became of an attempt to refresh a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The presented secret was valid, and the next one has taken its place. With the account that signed in.
    Rotated(Member),
    /// The session lives, but another secret is valid: the presented one was exchanged before, so one of two holders is
    /// a thief. The session has been ended.
    Reused,
    /// There is no such session, or it ended or lapsed before.
    Unknown,
}

/// What is to be refused although its access tokens have not expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Sessions that have ended.
    pub sessions: Vec<SessionId>,
    /// Accounts, each with the number from which on its access tokens count
    /// ([`Standing::access_version`](super::Standing::access_version)).
    pub accounts: Vec<(AccountId, u64)>,
}

/// Keeps the sessions.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores a new session, if the account still has the password hash that was `verified`, and returns whether it does:
    /// a sign-in that is under way while the [password changes](Accounts::change) opens none that outlives the change.
    async fn open(&self, session: Session, verified: PasswordHash) -> Result<bool, StorageError>;

    /// Exchanges the refresh secret, atomically: of several concurrent calls with one secret, exactly one
    /// is [`Rotation::Rotated`], and the next one ends the session ([`Rotation::Reused`]).
    async fn rotate(&self, request: RotateRequest) -> Result<Rotation, StorageError>;

    /// Ends a session; ending one that is not there is no error.
    async fn end(&self, id: SessionId) -> Result<(), StorageError>;

    /// The sessions that have ended, and the accounts whose access tokens became void, at `since` or later. Those that
    /// lapsed are not among them: their access tokens lapsed before.
    async fn revoked_since(&self, since: Timestamp) -> Result<Revoked, StorageError>;
}

/// What an access token says of its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct AccessClaims {
    pub account_id: AccountId,
    pub session_id: SessionId,
    /// What the account could do when the token was issued.
    pub role: Role,
    /// The [`Standing::access_version`](super::Standing::access_version) of the account when the token was issued.
    pub access_version: u64,
    pub expires_at: Timestamp,
}

/// Why an access token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    /// It was not signed with a key of this installation.
    #[error("the access token is not valid")]
    Invalid,
    /// It was signed with such a key, and its time is over.
    #[error("the access token has expired")]
    Expired,
}

/// Signs and checks access tokens.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait AccessTokens: Send + Sync {
    /// A signed token that says this.
    fn issue(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, StorageError>;

    /// What a token says, if its signature is valid and its time is not over at `now`.
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, AccessTokenError>;
}
