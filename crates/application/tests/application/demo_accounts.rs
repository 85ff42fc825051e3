//! Accounts of the demonstration, whose passwords are public.

use boxoffice_application::{
    AccountService,
    accounts::{RefreshError, SessionSettings, SignIn, SignInError, SignUp},
};
use boxoffice_contracts::storage::name;
use boxoffice_domain::accounts::{LoginId, Password, Role};

use crate::support::{World, assert_not_signed_in, assert_refused};

const PASSWORD: &str = "correct horse";

/// What is typed to sign in.
fn typed() -> SignIn<'static> {
    SignIn { login_id: "haneul", password: PASSWORD, code: None, client: None, network: None }
}

/// The service of a server that was started as the demonstration, or not.
fn service(world: &World, demo: bool) -> AccountService {
    let service = world.account_service();
    AccountService { settings: SessionSettings { demo, ..service.settings }, ..service }
}

#[tokio::test]
async fn an_account_of_the_demonstration_is_signed_in_by_the_demonstration_alone() {
    let world = World::new().await;
    let login_id = LoginId::new("haneul").unwrap();
    let sign_up =
        SignUp { login_id: login_id.clone(), password: Password::new(PASSWORD).unwrap(), name: name("Haneul") };
    let (demo, other) = (service(&world, true), service(&world, false));
    demo.sign_up(sign_up, Role::Promoter, None).await.unwrap();
    let before = other.sign_in(typed()).await.unwrap();
    world.stage.storage.accounts.mark_demo(&login_id).await.unwrap();

    assert_not_signed_in!(other.sign_in(typed()).await, SignInError::InvalidCredentials);
    let open = demo.sign_in(typed()).await.unwrap();
    // Sessions that are open already are not refreshed either.
    for token in [&before.refresh_token, &open.refresh_token] {
        assert_refused!(other.refresh(token).await, RefreshError::Invalid);
        demo.refresh(token).await.unwrap();
    }
}
