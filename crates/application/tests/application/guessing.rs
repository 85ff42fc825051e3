//! How often passwords may be wrong, which ones are refused, and when they are hashed again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use boxoffice_application::{
    AccountService,
    accounts::{
        ChangeAccount, ChangeAccountError, ChangePasswordError, ConfirmedError, SignInError, SignInRefused, SignUp,
        SignUpError,
    },
};
use boxoffice_contracts::storage::name;
use boxoffice_domain::{
    accounts::{
        Credentials, GuessablePassword, GuessingRule, LoginId, MockAccounts, MockPasswordHasher, Password,
        PasswordHash, Role,
    },
    idempotency::Idempotency,
};
use boxoffice_peers::Peers;
use futures::future::join_all;

use crate::{
    accounts::{PASSWORD, login_id, typed},
    support::{World, assert_not_signed_in, assert_refused, hash_of, mock},
};

async fn refusal(service: &AccountService, login_id: &str, password: &str) -> SignInError {
    service.sign_in(typed(login_id, password)).await.expect_err("it is refused").error
}

async fn assert_wait(service: &AccountService, login_id: &str, seconds: u64) {
    match refusal(service, login_id, PASSWORD).await {
        SignInError::TooManyPasswords { seconds_left } => assert_eq!(seconds_left, seconds, "{login_id}"),
        other => panic!("expected a wait of {seconds} s, got {other:?}"),
    }
}

#[tokio::test]
async fn wrong_passwords_are_counted_for_a_login_id_whether_it_exists_or_not() {
    let (world, account) = World::signed_up().await;
    let service = world.account_service();
    for login_id in ["haneul", "nobody"] {
        for _ in 0..5 {
            assert!(matches!(refusal(&service, login_id, "wrong horse").await, SignInError::InvalidCredentials));
        }
        assert_wait(&service, login_id, 1).await;
    }
    let refused = service.sign_in(typed("haneul", PASSWORD)).await.unwrap_err();
    assert_eq!(refused.account_id, Some(account.id), "the operator learns whose password is guessed");
    assert!(matches!(refusal(&service, "somebody", PASSWORD).await, SignInError::InvalidCredentials));

    world.stage.clock.advance_seconds(1);
    assert!(matches!(refusal(&service, "haneul", "wrong horse").await, SignInError::InvalidCredentials));
    assert_wait(&service, "haneul", 2).await;
    world.stage.clock.advance_seconds(2);
    assert!(service.sign_in(typed("HANEUL ", PASSWORD)).await.is_ok());
    for _ in 0..5 {
        assert!(matches!(refusal(&service, "haneul", "wrong horse").await, SignInError::InvalidCredentials));
    }
    assert_wait(&service, "haneul", 1).await;
}

#[tokio::test]
async fn of_many_attempts_at_once_no_more_are_made_than_are_free() {
    let (mut world, _) = World::signed_up().await;
    let tried = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&tried);
    world.passwords = mock(|hasher: &mut MockPasswordHasher| {
        hasher.expect_verify().returning(move |_, _| {
            counter.fetch_add(1, SeqCst);
            Ok(false)
        });
    });
    let service = world.account_service();
    let attempts = join_all((0..300).map(|_| service.sign_in(typed("haneul", "wrong horse")))).await;
    let limited = |refused: &Result<_, SignInRefused>| {
        matches!(refused, Err(SignInRefused { error: SignInError::TooManyPasswords { .. }, .. }))
    };
    assert_eq!((tried.load(SeqCst), attempts.iter().filter(|refused| limited(refused)).count()), (5, 295));
}

#[tokio::test]
async fn strangers_do_not_keep_the_holder_from_changing_the_password() {
    let (world, mine, _) = World::signed_in_twice().await;
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    for _ in 0..5 {
        refusal(&service, "haneul", "wrong horse").await;
    }
    assert_wait(&service, "haneul", 1).await;
    assert!(service.authenticate(&mine.access_token).is_ok() && service.refresh(&mine.refresh_token).await.is_ok());
    let next = || Password::new("another horse").unwrap();
    service.change_password(identity, PASSWORD, next()).await.unwrap();

    // A thief of the session may not guess either, and keeps nobody from signing in.
    for _ in 0..5 {
        let refused = service.change_password(identity, "wrong horse", next()).await;
        assert_refused!(refused, ChangePasswordError::Confirmed(ConfirmedError::InvalidCredentials));
    }
    let refused = service.erase(identity, "another horse").await;
    assert!(format!("{refused:?}").contains("TooManyPasswords { seconds_left: 1 }"), "{refused:?}");
    world.stage.clock.advance_seconds(1);
    assert!(service.sign_in(typed("haneul", "another horse")).await.is_ok());
    service.change_password(identity, "another horse", Password::new("third horse").unwrap()).await.unwrap();
}

/// Peers that count attempts, and let none be made.
#[derive(Debug)]
struct Counting(AtomicUsize);

#[async_trait::async_trait]
impl Peers for Counting {
    async fn count_attempt(&self, what: &str, who: &str, rule: GuessingRule) -> Option<Result<(), u64>> {
        assert_eq!((what, who, rule.free), ("sign_in", "haneul", 5));
        if self.0.fetch_add(1, SeqCst) == 0 { Some(Ok(())) } else { Some(Err(7)) }
    }

    async fn forget_attempts(&self, what: &str, who: &str) {
        assert_eq!((what, who), ("sign_in", "haneul"));
        self.0.store(10, SeqCst);
    }
}

#[tokio::test]
async fn peers_count_together() {
    let (mut world, _) = World::signed_up().await;
    let counted = Arc::new(Counting(AtomicUsize::new(0)));
    world.peers = counted.clone();
    let service = world.account_service();
    assert!(service.sign_in(typed("haneul", PASSWORD)).await.is_ok());
    assert_eq!(counted.0.load(SeqCst), 10, "a right password is forgotten");
    assert_wait(&service, "haneul", 7).await;
}

#[tokio::test]
async fn a_password_that_is_guessed_first_is_refused_wherever_one_is_set() {
    let (world, mine, _) = World::signed_in_twice().await;
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    for (text, why) in [
        ("password1", GuessablePassword::Common),
        ("PassWord1", GuessablePassword::Common),
        ("qwertyuiop", GuessablePassword::Common),
        ("HANEUL-KIM", GuessablePassword::LoginId),
        ("haneul kim", GuessablePassword::Name),
    ] {
        let password = Password::new(text).unwrap();
        let sign_up = SignUp {
            login_id: LoginId::new("haneul-kim").unwrap(),
            password: password.clone(),
            name: name("Haneul Kim"),
        };
        let refused = service.sign_up(sign_up, Role::Customer, None::<Idempotency>).await;
        assert_refused!(refused, SignUpError::Guessable(found) if found == why);
    }
    let rename = ChangeAccount { name: Some(name("Haneul Kim")), ..ChangeAccount::default() };
    service.change(&login_id(), rename).await.unwrap();
    for text in ["password1", "haneul kim"] {
        let password = Password::new(text).unwrap();
        let refused = service.change_password(identity, PASSWORD, password.clone()).await;
        assert_refused!(refused, ChangePasswordError::Guessable(_));
        let change = ChangeAccount { password: Some(password), ..ChangeAccount::default() };
        assert_refused!(service.change(&login_id(), change).await, ChangeAccountError::Guessable(_));
    }
    // The name that it is to have counts.
    let change = ChangeAccount {
        name: Some(name("another horse")),
        password: Some(Password::new("another horse").unwrap()),
        ..ChangeAccount::default()
    };
    assert_refused!(service.change(&login_id(), change).await, ChangeAccountError::Guessable(GuessablePassword::Name));
    assert!(service.sign_in(typed("haneul", PASSWORD)).await.is_ok(), "nothing has changed");
}

/// A world in which passwords are hashed in another way than that of its account was.
async fn with_an_old_hash() -> World {
    let (mut world, _) = World::signed_up().await;
    let new = |password: &Password| PasswordHash(format!("new {}", password.expose()));
    world.passwords = mock(|hasher: &mut MockPasswordHasher| {
        hasher.expect_hash().returning(move |password| Ok(new(&password)));
        hasher
            .expect_verify()
            .returning(move |password, hash| Ok(hash == Some(new(&password)) || hash == Some(hash_of(&password))));
        hasher.expect_is_current().returning(|hash| hash.0.starts_with("new "));
    });
    world
}

async fn stored_hash(world: &World) -> PasswordHash {
    world.stage.storage.accounts.credentials(&login_id()).await.unwrap().unwrap().password_hash
}

#[tokio::test]
async fn an_old_hash_is_replaced_at_sign_in_and_the_session_goes_on() {
    let world = with_an_old_hash().await;
    let service = world.account_service();
    assert_not_signed_in!(service.sign_in(typed("haneul", "wrong horse")).await, SignInError::InvalidCredentials);
    assert!(stored_hash(&world).await == hash_of(&Password::new(PASSWORD).unwrap()), "only a right password is known");
    let tokens = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    assert_eq!(stored_hash(&world).await.0, format!("new {PASSWORD}"));
    assert!(service.authenticate(&tokens.access_token).is_ok() && service.refresh(&tokens.refresh_token).await.is_ok());
    assert!(service.sign_in(typed("haneul", PASSWORD)).await.is_ok());
}

#[tokio::test]
async fn who_signs_in_while_another_sign_in_replaces_the_hash_is_signed_in() {
    let mut world = with_an_old_hash().await;
    let accounts = world.stage.storage.accounts.clone();
    let old = accounts.credentials(&login_id()).await.unwrap().unwrap();
    let renewed = PasswordHash(format!("new {PASSWORD}"));
    accounts.renew_hash(old.account.id, old.password_hash.clone(), renewed.clone()).await.unwrap();
    // The hash was replaced after it was read first.
    let reads = AtomicUsize::new(0);
    world.stage.storage.accounts = mock(|accounts: &mut MockAccounts| {
        accounts.expect_credentials().returning(move |_| {
            let password_hash = if reads.fetch_add(1, SeqCst) == 0 { &old.password_hash } else { &renewed };
            Ok(Some(Credentials { password_hash: password_hash.clone(), ..old.clone() }))
        });
    });
    assert!(world.account_service().sign_in(typed("haneul", PASSWORD)).await.is_ok());
}
