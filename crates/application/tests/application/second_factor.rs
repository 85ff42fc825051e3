//! The second factor of staff.

use boxoffice_application::{
    AccountService, Identity,
    accounts::{ChangeAccount, ConfirmedError, SecondFactorError, SessionTokens, SignIn, SignInError, SignInRefused},
};
use boxoffice_domain::accounts::{AccessTokenError, Role};
use totp_rs::Totp;

use crate::{
    accounts::{PASSWORD, login_id, typed},
    support::{World, assert_not_signed_in, assert_refused},
};

/// A promoter who is signed in.
async fn promoter(world: &World, service: &AccountService) -> (SessionTokens, Identity) {
    let change = ChangeAccount { role: Some(Role::Promoter), ..ChangeAccount::default() };
    service.change(&login_id(), change).await.unwrap().unwrap();
    world.stage.clock.advance_seconds(1);
    let tokens = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    let identity = service.authenticate_for_setup(&tokens.access_token).unwrap();
    (tokens, identity)
}

/// What the device of a second factor shows, so many seconds from now.
fn code(world: &World, device: &Totp, seconds: i64) -> String {
    let at = world.stage.now().timestamp() + seconds;
    device.generate(u64::try_from(at).unwrap()).to_string()
}

/// The device of a new second factor.
async fn device(service: &AccountService, identity: Identity) -> Totp {
    let made = service.begin_second_factor(identity, PASSWORD).await.unwrap();
    assert!(made.url.contains(&made.secret) && made.url.contains("boxoffice:haneul"), "{}", made.url);
    assert_eq!(format!("{made:?}"), "NewFactor(…)");
    Totp::from_url(&made.url).unwrap()
}

async fn sign_in(service: &AccountService, code: &str) -> Result<SessionTokens, SignInRefused> {
    service.sign_in(SignIn { code: Some(code), ..typed("haneul", PASSWORD) }).await
}

#[tokio::test]
async fn signing_in_asks_for_a_code_from_the_confirmation_on_and_takes_each_once() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let (tokens, identity) = promoter(&world, &service).await;
    let other = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    assert_refused!(
        service.begin_second_factor(identity, "wrong horse").await,
        SecondFactorError::Confirmed(ConfirmedError::InvalidCredentials)
    );
    device(&service, identity).await;
    let device = device(&service, identity).await;
    assert!(service.sign_in(typed("haneul", PASSWORD)).await.is_ok(), "it is not confirmed");
    for wrong in ["", "000000", "12345", &code(&world, &device, 90)] {
        assert_refused!(service.confirm_second_factor(identity, wrong).await, SecondFactorError::WrongCode);
    }
    let used = code(&world, &device, 0);
    let recovery = service.confirm_second_factor(identity, &format!(" {} {}", &used[..3], &used[3..])).await.unwrap();
    assert_eq!(recovery.len(), 10);
    assert!(recovery.iter().all(|code| code.len() == 29 && code.split('-').count() == 6), "{recovery:?}");
    assert!(service.authenticate(&other.access_token).is_err(), "it was opened without the factor");
    assert_eq!(service.authenticate(&tokens.access_token), Err(AccessTokenError::Expired));
    assert!(service.refresh(&tokens.refresh_token).await.is_ok());
    assert_refused!(service.begin_second_factor(identity, PASSWORD).await, SecondFactorError::Exists);
    assert_refused!(service.confirm_second_factor(identity, &used).await, SecondFactorError::Missing);

    let required = service.sign_in(typed("haneul", PASSWORD)).await;
    assert_not_signed_in!(required, SignInError::SecondFactorRequired);
    assert_not_signed_in!(sign_in(&service, &used).await, SignInError::SecondFactorRequired);
    world.stage.clock.advance_seconds(30);
    let next = code(&world, &device, 0);
    assert!(sign_in(&service, &next).await.is_ok());
    assert_not_signed_in!(sign_in(&service, &next).await, SignInError::SecondFactorRequired);
    // The device may be a step ahead or behind.
    assert!(sign_in(&service, &code(&world, &device, 30)).await.is_ok());
    assert_not_signed_in!(sign_in(&service, &code(&world, &device, 0)).await, SignInError::SecondFactorRequired);

    // A recovery code is good once, however it is typed.
    let typed_code = recovery[3].to_uppercase().replace('-', " ");
    assert!(sign_in(&service, &typed_code).await.is_ok());
    assert_not_signed_in!(sign_in(&service, &recovery[3]).await, SignInError::SecondFactorRequired);
    assert!(sign_in(&service, &recovery[4]).await.is_ok());
    // A wrong password is answered as if there were no second factor.
    let wrong = SignIn { code: Some(&recovery[5]), ..typed("haneul", "wrong horse") };
    assert_not_signed_in!(service.sign_in(wrong).await, SignInError::InvalidCredentials);
}

#[tokio::test]
async fn codes_cannot_be_guessed_one_after_the_other() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let (_, identity) = promoter(&world, &service).await;
    let device = device(&service, identity).await;
    let recovery = service.confirm_second_factor(identity, &code(&world, &device, 0)).await.unwrap();
    world.stage.clock.advance_seconds(30);
    for _ in 0..5 {
        assert_not_signed_in!(sign_in(&service, "000000").await, SignInError::SecondFactorRequired);
    }
    for right in [&code(&world, &device, 0), &recovery[0]] {
        assert_not_signed_in!(sign_in(&service, right).await, SignInError::TooManyCodes { seconds_left: 60 });
    }
    // Asking for the factor is no attempt.
    let required = service.sign_in(typed("haneul", PASSWORD)).await;
    assert_not_signed_in!(required, SignInError::SecondFactorRequired);
    world.stage.clock.advance_seconds(60);
    assert!(sign_in(&service, &code(&world, &device, 0)).await.is_ok());
    world.stage.clock.advance_seconds(30);
    assert_not_signed_in!(sign_in(&service, "000000").await, SignInError::SecondFactorRequired);
}

#[tokio::test]
async fn staff_that_needs_a_second_factor_can_do_nothing_but_set_it_up() {
    let (world, customer) = World::signed_up().await;
    let mut service = world.account_service();
    service.settings.staff_needs_second_factor = true;
    let tokens = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    let identity = service.authenticate(&tokens.access_token).unwrap();
    assert_eq!((identity.account_id, identity.role), (customer.id, Role::Customer));
    assert_refused!(service.begin_second_factor(identity, PASSWORD).await, SecondFactorError::NotStaff);

    let (tokens, identity) = promoter(&world, &service).await;
    assert_eq!(service.authenticate(&tokens.access_token), Err(AccessTokenError::SecondFactorMissing));
    let device = device(&service, identity).await;
    service.confirm_second_factor(identity, &code(&world, &device, 0)).await.unwrap();
    let next = service.refresh(&tokens.refresh_token).await.unwrap();
    assert!(service.authenticate(&next.access_token).is_ok());

    assert_refused!(
        service.remove_second_factor(identity, "wrong horse").await,
        SecondFactorError::Confirmed(ConfirmedError::InvalidCredentials)
    );
    world.stage.clock.advance_seconds(1);
    service.remove_second_factor(identity, PASSWORD).await.unwrap();
    assert_refused!(service.remove_second_factor(identity, PASSWORD).await, SecondFactorError::Missing);
    assert_eq!(service.authenticate(&next.access_token), Err(AccessTokenError::Expired));
    let next = service.refresh(&next.refresh_token).await.unwrap();
    assert_eq!(service.authenticate(&next.access_token), Err(AccessTokenError::SecondFactorMissing));
    assert!(service.authenticate_for_setup(&next.access_token).is_ok());
}

#[tokio::test]
async fn the_operator_removes_a_second_factor_that_was_lost() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let (tokens, identity) = promoter(&world, &service).await;
    let device = device(&service, identity).await;
    service.confirm_second_factor(identity, &code(&world, &device, 0)).await.unwrap();
    world.stage.clock.advance_seconds(1);
    let change = ChangeAccount { remove_second_factor: true, ..ChangeAccount::default() };
    assert_eq!(service.change(&login_id(), change).await.unwrap().unwrap().1, 1);
    assert!(service.refresh(&tokens.refresh_token).await.is_err());
    assert!(service.sign_in(typed("haneul", PASSWORD)).await.is_ok());
}
