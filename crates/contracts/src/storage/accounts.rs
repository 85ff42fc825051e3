//! Accounts and their sessions.

use boxoffice_domain::{
    AccountId, EntropySource, SessionId,
    accounts::{
        Account, CreateAccountError, Credentials, LoginId, RefreshHash, Role, RotateRequest, Rotation, Session,
    },
    fixtures::{TestEntropy, idempotency, instant},
};
use chrono::TimeDelta;

use super::{Stage, at_once, credentials, show::succeeded};

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

/// The role is changed, and nothing else of the account.
pub async fn a_role_is_changed_by_login_id(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let credentials = credentials(stage.now());
    accounts.create(credentials.clone()).await.unwrap();
    let login_id = &credentials.account.login_id;
    for role in [Role::Promoter, Role::Promoter, Role::Admin, Role::Customer] {
        let expected = Account { role, ..credentials.account.clone() };
        assert_eq!(accounts.set_role(login_id, role).await.unwrap(), Some(expected.clone()));
        assert_eq!(accounts.find(expected.id).await.unwrap(), Some(expected));
    }
    assert_eq!(accounts.set_role(&LoginId::new("nobody").unwrap(), Role::Admin).await.unwrap(), None);
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
    stage.storage.sessions.open(session.clone()).await.unwrap();
    (credentials.account, session)
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

/// A secret that is presented again ends the session, also for the holder of the valid one.
pub async fn a_refresh_secret_is_good_once(stage: &Stage) {
    let (account, session) = opened(stage).await;
    let (_, untouched) = opened(stage).await;
    assert_eq!(stage.rotate(&session, 0, 1).await, Rotation::Rotated(account.clone()));
    assert_eq!(stage.rotate(&session, 1, 2).await, Rotation::Rotated(account));
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
    assert_eq!(stage.rotate(&living, 0, 1).await, Rotation::Rotated(account.clone()));
    stage.clock.set(lapsed.expires_at);
    assert_eq!(stage.rotate(&lapsed, 0, 1).await, Rotation::Unknown);
    stage.clock.set(instant(86_400 + 86_399));
    assert_eq!(stage.rotate(&living, 1, 2).await, Rotation::Rotated(account));
}

/// Of several that present one secret together, one is served, and the session is ended by the others.
pub async fn one_of_twenty_rotations_at_once_succeeds(stage: &Stage) {
    let (account, session) = opened(stage).await;
    let outcomes = at_once(1..=20_u8, |next| {
        let (stage, session) = (stage.clone(), session.clone());
        async move { (next, stage.rotate(&session, 0, next).await) }
    })
    .await;
    let rotated = Rotation::Rotated(account);
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| *outcome == rotated).map(|(next, _)| *next).collect();
    assert_eq!(winners.len(), 1);
    assert!(outcomes.iter().any(|(_, outcome)| *outcome == Rotation::Reused));
    let refused = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Rotation::Reused | Rotation::Unknown));
    assert_eq!(refused.count(), 19);
    assert_eq!(stage.rotate(&session, winners[0], 99).await, Rotation::Unknown);
}
