//! Payments.

use std::cmp::Reverse;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, StorageError,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    payments::{PayError, PayRequest, Payment, PaymentView, Payments, Receipt},
    sale::{Command, PayOutcome},
    waiting_room::PlaceNumber,
};

use super::{MemoryStore, Rows, page};

impl Rows {
    fn payment_view(&self, payment: &Payment) -> PaymentView {
        let reservation = self.view(&self.sale.reservations[&payment.reservation_id]);
        PaymentView { payment: payment.clone(), reservation }
    }

    fn find_payment(&self, wanted: impl Fn(&Payment) -> bool) -> Option<PaymentView> {
        let found = self.sale.payments.values().find(|payment| wanted(payment));
        found.map(|payment| self.payment_view(payment))
    }
}

#[async_trait]
impl Payments for MemoryStore {
    async fn pay(&self, request: PayRequest) -> Result<Made<Receipt>, PayError> {
        self.write::<PayOutcome>(Command::Pay(request))?.map_err(PayError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError> {
        Ok(self.rows().find_payment(|payment| payment.account_id == account_id && payment.id == id))
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<PaymentView>, StorageError> {
        let named = |payment: &Payment| payment.account_id == account_id && payment.idempotency.key == *key;
        Ok(self.rows().find_payment(named))
    }

    async fn list(
        &self,
        account_id: AccountId,
        request: PageRequest<PaymentId>,
    ) -> Result<Page<PaymentView, PaymentId>, StorageError> {
        let rows = self.rows();
        let own = rows.sale.payments.values().filter(|payment| payment.account_id == account_id);
        let mut views: Vec<_> = own.map(|payment| rows.payment_view(payment)).collect();
        views.sort_unstable_by_key(|view| Reverse(view.payment.id));
        Ok(page(views.into_iter(), request, |view| view.payment.id, PaymentId::lt))
    }

    async fn has_spent(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
        place: PlaceNumber,
    ) -> Result<bool, StorageError> {
        let rows = self.rows();
        let spent = rows.sale.payments.values().any(|payment| {
            payment.account_id == account_id && payment.concert_id == concert_id && payment.queue_place == Some(place)
        });
        Ok(spent && rows.live_holds(account_id, concert_id, self.now()).next().is_none())
    }
}
