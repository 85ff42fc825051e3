//! The queue of one concert: who waits, who is admitted, what ends when. Pure state; the caller passes the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp, seconds_after,
    waiting_room::{
        DrawNumber, JoinRequest, Joined, Offer, PlaceNumber, QueueCensus, QueuePlace, QueueStats, QueueStatus,
        QueueTerms, Recall, RestoreRequest, SaleEnd, SaleReading, Standing, Visit, WaitingRoomError,
    },
};

mod admissions;
mod ending;
mod network_joins;
mod passed_over;

use self::{
    admissions::{Admission, Admissions, Ending},
    network_joins::NetworkJoins,
    passed_over::PassedOver,
};
use crate::{
    admission_rate::{AdmissionRate, LastMinute},
    queue_order::QueueOrder,
    rules::Rules,
};

/// The terms before any are set: no account is admitted.
const NO_TERMS: QueueTerms =
    QueueTerms { version: 0, max_active: 0, paused: false, opens_at: None, sale: SaleReading::NONE };

#[derive(Debug)]
struct Waiting {
    number: PlaceNumber,
    joined_at: Timestamp,
    /// What the order is by: the number of the place, or the number drawn.
    sort_key: u64,
}

impl Waiting {
    fn is_drawn(&self) -> bool {
        self.sort_key != self.number.0
    }
}

/// Whether a queue knows a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    Present,
    Ended,
    Forgotten,
}

/// The queue of a concert. Every method leaves it advanced to now: nothing overdue, and as many admitted as may be.
#[derive(Debug)]
pub(crate) struct Queue {
    rules: Arc<Rules>,
    concert_id: ConcertId,
    terms: QueueTerms,
    /// Whether the queue had not opened yet when it was last advanced.
    closed: bool,
    /// What the sale had when the queue was last advanced.
    offer: Offer,
    /// Why the queue has ended the last time, and all places up to which number.
    ended_for_all: Option<(SaleEnd, PlaceNumber)>,
    waiting: BTreeMap<AccountId, Waiting>,
    /// The accounts of `waiting`, by sort key.
    order: QueueOrder<AccountId>,
    /// Those of `waiting` whose sort key is a number drawn, by place.
    drawn: BTreeSet<(PlaceNumber, AccountId)>,
    active: Admissions,
    /// The latest place of each account that ended, kept only while places of an earlier process can be restored: that
    /// place and all earlier ones of the account are not.
    ended: BTreeMap<AccountId, PlaceNumber>,
    /// `false` once `ended` was full or the queue was emptied: then a place that is unknown may have ended.
    restores: bool,
    passed_over: PassedOver,
    network_joins: NetworkJoins,
    rate: AdmissionRate,
    last_minute: LastMinute,
    admitted_total: u64,
    no_shows_total: u64,
    /// Admissions that ended since the last ones were given.
    freed: u32,
    /// Whether a standing has changed since [`Queue::take_changed`].
    changed: bool,
}

impl Queue {
    pub(crate) fn new(rules: Arc<Rules>, concert_id: ConcertId, now: Timestamp) -> Self {
        Self {
            rules,
            concert_id,
            terms: NO_TERMS,
            closed: false,
            offer: Offer::Seats,
            ended_for_all: None,
            waiting: BTreeMap::new(),
            order: QueueOrder::new(),
            drawn: BTreeSet::new(),
            active: Admissions::default(),
            ended: BTreeMap::new(),
            restores: true,
            passed_over: PassedOver::default(),
            network_joins: NetworkJoins::default(),
            rate: AdmissionRate::new(now),
            last_minute: LastMinute::default(),
            admitted_total: 0,
            no_shows_total: 0,
            freed: 0,
            changed: false,
        }
    }

    /// Ends what is due and admits the next. To be called before anything else is asked or done.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let admits_from = self.admits_from();
        let waited = !self.order.is_empty() && self.admits();
        self.rate.pass(now.min(admits_from), false);
        self.rate.pass(now, waited);
        self.update_closed(now);
        self.update_offer(now);
        if !self.rules.any_restorable(now) {
            self.ended.clear();
        }
        while let Some((account_id, ending)) = self.active.first_overdue(now) {
            match ending {
                Ending::Absent => {
                    self.no_shows_total += 1;
                    metrics::counter!("boxoffice_queue_no_shows_total").increment(1);
                }
                Ending::Idle => metrics::counter!("boxoffice_queue_idle_total").increment(1),
                Ending::Lapsed => metrics::counter!("boxoffice_queue_expired_total").increment(1),
            }
            if ending != Ending::Lapsed
                && let Some(place) = self.place_of(account_id)
            {
                self.passed_over.insert(account_id, place.number);
            }
            self.end(account_id, now);
        }
        self.admit(now);
    }

    pub(crate) fn join(&mut self, request: &JoinRequest, now: Timestamp) -> Result<Joined, WaitingRoomError> {
        self.set_terms(request.terms, now);
        let account_id = request.account_id;
        if let Offer::Nothing(end) = self.offer
            && !self.active.get(account_id).is_some_and(|admission| admission.holds(now))
        {
            return Err(WaitingRoomError::Ended(end));
        }
        let known = self.place_of(account_id);
        let place = if let Some(place) = known {
            place
        } else {
            self.check_capacity()?;
            if let Some(network) = request.network {
                self.network_joins.take(network, self.rules.settings.joins_per_network_max, now)?;
            }
            let number = self.rules.next_number();
            let place = QueuePlace { concert_id: self.concert_id, account_id, number, joined_at: now };
            self.enter(place, request.draw);
            self.admit(now);
            metrics::counter!("boxoffice_queue_joined_total").increment(1);
            place
        };
        Ok(Joined { status: self.status_of(place, Visit::Poll, now), newly: known.is_none() })
    }

    pub(crate) fn status(&mut self, place: &QueuePlace, visit: Visit, now: Timestamp) -> Recall {
        match self.recall(place, now) {
            Knowledge::Present => Recall::Known(self.status_of(*place, visit, now)),
            Knowledge::Ended => Recall::Known(self.expired(*place)),
            Knowledge::Forgotten => Recall::Forgotten,
        }
    }

    pub(crate) fn restore(
        &mut self,
        request: &RestoreRequest,
        now: Timestamp,
    ) -> Result<QueueStatus, WaitingRoomError> {
        self.set_terms(request.terms, now);
        let place = request.place;
        match self.recall(&place, now) {
            Knowledge::Present => {}
            Knowledge::Ended => return Ok(self.expired(place)),
            Knowledge::Forgotten if self.has_ended() => {
                let holds = request.held_until.is_some_and(|held_until| now < held_until);
                if !holds || self.active.len() >= self.terms.max_active as usize {
                    return Ok(self.expired(place));
                }
                // It had been admitted, and has only to pay.
                self.end(place.account_id, now);
                self.enter(place, request.draw);
                self.readmit(place.account_id, now);
                self.keep_until(place.account_id, request.held_until, now);
            }
            Knowledge::Forgotten => {
                self.check_capacity()?;
                // If an earlier place of the account was restored, this later one proves that it had ended.
                self.end(place.account_id, now);
                self.enter(place, request.draw);
                self.changed = true;
                self.admit(now);
            }
        }
        Ok(self.status_of(place, Visit::Poll, now))
    }

    pub(crate) fn leave(&mut self, place: &QueuePlace, now: Timestamp) {
        let knowledge = self.recall(place, now);
        if knowledge != Knowledge::Ended {
            self.end(place.account_id, now);
        }
        if knowledge == Knowledge::Forgotten {
            self.remember_ended(place.account_id, place.number, now);
        }
        self.admit(now);
    }

    pub(crate) fn keep_until(&mut self, account_id: AccountId, held_until: Option<Timestamp>, now: Timestamp) {
        if held_until.is_some_and(|until| now < until) {
            self.readmit(account_id, now);
        }
        let (settings, has_ended) = (&self.rules.settings, self.has_ended());
        // An account that holds seats, or gives them up, is here.
        self.active.change(account_id, |admission| {
            admission.held_until = held_until;
            admission.note(Visit::Use, now, settings);
            if has_ended {
                admission.close(now);
            }
        });
        self.changed |= has_ended;
        self.advance(now);
    }

    pub(crate) fn spend(&mut self, account_id: AccountId, now: Timestamp) {
        let Some(place) = self.place_of(account_id) else {
            // It was admitted by an earlier process, and must not be restored.
            return self.remember_ended(account_id, PlaceNumber(self.rules.first_number), now);
        };
        // A later place that still waits was given after the admission that paid. It stays, so that spending twice does no
        // harm.
        if self.active.get(account_id).is_some() || self.rules.is_earlier(place.number) {
            self.end(account_id, now);
            self.admit(now);
        }
    }

    pub(crate) fn set_terms(&mut self, terms: QueueTerms, now: Timestamp) {
        let was_paused = self.terms.paused;
        if !self.terms.update(terms) {
            return;
        }
        // The estimates of those who wait depend on this.
        self.changed |= was_paused != self.terms.paused;
        self.update_closed(now);
        self.update_offer(now);
        self.admit(now);
    }

    /// Ends all places that wait, and returns how many there were.
    pub(crate) fn empty(&mut self) -> u64 {
        let count = self.waiting.len() as u64;
        self.waiting.clear();
        self.order = QueueOrder::new();
        self.drawn.clear();
        // No place that is unknown now can be restored.
        self.restores = false;
        self.ended.clear();
        self.changed |= count > 0;
        count
    }

    /// Whether none waits, and none can come back. `restores` says whether there may be places to restore.
    pub(crate) fn is_empty(&self, restores: bool) -> bool {
        self.waiting.is_empty() && !(restores && self.restores)
    }

    /// When something happens next by itself: an admission ends, the queue opens, or the sale ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let opening = self.terms.opens_at.filter(|_| self.closed && !self.order.is_empty());
        let goes_on = !self.has_ended() && (!self.order.is_empty() || self.active.len() > 0);
        let ending = self.terms.sale.ends.filter(|_| goes_on).map(|(ends_at, _)| ends_at);
        self.active.first_ending().into_iter().chain(opening).chain(ending).min()
    }

    pub(crate) fn stats(&self, now: Timestamp) -> QueueStats {
        // All who took part in the draw joined before all who did not.
        let drawn = self.drawn.first().map(|(_, account_id)| *account_id);
        let oldest = drawn.or_else(|| self.order.first().map(|(_, account_id)| account_id));
        QueueStats {
            waiting: self.waiting.len() as u64,
            active: self.active.len() as u64,
            admitted_total: self.admitted_total,
            admitted_last_minute: self.last_minute.count(now),
            no_shows_total: self.no_shows_total,
            oldest_joined_at: oldest.and_then(|account_id| self.waiting.get(&account_id)).map(|first| first.joined_at),
        }
    }

    pub(crate) fn census(&self) -> QueueCensus {
        QueueCensus {
            concert_id: self.concert_id,
            waiting: self.waiting.len() as u64,
            active: self.active.len() as u64,
            admitted_total: self.admitted_total,
        }
    }

    /// Whether nothing is lost when the queue is dropped.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        let forgets = self.restores && self.ended.is_empty() || !self.rules.any_restorable(now);
        self.waiting.is_empty() && self.active.len() == 0 && forgets
    }

    /// Whether a standing has changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        mem::take(&mut self.changed)
    }

    fn check_capacity(&self) -> Result<(), WaitingRoomError> {
        if self.waiting.len() < self.rules.settings.capacity { Ok(()) } else { Err(WaitingRoomError::Full) }
    }

    /// From when on the queue admits, unless it is paused.
    fn admits_from(&self) -> Timestamp {
        let reformed_at = self.rules.reformed_at;
        self.terms.opens_at.map_or(reformed_at, |opens_at| opens_at.max(reformed_at))
    }

    fn update_closed(&mut self, now: Timestamp) {
        let closed = self.terms.opens_at.is_some_and(|opens_at| now < opens_at);
        // All who wait get a position, or lose it.
        self.changed |= closed != self.closed;
        self.closed = closed;
    }

    /// Adds a place. The account must not have one.
    fn enter(&mut self, place: QueuePlace, draw: Option<DrawNumber>) {
        let QueuePlace { account_id, number, joined_at, .. } = place;
        let draw = draw.filter(|_| self.terms.opens_at.is_some_and(|opens_at| joined_at < opens_at));
        let sort_key = draw.map_or(number.0, DrawNumber::get);
        let waiting = Waiting { number, joined_at, sort_key };
        if waiting.is_drawn() {
            self.drawn.insert((number, account_id));
        }
        self.order.insert(sort_key, account_id);
        self.waiting.insert(account_id, waiting);
    }

    /// Admits the first in the queue, as many as there is room for.
    fn admit(&mut self, now: Timestamp) {
        let freed = mem::take(&mut self.freed);
        if !self.admits() || now < self.admits_from() {
            return;
        }
        let mut admitted = 0;
        while self.active.len() < self.terms.max_active as usize
            && let Some((_, account_id)) = self.order.pop_first()
        {
            self.admit_one(account_id, now);
            admitted += 1;
        }
        // Filling free places says nothing about how fast the queue moves: only those that follow another one count.
        self.rate.admitted(admitted.min(freed));
    }

    /// Admits an account again that had been admitted before the queue was lost, if there is room.
    fn readmit(&mut self, account_id: AccountId, now: Timestamp) {
        let Some(&Waiting { number, sort_key, .. }) = self.waiting.get(&account_id) else {
            return;
        };
        if self.rules.is_earlier(number) && self.active.len() < self.terms.max_active as usize {
            self.order.remove(sort_key, account_id);
            self.admit_one(account_id, now);
        }
    }

    /// Makes an account active that waits and is no longer in the order.
    fn admit_one(&mut self, account_id: AccountId, now: Timestamp) {
        let Waiting { number, joined_at, .. } =
            self.waiting.remove(&account_id).expect("every account in the order waits");
        self.drawn.remove(&(number, account_id));
        let settings = &self.rules.settings;
        let admission = Admission {
            number,
            joined_at,
            admitted_until: seconds_after(now, settings.admission_seconds),
            no_show_at: seconds_after(now, settings.no_show_seconds),
            idle_at: settings.idle_at(now),
            held_until: None,
        };
        self.active.insert(account_id, admission);
        self.admitted_total += 1;
        self.last_minute.admitted(now);
        self.changed = true;
        metrics::counter!("boxoffice_queue_admitted_total").increment(1);
    }

    /// Ends the place of an account, if it has one.
    fn end(&mut self, account_id: AccountId, now: Timestamp) {
        let number = if let Some(admission) = self.active.remove(account_id) {
            self.freed += 1;
            admission.number
        } else if let Some(waiting) = self.waiting.remove(&account_id) {
            self.order.remove(waiting.sort_key, account_id);
            self.drawn.remove(&(waiting.number, account_id));
            waiting.number
        } else {
            return;
        };
        self.changed = true;
        self.remember_ended(account_id, number, now);
    }

    fn remember_ended(&mut self, account_id: AccountId, number: PlaceNumber, now: Timestamp) {
        if !self.restores || !self.rules.any_restorable(now) {
            return;
        }
        if self.ended.len() >= self.rules.settings.capacity {
            self.restores = false;
            self.ended.clear();
            return;
        }
        let latest = self.ended.entry(account_id).or_insert(number);
        *latest = number.max(*latest);
    }

    fn recall(&self, place: &QueuePlace, now: Timestamp) -> Knowledge {
        let known = self.place_of(place.account_id).map(|known| known.number);
        if known == Some(place.number) {
            return Knowledge::Present;
        }
        let ended = self.ended.get(&place.account_id).copied();
        let superseded = known.max(ended) >= Some(place.number);
        if superseded || !self.restores || !self.rules.is_restorable(place, now) {
            Knowledge::Ended
        } else {
            Knowledge::Forgotten
        }
    }

    fn place_of(&self, account_id: AccountId) -> Option<QueuePlace> {
        let admitted = self.active.get(account_id).map(|admission| (admission.number, admission.joined_at));
        let known =
            admitted.or_else(|| self.waiting.get(&account_id).map(|waiting| (waiting.number, waiting.joined_at)));
        known.map(|(number, joined_at)| QueuePlace { concert_id: self.concert_id, account_id, number, joined_at })
    }

    /// Where a place stands that is here, and whose holder asks.
    fn standing(&mut self, place: &QueuePlace, visit: Visit, now: Timestamp) -> Standing {
        if self.has_ended() && self.active.get(place.account_id).is_some_and(|admission| !admission.holds(now)) {
            return Standing::Expired;
        }
        let settings = &self.rules.settings;
        self.active.change(place.account_id, |admission| admission.note(visit, now, settings));
        if let Some(admission) = self.active.get(place.account_id) {
            return Standing::Active {
                admitted_until: admission.admitted_until,
                active_until: admission.active_until(),
            };
        }
        let Some(waiting) = self.waiting.get(&place.account_id) else { return Standing::Expired };
        if let Some(opens_at) = self.terms.opens_at
            && now < opens_at
        {
            return self.rules.waits_for_opening(opens_at, now);
        }
        let before =
            self.order.rank(waiting.sort_key, place.account_id).expect("every account that waits is in the order");
        self.rules.waits(before, self.rate.seconds_for(before + 1).filter(|_| self.admits()))
    }
}

#[cfg(test)]
mod tests;
