//! Signing in, and staying signed in.

use serde_json::json;
use totp_rs::Totp;

use crate::support::{
    client::{Answer, Api, Ask, Buyer},
    eventually, list, now, send_together,
    server::{PASSWORD, Server},
    show::{PRICE, Show, Terms, server_with_buyer, venue_of},
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

/// Signs in as a browser does, and gives the field with the cookie.
async fn sign_in_with_cookie(api: &Api, buyer: &Buyer, proto: Option<&str>) -> (Answer, String) {
    let body = json!({"login_id": buyer.login_id, "password": PASSWORD, "cookie": true});
    let ask = api.post("/v1/sessions", &body);
    let ask = match proto {
        Some(proto) => ask.header("x-forwarded-proto", proto),
        None => ask,
    };
    let answer = ask.send().await;
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert_eq!(answer.is(201).get("refresh_token"), None);
    (answer, cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_its_refresh_token_where_no_script_reads_it() {
    let server = Server::start(&[]).await;
    let (api, own) = (server.api(), server.url());
    let buyer = Buyer::new(api).await;
    let refresh = async |cookie: &str, origin: Option<&str>| {
        let ask = api.post("/v1/sessions/refresh", &json!({}));
        let ask = if cookie.is_empty() { ask } else { ask.header("cookie", cookie) };
        match origin {
            Some(origin) => ask.header("origin", origin).send().await,
            None => ask.send().await,
        }
    };
    let (_, set) = sign_in_with_cookie(api, &buyer, None).await;
    let (first, attributes) = set.split_once("; ").expect("a cookie with attributes");
    assert_eq!(attributes, "Path=/v1/sessions; Max-Age=2592000; HttpOnly; SameSite=Strict");

    // Another site can make a browser send a request, but not say that it is from here.
    for origin in [None, Some("https://evil.example"), Some("null")] {
        refresh(first, origin).await.refuses(403, "forbidden");
    }
    refresh("", Some(&own)).await.refuses(401, "unauthenticated");
    let next = refresh(first, Some(&own)).await;
    assert_eq!(next.is(200).get("refresh_token"), None);
    let second = next.header("set-cookie").expect("the next cookie").split("; ").next().unwrap().to_owned();
    assert_ne!(first, second);
    // Two tabs that come at once get the same.
    refresh(first, Some(&own)).await.is(200);

    let access = text(next.is(200), "access_token");
    let out = api.ask(boxoffice_rush::Request::new("DELETE", "/v1/sessions/current")).bearer(access);
    let out = out.header("cookie", &second).send().await;
    let taken_back = "boxoffice_refresh=; Path=/v1/sessions; Max-Age=0; HttpOnly; SameSite=Strict";
    assert_eq!((out.status, out.header("set-cookie")), (204, Some(taken_back)));
    refresh(&second, Some(&own)).await.refuses(401, "unauthenticated");
    // Who sends the refresh token in the body gets it there, whatever cookies there are.
    assert!(Buyer::sign_in(api, &buyer.login_id).await.refresh_token.len() > 20);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_came_over_tls_goes_over_tls_alone() {
    let server = Server::start(&[("TRUST_FORWARDED_FOR", "true")]).await;
    let buyer = Buyer::new(server.api()).await;
    for (proto, secure) in [(Some("https"), true), (Some("http"), false), (None, false)] {
        let (_, cookie) = sign_in_with_cookie(server.api(), &buyer, proto).await;
        assert_eq!(cookie.ends_with("; Secure"), secure, "{cookie}");
    }
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
    let thief =
        server.api().post("/v1/sessions", &credentials).header("user-agent", "stolen \t phone/1.0").send().await;
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
async fn staff_signs_in_with_a_second_factor() {
    let server = Server::start(&[("STAFF_SECOND_FACTOR", "required")]).await;
    let promoter = server.promoter("promoter").await;
    promoter.post("/v1/venues", &venue_of(1)).send().await.refuses(403, "second_factor_setup_required");
    promoter.get("/v1/me").send().await.refuses(403, "second_factor_setup_required");
    let begun = promoter.post("/v1/me/totp", &json!({"password": PASSWORD})).send().await;
    let device = Totp::from_url(text(begun.is(200), "url")).expect("a URL for devices");
    let code = |steps: i64| device.generate((now().timestamp() + 30 * steps).unsigned_abs()).to_string();
    let confirm = |code: &str| promoter.post("/v1/me/totp/confirm", &json!({"code": code}));
    let wrong = confirm("0").send().await;
    wrong.refuses(422, "validation_failed");
    assert_eq!(wrong.violations(), [("/code", "wrong_code")]);
    let confirmed = confirm(&code(-1)).send().await;
    let recovery = list(confirmed.is(200), "recovery_codes").to_vec();
    assert_eq!(recovery.len(), 10);
    let next = refresh(server.api(), &promoter.refresh_token).await;
    let bearer = text(next.is(200), "access_token");
    server.api().post("/v1/venues", &venue_of(1)).bearer(bearer).send().await.is(201);

    let sign_in = |code: Option<&str>| {
        let mut body = json!({"login_id": "promoter", "password": PASSWORD});
        if let Some(code) = code {
            body["code"] = json!(code);
        }
        server.api().post("/v1/sessions", &body).send()
    };
    sign_in(None).await.refuses(401, "second_factor_required");
    sign_in(Some("0")).await.refuses(401, "second_factor_required");
    let right = code(1);
    sign_in(Some(&right)).await.is(201);
    sign_in(Some(&right)).await.refuses(401, "second_factor_required");
    let recovery = recovery[0].as_str().expect("a code");
    sign_in(Some(recovery)).await.is(201);
    for _ in 0..5 {
        sign_in(Some(recovery)).await.refuses(401, "second_factor_required");
    }
    let refused = sign_in(Some(recovery)).await;
    refused.refuses(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    let (status, printed, _) = server.run(&["account", "promoter", "--remove-second-factor"], &[]).await;
    assert!(status == 0 && printed.contains("has no second factor any more"), "{printed}");
    sign_in(None).await.is(201);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_copied_and_erased_when_nothing_is_left_of_it() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    let ask_erase = |password: &str| buyer.ask("DELETE", "/v1/me").json(&json!({"password": password}));
    buyer.charge(PRICE).await;
    ask_erase("wrong password").send().await.refuses(401, "invalid_credentials");
    ask_erase(PASSWORD).send().await.refuses(409, "account_in_use");
    let held = buyer.hold(&show.performance, &["A-1-1"]).await;
    buyer.pay(&held).await;
    ask_erase(PASSWORD).send().await.refuses(409, "account_in_use");
    buyer.ask_cancel(&held).send().await.is(200);
    let export = buyer.get("/v1/me/export").send().await;
    assert!(export.header("content-disposition").expect("a file").contains("attachment"));
    let copy = export.is(200).clone();
    assert_eq!(copy["account"]["login_id"], buyer.login_id);
    assert_eq!((&copy["wallet"]["balance"], &copy["second_factor"]), (&json!(PRICE), &json!(null)));
    for (name, count) in [
        ("sessions", 1),
        ("wallet_entries", 3),
        ("charges", 1),
        ("reservations", 1),
        ("payments", 1),
        ("unpaid_holds", 0),
        ("venues", 0),
        ("concerts", 0),
    ] {
        assert_eq!(list(&copy, name).len(), count, "{name}");
    }
    // The points are spent on a performance that is over by then.
    let soon = Show::publish(&server.promoter("other").await, Terms { starts_in_seconds: 4, ..Terms::default() }).await;
    let mut buyer = buyer.clone();
    buyer.be_admitted(&soon.concert).await;
    let held = buyer.hold(&soon.performance, &["A-1-1"]).await;
    buyer.pay(&held).await;
    let erase = || buyer.ask("DELETE", "/v1/me").json(&json!({"password": PASSWORD})).send();
    let refused = erase().await;
    refused.refuses(409, "account_in_use");
    let erased = eventually("the performance starts", async || {
        let answer = erase().await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    erased.is(204);
    assert_eq!(buyer.get("/v1/me").send().await.status, 401);
    refresh(server.api(), &buyer.refresh_token).await.refuses(401, "unauthenticated");
    let credentials = json!({"login_id": buyer.login_id, "password": PASSWORD});
    server.api().post("/v1/sessions", &credentials).send().await.refuses(401, "invalid_credentials");
    let again = json!({"login_id": buyer.login_id, "password": PASSWORD, "name": "Another"});
    server.api().post("/v1/accounts", &again).send().await.is(201);
    // The audit at the end finds the money of the bare id as it has to be.
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
    until("the server knows of it", async || promoter.post("/v1/venues", &venue_of(1)).send().await.status != 201)
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
