//! One concert's line: who waits, who is admitted, what ends when. Pure state, told the time by its caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    time::seconds_after,
    waiting_room::{
        DrawNumber, JoinRequest, Joined, LineCensus, LineStats, LineTerms, Place, QueueStatus, Recall, RestoreRequest,
        Standing, Ticket, WaitingRoomError,
    },
};

use crate::{
    admission_rate::{AdmissionRate, LastMinute},
    line_order::LineOrder,
    rules::Rules,
};

/// The terms of a line that nobody has told any: nobody is admitted.
const NO_TERMS: LineTerms = LineTerms { version: 0, max_active: 0, paused: false, opens_at: None };

#[derive(Debug)]
struct Waiting {
    place: Place,
    joined_at: Timestamp,
    /// Where it stands in the order: its place, or its number in the draw.
    turn: u64,
}

impl Waiting {
    fn is_drawn(&self) -> bool {
        self.turn != self.place.0
    }
}

#[derive(Debug)]
struct Admission {
    place: Place,
    joined_at: Timestamp,
    admitted_until: Timestamp,
    /// Passed over then, unless seen before. `None` once seen.
    no_show_at: Option<Timestamp>,
    held_until: Option<Timestamp>,
}

impl Admission {
    fn active_until(&self) -> Timestamp {
        self.held_until.map_or(self.admitted_until, |held_until| held_until.max(self.admitted_until))
    }

    fn ends_at(&self) -> Timestamp {
        self.no_show_at.map_or(self.active_until(), |no_show_at| no_show_at.min(self.active_until()))
    }
}

/// What a line makes of a ticket.
enum Recollection {
    Here,
    Over,
    Forgotten,
}

/// A line. Every method leaves it settled: nothing overdue, and as many admitted as may be.
#[derive(Debug)]
pub(crate) struct Line {
    rules: Arc<Rules>,
    concert_id: ConcertId,
    terms: LineTerms,
    /// Whether nobody has been told a position since the terms said that the line opens later.
    closed: bool,
    waiting: BTreeMap<AccountId, Waiting>,
    /// The accounts of `waiting`, by turn.
    order: LineOrder<AccountId>,
    /// Those of `waiting` who stand by a number drawn, by place.
    drawn: BTreeSet<(Place, AccountId)>,
    active: BTreeMap<AccountId, Admission>,
    /// The accounts of `active`, by the end of their admission.
    endings: BTreeSet<(Timestamp, AccountId)>,
    /// The latest place of each account that ended, kept only while tickets of an earlier process may
    /// come: that place and all earlier ones of the account are not restored.
    over: BTreeMap<AccountId, Place>,
    /// False once `over` was full or the line was emptied: then nothing can be restored without risking to restore
    /// what has ended.
    restores: bool,
    rate: AdmissionRate,
    last_minute: LastMinute,
    admitted_total: u64,
    no_shows_total: u64,
    /// Admissions that ended since the last ones were given.
    freed: u32,
    /// Whether somebody's standing has changed since [`Line::take_altered`].
    altered: bool,
}

impl Line {
    pub(crate) fn new(rules: Arc<Rules>, concert_id: ConcertId, now: Timestamp) -> Self {
        Self {
            rules,
            concert_id,
            terms: NO_TERMS,
            closed: false,
            waiting: BTreeMap::new(),
            order: LineOrder::new(),
            drawn: BTreeSet::new(),
            active: BTreeMap::new(),
            endings: BTreeSet::new(),
            over: BTreeMap::new(),
            restores: true,
            rate: AdmissionRate::new(now),
            last_minute: LastMinute::default(),
            admitted_total: 0,
            no_shows_total: 0,
            freed: 0,
            altered: false,
        }
    }

    /// Ends what is due and admits who is next. To be called before anything else is asked or done.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let admits_from = self.admits_from();
        let waited = !self.order.is_empty() && !self.terms.paused;
        self.rate.pass(now.min(admits_from), false);
        self.rate.pass(now, waited && now > admits_from);
        self.see_whether_closed(now);
        if !self.rules.remembers(now) {
            self.over.clear();
        }
        while let Some(&(ends_at, account_id)) = self.endings.first()
            && ends_at <= now
        {
            let passed_over =
                self.active.get(&account_id).is_some_and(|admission| admission.no_show_at == Some(ends_at));
            if passed_over {
                self.no_shows_total += 1;
                metrics::counter!("boxoffice_queue_no_shows_total").increment(1);
            } else {
                metrics::counter!("boxoffice_queue_expired_total").increment(1);
            }
            self.end(account_id, now);
        }
        self.admit(now);
    }

    pub(crate) fn join(&mut self, request: &JoinRequest, now: Timestamp) -> Result<Joined, WaitingRoomError> {
        self.set_terms(request.terms, now);
        let account_id = request.account_id;
        let newly = self.ticket_of(account_id).is_none();
        if newly {
            self.refuse_when_full()?;
            let place = self.rules.next_place();
            self.enter(Ticket { concert_id: self.concert_id, account_id, place, joined_at: now }, request.draw);
            self.admit(now);
            metrics::counter!("boxoffice_queue_joined_total").increment(1);
        }
        let ticket = self.ticket_of(account_id).expect("the account was here or has entered");
        Ok(Joined { status: self.status_of(ticket, now), newly })
    }

    pub(crate) fn status(&mut self, ticket: &Ticket, now: Timestamp) -> Recall {
        match self.recollect(ticket, now) {
            Recollection::Here => Recall::Known(self.status_of(*ticket, now)),
            Recollection::Over => Recall::Known(QueueStatus { ticket: *ticket, standing: Standing::Expired }),
            Recollection::Forgotten => Recall::Forgotten,
        }
    }

    pub(crate) fn restore(
        &mut self,
        request: &RestoreRequest,
        now: Timestamp,
    ) -> Result<QueueStatus, WaitingRoomError> {
        self.set_terms(request.terms, now);
        let ticket = request.ticket;
        match self.recollect(&ticket, now) {
            Recollection::Here => Ok(self.status_of(ticket, now)),
            Recollection::Over => Ok(QueueStatus { ticket, standing: Standing::Expired }),
            Recollection::Forgotten => {
                self.refuse_when_full()?;
                // Should an earlier place of the account have been restored, then this later one proves
                // that the earlier one had ended.
                self.end(ticket.account_id, now);
                self.enter(ticket, request.draw);
                self.altered = true;
                self.admit(now);
                Ok(self.status_of(ticket, now))
            }
        }
    }

    pub(crate) fn leave(&mut self, ticket: &Ticket, now: Timestamp) {
        match self.recollect(ticket, now) {
            Recollection::Here => self.end(ticket.account_id, now),
            Recollection::Over => {}
            Recollection::Forgotten => {
                self.end(ticket.account_id, now);
                self.remember_over(ticket.account_id, ticket.place, now);
            }
        }
        self.admit(now);
    }

    pub(crate) fn keep_until(&mut self, account_id: AccountId, held_until: Option<Timestamp>, now: Timestamp) {
        if held_until.is_some_and(|until| now < until) {
            self.readmit(account_id, now);
        }
        self.change_admission(account_id, |admission| {
            admission.held_until = held_until;
            if held_until.is_some() {
                // Who holds seats has come.
                admission.no_show_at = None;
            }
        });
        self.settle(now);
    }

    pub(crate) fn spend(&mut self, account_id: AccountId, now: Timestamp) {
        let Some(ticket) = self.ticket_of(account_id) else {
            // It was admitted by an earlier process, and must not be restored.
            let last_earlier_place = Place(self.rules.first_place - 1);
            return self.remember_over(account_id, last_earlier_place, now);
        };
        // A place of this process that still waits was given after the admission that paid: it stays, so
        // that spending twice does no harm.
        if self.active.contains_key(&account_id) || self.rules.is_earlier(ticket.place) {
            self.end(account_id, now);
            self.admit(now);
        }
    }

    pub(crate) fn set_terms(&mut self, terms: LineTerms, now: Timestamp) {
        if terms == self.terms || terms.version < self.terms.version {
            return;
        }
        // What people are told besides their position depends on this.
        self.altered |= terms.paused != self.terms.paused;
        self.terms = terms;
        self.see_whether_closed(now);
        self.admit(now);
    }

    /// Ends the place of everybody who waits, and gives how many they were.
    pub(crate) fn empty(&mut self) -> u64 {
        let count = self.waiting.len() as u64;
        self.waiting.clear();
        self.order = LineOrder::new();
        self.drawn.clear();
        // Whoever is not here now is not to come back.
        self.restores = false;
        self.over.clear();
        self.altered |= count > 0;
        count
    }

    /// When something happens next by itself: an admission ends, or the line opens.
    pub(crate) fn next_event(&self) -> Option<Timestamp> {
        let ending = self.endings.first().map(|(ends_at, _)| *ends_at);
        let opening = self.terms.opens_at.filter(|_| self.closed && !self.order.is_empty());
        ending.into_iter().chain(opening).min()
    }

    pub(crate) fn stats(&mut self, now: Timestamp) -> LineStats {
        // Whoever took part in the draw was here before all who did not.
        let drawn = self.drawn.first().map(|(_, account_id)| *account_id);
        let oldest = drawn.or_else(|| self.order.first().map(|(_, account_id)| account_id));
        LineStats {
            waiting: self.waiting.len() as u64,
            active: self.active.len() as u64,
            admitted_total: self.admitted_total,
            admitted_last_minute: self.last_minute.count(now),
            no_shows_total: self.no_shows_total,
            oldest_joined_at: oldest.and_then(|account_id| self.waiting.get(&account_id)).map(|first| first.joined_at),
        }
    }

    pub(crate) fn census(&self) -> LineCensus {
        LineCensus {
            concert_id: self.concert_id,
            waiting: self.waiting.len() as u64,
            active: self.active.len() as u64,
            admitted_total: self.admitted_total,
        }
    }

    /// Whether nothing is lost when the line is dropped.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        let forgets = self.restores && self.over.is_empty() || !self.rules.remembers(now);
        self.waiting.is_empty() && self.active.is_empty() && forgets
    }

    /// Whether somebody's standing has changed since the last call.
    pub(crate) fn take_altered(&mut self) -> bool {
        mem::take(&mut self.altered)
    }

    fn refuse_when_full(&self) -> Result<(), WaitingRoomError> {
        if self.waiting.len() < self.rules.settings.capacity { Ok(()) } else { Err(WaitingRoomError::Full) }
    }

    /// From when on the line admits anybody, unless it is paused.
    fn admits_from(&self) -> Timestamp {
        let reformed_at = self.rules.reformed_at;
        self.terms.opens_at.map_or(reformed_at, |opens_at| opens_at.max(reformed_at))
    }

    fn see_whether_closed(&mut self, now: Timestamp) {
        let closed = self.terms.opens_at.is_some_and(|opens_at| now < opens_at);
        // Everybody who waits learns a position, or that there is none yet.
        self.altered |= closed != self.closed;
        self.closed = closed;
    }

    /// Puts a ticket in line. The account must not be here.
    fn enter(&mut self, ticket: Ticket, draw: Option<DrawNumber>) {
        let Ticket { account_id, place, joined_at, .. } = ticket;
        let number = draw.filter(|_| self.terms.opens_at.is_some_and(|opens_at| joined_at < opens_at));
        let turn = number.map_or(place.0, DrawNumber::get);
        let waiting = Waiting { place, joined_at, turn };
        if waiting.is_drawn() {
            self.drawn.insert((place, account_id));
        }
        self.order.insert(turn, account_id);
        self.waiting.insert(account_id, waiting);
    }

    /// Admits the first ones in line, as many as there is room for.
    fn admit(&mut self, now: Timestamp) {
        let freed = mem::take(&mut self.freed);
        if self.terms.paused || now < self.admits_from() {
            return;
        }
        let mut admitted = 0;
        while self.active.len() < self.terms.max_active as usize
            && let Some((_, account_id)) = self.order.pop_first()
        {
            self.admit_one(account_id, now);
            admitted += 1;
        }
        if admitted > 0 {
            // Only those who took the place of another one tell how fast the line moves; filling up at the
            // start does not.
            self.rate.admitted(admitted.min(freed));
        }
    }

    /// Admits somebody again who had been admitted before the line was lost, if there is room.
    fn readmit(&mut self, account_id: AccountId, now: Timestamp) {
        let Some(&Waiting { place, turn, .. }) = self.waiting.get(&account_id) else {
            return;
        };
        if self.rules.is_earlier(place) && self.active.len() < self.terms.max_active as usize {
            self.order.remove(turn, account_id);
            self.admit_one(account_id, now);
        }
    }

    /// Makes somebody active who waits and is no longer in the order.
    fn admit_one(&mut self, account_id: AccountId, now: Timestamp) {
        let Waiting { place, joined_at, .. } = self.waiting.remove(&account_id).expect("who is in order waits");
        self.drawn.remove(&(place, account_id));
        let settings = &self.rules.settings;
        let admission = Admission {
            place,
            joined_at,
            admitted_until: seconds_after(now, settings.admission_seconds),
            no_show_at: Some(seconds_after(now, settings.no_show_seconds)),
            held_until: None,
        };
        self.endings.insert((admission.ends_at(), account_id));
        self.active.insert(account_id, admission);
        self.admitted_total += 1;
        self.last_minute.admitted(now);
        self.altered = true;
        metrics::counter!("boxoffice_queue_admitted_total").increment(1);
    }

    /// Takes an account out of the line or out of the admitted ones, if it is there.
    fn end(&mut self, account_id: AccountId, now: Timestamp) {
        let place = if let Some(admission) = self.active.remove(&account_id) {
            self.endings.remove(&(admission.ends_at(), account_id));
            self.freed += 1;
            admission.place
        } else if let Some(waiting) = self.waiting.remove(&account_id) {
            self.order.remove(waiting.turn, account_id);
            self.drawn.remove(&(waiting.place, account_id));
            waiting.place
        } else {
            return;
        };
        self.altered = true;
        self.remember_over(account_id, place, now);
    }

    fn remember_over(&mut self, account_id: AccountId, place: Place, now: Timestamp) {
        if !self.restores || !self.rules.remembers(now) {
            return;
        }
        if self.over.len() >= self.rules.settings.capacity {
            self.restores = false;
            self.over.clear();
            return;
        }
        let latest = self.over.entry(account_id).or_insert(place);
        *latest = place.max(*latest);
    }

    fn recollect(&self, ticket: &Ticket, now: Timestamp) -> Recollection {
        let known = self.ticket_of(ticket.account_id).map(|known| known.place);
        if known == Some(ticket.place) {
            return Recollection::Here;
        }
        let ended = self.over.get(&ticket.account_id).copied();
        let superseded = known.max(ended) >= Some(ticket.place);
        if superseded || !self.restores || !self.rules.is_restorable(ticket, now) {
            Recollection::Over
        } else {
            Recollection::Forgotten
        }
    }

    fn ticket_of(&self, account_id: AccountId) -> Option<Ticket> {
        let admitted = self.active.get(&account_id).map(|admission| (admission.place, admission.joined_at));
        let known =
            admitted.or_else(|| self.waiting.get(&account_id).map(|waiting| (waiting.place, waiting.joined_at)));
        known.map(|(place, joined_at)| Ticket { concert_id: self.concert_id, account_id, place, joined_at })
    }

    /// Where a ticket of somebody who is here stands. Its holder asks, which is a sign of life.
    fn status_of(&mut self, ticket: Ticket, now: Timestamp) -> QueueStatus {
        self.change_admission(ticket.account_id, |admission| admission.no_show_at = None);
        let standing = if let Some(admission) = self.active.get(&ticket.account_id) {
            Standing::Active { admitted_until: admission.admitted_until, active_until: admission.active_until() }
        } else if let Some(waiting) = self.waiting.get(&ticket.account_id) {
            let before = self.order.rank(waiting.turn, ticket.account_id).expect("who waits is in order");
            self.waits(before, now)
        } else {
            Standing::Expired
        };
        QueueStatus { ticket, standing }
    }

    /// What somebody is told who waits with so many before.
    fn waits(&self, before: u32, now: Timestamp) -> Standing {
        if let Some(opens_at) = self.terms.opens_at
            && now < opens_at
        {
            let poll_after_seconds = self.rules.poll_seconds_until(opens_at, now);
            return Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds };
        }
        let position = before + 1;
        Standing::Waiting {
            position: Some(u64::from(position)),
            estimated_wait_seconds: self.rate.seconds_for(position).filter(|_| !self.terms.paused),
            poll_after_seconds: self.rules.poll_seconds(before),
        }
    }

    /// Changes the admission of an account, if it has one, and keeps `endings` in step.
    fn change_admission(&mut self, account_id: AccountId, change: impl FnOnce(&mut Admission)) {
        let Some(admission) = self.active.get_mut(&account_id) else { return };
        let before = admission.ends_at();
        change(admission);
        let after = admission.ends_at();
        if before != after {
            self.endings.remove(&(before, account_id));
            self.endings.insert((after, account_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::line_order;

    use super::*;

    #[test]
    fn a_waiting_entry_takes_less_than_300_bytes() {
        // A vector that has just doubled is half empty.
        let order = 2 * line_order::bytes_per_entry::<AccountId>();
        // The standard library's B-tree keeps at least 5 entries in a node with room for 11; a node has 12
        // edges besides its entries when it is not a leaf, which at most one in 6 is, and 16 bytes of its own.
        let in_tree = |entry: usize| {
            let node = 11 * entry + 16;
            (node + node / 6 + 12 * size_of::<usize>() / 6) / 5
        };
        let waiting = in_tree(size_of::<(AccountId, Waiting)>());
        let drawn = in_tree(size_of::<(Place, AccountId)>());
        assert!(order + waiting + drawn < 300, "{order} + {waiting} + {drawn} bytes");
    }
}
