//! Refresh tokens: the id of a session, and a secret.
//!
//! The next secret follows from the one before and the chain key of the session, which is stored. So a client that asks
//! twice with one secret gets the same next one, from any instance, and neither of the two can be had from what is stored:
//! that is the chain key and hashes. The second half of a secret is a seal of the first one, by which the session knows
//! every secret that it ever gave.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::{
    SessionId,
    accounts::{ChainKey, RefreshHash},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The bytes of a token: an id and a secret.
const TOKEN_BYTES: usize = 48;
/// The bytes of a secret before its seal: as hard to guess as a UUID has bits.
const CORE_BYTES: usize = 16;
/// What is made under the chain key of a session.
const NEXT: &[u8] = b"next";
const SEAL: &[u8] = b"seal";

/// A refresh secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct RefreshSecret([u8; 32]);

impl RefreshSecret {
    /// The first secret of a session.
    pub(super) fn first(id: SessionId, key: ChainKey, random: [u8; 32]) -> Self {
        Self::sealed(id, key, &random)
    }

    /// The secret that this one is exchanged for.
    pub(super) fn next(self, id: SessionId, key: ChainKey) -> Self {
        let next: [u8; 32] = mac(key, &[NEXT, id.uuid().as_bytes(), &self.0]).finalize().into_bytes().into();
        Self::sealed(id, key, &next)
    }

    /// Whether the session gave it, at any time since it has this key.
    pub(super) fn was_given_by(self, id: SessionId, key: ChainKey) -> bool {
        let (core, seal) = self.0.split_at(CORE_BYTES);
        // The comparison takes constant time.
        mac(key, &[SEAL, id.uuid().as_bytes(), core]).verify_truncated_left(seal).is_ok()
    }

    /// What is stored of it.
    pub(super) fn hash(self) -> RefreshHash {
        RefreshHash(Sha256::digest(self.0).into())
    }

    fn sealed(id: SessionId, key: ChainKey, random: &[u8; 32]) -> Self {
        let core = &random[..CORE_BYTES];
        let seal = mac(key, &[SEAL, id.uuid().as_bytes(), core]).finalize().into_bytes();
        let mut secret = [0; 32];
        secret[..CORE_BYTES].copy_from_slice(core);
        secret[CORE_BYTES..].copy_from_slice(&seal[..CORE_BYTES]);
        Self(secret)
    }
}

fn mac(key: ChainKey, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key of any length is taken");
    for part in parts {
        mac.update(part);
    }
    mac
}

pub(super) fn format(id: SessionId, secret: RefreshSecret) -> String {
    let mut bytes = [0; TOKEN_BYTES];
    bytes[..16].copy_from_slice(id.uuid().as_bytes());
    bytes[16..].copy_from_slice(&secret.0);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The session that a refresh token names, whether it is valid or not.
pub fn session_of(refresh_token: &str) -> Option<SessionId> {
    parse(refresh_token).map(|(id, _)| id)
}

pub(super) fn parse(text: &str) -> Option<(SessionId, RefreshSecret)> {
    let mut bytes = [0; TOKEN_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (id, secret) = bytes.split_first_chunk::<16>()?;
    let secret = RefreshSecret(secret.try_into().ok()?);
    (length == bytes.len()).then(|| (SessionId::new(Uuid::from_bytes(*id)), secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId::new(Uuid::from_u128(1));
    const KEY: ChainKey = ChainKey([7; 32]);

    #[test]
    fn one_secret_has_one_next_one_which_needs_the_key_of_the_session() {
        let first = RefreshSecret::first(ID, KEY, [1; 32]);
        let next = first.next(ID, KEY);
        assert!(next == first.next(ID, KEY) && next != first && next.next(ID, KEY) != first);
        let (other, other_key) = (SessionId::new(Uuid::from_u128(2)), ChainKey([8; 32]));
        assert!(next != first.next(ID, other_key) && next != first.next(other, KEY));
        assert_ne!(next.0[..CORE_BYTES], first.next(ID, other_key).0[..CORE_BYTES], "not only the seals differ");
    }

    #[test]
    fn a_session_knows_the_secrets_that_it_gave_and_no_others() {
        let (other, other_key) = (SessionId::new(Uuid::from_u128(2)), ChainKey([8; 32]));
        let mut secret = RefreshSecret::first(ID, KEY, [1; 32]);
        for _ in 0..3 {
            assert!(secret.was_given_by(ID, KEY));
            assert!(!secret.was_given_by(other, KEY) && !secret.was_given_by(ID, other_key));
            for index in 0..secret.0.len() {
                let mut changed = secret;
                changed.0[index] ^= 1;
                assert!(!changed.was_given_by(ID, KEY), "{index}");
            }
            secret = secret.next(ID, KEY);
        }
    }
}
