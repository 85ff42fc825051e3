//! People who can sign in, and their sessions.

mod changes;
mod email;
mod guessing;
mod password_reset;
mod records;
mod second_factor;
mod sessions;

use std::str::FromStr;

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, SessionId, StorageError, Timestamp,
    idempotency::Idempotency,
    text::{
        Name, TextError,
        characters::{self, Purpose},
        debug_without_content, string_conversions,
    },
};

pub use changes::{AccountChange, Belongings, ChangedAccount, Erasure, PasswordChange};
pub use email::{
    AccountEmail, AccountEmails, AddressHash, EMAIL_CODE_ATTEMPTS_MAX, EMAIL_CODE_MAILS_MAX, EMAIL_CODE_MINUTES_VALID,
    EmailBegun, EmailCode, EmailCodeHash, EmailCodeTried, HourlyCount, NewEmail, PendingEmail,
};
pub use guessing::{ATTEMPTS_REMEMBERED_SECONDS, Attempts, GuessablePassword, GuessingRule};
pub use password_reset::{
    NewPasswordReset, PASSWORD_RESET_MINUTES_VALID, PASSWORD_RESETS_MAX, PasswordReset, PasswordResets, ResetTokenHash,
};
pub use records::{AccountRecords, Belonging, PublishedKind};
pub use second_factor::{
    CODE_ATTEMPTS_FREE, CodeAttempt, Confirmation, FactorChanged, RECOVERY_CODES, RecoveryHash, RightCode,
    SecondFactor, SecondFactors, TotpSecret,
};
pub use sessions::{
    AccessClaims, AccessTokenError, AccessTokens, CLIENT_NAME_CHARACTERS_MAX, ChainKey, ClientName, Presented,
    RefreshHash, Revoked, RotateRequest, Session, Sessions, SessionsToEnd,
};
#[cfg(feature = "mocks")]
pub use {
    email::MockAccountEmails,
    password_reset::MockPasswordResets,
    records::MockAccountRecords,
    second_factor::MockSecondFactors,
    sessions::{MockAccessTokens, MockSessions},
};

/// The fewest characters of a login id.
pub const LOGIN_ID_CHARACTERS_MIN: usize = 3;
/// The most characters of a login id.
pub const LOGIN_ID_CHARACTERS_MAX: usize = 64;
/// The fewest characters of a password (NIST SP 800-63B, 3.1.1).
pub const PASSWORD_CHARACTERS_MIN: usize = 8;
/// The most characters of a password.
pub const PASSWORD_CHARACTERS_MAX: usize = 128;

/// What an account signs in with: 3 to 64 of `a-z 0-9 . _ - @ +`, starting with a letter or digit.
///
/// ```
/// use boxoffice_domain::accounts::LoginId;
/// assert!(LoginId::new("haneul.kim+tickets@example.org").is_ok());
/// assert_eq!(LoginId::new("Haneul ")?, LoginId::new("haneul")?);
/// assert!(LoginId::new(".haneul").is_err());
/// # Ok::<(), boxoffice_domain::accounts::InvalidLoginId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct LoginId(String);

/// The text is not a login id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a login id has 3 to 64 of `a-z 0-9 . _ - @ +` and starts with a letter or digit")]
pub struct InvalidLoginId;

impl LoginId {
    /// Folds and checks a login id: spaces around it are dropped, capitals become small, and full-width characters become
    /// plain ones, so that a person who types the login id in another way finds the same account. Folding is that of the
    /// profile `UsernameCaseMapped` (RFC 8265, section 3.3), of whose characters those of ASCII are allowed.
    pub fn new(text: &str) -> Result<Self, InvalidLoginId> {
        let folded = text.trim().chars().map(|character| plain_width(character).to_ascii_lowercase());
        let folded: String = folded.take(LOGIN_ID_CHARACTERS_MAX + 1).collect();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = |byte: u8| plain(byte) || b"._-@+".contains(&byte);
        let fits = (LOGIN_ID_CHARACTERS_MIN..=LOGIN_ID_CHARACTERS_MAX).contains(&folded.len());
        if fits && folded.bytes().all(allowed) && folded.bytes().next().is_some_and(plain) {
            Ok(Self(folded))
        } else {
            Err(InvalidLoginId)
        }
    }
}

/// The ASCII character of which the character is the full-width form, or the character itself.
fn plain_width(character: char) -> char {
    match character {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character),
        _ => character,
    }
}

string_conversions! {
    LoginId, InvalidLoginId;
}

/// A password, in the one form in which it is hashed. It is never printed and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// Why a text is not a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// It is too short or too long.
    #[error("a password has 8 to 128 characters")]
    Length,
    /// It has a character that cannot be typed again on every keyboard, because it cannot be seen.
    #[error("a password {0}")]
    Character(TextError),
}

impl Password {
    /// Normalizes and checks a password. Keyboards and systems write one character in several ways, and a password is the
    /// same in all of them: every space is U+0020, and all is in normalization form C, as in the profile `OpaqueString`
    /// (RFC 8265, section 4.2). Unlike that profile, old Hangul, emoji and characters that Unicode is yet to define are
    /// welcome. Nothing is trimmed.
    pub fn new(text: &str) -> Result<Self, InvalidPassword> {
        let text = characters::with_plain_spaces(characters::normalized(text));
        if !(PASSWORD_CHARACTERS_MIN..=PASSWORD_CHARACTERS_MAX).contains(&text.chars().count()) {
            return Err(InvalidPassword::Length);
        }
        characters::check(&text, Purpose::Secret).map_err(InvalidPassword::Character)?;
        Ok(Self(text.into_owned()))
    }

    /// The password itself, for hashing alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The hash of a password, in PHC string format (`$argon2id$…`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Role {
    /// Buys tickets.
    Customer,
    /// Also publishes venues, concerts and performances, and sees how its performances sell.
    Promoter,
    /// Also manages the concerts of every promoter.
    Admin,
}

impl Role {
    /// The name of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Promoter => "promoter",
            Self::Admin => "admin",
        }
    }

    /// Whether the role may publish venues and concerts.
    pub fn may_publish(self) -> bool {
        matches!(self, Self::Promoter | Self::Admin)
    }
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is `customer`, `promoter` or `admin`")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Customer, Self::Promoter, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// A person who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Account {
    pub id: AccountId,
    /// What it signs in with, unique.
    pub login_id: LoginId,
    pub name: Name,
    pub role: Role,
    pub created_at: Timestamp,
}

/// What decides whether an account gets access, beside its password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Counts the changes that make access tokens void which were issued before. Each token carries the number that was
    /// current when it was issued.
    pub access_version: u64,
    /// When it was last counted up.
    pub access_changed_at: Option<Timestamp>,
    /// Since when the operator lets nobody sign in.
    pub locked_at: Option<Timestamp>,
    /// When its holder had it erased: it is kept for the money that it moved, and nobody signs in again.
    pub erased_at: Option<Timestamp>,
    /// Since when signing in asks for a second factor.
    pub second_factor_at: Option<Timestamp>,
    /// Whether it is an account of the demonstration, whose password is public.
    pub is_demo: bool,
}

impl Standing {
    /// Makes all access tokens void that were issued until now.
    pub fn void_access_tokens(&mut self, now: Timestamp) {
        self.access_version += 1;
        self.access_changed_at = Some(now);
    }

    /// Whether its holder may sign in, with the right password.
    pub fn may_sign_in(&self) -> bool {
        self.locked_at.is_none() && self.erased_at.is_none()
    }
}

/// An account with what decides whether it gets access.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Member {
    pub account: Account,
    pub standing: Standing,
}

/// An account with what is needed to check its password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Credentials {
    pub account: Account,
    pub standing: Standing,
    pub password_hash: PasswordHash,
    /// The key under which the account was made, if the caller gave one.
    pub idempotency: Option<Idempotency>,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateAccountError {
    /// Another account has the login id. Its credentials show whether it is the account of an earlier, equal request.
    #[error("the login id is taken")]
    LoginIdTaken(Box<Credentials>),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps the accounts.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Stores a new account together with its empty wallet, and an [act](crate::history::StaffAct::staff_made) if it is of
    /// staff. Exactly one of several concurrent calls with one login id
    /// succeeds; the others get [`CreateAccountError::LoginIdTaken`]. A second call with the same account id succeeds
    /// and makes no second account.
    async fn create(&self, credentials: Credentials) -> Result<(), CreateAccountError>;

    /// The account with this id.
    async fn find(&self, id: AccountId) -> Result<Option<Account>, StorageError>;

    /// The account with this login id, and its password's hash; that of an erased account is empty.
    async fn credentials(&self, login_id: &LoginId) -> Result<Option<Credentials>, StorageError>;

    /// Changes the account with this login id, and returns it as it is then; `None` if there is none, or it was erased. A
    /// change of the password ends the sessions of the account in the same step, if the storage keeps them, and names those that had
    /// not ended or lapsed before. What the change does is decided by [`AccountChange::apply`]. A storage that keeps events
    /// writes that the [password was changed](crate::events::Event::PasswordChanged).
    async fn change(&self, login_id: &LoginId, change: AccountChange) -> Result<Option<ChangedAccount>, StorageError>;

    /// Gives an account another password, and ends its other sessions in the same step, if the storage keeps them. Names
    /// the sessions that it ended; `None`, and nothing is changed, if the account has another password hash than the one
    /// that was verified. A storage that keeps events writes that the
    /// [password was changed](crate::events::Event::PasswordChanged).
    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StorageError>;

    /// Replaces the hash of an account's password by another one of the same password, if it is still `verified`. Its
    /// sessions go on.
    async fn renew_hash(
        &self,
        id: AccountId,
        verified: PasswordHash,
        renewed: PasswordHash,
    ) -> Result<(), StorageError>;

    /// [Erases](Credentials::erase) an account and removes its sessions, in one step, unless it has [`Belongings`], and if
    /// it still has the password hash that was `verified`. What it paid, charged and reserved is kept under its id.
    async fn erase(&self, id: AccountId, verified: PasswordHash) -> Result<Erasure, StorageError>;

    /// Marks the account with this login id as one of the demonstration, if there is one.
    async fn mark_demo(&self, login_id: &LoginId) -> Result<(), StorageError>;

    /// How many accounts are of the demonstration.
    async fn count_demo(&self) -> Result<u64, StorageError>;
}

debug_without_content! {
    Password;
    PasswordHash;
}

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// As many passwords as are allowed at once are being hashed, and enough are waiting.
    #[error("too many passwords are being checked at the moment")]
    Busy,
    /// The hashing itself failed.
    #[error("the password could not be hashed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Hashes passwords, slowly on purpose, and never on a thread that serves other requests.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// The hash of a password, with a new salt.
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError>;

    /// Whether the password belongs to the hash. Without a hash, or if they do not belong together and the hash was made
    /// with less work than new ones are, it takes as long as with a new hash, so that the time taken does not show whether a
    /// login id exists.
    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, HashingError>;

    /// Whether the hash was made as new ones are made.
    fn is_current(&self, hash: &PasswordHash) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_ids_follow_the_field_rule() {
        for good in ["abc", "0ab", "a.b_c-d@e+f", &"a".repeat(64)] {
            assert!(LoginId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "-abc", "a b", "a bc", "abç", "a\nbc", " ab ", "a\u{200b}bc", &"a".repeat(65)] {
            assert!(LoginId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_login_id_is_the_same_however_it_is_typed() {
        for typed in ["Haneul", "HANEUL", " haneul", "haneul\n", "\u{3000}ｈａｎｅｕｌ ", "Ｈaneul"] {
            assert_eq!(LoginId::new(typed).unwrap().as_str(), "haneul", "{typed:?}");
        }
        assert_eq!("Kim@Example.ORG".parse::<LoginId>().unwrap().as_str(), "kim@example.org");
        // Other letters that look like those of ASCII are none of them.
        for other in ["hаneul", "\u{212a}im", "haneu\u{2113}", "ha\u{301}neul"] {
            assert!(LoginId::new(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_password_counts_characters_and_is_never_printed() {
        assert!(Password::new("1234567").is_err());
        assert!(Password::new(&"비".repeat(128)).is_ok());
        assert!(Password::new(&"비".repeat(129)).is_err());
        let password = Password::new("hunter2hunter2").unwrap();
        assert_eq!((format!("{password:?}").as_str(), password.expose()), ("Password(…)", "hunter2hunter2"));
    }

    #[test]
    fn a_password_is_the_same_in_every_form_of_unicode() {
        let same = |one: &str, other: &str| Password::new(one).unwrap() == Password::new(other).unwrap();
        assert!(same("pa\u{df}wo\u{308}rter", "pa\u{df}w\u{f6}rter"));
        assert!(same("\u{1107}\u{1175}\u{1106}\u{1175}\u{11af} 12345", "비밀 12345"));
        assert!(same("correct\u{a0}horse", "correct horse") && same("correct\u{3000}horse", "correct horse"));
        for (one, other) in [
            ("Correct horse", "correct horse"),
            ("correct horse ", "correct horse"),
            ("ｃorrect horse", "correct horse"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
        // Characters are counted in that form.
        assert_eq!(Password::new(&"e\u{301}".repeat(7)), Err(InvalidPassword::Length));
        assert!(Password::new(&"e\u{301}".repeat(128)).is_ok());
        assert!(Password::new("👩\u{200d}💻👩\u{200d}💻👩\u{200d}💻").is_ok());
        for unseen in ["long enough\u{200b}", "\u{feff}long enough", "long\tenough", "long enough\r"] {
            assert!(matches!(Password::new(unseen), Err(InvalidPassword::Character(_))), "{unseen:?}");
        }
    }

    #[test]
    fn roles_are_named_as_they_are_parsed() {
        for role in [Role::Customer, Role::Promoter, Role::Admin] {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
        assert_eq!([Role::Customer, Role::Promoter, Role::Admin].map(Role::may_publish), [false, true, true]);
    }
}
