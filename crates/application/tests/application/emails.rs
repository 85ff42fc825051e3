//! The e-mail address of an account, and choosing another password by it.

use boxoffice_application::{
    AccountService, Identity,
    accounts::{ChangeAccount, ConfirmedError, EmailError, PasswordResetError, SignInError, VerifyEmailError},
};
use boxoffice_domain::{
    accounts::{GuessablePassword, LoginId, Password, Role},
    mail::{EmailAddress, MailLanguage, Notice},
};

use crate::{
    accounts::{PASSWORD, login_id, typed},
    support::{World, assert_not_signed_in, assert_refused},
};

fn address(text: &str) -> EmailAddress {
    EmailAddress::new(text).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

impl World {
    /// The code of the last mail.
    fn last_code(&self) -> String {
        match self.store.queued_mails().pop().expect("a mail").notice {
            Notice::EmailVerification { code, minutes_valid: 15 } => code,
            other => panic!("{other:?}"),
        }
    }

    /// The token of the last mail.
    fn last_token(&self) -> String {
        match self.store.queued_mails().pop().expect("a mail").notice {
            Notice::PasswordReset { token, minutes_valid: 30 } => token,
            other => panic!("{other:?}"),
        }
    }

    async fn verified(&self, service: &AccountService, identity: Identity) {
        service.begin_email(identity, PASSWORD, address("haneul@example.org")).await.unwrap();
        service.verify_email(identity, &self.last_code()).await.unwrap();
    }
}

async fn signed_in(service: &AccountService) -> Identity {
    let tokens = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    service.authenticate(&tokens.access_token).unwrap()
}

#[tokio::test]
async fn an_address_is_verified_by_the_code_that_was_sent_there() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let identity = signed_in(&service).await;
    let begin = |password, to| service.begin_email(identity, password, address(to));
    assert_refused!(
        begin("wrong horse", "haneul@example.org").await,
        EmailError::Confirmed(ConfirmedError::InvalidCredentials)
    );
    assert!(world.store.queued_mails().is_empty());
    begin(PASSWORD, "haneul@example.org").await.unwrap();
    let mails = world.store.queued_mails();
    assert_eq!((mails.len(), &mails[0].to), (1, &Some(address("haneul@example.org"))));
    assert_eq!((mails[0].account_id, mails[0].created_at), (identity.account_id, world.stage.now()));
    let code = world.last_code();
    assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let own = service.own_email(identity).await.unwrap();
    assert_eq!((own.address, own.pending.unwrap().0), (None, address("haneul@example.org")));
    for wrong in ["", "1234567", "123456789", "a code", &"9".repeat(10_000)] {
        assert_refused!(service.verify_email(identity, wrong).await, VerifyEmailError::WrongCode);
    }
    let locked = service.verify_email(identity, &code).await;
    assert_refused!(locked, VerifyEmailError::TooManyCodes { seconds_left: 3_600 });

    world.stage.clock.advance_seconds(900);
    assert_eq!(service.own_email(identity).await.unwrap().pending, None, "its time is over");
    world.stage.clock.advance_seconds(2_700);
    begin(PASSWORD, "haneul@example.org").await.unwrap();
    let code = world.last_code();
    service.verify_email(identity, &format!(" {} {} ", &code[..4], &code[4..])).await.unwrap();
    let own = service.own_email(identity).await.unwrap();
    assert_eq!((own.address, own.pending, own.language), (Some(address("haneul@example.org")), None, None));
    service.set_language(identity, MailLanguage::English).await.unwrap();
    assert_refused!(
        service.remove_email(identity, "wrong horse").await,
        EmailError::Confirmed(ConfirmedError::InvalidCredentials)
    );
    service.remove_email(identity, PASSWORD).await.unwrap();
    let own = service.own_email(identity).await.unwrap();
    assert_eq!((own.address, own.language), (None, Some(MailLanguage::English)));
}

#[tokio::test]
async fn a_server_without_mail_promises_none() {
    let (world, _) = World::signed_up().await;
    let mut service = world.account_service();
    let identity = signed_in(&service).await;
    service.settings.mails_are_sent = false;
    let begun = service.begin_email(identity, PASSWORD, address("haneul@example.org")).await;
    assert_refused!(begun, EmailError::MailNotAvailable);
    assert!(world.store.queued_mails().is_empty());
}

#[tokio::test]
async fn an_account_is_sent_so_many_codes_an_hour() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let identity = signed_in(&service).await;
    for number in 0..5 {
        let to = address(&format!("victim{number}@example.org"));
        service.begin_email(identity, PASSWORD, to).await.unwrap();
    }
    let begun = service.begin_email(identity, PASSWORD, address("victim5@example.org")).await;
    assert_refused!(begun, EmailError::TooManyMails { seconds_left: 3_600 });
    assert_eq!(world.store.queued_mails().len(), 5);
}

#[tokio::test]
async fn a_token_of_a_mail_chooses_another_password_once_and_ends_all_sessions() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let tokens = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    let identity = service.authenticate(&tokens.access_token).unwrap();
    service.begin_password_reset(login_id()).await;
    assert!(world.store.queued_mails().is_empty(), "it has no address");
    world.verified(&service, identity).await;
    service.begin_password_reset(LoginId::new("nobody-at-all").unwrap()).await;
    assert_eq!(world.store.queued_mails().len(), 1);
    service.begin_password_reset(login_id()).await;
    let token = world.last_token();
    assert_eq!(token.len(), 43);
    assert_eq!(world.store.queued_mails().pop().unwrap().to, Some(address("haneul@example.org")));

    let next = "a staple that is new";
    for wrong in ["", "x", &token[1..], &format!("{token}A"), &"A".repeat(43)] {
        let completed = service.complete_password_reset(wrong, password(next)).await;
        assert_refused!(completed, PasswordResetError::Invalid);
    }
    let guessable = service.complete_password_reset(&token, password("password123")).await;
    assert_refused!(guessable, PasswordResetError::Guessable(GuessablePassword::Common));
    // Others who guess do not keep its holder waiting afterwards.
    for _ in 0..5 {
        assert_not_signed_in!(service.sign_in(typed("haneul", "wrong horse")).await, SignInError::InvalidCredentials);
    }
    world.stage.clock.advance_seconds(1);
    service.complete_password_reset(&token, password(next)).await.unwrap();
    assert!(service.authenticate(&tokens.access_token).is_err());
    assert!(service.refresh(&tokens.refresh_token).await.is_err());
    assert!(service.sign_in(typed("haneul", next)).await.is_ok());
    assert_not_signed_in!(service.sign_in(typed("haneul", PASSWORD)).await, SignInError::InvalidCredentials);
    let again = service.complete_password_reset(&token, password("another staple again")).await;
    assert_refused!(again, PasswordResetError::Invalid);
}

#[tokio::test]
async fn a_second_factor_stays_when_the_password_is_reset() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let change = ChangeAccount { role: Some(Role::Promoter), ..ChangeAccount::default() };
    service.change(&login_id(), change).await.unwrap().unwrap();
    world.stage.clock.advance_seconds(1);
    let identity = signed_in(&service).await;
    world.verified(&service, identity).await;
    let made = service.begin_second_factor(identity, PASSWORD).await.unwrap();
    let device = totp_rs::Totp::from_url(&made.url).unwrap();
    let code = device.generate(u64::try_from(world.stage.now().timestamp()).unwrap()).to_string();
    service.confirm_second_factor(identity, &code).await.unwrap();
    world.stage.clock.advance_seconds(1);
    service.begin_password_reset(login_id()).await;
    service.complete_password_reset(&world.last_token(), password("a staple that is new")).await.unwrap();
    let signed_in = service.sign_in(typed("haneul", "a staple that is new")).await;
    assert_not_signed_in!(signed_in, SignInError::SecondFactorRequired);
}
