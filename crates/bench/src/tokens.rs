//! Access tokens made with the server's own keys.
//!
//! Signing in costs a hash of the password by design, so a million accounts would take hours to sign in. The
//! benchmark signs their tokens itself, as the server would; the server checks them as it checks its own.

use std::{fs, path::Path};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use boxoffice_domain::fixtures::TestEntropy;
use boxoffice_domain::{AccountId, EntropySource};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use crate::clock;

/// How long the tokens are good, in seconds.
const GOOD_SECONDS: i64 = 86_400;

/// Makes access tokens.
pub(crate) struct TokenMaker {
    key_id: String,
    key: Hmac<Sha256>,
}

#[derive(Deserialize)]
struct KeyFile {
    access_tokens: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    id: String,
    secret: String,
}

impl TokenMaker {
    /// Reads the keys in the data folder of a server.
    pub(crate) fn of_server(data_folder: &Path) -> anyhow::Result<Self> {
        let file: KeyFile = serde_json::from_str(&fs::read_to_string(data_folder.join("keys.json"))?)?;
        let key = file.access_tokens.into_iter().next().context("the server has no key")?;
        let secret = STANDARD.decode(key.secret)?;
        Ok(Self { key_id: key.id, key: Hmac::new_from_slice(&secret)? })
    }

    /// Accounts that nobody has signed up, with their tokens: what only asks who is asking does not miss them.
    pub(crate) fn make_many(&self, count: usize) -> Vec<(AccountId, String)> {
        let one = || {
            let account_id = AccountId::new(TestEntropy.uuid());
            (account_id, self.make(account_id))
        };
        let parallel = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = count.div_ceil(parallel).max(1);
        std::thread::scope(|scope| {
            let shares = (0..count).step_by(share).map(|first| share.min(count - first));
            let threads: Vec<_> =
                shares.map(|share| scope.spawn(move || (0..share).map(|_| one()).collect())).collect();
            let made = threads.into_iter().map(|thread| thread.join().expect("signing does not fail"));
            made.collect::<Vec<Vec<_>>>().concat()
        })
    }

    /// The token of an account.
    pub(crate) fn make(&self, account_id: AccountId) -> String {
        let now = clock::now().timestamp();
        let header = json!({"typ": "JWT", "alg": "HS256", "kid": self.key_id});
        let claims = json!({
            "iss": "boxoffice", "aud": "boxoffice-api", "sub": account_id, "sid": TestEntropy.uuid(),
            "role": "customer", "iat": now, "exp": now + GOOD_SECONDS,
        });
        let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.clone().chain_update(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }
}
