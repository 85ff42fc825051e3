//! The idempotency keys under which this instance is running an act.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_domain::{
    AccountId,
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
};

use crate::reply::{Code, Problem};

type Named = (AccountId, IdempotencyKey);

/// The keys in use, as many as there are acts at most.
///
/// The storage serialises requests that ask for the same, and gives the later ones the first response. A request that
/// asks for something else under a key in use cannot wait for that, and is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeysInFlight(Arc<Mutex<HashMap<Named, (Fingerprint, u32)>>>);

/// Keeps a key in use until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyInUse {
    keys: KeysInFlight,
    named: Named,
}

impl KeysInFlight {
    pub(crate) fn enter(&self, account_id: AccountId, asked: &Idempotency) -> Result<KeyInUse, Problem> {
        let named = (account_id, asked.key.clone());
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fingerprint, count) = keys.entry(named.clone()).or_insert((asked.fingerprint, 0));
        if *fingerprint != asked.fingerprint {
            return Err(Problem::new(Code::IdempotencyKeyInUse));
        }
        *count += 1;
        Ok(KeyInUse { keys: self.clone(), named })
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = keys.entry(self.named.clone()) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }
}
