//! The queues that requests were about lately: their sales are followed.
//!
//! What a sale has for its queue changes with each hold, payment, cancellation and lapse. It is not read for each of them
//! nor for each poll, but every moment for all at once, and the queue gets it when it has changed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use boxoffice_domain::{ConcertId, Timestamp, waiting_room::SaleReading};
use chrono::TimeDelta;

/// The most sales that are followed.
const CONCERTS_MAX: usize = 10_000;
/// For how long a sale is followed after the last request about its queue.
const FOLLOWED_FOR: TimeDelta = TimeDelta::seconds(60);
/// How often a sale is looked at that has few seats left, and one with any number of them.
const LOOK_INTERVAL_MIN: TimeDelta = TimeDelta::milliseconds(200);
const LOOK_INTERVAL_MAX: TimeDelta = TimeDelta::seconds(1);
/// How many seats can be held in a millisecond at most: fewer are left than that from one look to the next.
const HELD_IN_MILLISECOND_MAX: u64 = 20;
/// After what time a queue gets a reading also if nothing has changed: it may have been lost, or got an older one.
const SEND_INTERVAL: TimeDelta = TimeDelta::seconds(1);

/// Which sales are followed.
#[derive(Debug, Default)]
pub struct SaleWatch {
    concerts: RwLock<HashMap<ConcertId, Arc<Followed>>>,
}

/// A sale that is followed.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Whether a request was about the queue since it was last seen to.
    asked: AtomicBool,
    looks: Mutex<Looks>,
}

#[derive(Debug, Default)]
struct Looks {
    asked_at: Option<Timestamp>,
    next_at: Option<Timestamp>,
    /// What the queue got last, and when.
    sent: Option<(SaleReading, Timestamp)>,
}

impl SaleWatch {
    /// Notes that a request is about the queue of a concert.
    pub(crate) fn ask(&self, id: ConcertId) {
        let known = self.concerts.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(|followed| {
            if !followed.asked.load(Relaxed) {
                followed.asked.store(true, Relaxed);
            }
        });
        if known.is_none() {
            let mut concerts = self.concerts.write().unwrap_or_else(PoisonError::into_inner);
            if concerts.len() < CONCERTS_MAX {
                concerts.entry(id).or_default().asked.store(true, Relaxed);
            }
        }
    }

    /// The sales that are to be looked at now. Those that no request was about for long are no longer followed.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<(ConcertId, Arc<Followed>)> {
        let mut concerts = self.concerts.write().unwrap_or_else(PoisonError::into_inner);
        concerts.retain(|_, followed| {
            let mut looks = followed.looks();
            if followed.asked.swap(false, Relaxed) {
                looks.asked_at = Some(now);
            }
            looks.asked_at.is_some_and(|asked_at| now < asked_at + FOLLOWED_FOR)
        });
        let due = concerts.iter().filter(|(_, followed)| followed.looks().next_at.is_none_or(|next_at| next_at <= now));
        due.map(|(id, followed)| (*id, Arc::clone(followed))).collect()
    }
}

impl Followed {
    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a look at `now` that found so many seats available. Returns whether the queue has to get the reading.
    pub(crate) fn note(&self, reading: SaleReading, available: u64, now: Timestamp) -> bool {
        let mut looks = self.looks();
        let milliseconds = i64::try_from(available / HELD_IN_MILLISECOND_MAX).unwrap_or(i64::MAX);
        let interval = TimeDelta::try_milliseconds(milliseconds).unwrap_or(LOOK_INTERVAL_MAX);
        looks.next_at = Some(now + interval.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX));
        looks.sent.is_none_or(|(sent, sent_at)| {
            (sent.offer, sent.ends) != (reading.offer, reading.ends) || sent_at + SEND_INTERVAL <= now
        })
    }

    /// Notes that the queue has got a reading.
    pub(crate) fn sent(&self, reading: SaleReading, now: Timestamp) {
        self.looks().sent = Some((reading, now));
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{fixtures::instant, waiting_room::Offer};
    use uuid::Uuid;

    use super::*;

    const ID: ConcertId = ConcertId::new(Uuid::from_u128(1));

    fn reading(offer: Offer) -> SaleReading {
        SaleReading { offer, ..SaleReading::NONE }
    }

    fn at(milliseconds: i64) -> Timestamp {
        instant(0) + TimeDelta::milliseconds(milliseconds)
    }

    #[test]
    fn a_sale_is_followed_for_a_minute_after_the_last_request() {
        let watch = SaleWatch::default();
        assert!(watch.due(at(0)).is_empty());
        watch.ask(ID);
        assert_eq!(watch.due(at(0)).len(), 1);
        assert_eq!(watch.due(at(59_999)).len(), 1);
        watch.ask(ID);
        assert_eq!(watch.due(at(60_000)).len(), 1);
        assert!(watch.due(at(120_000)).is_empty());
    }

    #[test]
    fn a_sale_is_looked_at_more_often_when_few_seats_are_left() {
        for (available, milliseconds) in [(0, 200), (4_000, 200), (10_000, 500), (20_000, 1_000), (u64::MAX, 1_000)] {
            let watch = SaleWatch::default();
            watch.ask(ID);
            watch.due(at(0))[0].1.note(reading(Offer::Seats), available, at(0));
            assert!(watch.due(at(milliseconds - 1)).is_empty(), "{available}");
            assert_eq!(watch.due(at(milliseconds)).len(), 1, "{available}");
        }
    }

    #[test]
    fn a_queue_gets_what_has_changed_and_each_second_what_has_not() {
        let followed = Followed::default();
        assert!(followed.note(reading(Offer::Seats), 9, at(0)));
        assert!(followed.note(reading(Offer::Seats), 9, at(200)), "it did not get the first one");
        followed.sent(reading(Offer::Seats), at(200));
        assert!(!followed.note(reading(Offer::Seats), 9, at(1_199)));
        assert!(followed.note(reading(Offer::AllHeld), 0, at(400)));
        assert!(followed.note(reading(Offer::Seats), 9, at(1_200)));
    }

    #[test]
    fn the_sales_that_are_followed_are_bounded() {
        let watch = SaleWatch::default();
        for number in 0..=CONCERTS_MAX {
            watch.ask(ConcertId::new(Uuid::from_u128(number as u128)));
        }
        assert_eq!(watch.due(at(0)).len(), CONCERTS_MAX);
    }
}
