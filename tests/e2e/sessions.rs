//! Signing in, and staying signed in.

use serde_json::json;

use crate::support::{
    client::{Answer, Api, Ask, Buyer},
    eventually, list, send_together,
    server::{PASSWORD, Server},
    show::venue_of,
    text, until,
};

async fn refresh(api: &Api, token: &str) -> Answer {
    api.post("/v1/sessions/refresh", &json!({"refresh_token": token})).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_single_use_and_its_reuse_ends_the_session() {
    let server = Server::start(&[("REFRESH_GRACE_SECONDS", "0")]).await;
    let (api, buyer) = (server.api(), Buyer::new(server.api()).await);
    let other_session = Buyer::sign_in(api, &buyer.login_id).await;
    let next = refresh(api, &buyer.refresh_token).await;
    let (access, newest) = (text(next.is(200), "access_token"), text(&next.json, "refresh_token"));
    assert_ne!(newest, buyer.refresh_token);
    api.get("/v1/me").bearer(access).send().await.is(200);
    buyer.get("/v1/me").send().await.is(200);

    // The first one is used again, so one of the two callers has stolen it: neither goes on.
    refresh(api, &buyer.refresh_token).await.refuses(401, "unauthenticated");
    refresh(api, newest).await.refuses(401, "unauthenticated");
    api.get("/v1/me").bearer(access).send().await.refuses(401, "unauthenticated");
    buyer.get("/v1/me").send().await.refuses(401, "unauthenticated");
    // Another session of the same account is not touched.
    other_session.get("/v1/me").send().await.is(200);
    refresh(api, &other_session.refresh_token).await.is(200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshing_twice_gives_the_same_pair_and_an_unknown_secret_is_no_theft() {
    let server = Server::start(&[]).await;
    let buyer = Buyer::new(server.api()).await;
    let answers = send_together(10, |_| {
        server.api().post("/v1/sessions/refresh", &json!({"refresh_token": buyer.refresh_token}))
    })
    .await;
    let tokens = |answer: &Answer| {
        let pair = answer.is(200);
        (text(pair, "access_token").to_owned(), text(pair, "refresh_token").to_owned())
    };
    let pair = tokens(&answers[0]);
    assert!(answers.iter().all(|answer| tokens(answer) == pair));
    // The session of the pair, and a secret that it never gave.
    let unknown = format!("{}{}", &pair.1[..22], "A".repeat(42));
    refresh(server.api(), &unknown).await.refuses(401, "unauthenticated");
    server.api().get("/v1/me").bearer(&pair.0).send().await.is(200);
    refresh(server.api(), &pair.1).await.is(200);
    assert!(!server.log().contains("spent refresh token"), "{}", server.log());
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_session_is_found_and_ended_and_the_password_changed() {
    let server = Server::start(&[]).await;
    let buyer = Buyer::new(server.api()).await;
    let credentials = json!({"login_id": buyer.login_id, "password": PASSWORD});
    let thief = server.api().post("/v1/sessions", &credentials).header("user-agent", "stolen \t phone/1.0").send().await;
    let thief = text(thief.is(201), "access_token").to_owned();
    let sessions = async || list(buyer.get("/v1/me/sessions").send().await.is(200), "items").to_vec();
    let shown = sessions().await;
    assert_eq!(shown.len(), 2);
    let of_thief = shown.iter().find(|session| session["current"] == false).expect("there is another session");
    assert_eq!(of_thief["client"], "stolen phone/1.0");
    let path = format!("/v1/me/sessions/{}", text(of_thief, "id"));
    buyer.delete(path.as_str()).send().await.is(204);
    server.api().get("/v1/me").bearer(&thief).send().await.refuses(401, "unauthenticated");
    buyer.delete(path.as_str()).send().await.refuses(404, "session_not_found");
    assert_eq!(sessions().await.len(), 1);

    // The thief knows the password, and comes back.
    let again = Buyer::sign_in(server.api(), &buyer.login_id).await;
    let change = |current: &str, new: &str| {
        buyer.ask("PUT", "/v1/me/password").json(&json!({"current_password": current, "new_password": new}))
    };
    change("wrong password", "another password").send().await.refuses(401, "invalid_credentials");
    change(PASSWORD, "short").send().await.refuses(422, "validation_failed");
    change(PASSWORD, "another password").send().await.is(204);
    again.get("/v1/me").send().await.refuses(401, "unauthenticated");
    buyer.get("/v1/me").send().await.is(200);
    refresh(server.api(), &buyer.refresh_token).await.is(200);
    server.api().post("/v1/sessions", &credentials).send().await.refuses(401, "invalid_credentials");
    let credentials = json!({"login_id": buyer.login_id, "password": "another password"});
    let other = server.api().post("/v1/sessions", &credentials).send().await;
    let other = text(other.is(201), "access_token").to_owned();
    buyer.delete("/v1/me/sessions").send().await.is(204);
    server.api().get("/v1/me").bearer(&other).send().await.refuses(401, "unauthenticated");
    buyer.get("/v1/me").send().await.is(200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_and_no_other() {
    let mut server = Server::start(&[]).await;
    let buyer = Buyer::new(server.api()).await;
    let other_session = Buyer::sign_in(server.api(), &buyer.login_id).await;
    buyer.delete("/v1/sessions/current").send().await.is(204);
    buyer.get("/v1/me").send().await.refuses(401, "unauthenticated");
    refresh(server.api(), &buyer.refresh_token).await.refuses(401, "unauthenticated");
    other_session.get("/v1/me").send().await.is(200);
    // Keys and refresh tokens are stored, so sessions outlast the process. So does their end.
    server.restart().await;
    buyer.get("/v1/me").send().await.refuses(401, "unauthenticated");
    server.api().get("/v1/me").bearer(&other_session.asks.access_token).send().await.is(200);
    refresh(server.api(), &other_session.refresh_token).await.is(200);
    refresh(server.api(), &buyer.refresh_token).await.refuses(401, "unauthenticated");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_promoter_publishes_no_longer() {
    let mut server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    promoter.post("/v1/venues", &venue_of(1)).send().await.is(201);
    let (status, printed, _) = server.run(&["account", "promoter", "--role", "customer"], &[]).await;
    assert!(status == 0 && printed.contains("has the role customer"), "{printed}");
    // The command has no connection to the server, which looks at the database each second.
    until("the server knows of it", async || {
        promoter.post("/v1/venues", &venue_of(1)).send().await.status != 201
    })
    .await;
    promoter.post("/v1/venues", &venue_of(1)).send().await.refuses(401, "access_token_expired");
    server.restart().await;
    server.api().get("/v1/me").bearer(&promoter.asks.access_token).send().await.refuses(401, "access_token_expired");
    // The session goes on, as that of a customer.
    let next = refresh(server.api(), &promoter.refresh_token).await;
    let customer = |ask: Ask| ask.bearer(text(&next.json, "access_token")).send();
    assert_eq!(customer(server.api().get("/v1/me")).await.is(200)["role"], "customer");
    customer(server.api().post("/v1/venues", &venue_of(1))).await.refuses(403, "forbidden");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_expires_and_the_refresh_token_gives_the_next() {
    let server = Server::start(&[("ACCESS_TOKEN_SECONDS", "1")]).await;
    let buyer = Buyer::new(server.api()).await;
    let refused = eventually("the access token expires", async || {
        let answer = buyer.get("/v1/me").send().await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.refuses(401, "access_token_expired");
    assert!(refused.header("www-authenticate").expect("a scheme").contains("invalid_token"));
    let next = refresh(server.api(), &buyer.refresh_token).await;
    assert_eq!((&next.is(200)["expires_in"], &next.json["token_type"]), (&json!(1), &json!("Bearer")));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_access_token_is_accepted() {
    let server = Server::start(&[]).await;
    let (buyer, other) = (Buyer::new(server.api()).await, Buyer::new(server.api()).await);
    let parts: Vec<_> = buyer.asks.access_token.split('.').collect();
    let others: Vec<_> = other.asks.access_token.split('.').collect();
    // {"alg":"none","typ":"JWT"} without a signature is the oldest trick.
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    let swapped = format!("{}.{}.{}", parts[0], others[1], parts[2]);
    let account = buyer.get("/v1/me").send().await.id();
    for forged in [unsigned, swapped, account, "x".into(), "..".into(), buyer.refresh_token.clone()] {
        server.api().get("/v1/me").bearer(&forged).send().await.refuses(401, "unauthenticated");
    }
    for field in ["", "Bearer", "Basic aGFuZXVsOnNlY3JldA==", &buyer.asks.access_token] {
        server.api().get("/v1/me").header("authorization", field).send().await.refuses(401, "unauthenticated");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_sign_ins_from_one_address_are_refused_with_the_time_to_retry() {
    let server = Server::start(&[("ACCOUNT_REQUESTS_PER_MINUTE", "3")]).await;
    let sign_in = || server.api().post("/v1/sessions", &json!({"login_id": "nobody", "password": "wrong password"}));
    for left in (0..3).rev() {
        let answer = sign_in().send().await;
        answer.refuses(401, "invalid_credentials");
        assert!(answer.header("ratelimit").expect("the state").starts_with(&format!("\"accounts\";r={left};t=")));
    }
    let refused = sign_in().send().await;
    refused.refuses(429, "rate_limited");
    let seconds: u32 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"accounts\";q=3;w=60"));
    // The limit is only for routes that take secrets.
    server.api().get("/v1/concerts").send().await.is(200);
    server.finish().await;
}
