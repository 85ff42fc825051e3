//! Access and queue tokens under the present keys.

use std::sync::{Arc, PoisonError, RwLock};

use boxoffice_domain::{
    StorageError, Timestamp,
    accounts::{AccessClaims, AccessTokenError, AccessTokens},
    waiting_room::{QueuePlace, QueueToken, QueueTokens},
};
use boxoffice_waiting_room::SignedTokens;

use super::{JwtAccessTokens, Keys, keys::Key};

/// Signs and accepts both kinds of tokens, under keys that can change meanwhile.
#[derive(Debug)]
pub(crate) struct CurrentTokens {
    current: RwLock<Arc<Signers>>,
}

#[derive(Debug)]
struct Signers {
    keys: Keys,
    access: JwtAccessTokens,
    queue: SignedTokens,
}

impl Signers {
    fn new(keys: Keys) -> anyhow::Result<Self> {
        let access = JwtAccessTokens::new(&Keys::signing_first(&keys.access_tokens))?;
        let queue: Vec<_> = Keys::signing_first(&keys.queue_tokens).iter().map(|key| *key.expose()).collect();
        let Some((first, others)) = queue.split_first() else {
            anyhow::bail!("there is no key to sign queue tokens with")
        };
        let queue = SignedTokens::new(first, others);
        measure(&keys);
        Ok(Self { keys, access, queue })
    }
}

/// Measures how many keys there are, and when the one that signs was made.
fn measure(keys: &Keys) {
    for (tokens, list) in [("access", &keys.access_tokens), ("queue", &keys.queue_tokens)] {
        metrics::gauge!("boxoffice_keys_accepted", "tokens" => tokens)
            .set(u32::try_from(list.len()).unwrap_or(u32::MAX));
        let made = Keys::signing_first(list).first().and_then(Key::made_at_seconds).unwrap_or(0);
        metrics::gauge!("boxoffice_key_made_timestamp_seconds", "tokens" => tokens).set(made);
    }
}

impl CurrentTokens {
    pub(crate) fn new(keys: Keys) -> anyhow::Result<Self> {
        Ok(Self { current: RwLock::new(Arc::new(Signers::new(keys)?)) })
    }

    /// From now on, uses these keys. Returns whether they differ from the previous ones.
    pub(crate) fn change(&self, keys: Keys) -> anyhow::Result<bool> {
        if self.current().keys == keys {
            return Ok(false);
        }
        let signers = Arc::new(Signers::new(keys)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = signers;
        Ok(true)
    }

    fn current(&self) -> Arc<Signers> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AccessTokens for CurrentTokens {
    fn issue(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, StorageError> {
        self.current().access.issue(claims, now)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, AccessTokenError> {
        self.current().access.verify(token, now)
    }
}

impl QueueTokens for CurrentTokens {
    fn seal(&self, place: &QueuePlace) -> QueueToken {
        self.current().queue.seal(place)
    }

    fn open(&self, token: &str) -> Option<QueuePlace> {
        self.current().queue.open(token)
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        AccountId, ConcertId, EntropySource, SessionId, accounts::Role, fixtures::instant, waiting_room::PlaceNumber,
    };

    use super::*;
    use crate::adapters::{SystemEntropy, rotation::Rotation};

    /// Two instances that read the file at different moments, through a whole rotation.
    #[test]
    fn in_a_rolling_rotation_every_instance_accepts_what_any_other_has_signed() {
        let rotate = |keys: &Keys, prepare, keep| keys.clone().rotated(Rotation { prepare, keep }, &SystemEntropy);
        let first = Keys::new(&SystemEntropy);
        let prepared = rotate(&first, true, None);
        let rotated = rotate(&prepared, false, None);
        let (one, other) = (CurrentTokens::new(first.clone()).unwrap(), CurrentTokens::new(first).unwrap());
        let claims = AccessClaims {
            account_id: AccountId::new(SystemEntropy.uuid()),
            session_id: SessionId::new(SystemEntropy.uuid()),
            role: Role::Customer,
            access_version: 0,
            has_second_factor: false,
            expires_at: instant(900),
        };
        let place = QueuePlace {
            concert_id: ConcertId::new(SystemEntropy.uuid()),
            account_id: claims.account_id,
            number: PlaceNumber(7),
            joined_at: instant(0),
        };
        let agree = |when: &str| {
            for (signer, reader) in [(&one, &other), (&other, &one)] {
                let token = signer.issue(&claims, instant(0)).unwrap();
                assert_eq!(reader.verify(&token, instant(0)), Ok(claims), "{when}");
                assert_eq!(reader.open(&signer.seal(&place).0), Some(place), "{when}");
            }
        };
        let old = (one.issue(&claims, instant(0)).unwrap(), one.seal(&place));
        for (step, keys) in [("prepared", &prepared), ("rotated", &rotated)] {
            assert!(one.change(keys.clone()).unwrap());
            agree(step);
            assert!(other.change(keys.clone()).unwrap());
            assert!(!other.change(keys.clone()).unwrap(), "they are the same");
            agree(step);
            assert_eq!(one.verify(&old.0, instant(0)), Ok(claims), "{step}");
            assert_eq!(one.open(&old.1.0), Some(place), "{step}");
        }
        assert_ne!(one.seal(&place), old.1, "the new key signs");
        // The old key is dropped, and what it signed is no longer accepted.
        assert!(one.change(rotate(&rotated, false, Some(1))).unwrap());
        assert_eq!(one.verify(&old.0, instant(0)), Err(AccessTokenError::Expired), "its holder is to refresh");
        assert_eq!(one.open(&old.1.0), None);
    }
}
