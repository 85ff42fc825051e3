//! Paying for held seats.

use std::sync::Arc;

use boxoffice_domain::{
    Clock, EntropySource, PaymentId, ReservationId, StorageError,
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    payments::{PayRefusal, PayRequest, PaymentMethod, PaymentView, Payments, Receipt},
    reservations::Reservations,
    sale::check_payable,
    waiting_room::{QueuePlace, WaitingRoom},
};

use crate::{
    AccountLocks, Identity,
    waiting_room::{GateError, GatedError, Purpose, WaitingRoomService},
};

/// Why a payment was not made.
pub type PayError = GatedError<PayRefusal>;

/// Pays for held seats.
pub struct PaymentService {
    pub payments: Arc<dyn Payments>,
    pub reservations: Arc<dyn Reservations>,
    pub gate: Arc<WaitingRoomService>,
    /// A payment ends the admission there.
    pub waiting_room: Arc<dyn WaitingRoom>,
    /// Keeps a hold and a payment of one account apart.
    pub account_locks: Arc<AccountLocks>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
}

impl PaymentService {
    /// Pays a held reservation with as many points as it costs. With the payment of the last seats that the account holds
    /// of the concert, its admission ends. A payment that is refused changes nothing: hold, queue token and place stay.
    pub async fn pay(
        &self,
        place: QueuePlace,
        reservation_id: ReservationId,
        idempotency: Idempotency,
    ) -> Result<Made<PaymentView>, PayError> {
        let _locked = self.account_locks.lock(place.account_id).await;
        let request = PayRequest {
            payment_id: PaymentId::new(self.entropy.uuid()),
            reservation_id,
            account_id: place.account_id,
            concert_id: place.concert_id,
            queue_place: Some(place.number),
            method: PaymentMethod::Wallet,
            idempotency,
        };
        if let Err(closed) = self.gate.check(place, Purpose::Continue).await {
            return self.without_admission(&request, closed).await;
        }
        let Made { value: receipt, replayed } = self.payments.pay(request).await?;
        self.end_admission(place, &receipt).await;
        Ok(Made { value: receipt.payment, replayed })
    }

    /// Without an admission nothing is paid. But a repeated request gets its answer, and a buyer who is too late for the
    /// reservation learns that, rather than that the token went with it.
    async fn without_admission(&self, request: &PayRequest, closed: GateError) -> Result<Made<PaymentView>, PayError> {
        if !matches!(closed, GateError::Expired | GateError::NotActive { .. }) {
            return Err(closed.into());
        }
        if let Some(first) = self.payments.find_by_key(request.account_id, &request.idempotency.key).await? {
            return first.replay(&request.idempotency).map_err(|reused| PayError::Refused(reused.into()));
        }
        let view = self.reservations.find(request.account_id, request.reservation_id).await?;
        let view = view.ok_or(PayError::Refused(PayRefusal::ReservationNotFound))?;
        if view.reservation.concert_id != request.concert_id {
            return Err(GateError::Invalid.into());
        }
        let now = self.clock.now();
        check_payable(now, &view.reservation, &view.performance).map_err(PayError::Refused)?;
        Err(closed.into())
    }

    async fn end_admission(&self, place: QueuePlace, receipt: &Receipt) {
        let (concert_id, account_id) = (place.concert_id, place.account_id);
        // A repeated request may come with the place of a later visit, which this payment did not spend.
        if receipt.payment.payment.queue_place != Some(place.number) {
            return;
        }
        let ended = match receipt.other_held_until {
            Some(until) => self.waiting_room.keep_until(concert_id, account_id, Some(until)).await,
            None => self.waiting_room.spend(concert_id, account_id).await,
        };
        if let Err(error) = ended {
            // The payment stands; the admission then ends by its own time.
            tracing::warn!(error = &error as &dyn std::error::Error, "an admission could not be ended");
        }
    }

    /// A payment of the caller.
    pub async fn find(&self, identity: Identity, id: PaymentId) -> Result<Option<PaymentView>, StorageError> {
        self.payments.find(identity.account_id, id).await
    }

    /// The payments of the caller, newest first.
    pub async fn list(
        &self,
        identity: Identity,
        page: PageRequest<PaymentId>,
    ) -> Result<Page<PaymentView, PaymentId>, StorageError> {
        self.payments.list(identity.account_id, page).await
    }
}
