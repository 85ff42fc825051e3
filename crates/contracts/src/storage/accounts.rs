//! Accounts and their sessions.

use boxoffice_domain::{
    AccountId, EntropySource, SessionId,
    accounts::{
        Account, AccountChange, ChangedAccount, CreateAccountError, Credentials, LoginId, Member, PasswordHash,
        RefreshHash, Revoked, Role, RotateRequest, Rotation, Session, Standing,
    },
    fixtures::{TestEntropy, idempotency, instant},
};
use chrono::TimeDelta;

use super::{Stage, at_once, credentials, name, show::succeeded};

/// An account is found as it was made.
pub async fn an_account_is_found_by_its_id_and_by_its_login_id(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let credentials = Credentials { idempotency: Some(idempotency()), ..credentials(stage.now()) };
    accounts.create(credentials.clone()).await.unwrap();
    let account = &credentials.account;
    assert_eq!(accounts.find(account.id).await.unwrap().as_ref(), Some(account));
    let found = accounts.credentials(&account.login_id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&credentials));
    assert_eq!(accounts.find(AccountId::new(TestEntropy.uuid())).await.unwrap(), None);
    assert_eq!(accounts.credentials(&LoginId::new("nobody").unwrap()).await.unwrap(), None);
}

/// A login id is given once; the other requests learn whose it is.
pub async fn one_of_fifty_at_once_gets_the_login_id(stage: &Stage) {
    let login_id = LoginId::new("haneul.kim").unwrap();
    let wanted = (0..50).map(|_| {
        let mut wanted = credentials(stage.now());
        wanted.account.login_id = login_id.clone();
        wanted
    });
    let outcomes = at_once(wanted, |credentials| {
        let accounts = stage.storage.accounts.clone();
        async move { accounts.create(credentials).await }
    })
    .await;
    let winner = stage.storage.accounts.credentials(&login_id).await.unwrap().expect("one of them");
    assert_eq!(succeeded(&outcomes), 1);
    for outcome in outcomes {
        match outcome {
            Ok(()) => {}
            Err(CreateAccountError::LoginIdTaken(by)) => assert_eq!(*by, winner),
            Err(CreateAccountError::Storage(error)) => panic!("the storage failed: {error:?}"),
        }
    }
}

/// A login id is found, and is taken, however it is typed.
pub async fn a_login_id_is_one_however_it_is_typed(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let mut first = credentials(stage.now());
    first.account.login_id = LoginId::new("Haneul.Kim ").unwrap();
    accounts.create(first.clone()).await.unwrap();
    for typed in ["haneul.kim", "HANEUL.KIM", " haneul.kim", "ｈaneul.kim"] {
        let login_id = LoginId::new(typed).unwrap();
        assert_eq!(accounts.credentials(&login_id).await.unwrap().as_ref(), Some(&first), "{typed:?}");
        let mut again = credentials(stage.now());
        again.account.login_id = login_id;
        let taken = accounts.create(again).await;
        assert!(matches!(taken, Err(CreateAccountError::LoginIdTaken(by)) if *by == first), "{typed:?}");
    }
}

/// What a change names is changed by login id, and nothing else of the account.
pub async fn an_account_is_changed_by_login_id_as_far_as_is_asked(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let mut expected = Credentials { idempotency: Some(idempotency()), ..credentials(stage.now()) };
    accounts.create(expected.clone()).await.unwrap();
    let other = credentials(stage.now());
    accounts.create(other.clone()).await.unwrap();
    let login_id = expected.account.login_id.clone();
    let hash = PasswordHash("$argon2id$other".to_owned());
    let (promoter, name) = (Some(Role::Promoter), Some(name("한\u{301} other name")));
    for change in [
        AccountChange { role: promoter, ..AccountChange::default() },
        AccountChange { role: promoter, ..AccountChange::default() },
        AccountChange { name: name.clone(), ..AccountChange::default() },
        AccountChange { password_hash: Some(hash.clone()), ..AccountChange::default() },
        AccountChange::default(),
        AccountChange { role: Some(Role::Admin), name, password_hash: Some(hash) },
    ] {
        stage.clock.advance_seconds(1);
        let account = &mut expected.account;
        let is_other_role = change.role.is_some_and(|role| role != account.role);
        account.role = change.role.unwrap_or(account.role);
        account.name = change.name.clone().unwrap_or(account.name.clone());
        expected.password_hash = change.password_hash.clone().unwrap_or(expected.password_hash);
        let standing = &mut expected.standing;
        if is_other_role {
            *standing =
                Standing { access_version: standing.access_version + 1, access_changed_at: Some(stage.now()) };
        }
        let access_version = is_other_role.then_some(standing.access_version);
        let changed = accounts.change(&login_id, change).await.unwrap();
        let account = expected.account.clone();
        assert_eq!(changed, Some(ChangedAccount { account, ended_sessions: Vec::new(), access_version }));
        assert_eq!(accounts.credentials(&login_id).await.unwrap().as_ref(), Some(&expected));
    }
    assert_eq!(accounts.credentials(&other.account.login_id).await.unwrap(), Some(other));
    let change = AccountChange { role: Some(Role::Admin), ..AccountChange::default() };
    assert_eq!(accounts.change(&LoginId::new("nobody").unwrap(), change).await.unwrap(), None);
}

/// What was revoked can be read from an instant on: sessions that ended, whatever ended them, and accounts whose access
/// tokens became void.
pub async fn what_was_revoked_is_read_from_an_instant_on(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let second = reopened(stage, &first).await;
    let (other, of_other) = opened(stage).await;
    let (_, going_on) = opened(stage).await;
    let sessions = &stage.storage.sessions;
    let revoked = async |seconds| {
        let mut revoked = sessions.revoked_since(instant(seconds)).await.unwrap();
        revoked.sessions.sort_unstable();
        revoked
    };
    assert_eq!(revoked(0).await, Revoked::default());

    stage.clock.set(instant(10));
    sessions.end(first.id).await.unwrap();
    stage.clock.set(instant(20));
    // Ending it again is no later end.
    sessions.end(first.id).await.unwrap();
    assert!(matches!(stage.rotate(&second, 0, 1).await, Rotation::Rotated(_)));
    assert_eq!(stage.rotate(&second, 0, 2).await, Rotation::Reused);
    stage.clock.set(instant(30));
    let change = |role, hash: Option<&str>| {
        let password_hash = hash.map(|hash| PasswordHash(hash.to_owned()));
        AccountChange { role: Some(role), password_hash, ..AccountChange::default() }
    };
    let port = &stage.storage.accounts;
    port.change(&other.login_id, change(Role::Customer, Some("$argon2id$other"))).await.unwrap();
    port.change(&account.login_id, change(Role::Promoter, None)).await.unwrap();
    let mut all = vec![first.id, second.id, of_other.id];
    all.sort_unstable();
    assert_eq!(revoked(0).await, Revoked { sessions: all.clone(), accounts: vec![(account.id, 1)] });
    assert_eq!(revoked(10).await.sessions, all);
    assert_eq!(revoked(21).await, Revoked { sessions: vec![of_other.id], accounts: vec![(account.id, 1)] });
    stage.clock.set(instant(40));
    port.change(&account.login_id, change(Role::Customer, None)).await.unwrap();
    assert_eq!(revoked(31).await, Revoked { sessions: Vec::new(), accounts: vec![(account.id, 2)] });
    assert_eq!(revoked(41).await, Revoked::default());
    let Rotation::Rotated(member) = stage.rotate(&going_on, 0, 1).await else { panic!("it goes on") };
    assert_eq!(member.standing, Standing::default());
    let again = reopened(stage, &first).await;
    let Rotation::Rotated(member) = stage.rotate(&again, 0, 1).await else { panic!("it is opened") };
    assert_eq!(member.standing, Standing { access_version: 2, access_changed_at: Some(instant(40)) });
}

/// Another password ends every session of the account in the same step, and no session of another one.
pub async fn another_password_ends_the_sessions_of_the_account(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let second = reopened(stage, &first).await;
    let ended_before = reopened(stage, &first).await;
    stage.storage.sessions.end(ended_before.id).await.unwrap();
    stage.clock.advance_seconds(1);
    let (_, of_another) = opened(stage).await;
    let change = |change| stage.storage.accounts.change(&account.login_id, change);

    let role_alone = AccountChange { role: Some(Role::Promoter), ..AccountChange::default() };
    assert_eq!(change(role_alone).await.unwrap().unwrap().ended_sessions, []);
    assert!(matches!(stage.rotate(&first, 0, 1).await, Rotation::Rotated(_)));

    let password_hash = Some(PasswordHash("$argon2id$other".to_owned()));
    let another_password = AccountChange { password_hash, ..AccountChange::default() };
    let mut ended = change(another_password).await.unwrap().unwrap().ended_sessions;
    let mut expected = vec![first.id, second.id];
    ended.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ended, expected);
    assert_eq!(stage.rotate(&first, 1, 2).await, Rotation::Unknown);
    assert_eq!(stage.rotate(&second, 0, 1).await, Rotation::Unknown);
    assert!(matches!(stage.rotate(&of_another, 0, 1).await, Rotation::Rotated(_)));
    let later = reopened(stage, &first).await;
    assert!(matches!(stage.rotate(&later, 0, 1).await, Rotation::Rotated(_)));
}

/// A session opened for a new account, with the account and the one valid secret.
async fn opened(stage: &Stage) -> (Account, Session) {
    let credentials = credentials(stage.now());
    stage.storage.accounts.create(credentials.clone()).await.unwrap();
    let session = Session {
        id: SessionId::new(TestEntropy.uuid()),
        account_id: credentials.account.id,
        refresh_hash: RefreshHash([0; 32]),
        created_at: stage.now(),
        expires_at: stage.now() + TimeDelta::days(1),
    };
    assert!(stage.storage.sessions.open(session.clone(), credentials.password_hash).await.unwrap());
    (credentials.account, session)
}

/// Another session of the account of a session.
async fn reopened(stage: &Stage, session: &Session) -> Session {
    let session = Session { id: SessionId::new(TestEntropy.uuid()), ..session.clone() };
    assert!(stage.storage.sessions.open(session.clone(), password_hash(stage, &session).await).await.unwrap());
    session
}

/// The password hash that the account of a session has now.
async fn password_hash(stage: &Stage, session: &Session) -> PasswordHash {
    let account = stage.storage.accounts.find(session.account_id).await.unwrap().expect("there is an account");
    stage.storage.accounts.credentials(&account.login_id).await.unwrap().expect("it has credentials").password_hash
}

/// A sign-in that has verified a password opens no session once the account has another one, whichever comes first.
pub async fn a_sign_in_that_is_under_way_does_not_outlive_another_password(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let verified = password_hash(stage, &first).await;
    let next = || Session { id: SessionId::new(TestEntropy.uuid()), ..first.clone() };
    let change =
        |hash: &str| AccountChange { password_hash: Some(PasswordHash(hash.to_owned())), ..AccountChange::default() };
    let role_alone = AccountChange { role: Some(Role::Promoter), ..AccountChange::default() };
    stage.storage.accounts.change(&account.login_id, role_alone).await.unwrap();
    assert!(stage.storage.sessions.open(next(), verified.clone()).await.unwrap(), "another role is no other password");
    stage.storage.accounts.change(&account.login_id, change("$argon2id$other")).await.unwrap();
    let late = next();
    assert!(!stage.storage.sessions.open(late.clone(), verified.clone()).await.unwrap());
    assert_eq!(stage.rotate(&late, 0, 1).await, Rotation::Unknown);
    let never = Session { account_id: AccountId::new(TestEntropy.uuid()), ..next() };
    assert!(!stage.storage.sessions.open(never, verified).await.unwrap(), "there is no such account");

    // Many at once: whatever was opened has ended.
    let verified = password_hash(stage, &first).await;
    let acts = (0..20_usize).map(|number| (number, next()));
    let opened = at_once(acts, |(number, session)| {
        let (stage, verified, login_id) = (stage.clone(), verified.clone(), account.login_id.clone());
        let another = change("$argon2id$third");
        async move {
            if number == 10 {
                stage.storage.accounts.change(&login_id, another).await.unwrap();
            } else {
                stage.storage.sessions.open(session.clone(), verified).await.unwrap();
            }
            session
        }
    });
    for session in opened.await {
        assert_eq!(stage.rotate(&session, 0, 1).await, Rotation::Unknown);
    }
}

impl Stage {
    async fn rotate(&self, session: &Session, presented: u8, next: u8) -> Rotation {
        let request = RotateRequest {
            session_id: session.id,
            presented: RefreshHash([presented; 32]),
            next: RefreshHash([next; 32]),
            expires_at: self.now() + TimeDelta::days(1),
        };
        self.storage.sessions.rotate(request).await.expect("the storage works")
    }
}

/// The outcome of a rotation for an account that was never changed.
fn rotated(account: &Account) -> Rotation {
    Rotation::Rotated(Member { account: account.clone(), standing: Standing::default() })
}

/// A secret that is presented again ends the session, also for the holder of the valid one.
pub async fn a_refresh_secret_is_good_once(stage: &Stage) {
    let (account, session) = opened(stage).await;
    let (_, untouched) = opened(stage).await;
    assert_eq!(stage.rotate(&session, 0, 1).await, rotated(&account));
    assert_eq!(stage.rotate(&session, 1, 2).await, rotated(&account));
    assert_eq!(stage.rotate(&session, 0, 3).await, Rotation::Reused);
    assert_eq!(stage.rotate(&session, 2, 4).await, Rotation::Unknown);
    assert_eq!(stage.rotate(&session, 0, 5).await, Rotation::Unknown);
    assert!(matches!(stage.rotate(&untouched, 0, 1).await, Rotation::Rotated(_)));
}

/// A session lasts until it is ended or not refreshed in time; refreshing prolongs it.
pub async fn a_session_that_ended_or_lapsed_or_never_was_is_unknown(stage: &Stage) {
    let (_, ended) = opened(stage).await;
    stage.storage.sessions.end(ended.id).await.unwrap();
    stage.storage.sessions.end(ended.id).await.unwrap();
    assert_eq!(stage.rotate(&ended, 0, 1).await, Rotation::Unknown);
    let never = Session { id: SessionId::new(TestEntropy.uuid()), ..ended };
    stage.storage.sessions.end(never.id).await.unwrap();
    assert_eq!(stage.rotate(&never, 0, 1).await, Rotation::Unknown);

    let (_, lapsed) = opened(stage).await;
    let (account, living) = opened(stage).await;
    stage.clock.set(living.expires_at - TimeDelta::microseconds(1));
    assert_eq!(stage.rotate(&living, 0, 1).await, rotated(&account));
    stage.clock.set(lapsed.expires_at);
    assert_eq!(stage.rotate(&lapsed, 0, 1).await, Rotation::Unknown);
    stage.clock.set(instant(86_400 + 86_399));
    assert_eq!(stage.rotate(&living, 1, 2).await, rotated(&account));
}

/// Of several that present one secret together, one is served, and the session is ended by the others.
pub async fn one_of_twenty_rotations_at_once_succeeds(stage: &Stage) {
    let (account, session) = opened(stage).await;
    let outcomes = at_once(1..=20_u8, |next| {
        let (stage, session) = (stage.clone(), session.clone());
        async move { (next, stage.rotate(&session, 0, next).await) }
    })
    .await;
    let expected = rotated(&account);
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| *outcome == expected).map(|(next, _)| *next).collect();
    assert_eq!(winners.len(), 1);
    assert!(outcomes.iter().any(|(_, outcome)| *outcome == Rotation::Reused));
    let refused = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Rotation::Reused | Rotation::Unknown));
    assert_eq!(refused.count(), 19);
    assert_eq!(stage.rotate(&session, winners[0], 99).await, Rotation::Unknown);
}
