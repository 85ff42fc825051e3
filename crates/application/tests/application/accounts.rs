use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_application::{
    AccountService,
    accounts::{
        ChangeAccount, ChangeAccountError, RefreshError, SessionTokens, SignIn, SignInError, SignInRefused, SignUp,
        SignUpError,
    },
    fingerprint,
};
use boxoffice_contracts::storage::name;
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        AccessTokenError, Account, Credentials, HashingError, LoginId, Member, MockAccessTokens, MockAccounts,
        MockPasswordHasher, MockSessions, Password, RefreshHash, Role, Standing,
    },
    fixtures::instant,
    idempotency::{Idempotency, KeyReused, Made},
};
use mockall::predicate::eq;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::{World, assert_not_signed_in, assert_refused, hash_of, mock, under};

pub(crate) const PASSWORD: &str = "correct horse";
const ACCESS_SECONDS: i64 = 15 * 60;
const REFRESH_SECONDS: i64 = 30 * 24 * 60 * 60;

fn password() -> Password {
    Password::new(PASSWORD).unwrap()
}

pub(crate) fn login_id() -> LoginId {
    LoginId::new("haneul").unwrap()
}

/// What a person typed to sign in.
pub(crate) fn typed<'a>(login_id: &'a str, password: &'a str) -> SignIn<'a> {
    SignIn { login_id, password, code: None, client: None, network: None }
}

fn new_account() -> SignUp {
    SignUp { login_id: login_id(), password: password(), name: name("Haneul") }
}

/// The key `key` as it comes with [`new_account`].
fn key(key: &str) -> Idempotency {
    under(key, fingerprint::sign_up(&new_account()))
}

impl World {
    pub(crate) async fn sign_up(&self, idempotency: Option<Idempotency>) -> Result<Made<Account>, SignUpError> {
        self.account_service().sign_up(new_account(), Role::Customer, idempotency).await
    }

    pub(crate) async fn signed_up() -> (Self, Account) {
        let world = Self::new().await;
        let account = world.sign_up(None).await.unwrap().value;
        (world, account)
    }

    /// A world with two sessions of the same account.
    pub(crate) async fn signed_in_twice() -> (Self, SessionTokens, SessionTokens) {
        let (world, _) = Self::signed_up().await;
        let (mine, other) = (world.sign_in().await.unwrap(), world.sign_in().await.unwrap());
        (world, mine, other)
    }

    pub(crate) async fn sign_in(&self) -> Result<SessionTokens, SignInRefused> {
        self.account_service().sign_in(typed("haneul", PASSWORD)).await
    }

    /// From now on passwords are hashed, and each is verified with this answer, if there is one.
    fn passwords_are_only_hashed(&mut self, verified: Option<HashingError>) {
        self.passwords = mock(|hasher: &mut MockPasswordHasher| {
            hasher.expect_hash().returning(|password| Ok(hash_of(&password)));
            if let Some(error) = verified {
                hasher.expect_verify().return_once(|_, _| Err(error));
            }
        });
    }
}

pub(crate) fn session_and_secret(refresh_token: &str) -> (SessionId, [u8; 32]) {
    let bytes = URL_SAFE_NO_PAD.decode(refresh_token).unwrap();
    (SessionId::new(Uuid::from_slice(&bytes[..16]).unwrap()), bytes[16..].try_into().unwrap())
}

pub(crate) fn refresh_token(session_id: SessionId, secret: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode([session_id.uuid().as_bytes().as_slice(), &secret].concat())
}

pub(crate) fn assert_only_mine_is_ended(service: &AccountService, mine: &SessionTokens, other: &SessionTokens) {
    assert_eq!(service.authenticate(&mine.access_token), Err(AccessTokenError::Invalid));
    assert!(service.authenticate(&other.access_token).is_ok());
}

// Signing up

#[tokio::test]
async fn signing_up_stores_an_account_of_the_role_with_the_hash_of_its_password_and_its_key() {
    for (role, idempotency) in [(Role::Customer, None), (Role::Promoter, Some(key("k")))] {
        let world = World::new().await;
        let made = world.account_service().sign_up(new_account(), role, idempotency.clone()).await.unwrap();
        let id = made.value.id;
        let account = Account { id, login_id: login_id(), name: name("Haneul"), role, created_at: instant(0) };
        assert_eq!(made, Made::now(account.clone()));
        let stored = world.stage.storage.accounts.credentials(&login_id()).await.unwrap();
        assert_eq!(
            stored,
            Some(Credentials {
                account,
                standing: Standing::default(),
                password_hash: hash_of(&password()),
                idempotency
            })
        );
    }
}

#[tokio::test]
async fn the_first_failure_of_signing_up_ends_it() {
    let mut world = World::new().await;
    world.stage.storage.accounts = mock(|accounts: &mut MockAccounts| {
        accounts.expect_create().return_once(|_| Err(StorageError::Busy.into()));
    });
    assert_refused!(world.sign_up(None).await, SignUpError::Storage(StorageError::Busy));

    world.close();
    world.passwords = mock(|hasher: &mut MockPasswordHasher| {
        hasher.expect_hash().return_once(|_| Err(HashingError::Busy));
    });
    assert_refused!(world.sign_up(None).await, SignUpError::Hashing(HashingError::Busy));
}

#[tokio::test]
async fn a_login_id_is_taken_under_any_other_key_and_no_password_is_tried() {
    let (first, other) = (Some(key("k")), Some(key("other")));
    for (made_with, asked_with) in [(None, None), (first.clone(), None), (None, first.clone()), (other, first)] {
        let mut world = World::new().await;
        world.sign_up(made_with).await.unwrap();
        world.passwords_are_only_hashed(None);
        assert_refused!(world.sign_up(asked_with).await, SignUpError::LoginIdTaken);
    }
}

#[tokio::test]
async fn signing_up_again_under_the_key_gives_the_account_for_the_same_name_and_password_alone() {
    let mut world = World::new().await;
    let account = world.sign_up(Some(key("k"))).await.unwrap().value;
    assert_eq!(world.sign_up(Some(key("k"))).await.unwrap(), Made::before(account));

    let other_password = SignUp { password: Password::new("another horse").unwrap(), ..new_account() };
    let again = world.account_service().sign_up(other_password, Role::Customer, Some(key("k"))).await;
    assert_refused!(again, SignUpError::KeyReused(KeyReused));

    world.passwords_are_only_hashed(Some(HashingError::Busy));
    assert_refused!(world.sign_up(Some(key("k"))).await, SignUpError::Hashing(HashingError::Busy));

    // The name is compared first, so that no password is tried.
    world.passwords_are_only_hashed(None);
    let other_name = SignUp { name: name("Somebody"), ..new_account() };
    let idempotency = Some(under("k", fingerprint::sign_up(&other_name)));
    let again = world.account_service().sign_up(other_name, Role::Customer, idempotency).await;
    assert_refused!(again, SignUpError::KeyReused(KeyReused));
}

// Signing in

#[tokio::test]
async fn signing_in_opens_a_session_that_keeps_only_the_hash_of_its_secret() {
    let (world, account) = World::signed_up().await;
    let tokens = world.sign_in().await.unwrap();
    let (session_id, secret) = session_and_secret(&tokens.refresh_token);
    let identity = world.account_service().authenticate(&tokens.access_token).unwrap();
    assert_eq!((identity.account_id, identity.session_id, identity.role), (account.id, session_id, Role::Customer));
    let (session, member) = world.stage.storage.sessions.find(session_id).await.unwrap().unwrap();
    assert!(session.refresh_hash == RefreshHash(Sha256::digest(secret).into()) && session.former_hash.is_none());
    assert_eq!(member, Member { account, standing: Standing::default() });
    assert_eq!((session.client, session.ended_at), (None, None));
}

#[tokio::test]
async fn a_session_lasts_30_days_and_its_access_tokens_15_minutes() {
    let (world, mine, other) = World::signed_in_twice().await;
    assert_eq!(i64::from(mine.expires_in_seconds), ACCESS_SECONDS);
    world.stage.clock.set(instant(ACCESS_SECONDS));
    let service = world.account_service();
    assert_eq!(service.authenticate(&mine.access_token), Err(AccessTokenError::Expired));
    world.stage.clock.set(instant(REFRESH_SECONDS - 1));
    let mine = service.refresh(&mine.refresh_token).await.unwrap();
    world.stage.clock.set(instant(REFRESH_SECONDS));
    assert_refused!(service.refresh(&other.refresh_token).await, RefreshError::Invalid);
    world.stage.clock.set(instant(2 * REFRESH_SECONDS - 2));
    assert!(service.refresh(&mine.refresh_token).await.is_ok());
}

#[tokio::test]
async fn a_wrong_password_opens_no_session() {
    let (mut world, _) = World::signed_up().await;
    world.stage.storage.sessions = mock(|_: &mut MockSessions| {});
    let signed_in = world.account_service().sign_in(typed("haneul", "wrong horse")).await;
    assert_not_signed_in!(signed_in, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn an_unknown_login_id_takes_as_long_as_a_wrong_password() {
    // The hasher is asked also about a text that cannot be a login id, and its answer does not matter.
    for (login_id, verified) in [("haneul", false), ("haneul", true), ("Haneul'; --", false)] {
        let mut world = World::new().await;
        world.passwords = mock(|hasher: &mut MockPasswordHasher| {
            let verifies = hasher.expect_verify().with(eq(password()), eq(None));
            verifies.times(1).return_once(move |_, _| Ok(verified));
        });
        let signed_in = world.account_service().sign_in(typed(login_id, PASSWORD)).await;
        assert_not_signed_in!(signed_in, SignInError::InvalidCredentials);
    }
}

#[tokio::test]
async fn a_text_that_cannot_be_a_password_is_refused_whether_or_not_the_login_id_exists() {
    let mut world = World::new().await;
    world.close();
    for text in ["", "seven77", &"a".repeat(129)] {
        let signed_in = world.account_service().sign_in(typed("haneul", text)).await;
        assert_not_signed_in!(signed_in, SignInError::InvalidCredentials);
    }
}

#[tokio::test]
async fn a_sign_in_whose_password_is_changed_meanwhile_is_refused() {
    let (mut world, _) = World::signed_up().await;
    world.access_tokens = mock(|_: &mut MockAccessTokens| {});
    world.stage.storage.sessions = mock(|sessions: &mut MockSessions| {
        sessions.expect_open().times(2).returning(|_, _, _| Ok(None));
    });
    assert_not_signed_in!(world.sign_in().await, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn the_first_failure_of_signing_in_ends_it() {
    let (mut world, _) = World::signed_up().await;
    let accounts = world.stage.storage.accounts.clone();
    world.access_tokens = mock(|tokens: &mut MockAccessTokens| {
        tokens.expect_issue().times(1).return_once(|_, _| Err(StorageError::failed("no key")));
    });
    assert_not_signed_in!(world.sign_in().await, SignInError::Storage(StorageError::Failed(_)));

    world.access_tokens = mock(|_: &mut MockAccessTokens| {});
    world.stage.storage.sessions = mock(|sessions: &mut MockSessions| {
        sessions.expect_open().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    });
    assert_not_signed_in!(world.sign_in().await, SignInError::Storage(StorageError::Busy));

    world.close();
    world.stage.storage.accounts = accounts;
    world.passwords_are_only_hashed(Some(HashingError::Busy));
    assert_not_signed_in!(world.sign_in().await, SignInError::Hashing(HashingError::Busy));

    world.close();
    world.stage.storage.accounts = mock(|accounts: &mut MockAccounts| {
        accounts.expect_credentials().times(1).return_once(|_| Err(StorageError::Busy));
    });
    assert_not_signed_in!(world.sign_in().await, SignInError::Storage(StorageError::Busy));
}

#[test]
fn tokens_are_never_printed() {
    let tokens = SessionTokens {
        account_id: AccountId::new(Uuid::nil()),
        session_id: SessionId::new(Uuid::nil()),
        access_token: "access-secret".to_owned(),
        expires_in_seconds: 900,
        refresh_token: "refresh-secret".to_owned(),
    };
    let printed = format!("{tokens:?}");
    assert!(printed.contains("session_id") && !printed.contains("secret"), "{printed}");
}

#[tokio::test]
async fn a_login_id_and_a_password_are_known_however_they_are_typed() {
    let world = World::new().await;
    let sign_up = SignUp { password: Password::new("ho\u{308}rt 비밀번호").unwrap(), ..new_account() };
    let service = world.account_service();
    service.sign_up(sign_up, Role::Customer, None).await.unwrap();
    let decomposed = "ho\u{308}rt\u{a0}\u{1107}\u{1175}\u{1106}\u{1175}\u{11af}번호";
    for (login_id, password) in [("Haneul", "hört 비밀번호"), ("haneul ", decomposed), ("ＨＡＮＥＵＬ", decomposed)]
    {
        assert!(service.sign_in(typed(login_id, password)).await.is_ok(), "{login_id:?} {password:?}");
    }
    for (login_id, password) in [("haneul", "hort 비밀번호"), ("haneul", "hört 비밀번호 "), ("ha neul", decomposed)]
    {
        assert_not_signed_in!(service.sign_in(typed(login_id, password)).await, SignInError::InvalidCredentials);
    }
}

// Changing

#[tokio::test]
async fn another_password_ends_the_sessions_and_their_access_tokens() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let change = ChangeAccount { name: Some(name("Kim")), ..ChangeAccount::default() };
    let (account, ended) = service.change(&login_id(), change).await.unwrap().unwrap();
    assert_eq!((account.name, ended), (name("Kim"), 0));
    assert!(service.authenticate(&mine.access_token).is_ok());

    let change = ChangeAccount { password: Some(Password::new("another horse").unwrap()), ..ChangeAccount::default() };
    let (account, ended) = service.change(&login_id(), change.clone()).await.unwrap().unwrap();
    assert_eq!((account.name, ended), (name("Kim"), 2));
    for tokens in [mine, other] {
        assert_eq!(service.authenticate(&tokens.access_token), Err(AccessTokenError::Invalid));
        assert_refused!(service.refresh(&tokens.refresh_token).await, RefreshError::Invalid);
    }
    assert_not_signed_in!(service.sign_in(typed("haneul", PASSWORD)).await, SignInError::InvalidCredentials);
    assert!(service.sign_in(typed("haneul", "another horse")).await.is_ok());
    assert!(service.change(&LoginId::new("nobody").unwrap(), change).await.unwrap().is_none());
}

#[tokio::test]
async fn a_password_that_cannot_be_hashed_changes_nothing() {
    let (mut world, _) = World::signed_up().await;
    let known = world.stage.storage.accounts.credentials(&login_id()).await.unwrap();
    world.stage.storage.accounts = mock(|accounts: &mut MockAccounts| {
        accounts.expect_credentials().return_once(|_| Ok(known));
    });
    world.passwords = mock(|hasher: &mut MockPasswordHasher| {
        hasher.expect_hash().return_once(|_| Err(HashingError::Busy));
    });
    let change = ChangeAccount { role: Some(Role::Admin), password: Some(password()), ..ChangeAccount::default() };
    let refused = world.account_service().change(&login_id(), change).await;
    assert_refused!(refused, ChangeAccountError::Hashing(HashingError::Busy));
}
