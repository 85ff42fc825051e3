//! Signing up and signing in.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{World, ask_sign_up, get};

#[tokio::test]
async fn signing_up_makes_a_customer() {
    let answer = World::new().await.answer(ask_sign_up()).await;
    let account = answer.succeeds(StatusCode::CREATED);
    assert_eq!(answer.header("location"), Some("/v1/me"));
    assert_eq!(
        (&account["login_id"], &account["name"], &account["role"]),
        (&json!("haneul"), &json!("Haneul"), &json!("customer"))
    );
    assert_eq!(account["created_at"], "2027-01-15T08:00:00Z");
}

#[tokio::test]
async fn an_access_token_that_is_wrong_old_or_of_an_account_that_is_gone_is_refused() {
    let router = World::new().await.router();
    let me = || get("/v1/me");
    for (ask, code) in [
        (me(), Code::Unauthenticated),
        (me().signed_in("forged"), Code::Unauthenticated),
        (me().header("authorization", "Basic customer"), Code::Unauthenticated),
        (me().header("authorization", "customer"), Code::Unauthenticated),
        (me().signed_in("expired"), Code::AccessTokenExpired),
        (me().signed_in("nobody"), Code::Unauthenticated),
    ] {
        ask.send(&router).await.refuses(code);
    }
}
