//! Resets of passwords.

use boxoffice_domain::{
    EntropySource, SessionId,
    accounts::{
        AccountChange, ChainKey, ChangedAccount, Credentials, Erasure, LoginId, NewPasswordReset, PASSWORD_RESETS_MAX,
        PasswordChange, PasswordHash, PasswordReset, RefreshHash, ResetTokenHash, Session,
    },
    events::Event,
    fixtures::TestEntropy,
    mail::Notice,
    page::PageRequest,
};
use chrono::TimeDelta;

use super::{
    Stage, at_once, credentials,
    emails::{address, member},
};

const TOKEN_SECONDS: i64 = 1_800;

fn token(number: u8) -> ResetTokenHash {
    ResetTokenHash([number; 32])
}

fn next(number: usize) -> PasswordHash {
    PasswordHash(format!("$argon2id$next-{number}"))
}

/// A new account with a verified address.
async fn reachable(stage: &Stage) -> Credentials {
    let member = member(stage).await;
    stage.begin_email(&member, "first", 1).await;
    stage.verify_email(member.account.id, 1).await;
    assert_eq!(stage.email(member.account.id).await.address, Some(address("first")));
    member
}

async fn session(stage: &Stage, account: &Credentials) -> SessionId {
    let session = Session {
        id: SessionId::new(TestEntropy.uuid()),
        account_id: account.account.id,
        chain_key: Some(ChainKey([7; 32])),
        refresh_hash: RefreshHash([0; 32]),
        former_hash: None,
        created_at: stage.now(),
        last_used_at: stage.now(),
        expires_at: stage.now() + TimeDelta::days(1),
        ended_at: None,
        client: None,
        network: None,
    };
    let id = session.id;
    stage.storage.sessions.open(session, account.password_hash.clone(), 100).await.unwrap().expect("it is opened");
    id
}

impl Stage {
    /// Begins a reset whose token is 32 times this byte when it is hashed.
    pub async fn begin_reset(&self, login_id: &LoginId, number: u8) -> bool {
        let reset = NewPasswordReset {
            login_id: login_id.clone(),
            token_hash: token(number),
            expires_at: self.now() + TimeDelta::seconds(TOKEN_SECONDS),
            mail_id: TestEntropy.uuid(),
            notice: Notice::PasswordReset { token: "a token".to_owned(), minutes_valid: 30 },
        };
        self.storage.resets.begin_reset(reset).await.expect("the storage works")
    }

    /// Uses such a token.
    pub async fn complete_reset(&self, number: u8, next: PasswordHash) -> Option<ChangedAccount> {
        let reset = PasswordReset { token_hash: token(number), next };
        self.storage.resets.complete(reset).await.expect("the storage works")
    }

    async fn is_resettable(&self, number: u8) -> bool {
        self.storage.resets.find_reset(token(number)).await.expect("the storage works").is_some()
    }

    async fn password(&self, account: &Credentials) -> PasswordHash {
        let found = self.storage.accounts.credentials(&account.account.login_id).await.unwrap();
        found.expect("there is an account").password_hash
    }
}

/// A token gives the account another password, once, ends all its sessions, makes its other tokens void, and is an event.
pub async fn a_reset_changes_the_password_once_and_ends_all_sessions(stage: &Stage) {
    let account = reachable(stage).await;
    let (id, login_id) = (account.account.id, &account.account.login_id);
    let (first, second) = (session(stage, &account).await, session(stage, &account).await);
    assert!(stage.begin_reset(login_id, 1).await && stage.begin_reset(login_id, 2).await);
    assert_eq!(stage.storage.resets.find_reset(token(1)).await.unwrap(), Some(account.account.clone()));
    stage.clock.advance_seconds(TOKEN_SECONDS - 1);
    let changed = stage.complete_reset(1, next(1)).await.expect("the token is good");
    let mut ended = changed.ended_sessions.clone();
    ended.sort_unstable();
    assert_eq!(ended, [first, second]);
    assert_eq!((changed.account, changed.access_version), (account.account.clone(), Some(1)));
    assert_eq!(stage.password(&account).await, next(1));
    for used in [1, 2, 3] {
        assert_eq!(stage.complete_reset(used, next(2)).await, None, "{used}");
        assert!(!stage.is_resettable(used).await, "{used}");
    }
    assert_eq!(stage.password(&account).await, next(1));
    if stage.keeps_events {
        let batches = stage.storage.outbox.batches(PageRequest::first(100)).await.unwrap().items;
        let events: Vec<_> = batches.into_iter().flat_map(|batch| batch.events).collect();
        assert_eq!(events, [Event::PasswordChanged { account_id: id }]);
    }
}

/// Of many who use one token at once one chooses the password.
pub async fn one_of_a_hundred_uses_of_a_token_at_once_wins(stage: &Stage) {
    let account = reachable(stage).await;
    assert!(stage.begin_reset(&account.account.login_id, 1).await);
    let completed = at_once(0..100, |number| {
        let resets = stage.storage.resets.clone();
        let reset = PasswordReset { token_hash: token(1), next: next(number) };
        async move { resets.complete(reset).await.unwrap().map(|_| next(number)) }
    });
    let won: Vec<_> = completed.await.into_iter().flatten().collect();
    assert_eq!(won, [stage.password(&account).await]);
}

/// Without an address, an account or the right to sign in nothing is begun.
pub async fn a_reset_is_begun_for_a_verified_address_alone(stage: &Stage) {
    assert!(!stage.begin_reset(&credentials(stage.now()).account.login_id, 1).await);
    let account = member(stage).await;
    let login_id = &account.account.login_id;
    assert!(!stage.begin_reset(login_id, 1).await);
    stage.begin_email(&account, "first", 1).await;
    assert!(!stage.begin_reset(login_id, 1).await, "it is not verified");
    stage.verify_email(account.account.id, 1).await;
    let lock = |locked| AccountChange { locked: Some(locked), ..AccountChange::default() };
    stage.storage.accounts.change(login_id, lock(true)).await.unwrap();
    assert!(!stage.begin_reset(login_id, 1).await, "nobody may sign in");
    stage.storage.accounts.change(login_id, lock(false)).await.unwrap();
    assert!(stage.begin_reset(login_id, 1).await);
    stage.clock.advance_seconds(1);
    stage.storage.accounts.change(login_id, lock(true)).await.unwrap();
    assert!(!stage.is_resettable(1).await);
    assert_eq!(stage.complete_reset(1, next(1)).await, None);
    stage.storage.accounts.change(login_id, lock(false)).await.unwrap();
    let erased = stage.storage.accounts.erase(account.account.id, account.password_hash.clone()).await.unwrap();
    assert!(matches!(erased, Erasure::Erased { .. }), "{erased:?}");
    assert_eq!(stage.complete_reset(1, next(1)).await, None);
}

/// So many resets of one account are begun in an hour, and those of another do not count.
pub async fn no_more_resets_are_begun_in_an_hour_than_may_be(stage: &Stage) {
    let (account, other) = (reachable(stage).await, reachable(stage).await);
    let begun = at_once(0..10, |number| {
        let (resets, login_id) = (stage.storage.resets.clone(), account.account.login_id.clone());
        let reset = NewPasswordReset {
            login_id,
            token_hash: token(number),
            expires_at: stage.now() + TimeDelta::seconds(TOKEN_SECONDS),
            mail_id: TestEntropy.uuid(),
            notice: Notice::PasswordReset { token: "a token".to_owned(), minutes_valid: 30 },
        };
        async move { resets.begin_reset(reset).await.unwrap() }
    });
    let begun = begun.await.into_iter().filter(|begun| *begun).count();
    assert_eq!(begun, PASSWORD_RESETS_MAX as usize);
    assert!(stage.begin_reset(&other.account.login_id, 20).await);
    stage.clock.advance_seconds(3_599);
    assert!(!stage.begin_reset(&account.account.login_id, 21).await);
    stage.clock.advance_seconds(1);
    assert!(stage.begin_reset(&account.account.login_id, 21).await);
    assert!(stage.complete_reset(21, next(1)).await.is_some());
}

/// A token is void once its time is over, the password was changed in another way, or the address is another one.
pub async fn a_token_is_void_after_its_time_or_another_password(stage: &Stage) {
    let account = reachable(stage).await;
    let (id, login_id) = (account.account.id, &account.account.login_id);
    assert!(stage.begin_reset(login_id, 1).await);
    stage.clock.advance_seconds(TOKEN_SECONDS);
    assert!(!stage.is_resettable(1).await);
    assert_eq!(stage.complete_reset(1, next(1)).await, None);

    assert!(stage.begin_reset(login_id, 2).await);
    let kept = session(stage, &account).await;
    let change = PasswordChange { account_id: id, verified: account.password_hash.clone(), next: next(2), kept };
    assert_eq!(stage.storage.accounts.change_password(change).await.unwrap(), Some(Vec::new()));
    assert_eq!(stage.complete_reset(2, next(3)).await, None);

    stage.clock.advance_seconds(3_600);
    assert!(stage.begin_reset(login_id, 3).await);
    let change = AccountChange { password_hash: Some(next(4)), ..AccountChange::default() };
    stage.storage.accounts.change(login_id, change).await.unwrap();
    assert_eq!(stage.complete_reset(3, next(5)).await, None);

    let account = Credentials { password_hash: next(4), ..account };
    assert!(stage.begin_reset(&account.account.login_id, 4).await);
    stage.begin_email(&account, "second", 7).await;
    assert!(stage.is_resettable(4).await);
    stage.verify_email(id, 7).await;
    assert_eq!(stage.complete_reset(4, next(6)).await, None);

    assert!(stage.begin_reset(&account.account.login_id, 5).await);
    assert!(stage.storage.emails.remove_email(id, next(4)).await.unwrap());
    assert_eq!(stage.complete_reset(5, next(7)).await, None);
    assert!(!stage.begin_reset(&account.account.login_id, 6).await);
    assert_eq!(stage.password(&account).await, next(4));
}
