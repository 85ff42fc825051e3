//! The audit log: who did what to accounts, and what staff did.

use serde_json::{Value, json};

use crate::support::{
    client::Buyer,
    server::{PASSWORD, Server},
    show::venue_of,
    text,
};

/// The lines of the audit log, oldest first.
fn lines(server: &Server) -> Vec<Value> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "audit").collect()
}

/// The lines of an event that were written since there were so many lines.
fn since(server: &Server, known: usize, event: &str) -> Vec<Value> {
    lines(server).into_iter().skip(known).filter(|line| line["event"] == event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_signing_in_is_a_line_with_account_client_and_request() {
    let server = Server::start(&[("LOG_FORMAT", "json"), ("TRUST_FORWARDED_FOR", "true")]).await;
    let buyer = Buyer::new(server.api()).await;
    let known = lines(&server).len();
    let sign_in = |login_id: &str, password: &str| {
        let ask = server.api().post("/v1/sessions", &json!({"login_id": login_id, "password": password}));
        ask.header("x-forwarded-for", "203.0.113.9").header("x-request-id", "mine").send()
    };
    sign_in(&buyer.login_id, PASSWORD).await.is(201);
    sign_in(&buyer.login_id, "wrong password").await.is(401);
    sign_in("nobody-has-this", "wrong password").await.is(401);
    for _ in 0..4 {
        sign_in(&buyer.login_id, "wrong password").await.is(401);
    }
    sign_in(&buyer.login_id, PASSWORD).await.is(429);
    let written = since(&server, known, "accounts_sign_in");
    let outcomes: Vec<_> = written.iter().map(|line| text(line, "outcome")).collect();
    let mut expected = vec!["done"];
    expected.extend(["invalid_credentials"; 6]);
    expected.push("rate_limited");
    assert_eq!(outcomes, expected);
    let account = buyer.get("/v1/me").send().await.id();
    for (index, line) in written.iter().enumerate() {
        assert_eq!((&line["client"], &line["request_id"]), (&json!("203.0.113.9"), &json!("mine")), "{line}");
        let whose = if index == 2 { Value::Null } else { json!(account) };
        assert_eq!(line.get("account").unwrap_or(&Value::Null), &whose, "{line}");
        assert_eq!(line.get("session").is_some(), index == 0, "{line}");
    }
    let log = server.log();
    assert!(!log.contains("wrong password") && !log.contains(PASSWORD) && !log.contains("nobody-has-this"), "{log}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_and_what_a_holder_does_are_lines() {
    let server = Server::start(&[("LOG_FORMAT", "json"), ("REFRESH_GRACE_SECONDS", "0")]).await;
    let buyer = Buyer::new(server.api()).await;
    let refresh = |token: &str| server.api().post("/v1/sessions/refresh", &json!({"refresh_token": token})).send();
    let known = lines(&server).len();
    refresh(&buyer.refresh_token).await.is(200);
    refresh("nonsense").await.is(401);
    assert_eq!(since(&server, known, "accounts_refresh"), Vec::<Value>::new());
    refresh(&buyer.refresh_token).await.is(401);
    let [reused] = &since(&server, known, "accounts_refresh")[..] else { panic!("one line") };
    assert_eq!((&reused["outcome"], reused["session"].is_string()), (&json!("refresh_token_reused"), true));

    let buyer = Buyer::sign_in(server.api(), &buyer.login_id).await;
    let account = buyer.get("/v1/me").send().await.id();
    let change = json!({"current_password": PASSWORD, "new_password": "another password"});
    buyer.ask("PUT", "/v1/me/password").json(&change).send().await.is(204);
    buyer.get("/v1/me/export").send().await.is(200);
    buyer.delete("/v1/me/sessions").send().await.is(204);
    buyer.delete("/v1/me").json(&json!({"password": PASSWORD})).send().await.is(401);
    buyer.delete("/v1/me").json(&json!({"password": "another password"})).send().await.is(204);
    for (event, outcomes) in [
        ("accounts_change_password", &["done"][..]),
        ("accounts_export", &["done"]),
        ("accounts_end_other_sessions", &["done"]),
        ("accounts_erase", &["invalid_credentials", "done"]),
    ] {
        let written = since(&server, known, event);
        assert_eq!(written.iter().map(|line| text(line, "outcome")).collect::<Vec<_>>(), outcomes, "{event}");
        assert!(written.iter().all(|line| line["account"] == account && line["session"].is_string()), "{event}");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_act_of_staff_and_of_the_operator_is_a_line() {
    let server = Server::start(&[("LOG_FORMAT", "json"), ("LOG", "info,boxoffice_http=debug")]).await;
    let promoter = server.promoter("promoter").await;
    let buyer = Buyer::new(server.api()).await;
    let account = promoter.get("/v1/me").send().await.id();
    promoter.post("/v1/venues", &venue_of(1)).send().await.is(201);
    buyer.post("/v1/venues", &venue_of(1)).send().await.is(403);
    let written = since(&server, 0, "catalog_publish_venue");
    let said: Vec<_> = written.iter().map(|line| (text(line, "outcome"), text(line, "account"))).collect();
    let stranger = buyer.get("/v1/me").send().await.id();
    assert_eq!(said, [("done", account.as_str()), ("forbidden", stranger.as_str())]);

    let (status, _, said) = server.run(&["account", "promoter", "--lock"], &[("BOXOFFICE_LOG_FORMAT", "json")]).await;
    assert_eq!(status, 0, "{said}");
    let line = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = line.into_iter().find(|line| line["target"] == "audit").expect("a line of the operator");
    assert_eq!(
        (&line["event"], &line["account"], &line["locked"]),
        (&json!("account_changed"), &json!(account), &json!(true))
    );

    // Every line of a request says whose it is, and where it came from.
    let log = server.log();
    let answered = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut answered = answered.filter(|line| line["message"] == "responded to a request");
    let of_promoter = answered.find(|line| line["span"]["account"] == account).expect("a line");
    assert_eq!(of_promoter["span"]["client"], "127.0.0.1", "{of_promoter}");
    server.finish().await;
}
