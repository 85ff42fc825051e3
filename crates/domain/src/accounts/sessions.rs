//! Sessions: one for each sign-in, and the access tokens that name them.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::{Member, PasswordHash, Role};
use crate::{AccountId, Network, SessionId, StorageError, Timestamp, seconds_after, text::debug_without_content};

/// The most characters of the name of a client.
pub const CLIENT_NAME_CHARACTERS_MAX: usize = 200;

/// What a client calls itself (`User-Agent`), so that a person recognizes her sessions: a line of visible characters of
/// ASCII.
///
/// ```
/// use boxoffice_domain::accounts::ClientName;
/// assert_eq!(ClientName::new(" curl/8.5\t(x)\u{202e}").unwrap().as_str(), "curl/8.5 (x)");
/// assert_eq!(ClientName::new("\u{200b}"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct ClientName(String);

impl ClientName {
    /// Drops what is neither visible nor a space, each run of which becomes one; cuts what is too long. `None` if nothing
    /// is left.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |word: &str| word.chars().filter(char::is_ascii_graphic).collect::<String>();
        let words: Vec<_> = text.split_whitespace().map(plain).filter(|word| !word.is_empty()).collect();
        let line: String = words.join(" ").chars().take(CLIENT_NAME_CHARACTERS_MAX).collect();
        let line = line.trim_end();
        (!line.is_empty()).then(|| Self(line.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of a refresh secret: what is stored of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshHash(pub [u8; 32]);

/// From which, with the secret before, the next refresh secret of a session follows. It alone gives none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainKey(pub [u8; 32]);

debug_without_content! {
    RefreshHash;
    ChainKey;
}

/// One sign-in of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Session {
    /// Its id; access tokens name it.
    pub id: SessionId,
    pub account_id: AccountId,
    /// `None` until the first refresh of a session that a version opened which knew of none.
    pub chain_key: Option<ChainKey>,
    /// The hash of the one refresh secret that is valid now.
    pub refresh_hash: RefreshHash,
    /// The hash of the secret before, if the session was ever refreshed.
    pub former_hash: Option<RefreshHash>,
    pub created_at: Timestamp,
    /// When it was opened or refreshed last.
    pub last_used_at: Timestamp,
    /// When it ends if it is not refreshed before.
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// What the client called itself that signed in.
    pub client: Option<ClientName>,
    /// The network from which it signed in; `None` if that is not known.
    pub network: Option<Network>,
}

/// What a refresh secret is for a session that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// The valid one.
    Current,
    /// The one before, which was exchanged less than the grace ago: its holder may not have got the answer.
    Former,
    /// The one before, which was exchanged longer ago: one of two holders is a thief.
    Spent,
    /// None of both.
    Other,
}

impl Session {
    /// Whether it goes on.
    pub fn is_living(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }

    /// Whether the client that opened this session looks like that of the other one: it has the same name, and signed in
    /// from the same network, as far as both are known.
    pub fn is_of_same_client(&self, other: &Self) -> bool {
        let is_same_network = self.network.zip(other.network).is_none_or(|(one, other)| one == other);
        self.client == other.client && is_same_network
    }

    /// What the secret with this hash is.
    pub fn judge(&self, presented: RefreshHash, grace_seconds: u32, now: Timestamp) -> Presented {
        if presented == self.refresh_hash {
            return Presented::Current;
        }
        match self.former_hash == Some(presented) {
            true if self.is_within_grace(grace_seconds, now) => Presented::Former,
            true => Presented::Spent,
            false => Presented::Other,
        }
    }

    /// Whether the last exchange of its secret was less than the grace ago.
    pub fn is_within_grace(&self, grace_seconds: u32, now: Timestamp) -> bool {
        self.former_hash.is_some() && now < seconds_after(self.last_used_at, grace_seconds)
    }
}

/// The valid refresh secret of a session is exchanged for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotateRequest {
    /// The session.
    pub session_id: SessionId,
    /// From which the next secret was made.
    pub chain_key: ChainKey,
    /// The hash of the secret that was presented.
    pub presented: RefreshHash,
    /// The hash of the secret that takes its place.
    pub next: RefreshHash,
    /// When the session ends from then on, if it is not refreshed before.
    pub expires_at: Timestamp,
}

/// Which sessions of an account are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// This one.
    One(SessionId),
    /// All but this one.
    AllBut(SessionId),
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
    /// Stores a new session, if the account still has the password hash that was `verified`, and its holder may sign in;
    /// otherwise `None`: a sign-in that is under way while the [account changes](super::Accounts::change) opens none that
    /// outlives the change.
    ///
    /// In the same step it ends the oldest sessions of the account, so that no more than `sessions_max` go on, and names
    /// them. A storage that keeps events writes that the account was [signed in to from
    /// elsewhere](crate::events::Event::SignedInElsewhere), if it keeps sessions of the account, ended ones too, and none of
    /// them is [of the same client](Session::is_of_same_client).
    async fn open(
        &self,
        session: Session,
        verified: PasswordHash,
        sessions_max: u32,
    ) -> Result<Option<Vec<SessionId>>, StorageError>;

    /// A session, also one that has ended, and its account.
    async fn find(&self, id: SessionId) -> Result<Option<(Session, Member)>, StorageError>;

    /// The sessions of an account that go on, the oldest first.
    async fn list(&self, account_id: AccountId) -> Result<Vec<Session>, StorageError>;

    /// Exchanges the refresh secret, atomically, if the session goes on and the presented one is valid, and says when that
    /// was. Of several concurrent exchanges of one secret one is made; those for the same next secret are answered as that
    /// one was, the others with `None`.
    async fn rotate(&self, request: RotateRequest) -> Result<Option<Timestamp>, StorageError>;

    /// Ends a session; ending one that is not there, or has ended, is no error.
    async fn end(&self, id: SessionId) -> Result<(), StorageError>;

    /// Ends a session if its valid secret still is that of `seen`, and says whether it does.
    async fn end_reused(&self, id: SessionId, seen: RefreshHash) -> Result<bool, StorageError>;

    /// Ends sessions of an account, and names those that it ended: those that went on.
    async fn end_of(&self, account_id: AccountId, which: SessionsToEnd) -> Result<Vec<SessionId>, StorageError>;

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
    /// Whether signing in to the account asked for a second factor when the token was issued.
    pub has_second_factor: bool,
    pub expires_at: Timestamp,
}

/// Why an access token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    /// It was not signed with a key of this installation.
    #[error("the access token is not valid")]
    Invalid,
    /// It was signed with such a key, and its time is over; or it names a key that this installation does not have any more.
    /// Refreshing the session gives another one.
    #[error("the access token has expired")]
    Expired,
    /// The account is staff without a second factor, and may only set one up.
    #[error("the account has to set up a second factor first")]
    SecondFactorMissing,
}

/// Signs and checks access tokens.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait AccessTokens: Send + Sync {
    /// A signed token that says this. The same claims at the same `now`, under the same key, give the same token.
    fn issue(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, StorageError>;

    /// What a token says, if its signature is valid and its time is not over at `now`.
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, AccessTokenError>;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::fixtures::instant;

    #[test]
    fn the_name_of_a_client_is_a_bounded_line_of_what_can_be_seen() {
        let name = |text: &str| ClientName::new(text).map(|name| name.0);
        assert_eq!(name("Mozilla/5.0 (X11; Linux x86_64)").as_deref(), Some("Mozilla/5.0 (X11; Linux x86_64)"));
        assert_eq!(name("  a\r\n  b\u{1b}[31m\u{7f}é ").as_deref(), Some("a b[31m"));
        assert_eq!(name(&"x ".repeat(200)).unwrap().len(), CLIENT_NAME_CHARACTERS_MAX - 1);
        assert_eq!(name(&"x".repeat(2_000)).unwrap().len(), CLIENT_NAME_CHARACTERS_MAX);
        for nothing in ["", "  ", "\u{200b}", "한국어"] {
            assert_eq!(name(nothing), None);
        }
    }

    #[test]
    fn a_client_is_known_by_its_name_and_its_network() {
        let session = |client: &str, network: Option<&str>| Session {
            id: SessionId::new(Uuid::from_u128(1)),
            account_id: AccountId::new(Uuid::from_u128(2)),
            chain_key: None,
            refresh_hash: RefreshHash([1; 32]),
            former_hash: None,
            created_at: instant(0),
            last_used_at: instant(0),
            expires_at: instant(1_000),
            ended_at: None,
            client: ClientName::new(client),
            network: network.map(|text| text.parse().unwrap()),
        };
        let known = session("Firefox", Some("192.0.2.0/24"));
        for same in [session("Firefox", Some("192.0.2.7")), session("Firefox", None)] {
            assert!(same.is_of_same_client(&known) && known.is_of_same_client(&same), "{same:?}");
        }
        for other in [session("curl", Some("192.0.2.0/24")), session("Firefox", Some("198.51.100.0/24"))] {
            assert!(!other.is_of_same_client(&known) && !known.is_of_same_client(&other), "{other:?}");
        }
        assert!(!session("", None).is_of_same_client(&known));
    }

    #[test]
    fn the_secret_before_is_good_for_the_grace_and_a_session_until_its_end() {
        let hash = |number| RefreshHash([number; 32]);
        let session = Session {
            id: SessionId::new(Uuid::from_u128(1)),
            account_id: AccountId::new(Uuid::from_u128(2)),
            chain_key: None,
            refresh_hash: hash(2),
            former_hash: Some(hash(1)),
            created_at: instant(0),
            last_used_at: instant(100),
            expires_at: instant(1_000),
            ended_at: None,
            client: None,
            network: None,
        };
        let judge = |number, grace_seconds, seconds| session.judge(hash(number), grace_seconds, instant(seconds));
        assert_eq!(judge(2, 20, 999), Presented::Current);
        assert_eq!(
            [judge(1, 20, 119), judge(1, 20, 120), judge(1, 0, 100)],
            [Presented::Former, Presented::Spent, Presented::Spent]
        );
        assert_eq!(judge(3, 20, 100), Presented::Other);
        let first = Session { former_hash: None, ..session.clone() };
        assert_eq!(first.judge(hash(1), 20, instant(100)), Presented::Other);
        assert!(!first.is_within_grace(20, instant(100)), "its secret was never exchanged");
        assert!(session.is_living(instant(999)) && !session.is_living(instant(1_000)));
        assert!(!Session { ended_at: Some(instant(100)), ..session }.is_living(instant(200)));
    }
}
