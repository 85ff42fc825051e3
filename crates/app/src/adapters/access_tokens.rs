//! Access tokens: JSON Web Tokens, signed with HMAC-SHA256 (RFC 7518, section 3.2).
//!
//! Every instance signs and checks under the same keys, so a signature that a third party can check would gain nothing,
//! and takes ten times as long.

use boxoffice_domain::{
    AccountId, SessionId, StorageError, Timestamp,
    accounts::{AccessClaims, AccessTokenError, AccessTokens, Role},
};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{self, ErrorKind},
    signature,
};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keys::Key;

const ISSUER: &str = "boxoffice";
const AUDIENCE: &str = "boxoffice-api";
/// Our tokens have some 400 bytes; longer ones are refused unread.
const TOKEN_BYTES_MAX: usize = 1_024;
/// As many as the accounts of a long queue, which all poll: reading a token costs several times a look-up. A cached token
/// takes some 120 bytes. Expired ones stay until their room is needed.
const VERIFIED_MAX: u64 = 1_000_000;
const VERIFIED_EXPECTED: usize = 1_000;
/// Half of the room is for tokens that were seen once: in a long queue their accounts take a while to poll again.
const SEEN_OFTEN: f64 = 0.5;

/// Signs access tokens with the first of its keys, and accepts those signed with any of them.
///
/// The claims of a checked token are cached under the SHA-256 of the whole token, its signature included. Its expiry is
/// checked on each call.
pub(crate) struct JwtAccessTokens {
    signing: (String, EncodingKey),
    verifying: Vec<(String, DecodingKey)>,
    validation: Validation,
    verified: Cache<[u8; 32], AccessClaims>,
}

impl std::fmt::Debug for JwtAccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.verifying.iter().map(|(id, _)| id).collect();
        f.debug_struct("JwtAccessTokens").field("keys", &ids).finish_non_exhaustive()
    }
}

/// The claims of a token, by the names of RFC 7519 if it has one. Times are whole seconds.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: AccountId,
    sid: SessionId,
    role: Role,
    /// The access version of the account. A version of this program that did not know it left it out.
    #[serde(default, rename = "ver")]
    access_version: u64,
    #[serde(default, rename = "sf", skip_serializing_if = "is_no")]
    has_second_factor: bool,
    iat: i64,
    exp: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_no(flag: &bool) -> bool {
    !*flag
}

impl JwtAccessTokens {
    /// Fails without a key.
    pub(crate) fn new(keys: &[Key]) -> anyhow::Result<Self> {
        // If a provider is installed already, this function installed it.
        PROVIDER.install_default().ok();
        let first = keys.first().ok_or_else(|| anyhow::anyhow!("there is no key to sign access tokens with"))?;
        let verifying = keys.iter().map(|key| (key.id.clone(), DecodingKey::from_secret(key.expose())));
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library would read the clock itself, and not at all for cached tokens.
        validation.validate_exp = false;
        Ok(Self {
            signing: (first.id.clone(), EncodingKey::from_secret(first.expose())),
            verifying: verifying.collect(),
            validation,
            verified: cache_of(VERIFIED_MAX)?,
        })
    }

    /// The claims of a valid token, also of an expired one.
    fn read(&self, token: &str) -> Option<AccessClaims> {
        let digest = Sha256::digest(token).into();
        if let Some(claims) = self.verified.get(&digest) {
            return Some(claims);
        }
        let claims = self.check(token)?;
        self.verified.insert(digest, claims);
        Some(claims)
    }

    /// What is wrong with a token that cannot be read. One that is signed with a key that was dropped counts as expired, so
    /// that its holder refreshes the session instead of signing in again. A forger learns nothing by it.
    fn why_unreadable(&self, token: &str) -> AccessTokenError {
        let key_id = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        match key_id {
            Some(key_id) if self.verifying.iter().all(|(id, _)| *id != key_id) => AccessTokenError::Expired,
            _ => AccessTokenError::Invalid,
        }
    }

    /// As [`Self::read`], without the cache.
    fn check(&self, token: &str) -> Option<AccessClaims> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let (_, key) = self.verifying.iter().find(|(id, _)| *id == kid)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?.claims;
        Some(AccessClaims {
            account_id: claims.sub,
            session_id: claims.sid,
            role: claims.role,
            access_version: claims.access_version,
            has_second_factor: claims.has_second_factor,
            expires_at: Timestamp::from_timestamp(claims.exp, 0)?,
        })
    }
}

fn cache_of(tokens_max: u64) -> anyhow::Result<Cache<[u8; 32], AccessClaims>> {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(VERIFIED_EXPECTED)
        .weight_capacity(tokens_max)
        .hot_allocation(SEEN_OFTEN)
        .build()?;
    Ok(Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default()))
}

impl AccessTokens for JwtAccessTokens {
    /// A token has whole seconds, so it may expire up to a second before `expires_at`.
    fn issue(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, StorageError> {
        let (id, key) = &self.signing;
        let header = Header { kid: Some(id.clone()), ..Header::new(Algorithm::HS256) };
        let written = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: claims.account_id,
            sid: claims.session_id,
            role: claims.role,
            access_version: claims.access_version,
            has_second_factor: claims.has_second_factor,
            iat: now.timestamp(),
            exp: claims.expires_at.timestamp(),
        };
        let token =
            jsonwebtoken::encode(&header, &written, key).map_err(|error| StorageError::Failed(Box::new(error)))?;
        // What this instance signed it need not verify.
        if let Some(expires_at) = Timestamp::from_timestamp(written.exp, 0) {
            self.verified.insert(Sha256::digest(&token).into(), AccessClaims { expires_at, ..*claims });
        }
        Ok(token)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, AccessTokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AccessTokenError::Invalid);
        }
        let claims = self.read(token).ok_or_else(|| self.why_unreadable(token))?;
        if now < claims.expires_at { Ok(claims) } else { Err(AccessTokenError::Expired) }
    }
}

/// HMAC-SHA256 only, so that no token can ask for another algorithm, and none is compiled in.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        only_hs256(*algorithm)?;
        Ok(Box::new(Sha256Mac::of(key.as_bytes())?))
    },
    verifier_factory: |algorithm, key| {
        only_hs256(*algorithm)?;
        Ok(Box::new(Sha256Mac::of(key.try_get_as_bytes()?)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn only_hs256(algorithm: Algorithm) -> errors::Result<()> {
    if algorithm == Algorithm::HS256 { Ok(()) } else { Err(ErrorKind::InvalidAlgorithm.into()) }
}

struct Sha256Mac(Hmac<Sha256>);

impl Sha256Mac {
    fn of(key: &[u8]) -> errors::Result<Self> {
        Ok(Self(Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat)?))
    }
}

impl signature::Signer<Vec<u8>> for Sha256Mac {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for Sha256Mac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl signature::Verifier<Vec<u8>> for Sha256Mac {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // The comparison takes constant time.
        self.0.clone().chain_update(message).verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Sha256Mac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use boxoffice_domain::{EntropySource, fixtures::instant};
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::SystemEntropy;

    fn keys(number: usize) -> Vec<Key> {
        (0..number).map(|_| Key::new(&SystemEntropy)).collect()
    }

    fn claims() -> AccessClaims {
        AccessClaims {
            account_id: AccountId::new(SystemEntropy.uuid()),
            session_id: SessionId::new(SystemEntropy.uuid()),
            role: Role::Promoter,
            access_version: 7,
            has_second_factor: true,
            expires_at: instant(900),
        }
    }

    /// A token of any header and claims, with a valid signature.
    fn signed(key: &Key, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mac = Hmac::<Sha256>::new_from_slice(key.expose()).unwrap().chain_update(&message).finalize();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.into_bytes()))
    }

    fn header(key: &Key) -> Value {
        json!({"alg": "HS256", "typ": "JWT", "kid": key.id})
    }

    fn payload() -> Value {
        let (sub, sid) = (SystemEntropy.uuid(), SystemEntropy.uuid());
        let (iat, exp) = (instant(0).timestamp(), instant(900).timestamp());
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "sid": sid, "role": "customer", "iat": iat, "exp": exp})
    }

    #[test]
    fn every_key_is_accepted_and_the_first_one_signs() {
        let keys = keys(3);
        let (old, new) = (JwtAccessTokens::new(&keys[1..]).unwrap(), JwtAccessTokens::new(&keys[..2]).unwrap());
        let claims = claims();
        assert_eq!(new.verify(&old.issue(&claims, instant(0)).unwrap(), instant(0)), Ok(claims));
        let of_new = new.issue(&claims, instant(0)).unwrap();
        assert_eq!(old.verify(&of_new, instant(0)), Err(AccessTokenError::Expired), "refreshing helps");
        assert!(JwtAccessTokens::new(&[]).is_err());
    }

    #[test]
    fn a_token_without_a_signature_of_ours_is_invalid_whatever_algorithm_it_names() {
        let keys = keys(2);
        let tokens = JwtAccessTokens::new(&keys[..1]).unwrap();
        assert!(tokens.verify(&signed(&keys[0], &header(&keys[0]), &payload()), instant(0)).is_ok());
        let forged = signed(&keys[1], &header(&keys[0]), &payload());
        assert_eq!(tokens.verify(&forged, instant(0)), Err(AccessTokenError::Invalid));
        for algorithm in ["none", "None", "HS384", "ES256", "RS256", "EdDSA", "hs256", ""] {
            let header = json!({"alg": algorithm, "typ": "JWT", "kid": keys[0].id});
            let token = signed(&keys[0], &header, &payload());
            assert_eq!(tokens.verify(&token, instant(0)), Err(AccessTokenError::Invalid), "{algorithm}");
            let bare = &token[..=token.rfind('.').unwrap()];
            assert_eq!(tokens.verify(bare, instant(0)), Err(AccessTokenError::Invalid), "{algorithm}");
        }
    }

    #[test]
    fn a_token_that_names_no_key_or_lacks_a_claim_or_is_for_others_is_invalid() {
        let key = &keys(1)[0];
        let tokens = JwtAccessTokens::new(std::slice::from_ref(key)).unwrap();
        for (header, error) in [
            (json!({"alg": "HS256"}), AccessTokenError::Invalid),
            // The key may have been dropped.
            (json!({"alg": "HS256", "kid": "another"}), AccessTokenError::Expired),
        ] {
            let token = signed(key, &header, &payload());
            assert_eq!(tokens.verify(&token, instant(0)), Err(error), "{header}");
        }
        for claim in ["iss", "aud", "sub", "sid", "role", "iat", "exp"] {
            let (mut without, mut with_another) = (payload(), payload());
            without.as_object_mut().unwrap().remove(claim);
            with_another[claim] = json!("another");
            for payload in [without, with_another] {
                let token = signed(key, &header(key), &payload);
                assert_eq!(tokens.verify(&token, instant(0)), Err(AccessTokenError::Invalid), "{payload}");
            }
        }
    }

    #[test]
    fn a_full_cache_keeps_the_newest_tokens() {
        let (cache, claims) = (cache_of(10_000).unwrap(), claims());
        let digest = |number: u32| <[u8; 32]>::from(Sha256::digest(number.to_be_bytes()));
        (0..30_000).for_each(|number| cache.insert(digest(number), claims));
        assert!(cache.len() <= 10_000, "{} are cached", cache.len());
        let known = (27_000..30_000).filter(|number| cache.get(&digest(*number)).is_some()).count();
        assert_eq!(known, 3_000, "of the last 3,000");
    }

    #[test]
    fn no_secret_is_printed() {
        let keys = keys(1);
        let printed = format!("{:?}", JwtAccessTokens::new(&keys).unwrap());
        assert_eq!(printed, format!("JwtAccessTokens {{ keys: [{:?}], .. }}", keys[0].id));
    }
}
