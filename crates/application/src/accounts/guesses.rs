//! How often passwords are guessed: counted over all instances if they share a Redis, otherwise by each.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use boxoffice_domain::{
    AccountId, Timestamp,
    accounts::{Attempts, GuessablePassword, GuessingRule, LoginId, Password},
    text::Name,
};
use boxoffice_peers::Peers;
use passwords::analyzer::is_common_password;
use quick_cache::unsync::Cache;

/// How many subjects are remembered. Of more, those are forgotten that were not guessed at for long.
const SUBJECTS_MAX: usize = 100_000;

/// What is guessed at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// The password of the account with this login id, by somebody who wants to sign in.
    SignIn(LoginId),
    /// The password of a signed-in caller, by the holder of a session. It is counted apart, so that strangers cannot keep
    /// the holder of an account from changing its password.
    Confirm(AccountId),
}

impl Subject {
    /// What is done, and who is meant, as peers count it.
    fn names(&self) -> (&'static str, String) {
        match self {
            Self::SignIn(login_id) => ("sign_in", login_id.to_string()),
            Self::Confirm(account_id) => ("confirm", account_id.to_string()),
        }
    }
}

/// The attempts that this process counts by itself.
pub struct Guesses(Mutex<Cache<Subject, Attempts>>);

impl fmt::Debug for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guesses(…)")
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(SUBJECTS_MAX)))
    }
}

impl Guesses {
    /// Counts an attempt before it is made. If it may not be made yet, says in how many seconds one may be.
    pub(super) async fn count(
        &self,
        subject: &Subject,
        rule: GuessingRule,
        peers: &dyn Peers,
        now: Timestamp,
    ) -> Result<(), u64> {
        let (what, who) = subject.names();
        if let Some(counted) = peers.count_attempt(what, &who, rule).await {
            return counted;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attempts = known.get(subject).copied().unwrap_or_default();
        let counted = attempts.count(rule, now);
        known.insert(subject.clone(), attempts);
        counted
    }

    /// Forgets the attempts before one that succeeded.
    pub(super) async fn forget(&self, subject: &Subject, peers: &dyn Peers) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
        let (what, who) = subject.names();
        peers.forget_attempts(what, &who).await;
    }
}

/// Refuses a password that is guessed first.
pub(super) fn refuse_guessable(password: &Password, login_id: &LoginId, name: &Name) -> Result<(), GuessablePassword> {
    let text = password.expose();
    if is_common_password(text) || is_common_password(text.to_lowercase()) {
        return Err(GuessablePassword::Common);
    }
    password.differs_from(login_id, name)
}
