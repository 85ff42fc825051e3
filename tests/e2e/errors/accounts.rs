//! What accounts, their limits and their queues refuse.

use boxoffice_testkit::servers::free_port;
use serde_json::json;
use totp_rs::Totp;

use super::Codes;
use crate::support::{
    client::Buyer,
    now,
    server::{PASSWORD, Server},
    show::{Show, Terms},
    text,
};

/// What accounts and second factors refuse.
pub(super) async fn refusals(buyer: &Buyer, promoter: &Buyer) {
    let password = json!({"password": PASSWORD});
    buyer.charge(1).await;
    let wrong = json!({"password": "another password"});
    let change = json!({"current_password": "another password", "new_password": "a third password"});
    buyer.ask("PUT", "/v1/me/password").json(&change).send().await.refuses(401, "invalid_credentials");
    buyer.ask("DELETE", "/v1/me").json(&wrong).send().await.refuses(401, "invalid_credentials");
    promoter.post("/v1/me/totp", &wrong).send().await.refuses(401, "invalid_credentials");
    buyer.ask("DELETE", "/v1/me").json(&password).send().await.refuses(409, "account_in_use");
    buyer.post("/v1/me/totp", &password).send().await.refuses(403, "forbidden");
    promoter.ask("DELETE", "/v1/me/totp").json(&password).send().await.refuses(404, "second_factor_not_found");
    promoter.ask("DELETE", "/v1/me/totp").json(&wrong).send().await.refuses(401, "invalid_credentials");
    let code = json!({"code": "123456"});
    promoter.post("/v1/me/totp/confirm", &code).send().await.refuses(404, "second_factor_not_found");
    let begun = promoter.post("/v1/me/totp", &password).send().await;
    let device = Totp::from_url(text(begun.is(200), "url")).expect("a URL for devices");
    let code = json!({"code": device.generate(now().timestamp().unsigned_abs()).to_string()});
    promoter.post("/v1/me/totp/confirm", &code).send().await.is(200);
    let next =
        promoter.api.post("/v1/sessions/refresh", &json!({"refresh_token": promoter.refresh_token})).send().await;
    let elsewhere = promoter.api.post("/v1/sessions/refresh", &json!({})).header("cookie", "boxoffice_refresh=token");
    elsewhere.header("origin", "https://evil.example").send().await.refuses(403, "forbidden");
    let again = promoter.api.post("/v1/me/totp", &password).bearer(text(next.is(200), "access_token")).send().await;
    again.refuses(409, "second_factor_exists");
    let sign_in = json!({"login_id": promoter.login_id, "password": PASSWORD});
    promoter.api.post("/v1/sessions", &sign_in).send().await.refuses(401, "second_factor_required");
}

/// What is refused of addresses, of resets of passwords, and by a concert that demands an address.
pub(super) async fn refusals_of_addresses(buyer: &Buyer, promoter: &Buyer) {
    let email = |password: &str| json!({"email": "haneul@example.org", "password": password});
    buyer.post("/v1/me/email", &email("another password")).send().await.refuses(401, "invalid_credentials");
    buyer.post("/v1/me/email", &email(PASSWORD)).send().await.refuses(409, "mail_not_available");
    let wrong = json!({"password": "another password"});
    buyer.ask("DELETE", "/v1/me/email").json(&wrong).send().await.refuses(401, "invalid_credentials");
    for login_id in [buyer.login_id.as_str(), "nobody-at-all"] {
        let reset = json!({"login_id": login_id});
        buyer.api.post("/v1/password-resets", &reset).send().await.refuses(409, "mail_not_available");
    }
    let next = json!({"password": "another password"});
    for token in ["x", "A".repeat(43).as_str(), "%ff"] {
        let completed = buyer.api.post(format!("/v1/password-resets/{token}"), &next).send().await;
        completed.refuses(404, "password_reset_invalid");
    }
    let show = Show::publish(promoter, Terms::default()).await;
    let demand = json!({"requires_verified_email": true});
    let changed = promoter.patch(format!("/v1/concerts/{}", show.concert), &demand).send().await;
    assert_eq!(changed.is(200)["requires_verified_email"], true);
    buyer.ask_join(&show.concert).send().await.refuses(403, "email_not_verified");
}

/// What staff is refused that has yet to set up a second factor.
pub(super) async fn refusals_of_a_server_with_second_factors() -> Codes {
    let server = Server::start(&[("STAFF_SECOND_FACTOR", "required")]).await;
    let promoter = server.promoter("promoter").await;
    promoter.get("/v1/me").send().await.refuses(403, "second_factor_setup_required");
    let codes = server.api().codes();
    server.finish().await;
    codes
}

/// What a server refuses whose limits are low.
pub(super) async fn refusals_of_a_limited_server() -> Codes {
    let metrics = format!("127.0.0.1:{}", free_port().expect("a port"));
    let settings = [
        ("ACCOUNT_REQUESTS_PER_MINUTE", "1"),
        ("SESSION_REFRESHES_PER_MINUTE", "1"),
        ("METRICS_LISTEN", metrics.as_str()),
        ("DOCS", "false"),
    ];
    let server = Server::start(&settings).await;
    // The only request of this address that hashes a password.
    let promoter = server.promoter("promoter").await;
    for hidden in ["/metrics", "/openapi.json"] {
        server.api().get(hidden).send().await.refuses(404, "not_found");
    }
    let sign_in = || server.api().post("/v1/sessions", &json!({"login_id": "nobody", "password": PASSWORD}));
    sign_in().send().await.refuses(429, "rate_limited");
    let (password, code) = (json!({"password": PASSWORD}), json!({"code": "123456"}));
    let change = json!({"current_password": PASSWORD, "new_password": "another password"});
    for ask in [
        promoter.ask("PUT", "/v1/me/password").json(&change),
        promoter.ask("DELETE", "/v1/me").json(&password),
        promoter.post("/v1/me/totp", &password),
        promoter.ask("DELETE", "/v1/me/totp").json(&password),
        promoter.post("/v1/me/totp/confirm", &code),
        promoter.post("/v1/me/email", &json!({"email": "a@example.org", "password": PASSWORD})),
        promoter.ask("DELETE", "/v1/me/email").json(&password),
        server.api().post("/v1/password-resets/x", &password),
    ] {
        ask.send().await.refuses(429, "rate_limited");
    }
    let account = json!({"login_id": "haneul", "password": PASSWORD, "name": "A"});
    server.api().post("/v1/accounts", &account).send().await.refuses(429, "rate_limited");
    let refresh = json!({"refresh_token": "A".repeat(64)});
    server.api().post("/v1/sessions/refresh", &refresh).send().await.refuses(401, "unauthenticated");
    server.api().post("/v1/sessions/refresh", &refresh).send().await.refuses(429, "rate_limited");
    let codes = server.api().codes();
    server.finish().await;
    codes
}

/// Who may not join at the moment, if the operator says so.
pub(super) async fn refusals_of_joining() -> Codes {
    let mut server = Server::start(&[("QUEUE_JOINS_PER_NETWORK", "1")]).await;
    let show = Show::on(&server, Terms::default()).await;
    let (mut first, second) = (Buyer::new(server.api()).await, Buyer::new(server.api()).await);
    first.join(&show.concert).await;
    let refused = second.ask_join(&show.concert).send().await;
    refused.refuses(429, "queue_joins_limited");
    let seconds: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    first.ask_join(&show.concert).send().await.is(200);
    let mut codes = server.api().codes();

    server.stop().await;
    server.set("ACCOUNT_AGE_MINUTES", "60");
    server.start_again().await;
    let new = Buyer::new(server.api()).await;
    new.ask_join(&show.concert).send().await.refuses(403, "account_too_new");
    codes.extend(server.api().codes());
    server.finish().await;
    codes
}
