//! Events as other systems get them.

use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, PerformanceId, Points, Timestamp,
    accounts::ClientName,
    event_delivery::PublishedEvent,
    events::{Event, EventBatch},
    gateway::DeclineReason,
    history::{ActKind, FieldChange, StaffAct},
    rfc3339,
    seats::SeatLabel,
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
        for Said { kind, subject, concert_id, performance_id, data } in said(event) {
            let concert_id = concert_id.or_else(|| performance_id.and_then(&concert_of));
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
    concert_id: Option<ConcertId>,
    performance_id: Option<PerformanceId>,
    data: Value,
}

fn said(event: &Event) -> Vec<Said> {
    let say = |kind, data| Said { kind, subject: event.subject(), concert_id: None, performance_id: None, data };
    match event {
        Event::ReservationHeld { account_id, performance_id, seats, held_until, .. } => vec![Said {
            performance_id: Some(*performance_id),
            ..say(
                "reservation.held",
                json!({
                    "account_id": account_id.uuid(),
                    "performance_id": performance_id.uuid(),
                    "seats": texts(seats),
                    "held_until": rfc3339(*held_until),
                }),
            )
        }],
        Event::ReservationConfirmed { account_id, performance_id, seats, payment_id, amount, .. } => {
            let data = json!({
                "account_id": account_id.uuid(),
                "performance_id": performance_id.uuid(),
                "seats": texts(seats),
                "payment_id": payment_id.uuid(),
                "amount": amount.get(),
            });
            ["reservation.confirmed", "payment.completed"]
                .map(|kind| Said { performance_id: Some(*performance_id), ..say(kind, data.clone()) })
                .into()
        }
        Event::ReservationCancelled { account_id, performance_id, seats, payment_id, refunded, .. } => {
            let data = json!({
                "account_id": account_id.uuid(),
                "performance_id": performance_id.uuid(),
                "seats": texts(seats),
                "payment_id": payment_id.map(PaymentId::uuid),
                "refunded": refunded.get(),
            });
            let kinds = ["reservation.cancelled", "payment.refunded"];
            let kinds = kinds.into_iter().take(if *refunded == Points::ZERO { 1 } else { 2 });
            kinds.map(|kind| Said { performance_id: Some(*performance_id), ..say(kind, data.clone()) }).collect()
        }
        Event::ReservationExpired { account_id, performance_id, seats, .. } => vec![Said {
            performance_id: Some(*performance_id),
            ..say(
                "reservation.expired",
                json!({
                    "account_id": account_id.uuid(),
                    "performance_id": performance_id.uuid(),
                    "seats": texts(seats),
                }),
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
        Event::ChargeDeclined { account_id, amount, reason, .. } => {
            let reason = reason.map(DeclineReason::as_str);
            let data = json!({"account_id": account_id.uuid(), "amount": amount.get(), "reason": reason});
            vec![say("charge.declined", data)]
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
        Event::StaffActed { act } => said_of_act(act).into_iter().collect(),
        Event::QueueOpened { concert_id, opened_at } => {
            let data = json!({"opened_at": rfc3339(*opened_at)});
            vec![Said { concert_id: Some(*concert_id), ..say("queue.opened", data) }]
        }
        Event::PasswordChanged { account_id } => {
            vec![say("account.password_changed", json!({"account_id": account_id.uuid()}))]
        }
        Event::SignedInElsewhere { account_id, session_id, client } => {
            let data = json!({
                "account_id": account_id.uuid(),
                "session_id": session_id.uuid(),
                "client": client.as_ref().map(ClientName::as_str),
            });
            vec![Said { subject: account_id.uuid(), ..say("account.signed_in_elsewhere", data) }]
        }
        // This version does not know what to say of it.
        _ => Vec::new(),
    }
}

fn texts(seats: &[SeatLabel]) -> Vec<&str> {
    seats.iter().map(SeatLabel::as_str).collect()
}

/// What an act of the staff says: each field that it set, as a catalog file writes it, before and after.
fn said_of_act(act: &StaffAct) -> Option<Said> {
    let is_withdrawal = |change: &FieldChange| change.field == "withdrawn" && change.after.as_deref() == Some("true");
    let kind = match act.kind {
        ActKind::ConcertPublished => "concert.published",
        ActKind::ConcertChanged => "concert.changed",
        ActKind::QueuePaused => "queue.paused",
        ActKind::QueueResumed => "queue.resumed",
        ActKind::QueueEmptied => "queue.emptied",
        ActKind::PerformancePublished => "performance.published",
        ActKind::PerformanceChanged if act.changes.iter().any(is_withdrawal) => "performance.cancelled",
        ActKind::PerformanceChanged => "performance.changed",
        ActKind::VenuePublished | ActKind::VenueChanged | ActKind::AccountChanged => return None,
    };
    let change = |change: &FieldChange| (change.field.clone(), json!({"before": change.before, "after": change.after}));
    let changes: serde_json::Map<String, Value> = act.changes.iter().map(change).collect();
    let data = json!({"account_id": act.actor.account_id.map(AccountId::uuid), "changes": changes});
    Some(Said { kind, subject: act.subject.uuid(), concert_id: act.concert_id, performance_id: None, data })
}

/// It follows from what the event is, so that an event has the same id each time it is delivered.
fn id_of(batch: Uuid, index: usize, kind: &str) -> Uuid {
    digest_id(
        Sha256::new().chain_update(batch.as_bytes()).chain_update((index as u64).to_be_bytes()).chain_update(kind),
    )
}

/// The first 16 bytes of a digest, as a `UUIDv8`.
pub(crate) fn digest_id(digest: Sha256) -> Uuid {
    uuid::Builder::from_custom_bytes(digest_bytes(digest)).into_uuid()
}

/// The first 16 bytes of a digest.
pub(crate) fn digest_bytes(digest: Sha256) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    bytes
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
        ChargeId, ChargeRefundId, PaymentId, ReservationId, SessionId,
        fixtures::{self, TestEntropy, instant},
        history::{ActSubject, Actor},
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
        let seats: Vec<_> = fixtures::seats(&["A-1-1"]).into_iter().map(|seat| seat.label).collect();
        let payment_id = PaymentId::new(id(6));
        let cancelled = |payment_id, refunded| Event::ReservationCancelled {
            reservation_id,
            account_id,
            performance_id,
            seats: seats.clone(),
            payment_id,
            refunded,
        };
        let events = vec![
            Event::ReservationHeld {
                reservation_id,
                account_id,
                performance_id,
                seats: seats.clone(),
                held_until: instant(300),
            },
            Event::ReservationConfirmed {
                reservation_id,
                account_id,
                performance_id,
                seats: seats.clone(),
                payment_id,
                amount,
            },
            cancelled(Some(payment_id), amount),
            cancelled(None, Points::ZERO),
            Event::ReservationExpired { reservation_id, account_id, performance_id, seats: seats.clone() },
            Event::ChargeRequested { charge_id, account_id, amount },
            Event::ChargeRequiresAction { charge_id, account_id, amount },
            Event::ChargeCompleted { charge_id, account_id, amount, balance },
            Event::ChargeDeclined { charge_id, account_id, amount, reason: Some(DeclineReason::ExpiredCard) },
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
        let said = |index: usize| serde_json::from_str::<Value>(&all[index].document).unwrap();
        let of_seats = |more: Value| {
            let data = json!({"account_id": id(1), "performance_id": id(3), "seats": ["A-1-1"]});
            data.as_object()
                .unwrap()
                .iter()
                .chain(more.as_object().unwrap())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Value>()
        };
        let data = of_seats(json!({"held_until": "2027-01-15T08:05:00Z"}));
        assert_eq!((&said(0)["data"], &said(0)["occurred_at"]), (&data, &json!("2027-01-15T08:00:00Z")));
        for payment in [1, 2] {
            assert_eq!(said(payment)["data"], of_seats(json!({"payment_id": id(6), "amount": 7})));
        }
        for refund in [3, 4] {
            assert_eq!(said(refund)["data"], of_seats(json!({"payment_id": id(6), "refunded": 7})));
        }
        assert_eq!(said(5)["data"], of_seats(json!({"payment_id": null, "refunded": 0})));
        assert_eq!(said(6)["data"], of_seats(json!({})));
        assert_eq!(said(10)["data"], json!({"account_id": id(1), "amount": 7, "reason": "expired_card"}));
        assert_eq!(published(&batch, |_| Some(concert_id))[0].id, all[0].id);
        let ids: std::collections::BTreeSet<_> = all.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), all.len());
    }

    #[test]
    fn acts_of_the_staff_say_each_field_before_and_after() {
        let (concert_id, performance_id) = (ConcertId::new(id(8)), PerformanceId::new(id(3)));
        let change = |field: &str, before: Option<&str>, after: &str| FieldChange {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
        };
        let act = |kind, subject, changes| StaffAct {
            concert_id: Some(concert_id),
            ..StaffAct::new(&TestEntropy, instant(0), Actor::from(AccountId::new(id(1))), kind, subject).with(changes)
        };
        let (concert, performance) = (ActSubject::Concert(concert_id), ActSubject::Performance(performance_id));
        let acts = [
            act(ActKind::ConcertPublished, concert, vec![change("title", None, "Spring")]),
            act(ActKind::ConcertChanged, concert, vec![change("title", Some("Spring"), "Autumn")]),
            act(ActKind::QueuePaused, concert, vec![]),
            act(ActKind::QueueResumed, concert, vec![]),
            act(ActKind::QueueEmptied, concert, vec![]),
            act(ActKind::PerformancePublished, performance, vec![]),
            act(ActKind::PerformanceChanged, performance, vec![change("duration_minutes", Some("90"), "120")]),
            act(ActKind::PerformanceChanged, performance, vec![change("withdrawn", Some("false"), "true")]),
            act(ActKind::PerformanceChanged, performance, vec![change("withdrawn", Some("true"), "false")]),
            act(ActKind::VenueChanged, performance, vec![]),
        ];
        let events = acts.map(|act| Event::StaffActed { act }).to_vec();
        let all = published(&EventBatch { id: id(9), events, occurred_at: instant(0) }, |_| None);
        let kinds: Vec<_> = all.iter().map(|event| event.kind.as_str()).collect();
        let expected = [
            "concert.published",
            "concert.changed",
            "queue.paused",
            "queue.resumed",
            "queue.emptied",
            "performance.published",
            "performance.changed",
            "performance.cancelled",
            "performance.changed",
        ];
        assert_eq!(kinds, expected);
        assert!(all.iter().all(|event| event.concert_id == Some(concert_id)));
        assert_eq!((all[0].subject, all[5].subject), (concert_id.uuid(), performance_id.uuid()));
        let changed: Value = serde_json::from_str(&all[1].document).unwrap();
        let data = json!({"account_id": id(1), "changes": {"title": {"before": "Spring", "after": "Autumn"}}});
        assert_eq!(changed["data"], data);
    }

    #[test]
    fn queues_that_open_and_accounts_in_danger_have_events() {
        let (account_id, session_id, concert_id) =
            (AccountId::new(id(1)), SessionId::new(id(2)), ConcertId::new(id(3)));
        let events = vec![
            Event::QueueOpened { concert_id, opened_at: instant(5) },
            Event::PasswordChanged { account_id },
            Event::SignedInElsewhere { account_id, session_id, client: ClientName::new("curl/8") },
        ];
        let all = published(&EventBatch { id: id(9), events, occurred_at: instant(6) }, |_| None);
        let said: Vec<_> = all.iter().map(|event| (event.kind.as_str(), event.subject, event.concert_id)).collect();
        let expected = [
            ("queue.opened", concert_id.uuid(), Some(concert_id)),
            ("account.password_changed", account_id.uuid(), None),
            ("account.signed_in_elsewhere", account_id.uuid(), None),
        ];
        assert_eq!(said, expected);
        let signed_in: Value = serde_json::from_str(&all[2].document).unwrap();
        assert_eq!(signed_in["data"], json!({"account_id": id(1), "session_id": id(2), "client": "curl/8"}));
    }
}
