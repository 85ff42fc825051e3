//! Ids and secrets.

use boxoffice_domain::EntropySource;
use rand::{TryRng, rngs::SysRng};
use uuid::Uuid;

/// Makes ids from the time and a generator that the operating system seeds, and secrets from the operating system's
/// randomness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemEntropy;

impl EntropySource for SystemEntropy {
    /// Ids of one process sort in the order in which they were made, also within a millisecond.
    #[expect(clippy::disallowed_methods, reason = "this is the adapter behind the EntropySource port")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        // Nothing safe can be done without randomness, and a running system does not lose it.
        SysRng.try_fill_bytes(&mut secret).expect("the operating system gives randomness");
        secret
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn ids_of_one_thread_sort_in_the_order_in_which_they_were_made() {
        let ids: Vec<_> = (0..10_000).map(|_| SystemEntropy.uuid()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn threads_never_make_the_same_id() {
        let make = || (0..10_000).map(|_| SystemEntropy.uuid()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(make)).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 40_000);
    }

    #[test]
    fn secrets_differ() {
        let secrets: HashSet<_> = (0..100).map(|_| SystemEntropy.secret()).collect();
        assert_eq!(secrets.len(), 100);
    }
}
