//! One concert's line: who waits, who is admitted, what ends when. Pure state, told the time by its caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    time::seconds_after,
    waiting_room::{Joined, LineCensus, Place, QueueStatus, Recall, Standing, Ticket, WaitingRoomError},
};

use crate::{admission_rate::AdmissionRate, line_order::LineOrder, memory::Settings};

/// So many people at the front of a line share each interval of polling before the next ones poll a second
/// less often: about 360 polls a second from the first 2,000 in line, and the rest at the longest interval.
const POLL_STEP_PEOPLE: u32 = 100;

/// What is the same for all lines of a process.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) settings: Settings,
    /// All places below this one were given by an earlier process.
    first_place: u64,
    /// Counts places of all lines together, so that a line that is dropped and opened again gives later
    /// ones only.
    next_place: AtomicU64,
    /// Until then lines re-form and nobody is admitted.
    pub(crate) reformed_at: Timestamp,
    /// From then on every ticket of an earlier process is too old to be restored.
    forgotten_at: Timestamp,
}

impl Rules {
    pub(crate) fn new(settings: Settings, now: Timestamp) -> Self {
        // Microseconds since 1970 grow faster than anybody can join, so that a restarted process begins
        // above all that an earlier one has given.
        let first_place = u64::try_from(now.timestamp_micros()).unwrap_or(1).max(1);
        Self {
            first_place,
            next_place: AtomicU64::new(first_place),
            reformed_at: seconds_after(now, settings.reform_seconds),
            forgotten_at: seconds_after(now, settings.restorable_seconds),
            settings,
        }
    }

    /// The next place at the end of a line. Called in the critical section of that line, which makes the
    /// order of places the order of joining.
    fn next_place(&self) -> Place {
        Place(self.next_place.fetch_add(1, Ordering::Relaxed))
    }

    fn is_earlier(&self, place: Place) -> bool {
        place.0 < self.first_place
    }

    /// Whether this is a ticket of an earlier process, and young enough to get its place back.
    pub(crate) fn is_restorable(&self, ticket: &Ticket, now: Timestamp) -> bool {
        self.is_earlier(ticket.place) && now < seconds_after(ticket.joined_at, self.settings.restorable_seconds)
    }

    /// Whether any ticket of an earlier process can still get its place back.
    pub(crate) fn remembers(&self, now: Timestamp) -> bool {
        now < self.forgotten_at
    }
}

#[derive(Debug)]
struct Waiting {
    place: Place,
    joined_at: Timestamp,
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
    max_active: u32,
    waiting: BTreeMap<AccountId, Waiting>,
    /// The accounts of `waiting`, by place.
    order: LineOrder<AccountId>,
    active: BTreeMap<AccountId, Admission>,
    /// The accounts of `active`, by the end of their admission.
    endings: BTreeSet<(Timestamp, AccountId)>,
    /// The latest place of each account that ended, kept only while tickets of an earlier process may
    /// come: that place and all earlier ones of the account are not restored.
    over: BTreeMap<AccountId, Place>,
    /// False once `over` was full: then nothing can be restored without risking to restore what has ended.
    restores: bool,
    rate: AdmissionRate,
    admitted_total: u64,
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
            max_active: 0,
            waiting: BTreeMap::new(),
            order: LineOrder::new(),
            active: BTreeMap::new(),
            endings: BTreeSet::new(),
            over: BTreeMap::new(),
            restores: true,
            rate: AdmissionRate::new(now),
            admitted_total: 0,
            freed: 0,
            altered: false,
        }
    }

    /// Ends what is due and admits who is next. To be called before anything else is asked or done.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let reformed_at = self.rules.reformed_at;
        let waited = !self.order.is_empty();
        self.rate.pass(now.min(reformed_at), false);
        self.rate.pass(now, waited && now > reformed_at);
        if !self.rules.remembers(now) {
            self.over.clear();
        }
        while let Some(&(ends_at, account_id)) = self.endings.first()
            && ends_at <= now
        {
            let passed_over =
                self.active.get(&account_id).is_some_and(|admission| admission.no_show_at == Some(ends_at));
            if passed_over {
                metrics::counter!("boxoffice_queue_no_shows_total").increment(1);
            } else {
                metrics::counter!("boxoffice_queue_expired_total").increment(1);
            }
            self.end(account_id, now);
        }
        self.admit(now);
    }

    pub(crate) fn join(
        &mut self,
        account_id: AccountId,
        max_active: u32,
        now: Timestamp,
    ) -> Result<Joined, WaitingRoomError> {
        self.set_max_active(max_active, now);
        let newly = self.ticket_of(account_id).is_none();
        if newly {
            self.refuse_when_full()?;
            let place = self.rules.next_place();
            self.enter(Ticket { concert_id: self.concert_id, account_id, place, joined_at: now });
            self.admit(now);
            metrics::counter!("boxoffice_queue_joined_total").increment(1);
        }
        let ticket = self.ticket_of(account_id).expect("the account was here or has entered");
        Ok(Joined { status: self.status_of(ticket), newly })
    }

    pub(crate) fn status(&mut self, ticket: &Ticket, now: Timestamp) -> Recall {
        match self.recollect(ticket, now) {
            Recollection::Here => Recall::Known(self.status_of(*ticket)),
            Recollection::Over => Recall::Known(QueueStatus { ticket: *ticket, standing: Standing::Expired }),
            Recollection::Forgotten => Recall::Forgotten,
        }
    }

    pub(crate) fn restore(
        &mut self,
        ticket: &Ticket,
        max_active: u32,
        now: Timestamp,
    ) -> Result<QueueStatus, WaitingRoomError> {
        self.set_max_active(max_active, now);
        match self.recollect(ticket, now) {
            Recollection::Here => Ok(self.status_of(*ticket)),
            Recollection::Over => Ok(QueueStatus { ticket: *ticket, standing: Standing::Expired }),
            Recollection::Forgotten => {
                self.refuse_when_full()?;
                // Should an earlier place of the account have been restored, then this later one proves
                // that the earlier one had ended.
                self.end(ticket.account_id, now);
                self.enter(*ticket);
                self.altered = true;
                self.admit(now);
                Ok(self.status_of(*ticket))
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

    pub(crate) fn set_max_active(&mut self, max_active: u32, now: Timestamp) {
        self.max_active = max_active;
        self.admit(now);
    }

    /// When the next admission ends, if nobody does anything.
    pub(crate) fn next_ending(&self) -> Option<Timestamp> {
        self.endings.first().map(|(ends_at, _)| *ends_at)
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

    /// Puts a ticket in line. The account must not be here.
    fn enter(&mut self, ticket: Ticket) {
        let Ticket { account_id, place, joined_at, .. } = ticket;
        // A place can be taken only if the computer's clock was set back between two starts. Then this
        // ticket counts as over: one of the two has to lose, and the other one is in line already.
        if self.order.insert(place.0, account_id) {
            self.waiting.insert(account_id, Waiting { place, joined_at });
        }
    }

    /// Admits the first ones in line, as many as there is room for.
    fn admit(&mut self, now: Timestamp) {
        let freed = mem::take(&mut self.freed);
        if now < self.rules.reformed_at {
            return;
        }
        let mut admitted = 0;
        while self.active.len() < self.max_active as usize
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
        let Some(place) = self.waiting.get(&account_id).map(|waiting| waiting.place) else {
            return;
        };
        if self.rules.is_earlier(place) && self.active.len() < self.max_active as usize {
            self.order.remove(place.0);
            self.admit_one(account_id, now);
        }
    }

    /// Makes somebody active who waits and is no longer in the order.
    fn admit_one(&mut self, account_id: AccountId, now: Timestamp) {
        let Waiting { place, joined_at } = self.waiting.remove(&account_id).expect("who is in order waits");
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
            self.order.remove(waiting.place.0);
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
    fn status_of(&mut self, ticket: Ticket) -> QueueStatus {
        self.change_admission(ticket.account_id, |admission| admission.no_show_at = None);
        let standing = if let Some(admission) = self.active.get(&ticket.account_id) {
            Standing::Active { admitted_until: admission.admitted_until, active_until: admission.active_until() }
        } else if self.waiting.contains_key(&ticket.account_id)
            && let Some(before) = self.order.rank(ticket.place.0)
        {
            let position = before + 1;
            Standing::Waiting {
                position: u64::from(position),
                estimated_wait_seconds: self.rate.seconds_for(position),
                poll_after_seconds: (1 + before / POLL_STEP_PEOPLE).min(self.rules.settings.poll_seconds_max),
            }
        } else {
            Standing::Expired
        };
        QueueStatus { ticket, standing }
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
        let node = 11 * size_of::<(AccountId, Waiting)>() + 16;
        let waiting = (node + node / 6 + 12 * size_of::<usize>() / 6) / 5;
        assert!(order + waiting < 300, "{order} + {waiting} bytes");
    }
}
