//! Payments.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, StorageError,
    idempotency::{IdempotencyKey, Made},
    page::{Page, PageRequest},
    payments::{PayError, PayRequest, Payment, PaymentView, Payments, Receipt},
    sale::{Command, PayOutcome},
    waiting_room::PlaceNumber,
};

use super::{MemoryStore, Rows};

impl Rows {
    fn payment_view(&self, payment: &Payment) -> Result<PaymentView, StorageError> {
        let reservation = self.sale.reservations.get(&payment.reservation_id);
        let reservation = reservation.ok_or_else(|| StorageError::failed("the reservation of a payment is missing"))?;
        Ok(PaymentView { payment: payment.clone(), reservation: self.view(reservation)? })
    }

    fn find_payment(&self, wanted: impl Fn(&Payment) -> bool) -> Result<Option<PaymentView>, StorageError> {
        let found = self.sale.payments.values().find(|payment| wanted(payment));
        found.map(|payment| self.payment_view(payment)).transpose()
    }
}

#[async_trait]
impl Payments for MemoryStore {
    async fn pay(&self, request: PayRequest) -> Result<Made<Receipt>, PayError> {
        self.write::<PayOutcome>(Command::Pay(request))?.map_err(PayError::Refused)
    }

    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError> {
        self.rows().find_payment(|payment| payment.account_id == account_id && payment.id == id)
    }

    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<PaymentView>, StorageError> {
        self.rows().find_payment(|payment| payment.account_id == account_id && payment.idempotency.key == *key)
    }

    async fn list(
        &self,
        account_id: AccountId,
        page: PageRequest<PaymentId>,
    ) -> Result<Page<PaymentView, PaymentId>, StorageError> {
        let rows = self.rows();
        let own = rows.sale.payments.values().filter(|payment| payment.account_id == account_id);
        let mut listed: Vec<_> = own.filter(|payment| page.after.is_none_or(|after| payment.id < after)).collect();
        listed.sort_unstable_by_key(|payment| std::cmp::Reverse(payment.id));
        listed.truncate(page.limit as usize + 1);
        let items = listed.into_iter().map(|payment| rows.payment_view(payment)).collect::<Result<_, _>>()?;
        Ok(Page::from_rows(items, page.limit, |view: &PaymentView| view.payment.id))
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
