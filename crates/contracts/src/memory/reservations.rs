//! Reservations.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, ReservationId, StorageError, Timestamp,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    reservations::{
        CancelError, CancelRequest, HoldError, HoldRequest, Reservation, ReservationState, ReservationStatus,
        ReservationView, Reservations,
    },
    sale::{CancelOutcome, Command, ExpireOutcome, HoldOutcome},
};

use super::{MemoryStore, Rows, page};

impl Rows {
    pub(super) fn view(&self, reservation: &Reservation) -> ReservationView {
        let performance = self.sale.terms[&reservation.performance_id].clone();
        ReservationView { reservation: reservation.clone(), performance }
    }

    pub(super) fn live_holds(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
        now: Timestamp,
    ) -> impl Iterator<Item = &Reservation> {
        self.sale.reservations.values().filter(move |found| {
            found.account_id == account_id
                && found.concert_id == concert_id
                && found.status(now) == ReservationStatus::Held
        })
    }
}

#[async_trait]
impl Reservations for MemoryStore {
    async fn hold(&self, request: HoldRequest) -> Result<Made<ReservationView>, HoldError> {
        self.write::<HoldOutcome>(Command::Hold(request))?.map_err(HoldError::Refused)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Made<ReservationView>, CancelError> {
        self.write::<CancelOutcome>(Command::Cancel(request))?.map_err(CancelError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: ReservationId) -> Result<Option<ReservationView>, StorageError> {
        let rows = self.rows();
        let found = rows.sale.reservations.get(&id).filter(|found| found.account_id == account_id);
        Ok(found.map(|reservation| rows.view(reservation)))
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<ReservationView>, StorageError> {
        let rows = self.rows();
        let named = |found: &&Reservation| {
            found.account_id == account_id && found.idempotency.as_ref().is_some_and(|named| named.key == *key)
        };
        Ok(rows.sale.reservations.values().find(named).map(|reservation| rows.view(reservation)))
    }

    async fn list(
        &self,
        account_id: AccountId,
        status: Option<ReservationStatus>,
        request: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let listed =
            rows.sale.reservations.values().rev().filter(|found| {
                found.account_id == account_id && status.is_none_or(|status| found.status(now) == status)
            });
        let views = listed.map(|found| rows.view(found));
        Ok(page(views, request, |view| view.reservation.id, ReservationId::lt))
    }

    async fn held_until(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
    ) -> Result<Option<Timestamp>, StorageError> {
        Ok(self.rows().live_holds(account_id, concert_id, self.now()).map(|held| held.held_until).max())
    }

    async fn expire_due(&self, limit: u32) -> Result<u32, StorageError> {
        let now = self.now();
        let mut due: Vec<_> = {
            let rows = self.rows();
            let lapsed = |found: &&Reservation| matches!(found.state, ReservationState::Held { until } if until <= now);
            rows.sale
                .reservations
                .values()
                .filter(lapsed)
                .map(|found| (found.held_until, found.id, found.account_id))
                .collect()
        };
        due.sort_unstable();
        let mut expired = 0;
        for (_, reservation_id, account_id) in due.into_iter().take(limit as usize) {
            let command = Command::Expire { reservation_id, account_id };
            expired += u32::from(self.write::<ExpireOutcome>(command)?.is_some());
        }
        Ok(expired)
    }
}
