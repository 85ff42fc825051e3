//! Signing up and signing in.

use axum::http::StatusCode;
use boxoffice_domain::accounts::{Credentials, PasswordHash, Role, Rotation};
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{World, account, delete, post};

#[tokio::test]
async fn signing_up_makes_a_customer() {
    let world = World::with(|world| {
        world.passwords.expect_hash().returning(|_| Ok(PasswordHash(String::new())));
        let customer = |credentials: &Credentials| credentials.account.role == Role::Customer;
        world.accounts.expect_create().withf(customer).returning(|_| Ok(()));
    });
    let body = json!({"login_id": "haneul", "password": "long enough", "name": " Haneul "});
    let answer = world.answer(post("/v1/accounts", body)).await;
    let account = answer.succeeds(StatusCode::CREATED);
    assert_eq!(answer.header("location"), Some("/v1/me"));
    assert_eq!(
        (&account["login_id"], &account["name"], &account["role"]),
        (&json!("haneul"), &json!("Haneul"), &json!("customer"))
    );
    assert_eq!(account["created_at"], "2027-01-15T08:00:00Z");
}

#[tokio::test]
async fn a_session_is_opened_refreshed_and_ended() {
    let mut world = World::new();
    world.accounts.expect_credentials().returning(|_| {
        let password_hash = PasswordHash(String::new());
        Ok(Some(Credentials { account: account(Role::Customer), password_hash, idempotency: None }))
    });
    world.passwords.expect_verify().returning(|_, _| Ok(true));
    world.sessions.expect_open().returning(|_| Ok(()));
    world.sessions.expect_rotate().returning(|_| Ok(Rotation::Rotated(account(Role::Customer))));
    world.sessions.expect_end().returning(|_| Ok(()));
    let router = world.router();
    let sign_in = post("/v1/sessions", json!({"login_id": "haneul", "password": "long enough"}));
    let session = sign_in.send(&router).await.succeeds(StatusCode::CREATED);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(900)));
    let refresh = post("/v1/sessions/refresh", json!({"refresh_token": session["refresh_token"]}));
    refresh.send(&router).await.succeeds(StatusCode::OK);
    delete("/v1/sessions/current").signed_in("customer").send(&router).await.succeeds(StatusCode::NO_CONTENT);
    delete("/v1/sessions/current").signed_in("customer").send(&router).await.refuses(Code::Unauthenticated);
}
