//! Events as other systems get them.

use boxoffice_domain::{
    ConcertId, PerformanceId, Points, Timestamp,
    event_delivery::PublishedEvent,
    events::{Event, EventBatch},
    rfc3339,
    uuid::{self, Uuid},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The version of `data` of every kind.
const VERSION: u32 = 1;

/// What other systems get of a batch, in the order of its events. `concert_of` knows the concert of each performance.
///
/// A paid reservation is two events: of the reservation, and of its payment. They have the reservation as their subject, so
/// that they come in order; and a refund of a charge has the charge.
pub fn published(batch: &EventBatch, concert_of: impl Fn(PerformanceId) -> Option<ConcertId>) -> Vec<PublishedEvent> {
    let mut all = Vec::new();
    for (index, event) in batch.events.iter().enumerate() {
        for Said { kind, subject, performance_id, data } in said(event) {
            let concert_id = performance_id.and_then(&concert_of);
            let id = id_of(batch.id, index, kind);
            all.push(PublishedEvent {
                id,
                kind: kind.to_owned(),
                subject,
                concert_id,
                occurred_at: batch.occurred_at,
                document: document(id, kind, subject, concert_id, batch.occurred_at, &data),
            });
        }
    }
    all
}

/// What one event says.
struct Said {
    kind: &'static str,
    subject: Uuid,
    performance_id: Option<PerformanceId>,
    data: Value,
}

fn said(event: &Event) -> Vec<Said> {
    let say = |kind, data| Said { kind, subject: event.subject(), performance_id: None, data };
    match event {
        Event::ReservationHeld { account_id, performance_id, seats, held_until, .. } => vec![Said {
            performance_id: Some(*performance_id),
            ..say(
                "reservation.held",
                json!({
                    "account_id": account_id.uuid(),
                    "performance_id": performance_id.uuid(),
                    "seats": seats.iter().map(boxoffice_domain::seats::SeatLabel::as_str).collect::<Vec<_>>(),
                    "held_until": rfc3339(*held_until),
                }),
            )
        }],
        Event::ReservationConfirmed { account_id, performance_id, payment_id, amount, .. } => {
            let data = json!({
                "account_id": account_id.uuid(),
                "performance_id": performance_id.uuid(),
                "payment_id": payment_id.uuid(),
                "amount": amount.get(),
            });
            ["reservation.confirmed", "payment.completed"]
                .map(|kind| Said { performance_id: Some(*performance_id), ..say(kind, data.clone()) })
                .into()
        }
        Event::ReservationCancelled { account_id, performance_id, refunded, .. } => {
            let data = json!({
                "account_id": account_id.uuid(),
                "performance_id": performance_id.uuid(),
                "refunded": refunded.get(),
            });
            let kinds = ["reservation.cancelled", "payment.refunded"];
            let kinds = kinds.into_iter().take(if *refunded == Points::ZERO { 1 } else { 2 });
            kinds.map(|kind| Said { performance_id: Some(*performance_id), ..say(kind, data.clone()) }).collect()
        }
        Event::ReservationExpired { account_id, performance_id, .. } => vec![Said {
            performance_id: Some(*performance_id),
            ..say(
                "reservation.expired",
                json!({"account_id": account_id.uuid(), "performance_id": performance_id.uuid()}),
            )
        }],
        Event::ChargeRequested { account_id, amount, .. } => {
            vec![say("charge.requested", json!({"account_id": account_id.uuid(), "amount": amount.get()}))]
        }
        Event::ChargeRequiresAction { account_id, amount, .. } => {
            vec![say("charge.requires_action", json!({"account_id": account_id.uuid(), "amount": amount.get()}))]
        }
        Event::ChargeCompleted { account_id, amount, balance, .. } => {
            let data = json!({"account_id": account_id.uuid(), "amount": amount.get(), "balance": balance.get()});
            vec![say("charge.completed", data)]
        }
        Event::ChargeDeclined { account_id, amount, .. } => {
            vec![say("charge.declined", json!({"account_id": account_id.uuid(), "amount": amount.get()}))]
        }
        Event::ChargeRefundRequested { refund_id, charge_id, account_id, amount, .. }
        | Event::ChargeRefunded { refund_id, charge_id, account_id, amount }
        | Event::ChargeRefundRefused { refund_id, charge_id, account_id, amount, .. } => {
            let kind = match event {
                Event::ChargeRefundRequested { .. } => "charge.refund_requested",
                Event::ChargeRefunded { .. } => "charge.refunded",
                _ => "charge.refund_refused",
            };
            let data = json!({
                "refund_id": refund_id.uuid(),
                "account_id": account_id.uuid(),
                "amount": amount.get(),
            });
            vec![Said { subject: charge_id.uuid(), ..say(kind, data) }]
        }
        // This version does not know what to say of it.
        _ => Vec::new(),
    }
}

/// A digest (a `UUIDv8`), so that an event has the same id each time it is delivered.
fn id_of(batch: Uuid, index: usize, kind: &str) -> Uuid {
    let digest = Sha256::new().chain_update(batch.as_bytes()).chain_update((index as u64).to_be_bytes());
    let digest = digest.chain_update(kind).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The document of an event.
pub(crate) fn document(
    id: Uuid,
    kind: &str,
    subject: Uuid,
    concert_id: Option<ConcertId>,
    occurred_at: Timestamp,
    data: &Value,
) -> String {
    json!({
        "id": id,
        "kind": kind,
        "version": VERSION,
        "occurred_at": rfc3339(occurred_at),
        "subject": subject,
        "concert_id": concert_id.map(ConcertId::uuid),
        "data": data,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        AccountId, ChargeId, ChargeRefundId, PaymentId, ReservationId,
        fixtures::{self, instant},
    };

    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn every_event_is_a_document_with_an_id_that_stays() {
        let (account_id, amount, balance) = (AccountId::new(id(1)), Points::new(7).unwrap(), Points::ZERO);
        let (reservation_id, performance_id) = (ReservationId::new(id(2)), PerformanceId::new(id(3)));
        let (charge_id, refund_id) = (ChargeId::new(id(4)), ChargeRefundId::new(id(5)));
        let seats = fixtures::seats(&["A-1-1"]).into_iter().map(|seat| seat.label).collect();
        let payment_id = PaymentId::new(id(6));
        let cancelled = |refunded| Event::ReservationCancelled { reservation_id, account_id, performance_id, refunded };
        let events = vec![
            Event::ReservationHeld { reservation_id, account_id, performance_id, seats, held_until: instant(300) },
            Event::ReservationConfirmed { reservation_id, account_id, performance_id, payment_id, amount },
            cancelled(amount),
            cancelled(Points::ZERO),
            Event::ReservationExpired { reservation_id, account_id, performance_id },
            Event::ChargeRequested { charge_id, account_id, amount },
            Event::ChargeRequiresAction { charge_id, account_id, amount },
            Event::ChargeCompleted { charge_id, account_id, amount, balance },
            Event::ChargeDeclined { charge_id, account_id, amount },
            Event::ChargeRefundRequested { refund_id, charge_id, account_id, amount, balance },
            Event::ChargeRefunded { refund_id, charge_id, account_id, amount },
            Event::ChargeRefundRefused { refund_id, charge_id, account_id, amount, balance },
        ];
        let batch = EventBatch { id: id(9), events, occurred_at: instant(0) };
        let concert_id = ConcertId::new(id(8));
        let all = published(&batch, |of| (of == performance_id).then_some(concert_id));
        let kinds: Vec<_> = all.iter().map(|event| event.kind.as_str()).collect();
        let expected = [
            "reservation.held",
            "reservation.confirmed",
            "payment.completed",
            "reservation.cancelled",
            "payment.refunded",
            "reservation.cancelled",
            "reservation.expired",
            "charge.requested",
            "charge.requires_action",
            "charge.completed",
            "charge.declined",
            "charge.refund_requested",
            "charge.refunded",
            "charge.refund_refused",
        ];
        assert_eq!(kinds, expected);
        for event in &all {
            let document: Value = serde_json::from_str(&event.document).unwrap();
            let is_of_charge = event.kind.starts_with("charge");
            let subject = if is_of_charge { charge_id.uuid() } else { reservation_id.uuid() };
            let concert = (!is_of_charge).then_some(concert_id);
            assert_eq!((event.subject, event.concert_id, event.occurred_at), (subject, concert, instant(0)));
            assert_eq!((&document["id"], &document["kind"]), (&json!(event.id), &json!(event.kind)));
            assert_eq!((&document["subject"], &document["version"]), (&json!(subject), &json!(1)));
            assert_eq!(document["concert_id"], json!(concert.map(ConcertId::uuid)));
            assert_eq!(document["data"]["account_id"], json!(account_id.uuid()));
        }
        let held: Value = serde_json::from_str(&all[0].document).unwrap();
        let data = json!({
            "account_id": account_id.uuid(),
            "performance_id": performance_id.uuid(),
            "seats": ["A-1-1"],
            "held_until": "2027-01-15T08:05:00Z",
        });
        assert_eq!((&held["data"], &held["occurred_at"]), (&data, &json!("2027-01-15T08:00:00Z")));
        assert_eq!(published(&batch, |_| Some(concert_id))[0].id, all[0].id);
        let ids: std::collections::BTreeSet<_> = all.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), all.len());
    }
}
