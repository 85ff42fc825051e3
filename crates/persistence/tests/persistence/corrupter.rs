//! Breaking rows for the contract of the audit.

use async_trait::async_trait;
use boxoffice_contracts::storage::audit::{Corrupt, Corruption};

use crate::home::execute;

/// Breaks rows of the database at this URL.
#[derive(Debug)]
pub(crate) struct Corrupter(pub(crate) String);

#[async_trait]
impl Corrupt for Corrupter {
    async fn corrupt(&self, corruption: Corruption) {
        let statement = match corruption {
            Corruption::SeatSoldToNobody { performance_id, label } => format!(
                "UPDATE seats SET reservation_id = X'{0}' WHERE performance_id = X'{0}' AND label = '{label}'",
                performance_id.uuid().simple()
            ),
            Corruption::SeatFreed { performance_id, label } => format!(
                "UPDATE seats SET reservation_id = NULL, held_until = NULL \
                 WHERE performance_id = X'{}' AND label = '{label}'",
                performance_id.uuid().simple()
            ),
            Corruption::TotalChanged { reservation_id } => format!(
                "UPDATE reservations SET total_amount = total_amount + 1 WHERE id = X'{}'",
                reservation_id.uuid().simple()
            ),
            Corruption::PaymentRemoved { payment_id } => {
                format!("DELETE FROM payments WHERE id = X'{}'", payment_id.uuid().simple())
            }
            Corruption::BalanceChanged { account_id } => {
                format!("UPDATE wallets SET balance = balance + 1 WHERE account_id = X'{}'", account_id.uuid().simple())
            }
            Corruption::EventsRemoved { reservation_id } => {
                format!("DELETE FROM outbox_batches WHERE events LIKE '%{reservation_id}%'")
            }
            Corruption::SeatsTotalChanged { performance_id } => format!(
                "UPDATE performances SET seats_total = seats_total + 1 WHERE id = X'{}'",
                performance_id.uuid().simple()
            ),
            Corruption::PriceRangeChanged { performance_id } => format!(
                "UPDATE performances SET price_max = price_max + 1 WHERE id = X'{}'",
                performance_id.uuid().simple()
            ),
            Corruption::OverlapsForbidden { venue_id } => {
                format!("UPDATE venues SET overlaps_allowed = FALSE WHERE id = X'{}'", venue_id.uuid().simple())
            }
            Corruption::ConcertChanged { reservation_id } => {
                format!("UPDATE reservations SET concert_id = id WHERE id = X'{}'", reservation_id.uuid().simple())
            }
            Corruption::BalanceAfterChanged { payment_id } => format!(
                "UPDATE payments SET balance_after = balance_after + 1 WHERE id = X'{}'",
                payment_id.uuid().simple()
            ),
            other => panic!("no statement brings about {other:?}"),
        };
        execute(&self.0, &statement).await;
    }
}
