use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_application::{
    AccountService, Identity,
    accounts::{RefreshError, SessionTokens, SignInError, SignUp, SignUpError},
};
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        AccessClaims, AccessTokenError, Account, CreateAccountError, Credentials, HashingError, LoginId, Password,
        PasswordHash, RefreshHash, Role, Rotation, Session,
    },
    fixtures::instant,
    idempotency::{Idempotency, KeyReused, Made},
};
use mockall::{Sequence, predicate::eq};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::{ACCOUNT, NEW_ID, SESSION, World, asked, assert_refused, customer, name};

const ACCESS_SECONDS: i64 = 15 * 60;
const REFRESH_SECONDS: i64 = 30 * 24 * 60 * 60;
const SECRET: [u8; 32] = [7; 32];
const NEXT_SECRET: [u8; 32] = [8; 32];

fn password() -> Password {
    Password::new("correct horse").unwrap()
}

fn hash() -> PasswordHash {
    PasswordHash("$argon2id$hash".to_owned())
}

fn account(id: AccountId) -> Account {
    Account {
        id,
        login_id: LoginId::new("haneul").unwrap(),
        name: name("Haneul"),
        role: Role::Customer,
        created_at: instant(0),
    }
}

/// The credentials of an account that was there before.
fn existing(idempotency: Option<Idempotency>) -> Credentials {
    Credentials { account: account(ACCOUNT), password_hash: hash(), idempotency }
}

fn asked_to_sign_up(key: &str) -> Idempotency {
    asked(key, "haneul, Haneul")
}

fn refresh_hash(secret: [u8; 32]) -> RefreshHash {
    RefreshHash(Sha256::digest(secret).into())
}

fn refresh_token(session_id: SessionId, secret: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode([session_id.uuid().as_bytes().as_slice(), &secret].concat())
}

fn claims(session_id: SessionId) -> AccessClaims {
    let expires_at = instant(ACCESS_SECONDS);
    AccessClaims { account_id: ACCOUNT, session_id, role: Role::Customer, expires_at }
}

impl World {
    fn password_is_hashed(&mut self) {
        self.passwords.expect_hash().with(eq(password())).times(1).return_once(|_| Ok(hash()));
    }

    fn password_is_verified(&mut self, against: Option<PasswordHash>, verified: bool) {
        let checks = self.passwords.expect_verify().with(eq(password()), eq(against));
        checks.times(1).return_once(move |_, _| Ok(verified));
    }

    /// The password is hashed, and then somebody has the login id already.
    fn login_id_is_taken_by(&mut self, existing: Credentials) {
        self.password_is_hashed();
        self.makes_an_id();
        let taken = CreateAccountError::LoginIdTaken(Box::new(existing));
        self.accounts.expect_create().times(1).return_once(|_| Err(taken));
    }

    async fn sign_up(self, idempotency: Option<Idempotency>) -> Result<Made<Account>, SignUpError> {
        let login_id = LoginId::new("haneul").unwrap();
        let sign_up = SignUp { login_id, password: password(), name: name("Haneul") };
        self.account_service().sign_up(sign_up, Role::Customer, idempotency).await
    }

    fn account_is_looked_up(&mut self, found: Option<Credentials>) {
        let login_id = LoginId::new("haneul").unwrap();
        self.accounts.expect_credentials().with(eq(login_id)).times(1).return_once(|_| Ok(found));
    }

    fn makes_a_session(&mut self) {
        self.makes_an_id();
        self.entropy.expect_secret().times(1).return_const(SECRET);
    }

    async fn sign_in(self) -> Result<SessionTokens, SignInError> {
        self.account_service().sign_in("haneul", "correct horse").await
    }

    /// The session is asked to exchange [`SECRET`] for [`NEXT_SECRET`].
    fn rotates(&mut self, answer: Result<Rotation, StorageError>) {
        self.entropy.expect_secret().times(1).return_const(NEXT_SECRET);
        let (presented, next) = (eq(refresh_hash(SECRET)), eq(refresh_hash(NEXT_SECRET)));
        let rotates = self.sessions.expect_rotate().with(eq(SESSION), presented, next, eq(instant(REFRESH_SECONDS)));
        rotates.times(1).return_once(|_, _, _, _| answer);
    }

    /// The access token `mine` is one of [`SESSION`], and `other` one of another session.
    fn knows_access_tokens(&mut self) {
        for (token, session_id) in [("mine", SESSION), ("other", SessionId::new(Uuid::from_u128(99)))] {
            let verifies = self.access_tokens.expect_verify().with(eq(token), eq(instant(0)));
            verifies.returning(move |_, _| Ok(claims(session_id)));
        }
    }
}

fn assert_only_mine_is_ended(service: &AccountService) {
    assert_eq!(service.authenticate("mine"), Err(AccessTokenError::Invalid));
    assert!(service.authenticate("other").is_ok());
}

// Signing up

#[tokio::test]
async fn signing_up_stores_an_account_of_the_role_with_the_hash_of_its_password() {
    let (mut world, account) = (World::new(), account(AccountId::new(NEW_ID)));
    world.password_is_hashed();
    world.makes_an_id();
    let credentials = Credentials { account: account.clone(), password_hash: hash(), idempotency: None };
    world.accounts.expect_create().with(eq(credentials)).times(1).return_once(|_| Ok(()));
    assert_eq!(world.sign_up(None).await.unwrap(), Made::now(account));
}

#[tokio::test]
async fn a_promoter_signs_up_as_one() {
    let mut world = World::new();
    world.password_is_hashed();
    world.makes_an_id();
    let creates = world.accounts.expect_create().withf(|credentials| credentials.account.role == Role::Promoter);
    creates.times(1).return_once(|_| Ok(()));
    let sign_up = SignUp { login_id: LoginId::new("haneul").unwrap(), password: password(), name: name("Haneul") };
    let made = world.account_service().sign_up(sign_up, Role::Promoter, None).await.unwrap();
    assert_eq!(made.value.role, Role::Promoter);
}

#[tokio::test]
async fn an_account_is_stored_with_the_key_that_made_it() {
    let mut world = World::new();
    world.password_is_hashed();
    world.makes_an_id();
    let creates = world.accounts.expect_create();
    creates.withf(|credentials| credentials.idempotency == Some(asked_to_sign_up("k")));
    creates.times(1).return_once(|_| Ok(()));
    assert!(!world.sign_up(Some(asked_to_sign_up("k"))).await.unwrap().replayed);
}

#[tokio::test]
async fn nothing_is_stored_while_too_many_passwords_are_being_hashed() {
    let mut world = World::new();
    world.passwords.expect_hash().times(1).return_once(|_| Err(HashingError::Busy));
    assert_refused!(world.sign_up(None).await, SignUpError::Hashing(HashingError::Busy));
}

#[tokio::test]
async fn an_account_that_could_not_be_stored_is_a_failure_of_the_storage() {
    let mut world = World::new();
    world.password_is_hashed();
    world.makes_an_id();
    world.accounts.expect_create().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.sign_up(None).await, SignUpError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_login_id_is_taken_for_whoever_has_not_the_key_it_was_made_with_and_no_password_is_tried() {
    let (first, other) = (Some(asked_to_sign_up("k")), Some(asked_to_sign_up("other")));
    for (made_with, asked_with) in [(None, None), (first.clone(), None), (None, first.clone()), (other, first)] {
        let mut world = World::new();
        world.login_id_is_taken_by(existing(made_with));
        assert_refused!(world.sign_up(asked_with).await, SignUpError::LoginIdTaken);
    }
}

#[tokio::test]
async fn signing_up_again_with_key_and_password_gives_the_same_account() {
    let mut world = World::new();
    world.login_id_is_taken_by(existing(Some(asked_to_sign_up("k"))));
    world.password_is_verified(Some(hash()), true);
    assert_eq!(world.sign_up(Some(asked_to_sign_up("k"))).await.unwrap(), Made::before(account(ACCOUNT)));
}

#[tokio::test]
async fn the_same_key_with_another_password_is_reused() {
    let mut world = World::new();
    world.login_id_is_taken_by(existing(Some(asked_to_sign_up("k"))));
    world.password_is_verified(Some(hash()), false);
    assert_refused!(world.sign_up(Some(asked_to_sign_up("k"))).await, SignUpError::KeyReused(KeyReused));
}

#[tokio::test]
async fn the_same_key_with_another_name_is_reused_and_no_password_is_tried() {
    let mut world = World::new();
    world.login_id_is_taken_by(existing(Some(asked("k", "haneul, Somebody"))));
    assert_refused!(world.sign_up(Some(asked_to_sign_up("k"))).await, SignUpError::KeyReused(KeyReused));
}

#[tokio::test]
async fn signing_up_again_gives_nothing_while_too_many_passwords_are_being_checked() {
    let mut world = World::new();
    world.login_id_is_taken_by(existing(Some(asked_to_sign_up("k"))));
    world.passwords.expect_verify().times(1).return_once(|_, _| Err(HashingError::Busy));
    assert_refused!(world.sign_up(Some(asked_to_sign_up("k"))).await, SignUpError::Hashing(HashingError::Busy));
}

// Signing in

#[tokio::test]
async fn signing_in_opens_a_session_that_keeps_only_the_hash_of_its_secret() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    let session_id = SessionId::new(NEW_ID);
    world.account_is_looked_up(Some(existing(None)));
    world.password_is_verified(Some(hash()), true);
    world.makes_a_session();
    let session = Session {
        id: session_id,
        account_id: ACCOUNT,
        refresh_hash: refresh_hash(SECRET),
        created_at: instant(0),
        expires_at: instant(REFRESH_SECONDS),
    };
    let opens = world.sessions.expect_open().with(eq(session));
    opens.times(1).in_sequence(&mut order).return_once(|_| Ok(()));
    let issues = world.access_tokens.expect_issue().with(eq(claims(session_id)), eq(instant(0)));
    issues.times(1).in_sequence(&mut order).return_once(|_, _| Ok("signed".to_owned()));
    let tokens = SessionTokens {
        access_token: "signed".to_owned(),
        expires_in_seconds: 15 * 60,
        refresh_token: refresh_token(session_id, SECRET),
    };
    assert_eq!(world.sign_in().await.unwrap(), tokens);
}

#[tokio::test]
async fn a_wrong_password_opens_no_session() {
    let mut world = World::new();
    world.account_is_looked_up(Some(existing(None)));
    world.password_is_verified(Some(hash()), false);
    assert_refused!(world.sign_in().await, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn an_unknown_login_id_takes_as_long_as_a_wrong_password() {
    let mut world = World::new();
    world.account_is_looked_up(None);
    world.password_is_verified(None, false);
    assert_refused!(world.sign_in().await, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn nobody_is_signed_in_without_an_account_whatever_the_hasher_says() {
    let mut world = World::new();
    world.account_is_looked_up(None);
    world.password_is_verified(None, true);
    assert_refused!(world.sign_in().await, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn a_text_that_cannot_be_a_login_id_is_not_looked_up_and_takes_as_long() {
    let mut world = World::new();
    world.password_is_verified(None, false);
    let signed_in = world.account_service().sign_in("Haneul'; --", "correct horse").await;
    assert_refused!(signed_in, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn a_text_that_cannot_be_a_password_is_refused_whether_or_not_the_login_id_exists() {
    for text in ["", "seven77", &"a".repeat(129)] {
        let signed_in = World::new().account_service().sign_in("haneul", text).await;
        assert_refused!(signed_in, SignInError::InvalidCredentials);
    }
}

#[tokio::test]
async fn no_session_is_opened_while_too_many_passwords_are_being_checked() {
    let mut world = World::new();
    world.account_is_looked_up(Some(existing(None)));
    world.passwords.expect_verify().times(1).return_once(|_, _| Err(HashingError::Busy));
    assert_refused!(world.sign_in().await, SignInError::Hashing(HashingError::Busy));
}

#[tokio::test]
async fn no_password_is_tried_when_the_account_cannot_be_read() {
    let mut world = World::new();
    world.accounts.expect_credentials().times(1).return_once(|_| Err(StorageError::Busy));
    assert_refused!(world.sign_in().await, SignInError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn no_access_token_is_issued_for_a_session_that_could_not_be_opened() {
    let mut world = World::new();
    world.account_is_looked_up(Some(existing(None)));
    world.password_is_verified(Some(hash()), true);
    world.makes_a_session();
    world.sessions.expect_open().times(1).return_once(|_| Err(StorageError::Busy));
    assert_refused!(world.sign_in().await, SignInError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn an_access_token_that_could_not_be_signed_is_a_failure() {
    let mut world = World::new();
    world.account_is_looked_up(Some(existing(None)));
    world.password_is_verified(Some(hash()), true);
    world.makes_a_session();
    world.sessions.expect_open().times(1).return_once(|_| Ok(()));
    world.access_tokens.expect_issue().times(1).return_once(|_, _| Err(StorageError::failed("no key")));
    assert_refused!(world.sign_in().await, SignInError::Storage(StorageError::Failed(_)));
}

#[test]
fn tokens_are_never_printed() {
    let tokens = SessionTokens {
        access_token: "access-secret".to_owned(),
        expires_in_seconds: 900,
        refresh_token: "refresh-secret".to_owned(),
    };
    let printed = format!("{tokens:?}");
    assert!(!printed.contains("secret"), "{printed}");
}

// Refreshing

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_pair_with_the_role_of_now() {
    let mut world = World::new();
    world.rotates(Ok(Rotation::Rotated(Account { role: Role::Promoter, ..account(ACCOUNT) })));
    let promoter = AccessClaims { role: Role::Promoter, ..claims(SESSION) };
    let issues = world.access_tokens.expect_issue().with(eq(promoter), eq(instant(0)));
    issues.times(1).return_once(|_, _| Ok("signed".to_owned()));
    let tokens = world.account_service().refresh(&refresh_token(SESSION, SECRET)).await.unwrap();
    let next = SessionTokens {
        access_token: "signed".to_owned(),
        expires_in_seconds: 15 * 60,
        refresh_token: refresh_token(SESSION, NEXT_SECRET),
    };
    assert_eq!(tokens, next);
}

#[tokio::test]
async fn what_cannot_be_a_refresh_token_is_invalid_and_no_session_is_touched() {
    let good = refresh_token(SESSION, SECRET);
    let texts = [
        "",
        "x",
        "not/base64url+",
        &good[..62],
        &good[..63],
        &format!("{good}AA"),
        &format!("{good}="),
        &good.repeat(100),
    ];
    for text in texts {
        assert_refused!(World::new().account_service().refresh(text).await, RefreshError::Invalid);
    }
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_session_and_its_access_tokens() {
    let mut world = World::new();
    world.rotates(Ok(Rotation::Reused));
    world.knows_access_tokens();
    let service = world.account_service();
    assert!(service.authenticate("mine").is_ok());
    assert_refused!(service.refresh(&refresh_token(SESSION, SECRET)).await, RefreshError::Invalid);
    assert_only_mine_is_ended(&service);
}

#[tokio::test]
async fn a_made_up_refresh_token_ends_no_session() {
    let mut world = World::new();
    world.rotates(Ok(Rotation::Unknown));
    world.knows_access_tokens();
    let service = world.account_service();
    assert_refused!(service.refresh(&refresh_token(SESSION, SECRET)).await, RefreshError::Invalid);
    assert!(service.authenticate("mine").is_ok());
}

#[tokio::test]
async fn a_storage_that_fails_to_rotate_ends_no_session() {
    let mut world = World::new();
    world.rotates(Err(StorageError::Busy));
    world.knows_access_tokens();
    let service = world.account_service();
    let refreshed = service.refresh(&refresh_token(SESSION, SECRET)).await;
    assert_refused!(refreshed, RefreshError::Storage(StorageError::Busy));
    assert!(service.authenticate("mine").is_ok());
}

// Signing out, and being known

#[tokio::test]
async fn whoever_signed_out_is_not_known_any_more() {
    let mut world = World::new();
    world.sessions.expect_end().with(eq(SESSION)).times(1).return_once(|_| Ok(()));
    world.knows_access_tokens();
    let service = world.account_service();
    assert_eq!(service.authenticate("mine"), Ok(customer()));
    service.sign_out(customer()).await.unwrap();
    assert_only_mine_is_ended(&service);
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_goes_on() {
    let mut world = World::new();
    world.sessions.expect_end().times(1).return_once(|_| Err(StorageError::Busy));
    world.knows_access_tokens();
    let service = world.account_service();
    assert_refused!(service.sign_out(customer()).await, StorageError::Busy);
    assert_eq!(service.authenticate("mine"), Ok(customer()));
}

#[tokio::test]
async fn an_ended_session_stays_ended_however_many_end_after_it() {
    let mut world = World::new();
    world.sessions.expect_end().returning(|_| Ok(()));
    world.knows_access_tokens();
    let service = world.account_service();
    service.sign_out(customer()).await.unwrap();
    for number in 1_000..11_010 {
        let identity = Identity { session_id: SessionId::new(Uuid::from_u128(number)), ..customer() };
        service.sign_out(identity).await.unwrap();
    }
    assert_only_mine_is_ended(&service);
}

#[test]
fn a_token_that_is_not_accepted_tells_why() {
    for refusal in [AccessTokenError::Invalid, AccessTokenError::Expired] {
        let mut world = World::new();
        world.access_tokens.expect_verify().times(1).return_once(move |_, _| Err(refusal));
        assert_eq!(world.account_service().authenticate("mine"), Err(refusal));
    }
}

#[tokio::test]
async fn the_account_of_the_caller_is_looked_up_by_its_id() {
    for found in [Some(account(ACCOUNT)), None] {
        let mut world = World::new();
        let answer = found.clone();
        world.accounts.expect_find().with(eq(ACCOUNT)).times(1).return_once(|_| Ok(answer));
        assert_eq!(world.account_service().me(customer()).await.unwrap(), found);
    }
}
