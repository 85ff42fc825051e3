//! Accounts.

use boxoffice_domain::{
    AccountId, EntropySource,
    accounts::{
        AccountChange, ChangedAccount, CreateAccountError, Credentials, LoginId, PasswordHash, Role, Standing,
    },
    fixtures::{TestEntropy, idempotency},
};

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
