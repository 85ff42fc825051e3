//! Paying for held seats.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, Clock, ConcertId, EntropySource, PaymentId, ReservationId, StorageError,
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    payments::{PayRefusal, PayRequest, PaymentMethod, PaymentView, Payments, Receipt},
    reservations::{ReservationView, Reservations},
    sale::check_payable,
};

use crate::{
    AccountLocks, Gate, Identity, Visitor,
    waiting_room::{GateError, GatedError, Purpose},
};

/// Why a payment was not made.
pub type PayError = GatedError<PayRefusal>;

/// Pays for held seats.
pub struct PaymentService {
    pub payments: Arc<dyn Payments>,
    pub reservations: Arc<dyn Reservations>,
    /// A payment ends the admission there.
    pub gate: Gate,
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
        visitor: impl Into<Visitor>,
        reservation_id: ReservationId,
        idempotency: Idempotency,
    ) -> Result<Made<PaymentView>, PayError> {
        let visitor = visitor.into();
        let Visitor { account_id, place, .. } = visitor;
        let _locked = self.account_locks.lock(account_id).await;
        let concert_id = match place {
            Some(place) => place.concert_id,
            None => self.reservation(account_id, reservation_id).await?.reservation.concert_id,
        };
        let request = PayRequest {
            payment_id: PaymentId::new(self.entropy.uuid()),
            reservation_id,
            account_id,
            concert_id,
            queue_place: place.map(|place| place.number),
            method: PaymentMethod::Wallet,
            idempotency,
        };
        if let Err(closed) = self.gate.admit(visitor, concert_id, Purpose::Continue).await {
            return self.without_admission(&request, closed).await;
        }
        let Made { value: receipt, replayed } = self.payments.pay(request).await?;
        // A repeated request may come with the place of a later visit, which this payment did not spend.
        if receipt.payment.payment.queue_place == place.map(|place| place.number) {
            self.end_admission(concert_id, account_id, &receipt).await;
        }
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
        let view = self.reservation(request.account_id, request.reservation_id).await?;
        if view.reservation.concert_id != request.concert_id {
            return Err(GateError::Invalid.into());
        }
        let now = self.clock.now();
        check_payable(now, &view.reservation, &view.performance).map_err(PayError::Refused)?;
        Err(closed.into())
    }

    async fn reservation(&self, account_id: AccountId, id: ReservationId) -> Result<ReservationView, PayError> {
        let view = self.reservations.find(account_id, id).await?;
        view.ok_or(PayError::Refused(PayRefusal::ReservationNotFound))
    }

    async fn end_admission(&self, concert_id: ConcertId, account_id: AccountId, receipt: &Receipt) {
        let Some(queues) = self.gate.queues() else { return };
        let ended = match receipt.other_held_until {
            Some(until) => queues.keep_until(concert_id, account_id, Some(until)).await,
            None => queues.spend(concert_id, account_id).await,
        };
        if let Err(error) = ended {
            // The payment stands; the admission then ends by its own time.
            tracing::warn!(error = &error as &dyn std::error::Error, "an admission could not be ended");
        }
    }

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
