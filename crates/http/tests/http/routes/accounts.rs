//! Signing up and signing in.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{World, ask_sign_in, ask_sign_up, delete, get, post};

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
async fn a_session_is_opened_refreshed_and_ended() {
    let router = World::new().await.router();
    ask_sign_up().send(&router).await.succeeds(StatusCode::CREATED);
    let session = ask_sign_in().send(&router).await.succeeds(StatusCode::CREATED);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(900)));
    let refresh = || post("/v1/sessions/refresh", json!({"refresh_token": session["refresh_token"]}));
    refresh().send(&router).await.succeeds(StatusCode::OK);
    refresh().send(&router).await.refuses(Code::Unauthenticated);
    let sign_out = || delete("/v1/sessions/current").signed_in("customer");
    sign_out().send(&router).await.succeeds(StatusCode::NO_CONTENT);
    sign_out().send(&router).await.refuses(Code::Unauthenticated);
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
