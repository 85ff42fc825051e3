//! Thousands of buyers at once: signed in with the server's own key, because ten thousand passwords take minutes to hash.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Numbers, client::Buyer, now, server::Server};

/// How long their tokens are good.
const GOOD_SECONDS: i64 = 3_600;

/// Somebody whom the server takes for signed in: who only gets in line need not have signed up.
#[derive(Clone)]
pub(crate) struct Stranger {
    pub(crate) account_id: String,
    pub(crate) buyer: Buyer,
}

/// So many of them, the same at every run.
pub(crate) fn strangers(server: &Server, count: usize) -> Vec<Stranger> {
    let keys = fs::read_to_string(server.folder().join("data/keys.json")).expect("the server has made its keys");
    let keys: Value = serde_json::from_str(&keys).expect("they are JSON");
    let key = &keys["access_tokens"][0];
    let secret = STANDARD.decode(key["secret"].as_str().expect("a secret")).expect("it is in Base64");
    let signing = Hmac::<Sha256>::new_from_slice(&secret).expect("any length will do");
    let header = encoded(&json!({"typ": "JWT", "alg": "HS256", "kid": key["id"]}));
    let mut numbers = Numbers::new(10_000);
    let mut stranger = |_| {
        let account_id = uuid(&mut numbers);
        let now = now().timestamp();
        let claims = encoded(&json!({
            "iss": "boxoffice", "aud": "boxoffice-api", "sub": account_id, "sid": uuid(&mut numbers),
            "role": "customer", "iat": now, "exp": now + GOOD_SECONDS,
        }));
        let signed = format!("{header}.{claims}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signing.clone().chain_update(&signed).finalize().into_bytes());
        let buyer = Buyer {
            api: server.api().clone(),
            login_id: account_id.clone(),
            access_token: format!("{signed}.{signature}"),
            refresh_token: String::new(),
            queue_token: String::new(),
        };
        Stranger { account_id, buyer }
    };
    (0..count).map(&mut stranger).collect()
}

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

const HEXADECIMAL: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

fn uuid(numbers: &mut Numbers) -> String {
    let mut digits = |count: u32| -> String { (0..count).map(|_| HEXADECIMAL[numbers.below(16)]).collect() };
    [8, 4, 4, 4, 12].map(&mut digits).join("-")
}
