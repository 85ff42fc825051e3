//! Counts how holds end, by concert.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use boxoffice_domain::ConcertId;
use metrics::{SharedString, counter};

/// How many concerts are counted by name, so that the metric has a bounded number of series: the first that holds of this
/// process ended for. All others are counted together.
const CONCERTS_MAX: usize = 100;

/// The names that concerts are counted by.
#[derive(Debug, Default)]
pub(crate) struct HoldsEnded {
    names: Mutex<HashMap<ConcertId, SharedString>>,
}

impl HoldsEnded {
    /// Counts holds that ended, each with its concert, and whether it was paid.
    pub(crate) fn count(&self, ended: impl Iterator<Item = (ConcertId, bool)>) {
        let mut counts = BTreeMap::<_, u64>::new();
        for end in ended {
            *counts.entry(end).or_default() += 1;
        }
        for ((concert_id, paid), count) in counts {
            let end = if paid { "paid" } else { "unpaid" };
            counter!("boxoffice_holds_ended_total", "concert" => self.name(concert_id), "end" => end).increment(count);
        }
    }

    fn name(&self, concert_id: ConcertId) -> SharedString {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(&concert_id) {
            return name.clone();
        }
        if names.len() >= CONCERTS_MAX {
            return "other".into();
        }
        names.entry(concert_id).or_insert_with(|| concert_id.to_string().into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::uuid::Uuid;

    use super::*;

    #[test]
    fn concerts_have_names_until_there_are_too_many() {
        let ended = HoldsEnded::default();
        let name = |number| ended.name(ConcertId::new(Uuid::from_u128(number))).into_owned();
        let first = Uuid::from_u128(1).to_string();
        assert_eq!(name(1), first);
        for number in 2..=100 {
            assert_ne!(name(number), "other");
        }
        assert_eq!((name(101), name(1)), ("other".to_owned(), first));
    }
}
