//! The e-mail address of an account, and choosing another password by it.

use axum::http::{Method, StatusCode};
use boxoffice_domain::mail::Notice;
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{Answer, Ask, World, delete, from, get, patch, post};

/// The password of every account of the world: what its hash says, as the world hashes.
const PASSWORD: &str = "$argon2id$a-hash";

fn ask_email(account: &str, email: &str, password: &str) -> Ask {
    post("/v1/me/email", json!({"email": email, "password": password})).signed_in(account)
}

fn ask_reset(login_id: &str) -> Ask {
    post("/v1/password-resets", json!({"login_id": login_id}))
}

impl World {
    async fn me(&self, account: &str) -> Value {
        self.answer(get("/v1/me").signed_in(account)).await.succeeds(StatusCode::OK)
    }

    async fn verify(&self, account: &str, code: &str) -> Answer {
        self.answer(post("/v1/me/email/verify", json!({"code": code})).signed_in(account)).await
    }

    fn codes(&self) -> Vec<String> {
        let code = |notice| match notice {
            Notice::EmailVerification { code, .. } => Some(code),
            _ => None,
        };
        self.store.queued_mails().into_iter().filter_map(|mail| code(mail.notice)).collect()
    }

    /// The tokens that were sent, when all acts have ended that no response waits for.
    async fn tokens(&self) -> Vec<String> {
        self.draining.acts_ended().await;
        let token = |notice| match notice {
            Notice::PasswordReset { token, .. } => Some(token),
            _ => None,
        };
        self.store.queued_mails().into_iter().filter_map(|mail| token(mail.notice)).collect()
    }

    async fn login_id(&self, account: &str) -> String {
        self.me(account).await["login_id"].as_str().unwrap().to_owned()
    }

    async fn verified(&self, account: &str, email: &str) {
        self.answer(ask_email(account, email, PASSWORD)).await.succeeds(StatusCode::ACCEPTED);
        let code = self.codes().pop().unwrap();
        self.verify(account, &code).await.succeeds(StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn an_address_is_shown_once_it_is_verified() {
    let world = World::new().await;
    let me = world.me("customer").await;
    assert_eq!((&me["email"], &me["email_pending"], &me["language"]), (&json!(null), &json!(null), &json!("ko")));
    let begun = world.answer(ask_email("customer", " Haneul@EXAMPLE.org ", PASSWORD)).await;
    assert_eq!(begun.succeeds(StatusCode::ACCEPTED), Value::Null);
    let me = world.me("customer").await;
    assert_eq!((&me["email"], &me["email_pending"]), (&json!(null), &json!("Haneul@example.org")));
    world.verify("customer", "00000000").await.violates("/code", "wrong_code");
    let code = world.codes().pop().unwrap();
    world.verify("stranger", &code).await.violates("/code", "wrong_code");
    world.verify("customer", &code).await.succeeds(StatusCode::NO_CONTENT);
    world.verify("customer", &code).await.violates("/code", "wrong_code");
    let changed = world.answer(patch("/v1/me", json!({"language": "en"})).signed_in("customer")).await;
    let me = changed.succeeds(StatusCode::OK);
    assert_eq!(me, world.me("customer").await);
    assert_eq!(
        (&me["email"], &me["email_pending"], &me["language"]),
        (&json!("Haneul@example.org"), &json!(null), &json!("en"))
    );
    let export = world.answer(get("/v1/me/export").signed_in("customer")).await.succeeds(StatusCode::OK);
    assert_eq!(
        (&export["email"]["address"], &export["email"]["language"]),
        (&json!("Haneul@example.org"), &json!("en"))
    );

    let remove =
        |password: &str| delete("/v1/me/email").raw("application/json", json!({"password": password}).to_string());
    world.answer(remove("wrong horse").signed_in("customer")).await.refuses(Code::InvalidCredentials);
    for _ in 0..2 {
        world.answer(remove(PASSWORD).signed_in("customer")).await.succeeds(StatusCode::NO_CONTENT);
        let me = world.me("customer").await;
        assert_eq!((&me["email"], &me["language"]), (&json!(null), &json!("en")));
    }
}

#[tokio::test]
async fn what_is_no_address_or_language_is_refused() {
    let world = World::new().await;
    for bad in [
        "",
        "haneul",
        "haneul@localhost",
        "a@b@example.org",
        "haneul@example.org\r\nBcc: victim@example.org",
        "\"a b\"@example.org",
        "하늘@example.org",
        &format!("{}@example.org", "a".repeat(65)),
        &format!("a@{}", "b.".repeat(200)),
    ] {
        world.answer(ask_email("customer", bad, PASSWORD)).await.violates("/email", "email");
    }
    world.answer(ask_email("customer", "a@example.org", "wrong horse")).await.refuses(Code::InvalidCredentials);
    assert!(world.codes().is_empty());
    for bad in [json!({"language": "fr"}), json!({"language": null}), json!({}), json!({"language": 1})] {
        assert_eq!(world.answer(patch("/v1/me", bad).signed_in("customer")).await.violations()[0].0, "/language");
    }
}

/// Nobody learns by an answer whether another account has an address, or whether mail went there.
#[tokio::test]
async fn an_address_of_another_account_is_answered_like_any_other() {
    let world = World::new().await;
    world.verified("customer", "haneul@example.org").await;
    let answer = async |email: &str| {
        let answer = world.answer(ask_email("stranger", email, PASSWORD)).await;
        (answer.status, answer.body)
    };
    let free = answer("free@example.org").await;
    for _ in 0..4 {
        assert_eq!(answer("haneul@example.org").await, free);
    }
    // The response says when the limit of the account allows another mail.
    let refused = world.answer(ask_email("stranger", "free@example.org", PASSWORD)).await;
    refused.refuses(Code::RateLimited);
    assert_eq!(refused.header("retry-after"), Some("3600"));
    // The address has got five mails, and the next account is answered as ever.
    let begun = world.answer(ask_email("promoter", "haneul@example.org", PASSWORD)).await;
    assert_eq!((begun.status, begun.body), free);
    assert_eq!(world.codes().len(), 6);
}

#[tokio::test]
async fn codes_are_tried_so_often_an_hour_and_another_mail_changes_nothing() {
    let world = World::new().await;
    world.answer(ask_email("customer", "haneul@example.org", PASSWORD)).await.succeeds(StatusCode::ACCEPTED);
    for _ in 0..5 {
        world.verify("customer", "99999999x").await.violates("/code", "wrong_code");
    }
    world.answer(ask_email("customer", "haneul@example.org", PASSWORD)).await.succeeds(StatusCode::ACCEPTED);
    let refused = world.verify("customer", &world.codes()[1]).await;
    refused.refuses(Code::RateLimited);
    assert_eq!(refused.header("retry-after"), Some("3600"));
}

/// Whether a login id exists, has an address or is one at all: the answer is the same, and comes before that is looked up.
#[tokio::test]
async fn asking_for_a_reset_says_nothing_about_accounts() {
    let world = World::new().await;
    world.verified("customer", "haneul@example.org").await;
    let (known, without) = (world.login_id("customer").await, world.login_id("stranger").await);
    let mut answers = Vec::new();
    let long = "x".repeat(300);
    for login_id in [known.as_str(), &without, "nobody-at-all", "", "no login id", "' OR 1=1 --", &long] {
        let answer = world.answer(ask_reset(login_id)).await;
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        answers.push((answer.status, headers, answer.body));
    }
    assert_eq!(answers[0].0, StatusCode::ACCEPTED);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(world.tokens().await.len(), 1);
}

#[tokio::test]
async fn a_token_chooses_another_password_once() {
    let world = World::new().await;
    world.verified("customer", "haneul@example.org").await;
    let login_id = world.login_id("customer").await;
    world.answer(ask_reset(&login_id)).await.succeeds(StatusCode::ACCEPTED);
    let token = world.tokens().await.pop().unwrap();
    let complete =
        |token: &str, password: &str| post(format!("/v1/password-resets/{token}"), json!({"password": password}));
    for bad in ["x", "%ff", "..%2f..", &token[1..], &"A".repeat(5_000), "%00", &token.to_lowercase()] {
        world.answer(complete(bad, "a staple that is new")).await.refuses(Code::PasswordResetInvalid);
    }
    world.answer(complete(&token, "short")).await.violates("/password", "password_length");
    world.answer(complete(&token, "password123")).await.violates("/password", "password_common");
    world.answer(complete(&token, &login_id)).await.violates("/password", "password_is_login_id");
    world.answer(complete(&token, "a staple that is new")).await.succeeds(StatusCode::NO_CONTENT);
    world.answer(complete(&token, "another staple again")).await.refuses(Code::PasswordResetInvalid);
    world.answer(complete(&token, "short")).await.violates("/password", "password_length");
}

#[tokio::test]
async fn a_server_without_mail_says_so() {
    let mut world = World::new().await;
    world.mails_are_sent = false;
    world.answer(ask_email("customer", "haneul@example.org", "wrong horse")).await.refuses(Code::InvalidCredentials);
    world.answer(ask_email("customer", "haneul@example.org", PASSWORD)).await.refuses(Code::MailNotAvailable);
    for login_id in [world.login_id("customer").await.as_str(), "nobody-at-all"] {
        world.answer(ask_reset(login_id)).await.refuses(Code::MailNotAvailable);
    }
    assert!(world.store.queued_mails().is_empty());
    world.answer(patch("/v1/me", json!({"language": "en"})).signed_in("customer")).await.succeeds(StatusCode::OK);
}

#[tokio::test]
async fn resets_count_with_the_sign_ins_of_an_address() {
    let mut world = World::new().await;
    world.settings.account_requests_per_minute = 2;
    let router = world.router();
    let complete = || post("/v1/password-resets/x", json!({"password": "a staple that is new"}));
    let begun = from(&router, "203.0.113.7:1", ask_reset("nobody-at-all")).await;
    begun.succeeds(StatusCode::ACCEPTED);
    assert_eq!(begun.header("ratelimit"), Some("\"accounts\";r=1;t=30"));
    from(&router, "203.0.113.7:2", complete()).await.refuses(Code::PasswordResetInvalid);
    for ask in [ask_reset("nobody-at-all"), complete()] {
        from(&router, "203.0.113.7:3", ask).await.refuses(Code::RateLimited);
    }
    from(&router, "203.0.113.8:1", ask_reset("nobody-at-all")).await.succeeds(StatusCode::ACCEPTED);
    let of_no_use = get("/v1/password-resets/x").method(Method::PUT);
    from(&router, "203.0.113.7:4", of_no_use).await.refuses(Code::MethodNotAllowed);
}

#[tokio::test]
async fn a_concert_may_demand_a_verified_address() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.requires_verified_email = true).await;
    let path = format!("/v1/concerts/{}", world.show.concert.id);
    let concert = world.answer(get(path)).await.succeeds(StatusCode::OK);
    assert_eq!(concert["requires_verified_email"], true);
    world.answer(world.ask_join()).await.refuses(Code::EmailNotVerified);
    world.verified("customer", "haneul@example.org").await;
    world.answer(world.ask_join()).await.succeeds(StatusCode::CREATED);
}
