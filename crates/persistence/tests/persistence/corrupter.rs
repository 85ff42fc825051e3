//! Breaking rows for the contract of the audit.

use async_trait::async_trait;
use boxoffice_contracts::storage::audit::{Corrupt, Corruption};
use boxoffice_domain::{AccountId, PerformanceId, ReservationId, VenueId, mail::MailLanguage, seats::SeatLabel};
use uuid::Uuid;

use crate::home::execute;

/// Breaks rows of the database at this URL.
#[derive(Debug)]
pub(crate) struct Corrupter(pub(crate) String);

#[async_trait]
impl Corrupt for Corrupter {
    async fn corrupt(&self, corruption: Corruption) -> bool {
        execute(&self.0, &statement(&corruption)).await;
        true
    }

    async fn set_address(&self, account_id: AccountId, address: Option<&str>, language: Option<MailLanguage>) {
        let quoted = |text: Option<&str>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
        let at = "'2027-01-15 08:00:00.000000'";
        let (account, verified_at) = (id(account_id.uuid()), if address.is_some() { at } else { "NULL" });
        let (address, language) = (quoted(address), quoted(language.map(MailLanguage::as_str)));
        let statements = format!(
            "DELETE FROM account_emails WHERE account_id = {account}; \
             INSERT INTO account_emails (account_id, address, verified_at, language, changed_at) \
             VALUES ({account}, {address}, {verified_at}, {language}, {at})"
        );
        execute(&self.0, &statements).await;
    }
}

/// The statement that brings about a corruption.
fn statement(corruption: &Corruption) -> String {
    of_a_sale(corruption)
        .or_else(|| of_a_wallet(corruption))
        .or_else(|| of_a_catalog(corruption))
        .unwrap_or_else(|| panic!("no statement brings about {corruption:?}"))
}

/// How an id is written in a statement.
fn id(uuid: Uuid) -> String {
    format!("X'{}'", uuid.simple())
}

fn of_a_sale(corruption: &Corruption) -> Option<String> {
    let reservation = |changes: &str, reservation_id: &ReservationId| {
        format!("UPDATE reservations SET {changes} WHERE id = {}", id(reservation_id.uuid()))
    };
    Some(match corruption {
        Corruption::SeatSoldToNobody { performance_id, label } => format!(
            "UPDATE seats SET reservation_id = {0} WHERE performance_id = {0} AND label = '{label}'",
            id(performance_id.uuid())
        ),
        Corruption::SeatFreed { performance_id, label } => {
            seat("reservation_id = NULL, held_until = NULL", *performance_id, label)
        }
        Corruption::TotalChanged { reservation_id } => reservation("total_amount = total_amount + 1", reservation_id),
        Corruption::ConcertChanged { reservation_id } => reservation("concert_id = id", reservation_id),
        Corruption::ReservationTimeChanged { reservation_id } => {
            reservation("updated_at = '2000-01-01 00:00:00'", reservation_id)
        }
        Corruption::FingerprintRemoved { reservation_id } => reservation("fingerprint = NULL", reservation_id),
        Corruption::ReservedSeatRenamed { reservation_id, label, to } => {
            reservation(&format!("seats = REPLACE(seats, '{label}', '{to}')"), reservation_id)
        }
        Corruption::EventsRemoved { reservation_id } => {
            format!("DELETE FROM outbox_batches WHERE events LIKE '%{reservation_id}%'")
        }
        Corruption::EventRemoved { subject, kind } => {
            format!("DELETE FROM outbox_batches WHERE events LIKE '%{subject}%' AND events LIKE '%\"{kind}\"%'")
        }
        Corruption::EventAccountChanged { reservation_id, account_id } => format!(
            "UPDATE outbox_batches SET events = REPLACE(events, '{account_id}', '{reservation_id}') \
             WHERE events LIKE '%{reservation_id}%'"
        ),
        _ => return None,
    })
}

fn of_a_wallet(corruption: &Corruption) -> Option<String> {
    Some(match corruption {
        Corruption::PaymentRemoved { payment_id } => {
            format!("DELETE FROM payments WHERE id = {}", id(payment_id.uuid()))
        }
        Corruption::BalanceAfterChanged { payment_id } => {
            format!("UPDATE payments SET balance_after = balance_after + 1 WHERE id = {}", id(payment_id.uuid()))
        }
        Corruption::BalanceAfterRemoved { payment_id } => {
            format!("UPDATE payments SET balance_after = NULL WHERE id = {}", id(payment_id.uuid()))
        }
        Corruption::EntryPaymentRemoved { payment_id } => {
            format!("UPDATE wallet_entries SET payment_id = NULL WHERE payment_id = {}", id(payment_id.uuid()))
        }
        Corruption::ChargeBalanceRemoved { charge_id } => {
            format!("UPDATE charges SET balance_after = NULL WHERE id = {}", id(charge_id.uuid()))
        }
        Corruption::ChargeEndRemoved { charge_id } => {
            format!("UPDATE charges SET ended_at = NULL WHERE id = {}", id(charge_id.uuid()))
        }
        Corruption::BalanceChanged { account_id } => {
            format!("UPDATE wallets SET balance = balance + 1 WHERE account_id = {}", id(account_id.uuid()))
        }
        Corruption::WalletTimeChanged { account_id } => format!(
            "UPDATE wallets SET updated_at = '2000-01-01 00:00:00' WHERE account_id = {}",
            id(account_id.uuid())
        ),
        Corruption::AccountRemoved { account_id } => {
            format!("DELETE FROM accounts WHERE id = {}", id(account_id.uuid()))
        }
        _ => return None,
    })
}

fn seat(changes: &str, performance_id: PerformanceId, label: &SeatLabel) -> String {
    format!("UPDATE seats SET {changes} WHERE performance_id = {} AND label = '{label}'", id(performance_id.uuid()))
}

fn of_a_catalog(corruption: &Corruption) -> Option<String> {
    let performance = |changes: &str, performance_id: &PerformanceId| {
        format!("UPDATE performances SET {changes} WHERE id = {}", id(performance_id.uuid()))
    };
    let venue =
        |changes: &str, venue_id: &VenueId| format!("UPDATE venues SET {changes} WHERE id = {}", id(venue_id.uuid()));
    Some(match corruption {
        Corruption::SeatRenamed { performance_id, label, to } => {
            seat(&format!("label = '{to}'"), *performance_id, label)
        }
        Corruption::SeatPriceChanged { performance_id, label, price } => {
            seat(&format!("price = {price}"), *performance_id, label)
        }
        Corruption::SeatsSwapped { performance_id, seats: [(one, of_one), (other, of_other)] } => format!(
            "UPDATE seats SET ordinal = CASE label WHEN '{one}' THEN {of_one} ELSE {of_other} END \
             WHERE performance_id = {} AND label IN ('{one}', '{other}')",
            id(performance_id.uuid())
        ),
        Corruption::SeatsTotalChanged { performance_id } => {
            performance("seats_total = seats_total + 1", performance_id)
        }
        Corruption::PriceRangeChanged { performance_id } => performance("price_max = price_max + 1", performance_id),
        Corruption::MoveHalved { performance_id } => performance("moved_at = created_at", performance_id),
        Corruption::ConcertRemoved { performance_id } => performance("concert_id = id", performance_id),
        Corruption::OverlapsForbidden { venue_id } => venue("overlaps_allowed = FALSE", venue_id),
        Corruption::CapacityChanged { venue_id } => venue("capacity = capacity + 1", venue_id),
        Corruption::PlanChanged { venue_id } => {
            venue("sections = REPLACE(sections, '\"name\":\"A\"', '\"name\":\"Z\"')", venue_id)
        }
        Corruption::SaleChanged { concert_id, open_at, close_at } => format!(
            "UPDATE concerts SET sales_open_at = '{}', sales_close_at = '{}' WHERE id = {}",
            open_at.naive_utc(),
            close_at.naive_utc(),
            id(concert_id.uuid())
        ),
        _ => return None,
    })
}
