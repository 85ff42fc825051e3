//! Removing what nobody needs any more.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, SessionId, StorageError, Timestamp,
    catalog::Booking,
    reservations::{Reservation, ReservationState},
    retention::{HeldKey, Removed, Retention, UnpaidEnd},
};
use uuid::Uuid;

use super::{MemoryStore, Rows};

/// Until when rows were removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RemovedUntil {
    pub(super) events: Option<Timestamp>,
    pub(super) reservations: Option<Timestamp>,
}

/// The keys of the first `limit` rows, and the last of them if there are more.
fn first<K: Copy>(keys: impl Iterator<Item = K>, limit: u32) -> (Vec<K>, Option<K>) {
    let keys: Vec<_> = keys.take(limit as usize).collect();
    let next = if keys.len() < limit as usize { None } else { keys.last().copied() };
    (keys, next)
}

fn removed<K>(count: usize, next: Option<K>) -> Removed<K> {
    Removed { count: u32::try_from(count).expect("no more than the limit"), next }
}

impl Rows {
    fn has_been(&self, reservation: &Reservation, now: Timestamp) -> bool {
        let performance = &self.performances.rows[&reservation.performance_id];
        let (id, starts_at, duration_minutes) = (performance.id, performance.starts_at, performance.duration_minutes);
        Booking { id, starts_at, duration_minutes }.ends_at() <= now
    }

    /// Counts what is left of the holds that ended unpaid.
    fn recount(&mut self, account_id: AccountId, concert_id: ConcertId) {
        let Some(counted) = self.sale.hold_budgets.remove(&(account_id, concert_id)) else { return };
        let of_both = |found: &&Reservation| found.account_id == account_id && found.concert_id == concert_id;
        let left = self.sale.reservations.values().filter(of_both).filter(|found| found.payment_id().is_none());
        let left: Vec<_> = left.collect();
        let ended = left.iter().filter(|found| !matches!(found.state, ReservationState::Held { .. }));
        let ended =
            ended.map(|found| found.updated_at).filter(|at| counted.paid_at.is_none_or(|paid_at| paid_at < *at));
        let ended: Vec<_> = ended.collect();
        if !left.is_empty() {
            let count = u32::try_from(ended.len()).expect("few reservations");
            let recounted = counted.recounted(count, ended.into_iter().max());
            self.sale.hold_budgets.insert((account_id, concert_id), recounted);
        }
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn remove_sessions(
        &self,
        until: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Removed<SessionId>, StorageError> {
        let mut rows = self.rows();
        let (looked_at, next) = first(rows.sessions.keys().copied().filter(|id| Some(*id) > after), limit);
        let before = rows.sessions.len();
        rows.sessions.retain(|id, session| {
            let over_at = session.ended_at.unwrap_or(session.expires_at).min(session.expires_at);
            !looked_at.contains(id) || until < over_at
        });
        Ok(removed(before - rows.sessions.len(), next))
    }

    async fn remove_unpaid(
        &self,
        end: UnpaidEnd,
        until: Timestamp,
        after: Option<HeldKey>,
        limit: u32,
    ) -> Result<Removed<HeldKey>, StorageError> {
        let mut rows = self.rows();
        let ended = |found: &&Reservation| match found.state {
            ReservationState::Cancelled { .. } => end == UnpaidEnd::Cancelled,
            ReservationState::Expired => end == UnpaidEnd::Lapsed,
            ReservationState::Held { .. } | ReservationState::Confirmed { .. } => false,
        };
        let listed = rows.sale.reservations.values().filter(ended).map(|found| (found.held_until, found.id));
        let mut listed: Vec<_> = listed.filter(|(held_until, _)| *held_until <= until).collect();
        listed.sort_unstable();
        let after = after.map(|key| (key.held_until, key.id));
        let (looked_at, next) = first(listed.into_iter().filter(|key| Some(*key) > after), limit);
        let now = self.now();
        let found = looked_at.iter().map(|(_, id)| rows.sale.reservations[id].clone());
        let may_go = |found: &Reservation| found.payment_id().is_none() && rows.has_been(found, now);
        let old: Vec<_> = found.filter(may_go).collect();
        for reservation in &old {
            rows.sale.reservations.remove(&reservation.id);
            rows.recount(reservation.account_id, reservation.concert_id);
        }
        if !old.is_empty() {
            rows.removed_until.reservations = rows.removed_until.reservations.max(Some(until));
        }
        Ok(removed(old.len(), next.map(|(held_until, id)| HeldKey { held_until, id })))
    }

    async fn remove_events(
        &self,
        until: Timestamp,
        unread_until: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Removed<Uuid>, StorageError> {
        let mut rows = self.rows();
        let (looked_at, next) = first(rows.batches.iter().map(|batch| batch.id).filter(|id| Some(*id) > after), limit);
        let before = rows.batches.len();
        let until_of = |rows: &Rows, batch| if rows.was_read(batch) { until } else { unread_until.min(until) };
        let old = rows.batches.iter().filter(|batch| batch.occurred_at <= until_of(&rows, batch));
        let old: Vec<_> = old.map(|batch| batch.id).filter(|id| looked_at.contains(id)).collect();
        rows.batches.retain(|batch| !old.contains(&batch.id));
        let count = before - rows.batches.len();
        if count > 0 {
            rows.removed_until.events = rows.removed_until.events.max(Some(until));
        }
        Ok(removed(count, next))
    }

    async fn remove_mails(
        &self,
        until: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Removed<Uuid>, StorageError> {
        let mut rows = self.rows();
        let (looked_at, next) = first(rows.mails.keys().copied().filter(|id| Some(*id) > after), limit);
        let before = rows.mails.len();
        rows.mails.retain(|id, mail| !looked_at.contains(id) || until < mail.created_at);
        Ok(removed(before - rows.mails.len(), next))
    }
}
