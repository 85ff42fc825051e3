//! What changes of an account.

use super::{Account, Credentials, LoginId, PasswordHash, Role};
use crate::{AccountId, Points, SessionId, Timestamp, text::Name};

impl Credentials {
    /// Erases what says who the holder is, so that the bare id is left.
    pub fn erase(&mut self, now: Timestamp) {
        let Self { account, standing, password_hash, idempotency } = self;
        let text = format!("erased-{}", account.id.uuid().simple());
        // Both are right: the text has 39 letters, digits and dashes.
        (account.login_id, account.name) = (LoginId(text), Name::erased());
        account.role = Role::Customer;
        *password_hash = PasswordHash(String::new());
        *idempotency = None;
        (standing.erased_at, standing.second_factor_at) = (Some(now), None);
        standing.void_access_tokens(now);
    }
}

/// What an account has that keeps it from being erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belongings {
    /// The points in its wallet, and those of charges in progress.
    pub points: Points,
    /// Holds that it can still pay.
    pub live_holds_count: u64,
    /// Paid reservations of performances that have not started.
    pub tickets_count: u64,
    /// Refunds of charges without a verdict: the points come back if they are refused.
    pub refunds_pending_count: u64,
}

impl Belongings {
    /// Whether there are any.
    pub fn are_there(&self) -> bool {
        *self != Self::default()
    }
}

/// What became of an attempt to erase an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// It is erased. With the number from which on its access tokens count: those of no session.
    Erased {
        /// See [`Standing::access_version`](super::Standing::access_version).
        access_version: u64,
    },
    /// It has belongings, and is as it was.
    InUse,
    /// It has another password hash than the one that was verified, or there is no such account.
    Changed,
}

/// What is to change of an account; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct AccountChange {
    pub role: Option<Role>,
    pub name: Option<Name>,
    /// The hash of another password. With it all sessions of the account end.
    pub password_hash: Option<PasswordHash>,
    /// Whether nobody is to sign in. Locking ends all sessions of the account.
    pub locked: Option<bool>,
    /// Whether all sessions of the account are to end.
    pub end_sessions: bool,
    /// Whether the second factor is to be removed, such as one whose device is lost. All sessions end with it.
    pub remove_second_factor: bool,
}

impl AccountChange {
    /// Whether all sessions of the account end with the change.
    pub fn ends_sessions(&self) -> bool {
        self.end_sessions || self.remove_second_factor || self.locked == Some(true) || self.password_hash.is_some()
    }

    /// Changes the account. Another role makes the access tokens void that name the former one, and ending the sessions
    /// those of all.
    ///
    /// A second time at the same `now` changes nothing, so that a storage can repeat what may have happened.
    pub fn apply(&self, credentials: &mut Credentials, now: Timestamp) {
        let Credentials { account, standing, password_hash, .. } = credentials;
        let role = self.role.unwrap_or(account.role);
        let is_repeated = standing.access_changed_at == Some(now);
        if (role != account.role || self.ends_sessions()) && !is_repeated {
            standing.void_access_tokens(now);
        }
        match self.locked {
            Some(true) => standing.locked_at = standing.locked_at.or(Some(now)),
            Some(false) => standing.locked_at = None,
            None => {}
        }
        account.role = role;
        if self.remove_second_factor {
            standing.second_factor_at = None;
        }
        if let Some(name) = &self.name {
            account.name = name.clone();
        }
        if let Some(hash) = &self.password_hash {
            *password_hash = hash.clone();
            standing.is_demo = false;
        }
    }
}

/// An account after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct ChangedAccount {
    pub account: Account,
    /// The sessions that the change has ended.
    pub ended_sessions: Vec<SessionId>,
    /// The number from which on access tokens of the account count, if the change made earlier ones void.
    pub access_version: Option<u64>,
}

/// The holder of an account gives it another password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PasswordChange {
    pub account_id: AccountId,
    /// The hash of the password that the holder has shown to know.
    pub verified: PasswordHash,
    pub next: PasswordHash,
    /// The session of the holder, which goes on.
    pub kept: SessionId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::Standing,
        fixtures::{idempotency, instant},
    };

    #[test]
    fn another_role_makes_access_tokens_void_once() {
        let account = Account {
            id: AccountId::new(uuid::Uuid::from_u128(1)),
            login_id: LoginId::new("haneul").unwrap(),
            name: Name::new("Haneul").unwrap(),
            role: Role::Customer,
            created_at: instant(0),
        };
        let (standing, password_hash) = (Standing::default(), PasswordHash("$".to_owned()));
        let mut credentials = Credentials { account, standing, password_hash, idempotency: None };
        let locked = |locked| AccountChange { locked: Some(locked), ..AccountChange::default() };
        for (role, seconds, version) in [
            (Role::Customer, 1, 0),
            (Role::Promoter, 2, 1),
            // The storage repeats what may have happened.
            (Role::Promoter, 2, 1),
            (Role::Promoter, 3, 1),
            (Role::Customer, 4, 2),
        ] {
            let change = AccountChange { role: Some(role), ..AccountChange::default() };
            change.apply(&mut credentials, instant(seconds));
            assert_eq!((credentials.account.role, credentials.standing.access_version), (role, version), "{seconds}");
        }
        assert_eq!(credentials.standing.access_changed_at, Some(instant(4)));
        for (change, seconds, version, locked_at) in [
            (locked(true), 5, 3, Some(instant(5))),
            (locked(true), 6, 4, Some(instant(5))),
            (locked(false), 7, 4, None),
            (AccountChange { end_sessions: true, ..AccountChange::default() }, 8, 5, None),
        ] {
            change.apply(&mut credentials, instant(seconds));
            let standing = credentials.standing;
            assert_eq!((standing.access_version, standing.locked_at), (version, locked_at), "{seconds}");
            assert_eq!(standing.may_sign_in(), locked_at.is_none());
        }
    }

    #[test]
    fn an_erased_account_says_nothing_of_its_holder() {
        let account = Account {
            id: AccountId::new(uuid::Uuid::from_u128(u128::MAX)),
            login_id: LoginId::new("haneul").unwrap(),
            name: Name::new("Haneul").unwrap(),
            role: Role::Promoter,
            created_at: instant(0),
        };
        let (standing, password_hash) = (Standing::default(), PasswordHash("$argon2id$".to_owned()));
        let mut credentials = Credentials { account, standing, password_hash, idempotency: Some(idempotency()) };
        credentials.erase(instant(9));
        let Credentials { account, standing, password_hash, idempotency } = credentials;
        assert_eq!(LoginId::new(account.login_id.as_str()), Ok(account.login_id.clone()));
        assert_eq!(account.login_id.as_str(), "erased-ffffffffffffffffffffffffffffffff");
        assert_eq!((account.name, account.role), (Name::new("erased").unwrap(), Role::Customer));
        assert!(password_hash.0.is_empty() && idempotency.is_none() && !standing.may_sign_in());
        assert_eq!((account.created_at, standing.access_version), (instant(0), 1));
    }
}
