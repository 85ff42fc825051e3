//! What joining a line needs to know of a concert, remembered for a moment.
//!
//! Before a sale opens everybody comes at once, and asks to join the same line. What the line has to know of the
//! concert changes once in a blue moon: it is not read again for each of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::{
    ConcertId, Timestamp,
    catalog::{Concert, NotOnSale, SalesWindow},
    waiting_room::{Draw, QueueTerms},
};

/// The most concerts that are remembered; beyond that, all are forgotten and read again.
const CONCERTS_MAX: usize = 10_000;

/// What a line has to know of its concert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SaleTerms {
    pub(crate) sales: SalesWindow,
    pub(crate) draw: Option<Draw>,
    pub(crate) queue: QueueTerms,
}

impl From<&Concert> for SaleTerms {
    fn from(concert: &Concert) -> Self {
        Self { sales: concert.sales, draw: concert.draw, queue: concert.queue_terms() }
    }
}

impl SaleTerms {
    /// Whether one may get in line at `now`: while the sale is open, and before that where there is a draw.
    pub(crate) fn check_joining(&self, now: Timestamp) -> Result<(), NotOnSale> {
        match self.sales.check(now) {
            Err(NotOnSale::NotOpen) if self.draw.is_some() => Ok(()),
            checked => checked,
        }
    }
}

#[derive(Debug)]
struct Remembered {
    terms: SaleTerms,
    fresh_until: Timestamp,
}

/// The terms of the concerts that were asked for lately.
///
/// A change that this process makes is known at once; one of another process when it is announced, and within twice the
/// time that terms are kept for where it is not.
#[derive(Debug, Default)]
pub struct RememberedTerms {
    kept_for: Duration,
    concerts: Mutex<HashMap<ConcertId, Remembered>>,
}

impl RememberedTerms {
    /// Remembers terms for so long; for no time, nothing.
    pub fn new(kept_for: Duration) -> Self {
        Self { kept_for, concerts: Mutex::default() }
    }

    /// The terms of a concert, if they need not be read. When their time is over, one caller is told to read them, and
    /// the others go on with what is known meanwhile.
    pub(crate) fn recall(&self, id: ConcertId, now: Timestamp) -> Option<SaleTerms> {
        let mut concerts = self.concerts.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = concerts.get_mut(&id)?;
        if now < remembered.fresh_until {
            return Some(remembered.terms);
        }
        if now < remembered.fresh_until + self.kept_for {
            remembered.fresh_until = now + self.kept_for;
        } else {
            concerts.remove(&id);
        }
        None
    }

    /// Something has changed: with the next who asks for the terms of a concert, they are read anew.
    pub fn doubt_all(&self, now: Timestamp) {
        let mut concerts = self.concerts.lock().unwrap_or_else(PoisonError::into_inner);
        for remembered in concerts.values_mut() {
            remembered.fresh_until = remembered.fresh_until.min(now);
        }
    }

    /// Learns what a concert is like now. What was read before a change does not undo the change.
    pub(crate) fn learn(&self, concert: &Concert, now: Timestamp) {
        if self.kept_for.is_zero() {
            return;
        }
        let (terms, fresh_until) = (SaleTerms::from(concert), now + self.kept_for);
        let mut concerts = self.concerts.lock().unwrap_or_else(PoisonError::into_inner);
        if concerts.get(&concert.id).is_some_and(|known| known.terms.queue.version > terms.queue.version) {
            return;
        }
        if concerts.len() >= CONCERTS_MAX && !concerts.contains_key(&concert.id) {
            concerts.clear();
        }
        concerts.insert(concert.id, Remembered { terms, fresh_until });
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::{concert, instant};
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn terms_are_read_again_by_one_caller_when_their_time_is_over() {
        let terms = RememberedTerms::new(Duration::from_millis(250));
        let (concert, start) = (concert(), instant(0));
        let at = |milliseconds| start + TimeDelta::milliseconds(milliseconds);
        assert_eq!(terms.recall(concert.id, start), None);
        terms.learn(&concert, start);
        let known = Some(SaleTerms::from(&concert));
        assert_eq!(terms.recall(concert.id, at(249)), known);
        assert_eq!(terms.recall(concert.id, at(250)), None, "this caller reads them");
        assert_eq!(terms.recall(concert.id, at(251)), known, "the others need not wait for that");
        assert_eq!(terms.recall(concert.id, at(1_000)), None);
        assert_eq!(terms.recall(concert.id, at(1_001)), None, "nobody goes on with what is too old");
    }

    #[test]
    fn terms_in_doubt_are_read_by_the_next_caller() {
        let terms = RememberedTerms::new(Duration::from_millis(250));
        let (concert, start) = (concert(), instant(0));
        terms.learn(&concert, start);
        terms.doubt_all(start);
        assert_eq!(terms.recall(concert.id, start), None, "this caller reads them");
        assert_eq!(
            terms.recall(concert.id, start),
            Some(SaleTerms::from(&concert)),
            "the others need not wait for that"
        );
    }

    #[test]
    fn what_was_read_before_a_change_does_not_undo_it() {
        let terms = RememberedTerms::new(Duration::from_millis(250));
        let (before, start) = (concert(), instant(0));
        let after = Concert { max_active: before.max_active + 1, version: before.version + 1, ..before.clone() };
        terms.learn(&after, start);
        terms.learn(&before, start);
        assert_eq!(terms.recall(before.id, start), Some(SaleTerms::from(&after)));
        let off = RememberedTerms::default();
        off.learn(&before, start);
        assert_eq!(off.recall(before.id, start), None);
    }
}
