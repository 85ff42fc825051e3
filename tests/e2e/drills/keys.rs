//! Keys are rotated while buyers buy, and replaced because they have leaked.

use std::time::Duration;

use tokio::time::sleep;

use super::stage::{Stage, lasts};
use crate::support::{client::Buyer, server::run_binary, until};

/// Longer than instances take to read the file.
const TAKEN_OVER: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated() {
    let mut stage = Stage::open("Keys are rotated", &[]).await;
    let keys = stage.fleet.instances[0].keys_file();
    stage.phase("a new key is prepared, and signs");
    for arguments in
        [&["keys", "rotate", "--prepare", "--keys-file", &keys][..], &["keys", "rotate", "--keys-file", &keys]]
    {
        run_binary(arguments);
        sleep(TAKEN_OVER).await;
    }
    // Tokens of the new key are accepted by every instance.
    let buyer = Buyer::admitted(stage.fleet.api(), &stage.show.concert).await;
    for at_instance in stage.fleet.at_each(&buyer) {
        assert_eq!(at_instance.queue_status().await, "active");
    }
    sleep(lasts(0, 20)).await;
    let failures = stage.failures("a new key is prepared, and signs");
    assert_eq!((failures.unavailable, failures.unanswered), (0, 0), "{failures:?}");
    stage.phase("the old key is dropped");
    run_binary(&["keys", "rotate", "--prepare", "--keep", "1", "--keys-file", &keys]);
    // Its tokens are refused as expired, so that clients refresh instead of signing in again.
    let old = stage.buyers[0].clone();
    for at_instance in stage.fleet.at_each(&old) {
        until("the old key is refused", async || at_instance.get("/v1/me").send().await.status == 401).await;
    }
    old.get("/v1/me").send().await.refuses(401, "access_token_expired");
    let body = serde_json::json!({ "refresh_token": old.refresh_token });
    let refreshed = old.api.post("/v1/sessions/refresh", &body).send().await;
    let token = refreshed.is(200)["access_token"].as_str().expect("a token").to_owned();
    old.api.get("/v1/me").bearer(&token).send().await.is(200);
    sleep(lasts(0, 10)).await;
    stage.end().await;
}
