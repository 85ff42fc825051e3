//! What a sale has for its queue: whether it admits, and how it ends.

use std::mem;

use boxoffice_domain::{
    Timestamp,
    waiting_room::{Offer, QueuePlace, QueueReason, QueueStatus, SaleEnd, Standing, Visit},
};

use super::{Queue, QueueOrder, Waiting};

impl Queue {
    /// Whether admissions that are free are given.
    pub(super) fn admits(&self) -> bool {
        !self.terms.paused && self.offer == Offer::Seats
    }

    pub(super) fn update_offer(&mut self, now: Timestamp) {
        let offer = self.terms.sale.offer_at(now);
        if offer == self.offer {
            return;
        }
        let had_ended = self.has_ended();
        self.changed = true;
        self.offer = offer;
        match offer {
            Offer::Nothing(end) if !had_ended => self.end_all(end, now),
            Offer::Seats | Offer::AllHeld | Offer::NotOpen if had_ended => self.end_closing(now),
            _ => {}
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.offer, Offer::Nothing(_))
    }

    /// Ends every place but those of accounts that hold seats, which stay admitted to pay them.
    fn end_all(&mut self, end: SaleEnd, now: Timestamp) {
        self.ended_for_all = Some((end, self.rules.last_number()));
        for (account_id, Waiting { number, .. }) in mem::take(&mut self.waiting) {
            // No other place is restorable when it is gone.
            if self.rules.is_earlier(number) {
                self.remember_ended(account_id, number, now);
            }
        }
        self.order = QueueOrder::new();
        self.drawn.clear();
        for account_id in self.active.accounts() {
            self.active.change(account_id, |admission| admission.close(now));
        }
    }

    /// Ends the admissions that have not been shown since the queue ended.
    fn end_closing(&mut self, now: Timestamp) {
        for account_id in self.active.accounts() {
            if self.active.get(account_id).is_some_and(|admission| !admission.holds(now)) {
                self.end(account_id, now);
            }
        }
    }

    pub(super) fn expired(&self, place: QueuePlace) -> QueueStatus {
        let ended = self.ended_for_all.filter(|(_, last)| place.number <= *last);
        let passed_over = self.passed_over.contains(place.account_id, place.number).then_some(QueueReason::PassedOver);
        let reason = ended.map(|(end, _)| QueueReason::Ended(end)).or(passed_over);
        QueueStatus { place, standing: Standing::Expired, reason }
    }

    /// The status of a place that is here, and whose holder asks.
    pub(super) fn status_of(&mut self, place: QueuePlace, visit: Visit, now: Timestamp) -> QueueStatus {
        match self.standing(&place, visit, now) {
            Standing::Expired => self.expired(place),
            standing => {
                let waits = matches!(standing, Standing::Waiting { .. });
                let paused = self.terms.paused.then_some(QueueReason::Paused);
                QueueStatus { place, standing, reason: self.offer.waits_for().or(paused).filter(|_| waits) }
            }
        }
    }
}
