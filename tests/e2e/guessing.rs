//! Guessing passwords.

use serde_json::json;

use crate::support::{
    client::{Answer, Api, Buyer},
    eventually,
    fleet::Fleet,
    send_together,
    server::{PASSWORD, Server},
};

/// Signs in from another network each time, at the instances in turn.
async fn sign_in_from_everywhere(apis: &[&Api], count: usize, login_id: &str, password: &str) -> Vec<Answer> {
    let body = json!({"login_id": login_id, "password": password});
    send_together(count, |number| {
        let address = format!("198.{}.{}.1", 18 + number / 256, number % 256);
        apis[number % apis.len()].post("/v1/sessions", &body).header("x-forwarded-for", address)
    })
    .await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_networks_has_five_wrong_passwords_for_one_login_id_and_the_owner_goes_on() {
    // Longer waits than usual, so that none is over during the test.
    let patient = [("TRUST_FORWARDED_FOR", "true"), ("WRONG_PASSWORD_WAIT_SECONDS_MAX", "900")];
    let server = Server::start(&[&patient[..], &[("HASHING_WAITING_MAX", "1000")]].concat()).await;
    let owner = Buyer::new(server.api()).await;
    for login_id in [owner.login_id.as_str(), "nobody-has-this"] {
        // A wait doubles with each attempt that is made after the one before.
        let answers = sign_in_from_everywhere(&[server.api()], 300, login_id, "wrong password").await;
        let made = count(&answers, 401);
        assert!((5..=8).contains(&made) && count(&answers, 429) == 300 - made, "{made}");
        for answer in &answers {
            if answer.status == 429 {
                answer.refuses(429, "rate_limited");
                assert!(answer.header("ratelimit-policy").expect("a limit").contains("passwords"));
                assert!(answer.header("retry-after").expect("a time").parse::<u64>().expect("seconds") > 0);
            } else {
                answer.refuses(401, "invalid_credentials");
            }
        }
    }
    // The owner is signed in all the time, and can change the password, which was not found.
    owner.get("/v1/me").send().await.is(200);
    let change = owner.ask("PUT", "/v1/me/password");
    let change = change.json(&json!({"current_password": PASSWORD, "new_password": "another password"}));
    change.send().await.is(204);
    server.api().post("/v1/sessions/refresh", &json!({"refresh_token": owner.refresh_token})).send().await.is(200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_wait_the_right_password_signs_in_and_forgets_the_wrong_ones() {
    let server = Server::start(&[]).await;
    let buyer = Buyer::new(server.api()).await;
    let sign_in = |password: &str| {
        server.api().post("/v1/sessions", &json!({"login_id": buyer.login_id, "password": password})).send()
    };
    for _ in 0..2 {
        for _ in 0..5 {
            sign_in("wrong password").await.refuses(401, "invalid_credentials");
        }
        sign_in(PASSWORD).await.refuses(429, "rate_limited");
        eventually("the wait is over", async || (sign_in(PASSWORD).await.status == 201).then_some(())).await;
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_count_wrong_passwords_together() {
    let settings = [("TRUST_FORWARDED_FOR", "true"), ("WRONG_PASSWORD_WAIT_SECONDS_MAX", "900")];
    let fleet = Fleet::start(3, &[&settings[..], &[("HASHING_WAITING_MAX", "1000")]].concat()).await;
    let owner = Buyer::new(fleet.api()).await;
    let apis: Vec<_> = fleet.instances.iter().map(Server::api).collect();
    let answers = sign_in_from_everywhere(&apis, 300, &owner.login_id, "wrong password").await;
    let made = count(&answers, 401);
    assert!((5..=8).contains(&made) && count(&answers, 429) == 300 - made, "{made}");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_that_are_guessed_first_are_refused() {
    let server = Server::start(&[]).await;
    let sign_up = |login_id: &str, name: &str, password: &str| {
        let body = json!({"login_id": login_id, "name": name, "password": password});
        server.api().post("/v1/accounts", &body).send()
    };
    for (password, code) in
        [("password1", "password_common"), ("Haneul-Kim", "password_is_login_id"), ("haneul kim", "password_is_name")]
    {
        let refused = sign_up("haneul-kim", "Haneul Kim", password).await;
        refused.refuses(422, "validation_failed");
        assert_eq!(refused.violations(), [("/password", code)]);
        let (status, _, said) = server
            .run(
                &["account", "haneul-kim", "--role", "promoter", "--name", "Haneul Kim"],
                &[("BOXOFFICE_PASSWORD", password)],
            )
            .await;
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("the password is"), "{said}");
    }
    let buyer = Buyer::new(server.api()).await;
    let change = json!({"current_password": PASSWORD, "new_password": "12345678"});
    let refused = buyer.ask("PUT", "/v1/me/password").json(&change).send().await;
    refused.refuses(422, "validation_failed");
    assert_eq!(refused.violations(), [("/new_password", "password_common")]);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_hashed_again_once_after_the_settings_have_changed() {
    const RENEWED: &str = "hashed a password again";
    let mut server = Server::start(&[("ACCESS_TOKEN_SECONDS", "7200")]).await;
    assert!(server.log().contains("passwords are hashed with so little work"), "{}", server.log());
    assert!(server.log().contains("an access token is good for long"), "{}", server.log());
    let buyer = Buyer::new(server.api()).await;
    server.stop().await;
    let said = server.log().len();
    for (name, value) in
        [("PASSWORD_MEMORY_KIB", "7168"), ("PASSWORD_ITERATIONS", "5"), ("ACCESS_TOKEN_SECONDS", "3600")]
    {
        server.set(name, value);
    }
    server.start_again().await;
    let sign_in = async |password: &str| {
        let body = json!({"login_id": buyer.login_id, "password": password});
        server.api().post("/v1/sessions", &body).send().await.status
    };
    assert_eq!(sign_in("wrong password").await, 401);
    assert!(!server.log().contains(RENEWED));
    for _ in 0..3 {
        assert_eq!(sign_in(PASSWORD).await, 201);
    }
    let log = server.log();
    assert_eq!(log.matches(RENEWED).count(), 1, "{log}");
    assert!(!log[said..].contains("so little work") && !log[said..].contains("good for long"), "{log}");
    server.finish().await;
}
