//! Access tokens signed with a server's own key.
//!
//! Signing in costs a hash of the password by design, so thousands of accounts would take minutes to sign in. A program
//! that may read the key file can sign their tokens instead.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

const VALID_SECONDS: i64 = 86_400;

/// Signs access tokens of customers.
#[derive(Clone, Debug)]
pub struct TokenSigner {
    /// The first part of every token.
    header: String,
    key: Hmac<Sha256>,
    issued_at_seconds: i64,
}

impl TokenSigner {
    /// Reads the keys in the data folder of a server. The tokens are valid for a day from `now`, in seconds since 1970.
    pub fn of_server(data_folder: &Path, now: i64) -> io::Result<Self> {
        let file: Value = serde_json::from_str(&fs::read_to_string(data_folder.join("keys.json"))?)?;
        let key = &file["access_tokens"][0];
        let secret = key["secret"].as_str().ok_or_else(|| io::Error::other("the server has no key"))?;
        let secret = STANDARD.decode(secret).map_err(io::Error::other)?;
        Ok(Self {
            header: encoded(&json!({"typ": "JWT", "alg": "HS256", "kid": key["id"]})),
            key: Hmac::new_from_slice(&secret).map_err(io::Error::other)?,
            issued_at_seconds: now,
        })
    }

    /// The token of an account. An account that only waits in a queue need not have signed up.
    pub fn sign(&self, account_id: Uuid) -> String {
        let claims = encoded(&json!({
            "iss": "boxoffice", "aud": "boxoffice-api", "sub": account_id, "sid": account_id, "role": "customer",
            "iat": self.issued_at_seconds, "exp": self.issued_at_seconds + VALID_SECONDS,
        }));
        let signed = format!("{}.{claims}", self.header);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.clone().chain_update(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }
}

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}
