//! Holding seats, and giving them up.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, ConcertId, EntropySource, PerformanceId, ReservationId, SellingRules, StorageError,
    catalog::Catalog,
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    reservations::{
        CancelError, CancelRequest, HoldRefusal, HoldRequest, Reservation, ReservationState, ReservationStatus,
        ReservationView, Reservations,
    },
    seats::SeatSelection,
    waiting_room::WaitingRoomError,
};

use crate::{
    AccountLocks, Gate, Identity, Visitor,
    waiting_room::{GateError, GatedError, Purpose},
};

/// Seats of a performance to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldSeats {
    pub performance_id: PerformanceId,
    pub seats: SeatSelection,
}

/// Why seats were not held.
pub type HoldSeatsError = GatedError<HoldRefusal>;

/// Holds seats, and gives them up.
pub struct ReservationService {
    pub reservations: Arc<dyn Reservations>,
    pub catalog: Arc<dyn Catalog>,
    /// A hold prolongs the admission there.
    pub gate: Gate,
    /// Keeps a hold and a payment of one account apart.
    pub account_locks: Arc<AccountLocks>,
    pub entropy: Arc<dyn EntropySource>,
    /// How long a hold lasts.
    pub rules: SellingRules,
}

impl ReservationService {
    /// Holds seats for an admitted account, all of them or none.
    pub async fn hold(
        &self,
        visitor: impl Into<Visitor>,
        HoldSeats { performance_id, seats }: HoldSeats,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<ReservationView>, HoldSeatsError> {
        let visitor = visitor.into();
        let concert_id = self.catalog.concert_of(performance_id).await?;
        let concert_id = concert_id.ok_or(GatedError::Refused(HoldRefusal::PerformanceNotFound))?;
        let _locked = self.account_locks.lock(visitor.account_id).await;
        if let Err(closed) = self.gate.admit(visitor, concert_id, Purpose::Hold).await {
            return self.replayed(visitor, idempotency, closed).await;
        }
        let request = HoldRequest {
            reservation_id: ReservationId::new(self.entropy.uuid()),
            account_id: visitor.account_id,
            concert_id,
            performance_id,
            seats,
            hold_seconds: self.rules.hold_seconds,
            unpaid_holds_free: self.rules.unpaid_holds_free,
            idempotency,
        };
        let made = self.reservations.hold(request).await?;
        // The seats are held even if this fails: the rest of the admission is left to pay them in.
        if let Err(error) = self.keep_admission(concert_id, visitor.account_id, &made).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an admission could not be lengthened");
        }
        Ok(made)
    }

    /// Answers a repeated request, also if the token no longer opens the gate.
    async fn replayed(
        &self,
        visitor: Visitor,
        idempotency: Option<Idempotency>,
        closed: GateError,
    ) -> Result<Made<ReservationView>, HoldSeatsError> {
        let Some(again) = idempotency.filter(|_| matches!(closed, GateError::Expired | GateError::NotActive { .. }))
        else {
            return Err(closed.into());
        };
        let first = self.reservations.find_by_key(visitor.account_id, &again.key).await?;
        first.ok_or(closed)?.replay_hold(&again).map_err(|reused| GatedError::Refused(reused.into()))
    }

    /// Lets the admission last as long as the account holds seats.
    async fn keep_admission(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        made: &Made<ReservationView>,
    ) -> Result<(), WaitingRoomError> {
        let Some(queues) = self.gate.queues() else { return Ok(()) };
        let held_until = if made.replayed {
            // The process that held the seats at first may have ended before it lengthened the admission. The account may
            // have held others since, or given these up.
            self.reservations.held_until(account_id, concert_id).await?
        } else {
            Some(made.value.reservation.held_until)
        };
        if held_until.is_some() {
            queues.keep_until(concert_id, account_id, held_until).await?;
        }
        Ok(())
    }

    /// Gives a reservation up. What was paid for it goes back to the wallet. Without held seats, the admission lasts only
    /// as long as it would have without them.
    pub async fn cancel(
        &self,
        identity: Identity,
        reservation_id: ReservationId,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<ReservationView>, CancelError> {
        let account_id = identity.account_id;
        let request = CancelRequest { reservation_id, account_id, idempotency };
        let _locked = self.account_locks.lock(account_id).await;
        let made = self.reservations.cancel(request).await?;
        // What was paid for had ended the admission.
        let Reservation { concert_id, ref state, .. } = made.value.reservation;
        if matches!(state, ReservationState::Cancelled { payment_id: None, .. })
            && let Err(error) = self.shorten_admission(concert_id, account_id).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "an admission could not be shortened");
        }
        Ok(made)
    }

    /// Lets the admission last no longer than what the account still holds.
    async fn shorten_admission(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError> {
        let Some(queues) = self.gate.queues() else { return Ok(()) };
        let held_until = self.reservations.held_until(account_id, concert_id).await?;
        queues.keep_until(concert_id, account_id, held_until).await
    }

    pub async fn find(&self, identity: Identity, id: ReservationId) -> Result<Option<ReservationView>, StorageError> {
        self.reservations.find(identity.account_id, id).await
    }

    /// The reservations of the caller, newest first.
    pub async fn list(
        &self,
        identity: Identity,
        status: Option<ReservationStatus>,
        page: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError> {
        self.reservations.list(identity.account_id, status, page).await
    }

    /// Expires at most `limit` holds whose time is over, and returns how many.
    pub async fn expire_due(&self, limit: u32) -> Result<u32, StorageError> {
        self.reservations.expire_due(limit).await
    }
}
