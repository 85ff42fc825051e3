//! The order in which batches of several instances were committed, as far as anybody can tell.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{Event, EventBatch};

/// Brings batches into an order in which no event comes before one that it follows from: a hold before its payment, a charge
/// before its refund. Apart from that they stay in the order of their ids, which is that of the clocks of their instances.
///
/// The batches have to be all that one consistent view of the storage has and an earlier one did not have: what an event
/// follows from was committed before it.
///
/// ```
/// use boxoffice_domain::{events::{Event, EventBatch, in_order}, fixtures};
///
/// let charge = fixtures::charge_request(5);
/// let (charge_id, account_id, amount) = (charge.charge_id, charge.account_id, charge.amount.points());
/// let batch = |id: u128, event: Event| EventBatch {
///     id: boxoffice_domain::uuid::Uuid::from_u128(id),
///     events: vec![event],
///     occurred_at: fixtures::instant(0),
/// };
/// // The clock of the instance that completed the charge is behind.
/// let completed = batch(1, Event::ChargeCompleted { charge_id, account_id, amount, balance: amount });
/// let requested = batch(2, Event::ChargeRequested { charge_id, account_id, amount });
/// assert_eq!(in_order(vec![completed.clone(), requested.clone()]), [requested, completed]);
/// ```
pub fn in_order(mut batches: Vec<EventBatch>) -> Vec<EventBatch> {
    batches.sort_by_key(|batch| batch.id);
    let mut steps: HashMap<Uuid, Vec<(u8, usize)>> = HashMap::new();
    for (index, batch) in batches.iter().enumerate() {
        for (subject, step) in batch.events.iter().flat_map(Event::steps) {
            steps.entry(subject).or_default().push((step, index));
        }
    }
    let mut follows: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); batches.len()];
    for steps in steps.values_mut() {
        steps.sort_unstable();
        for (earlier, later) in steps.iter().flat_map(|later| steps.iter().map(move |earlier| (earlier, later))) {
            if earlier.0 < later.0 && earlier.1 != later.1 {
                follows[later.1].insert(earlier.1);
            }
        }
    }
    let mut waiting: BTreeSet<usize> = (0..batches.len()).collect();
    let mut order = Vec::with_capacity(batches.len());
    while let Some(first) = waiting.first().copied() {
        // Damaged data may go round in a circle; then the first one goes on.
        let ready = waiting.iter().copied().find(|index| follows[*index].is_disjoint(&waiting)).unwrap_or(first);
        waiting.remove(&ready);
        order.push(ready);
    }
    let mut batches: Vec<_> = batches.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| batches[index].take()).collect()
}

impl Event {
    /// What the event is a step of, and which: a step follows from those with a smaller number.
    fn steps(&self) -> Vec<(Uuid, u8)> {
        let step = match self {
            Self::ReservationHeld { .. } | Self::ChargeRequested { .. } | Self::ChargeRefundRequested { .. } => 0,
            Self::ReservationConfirmed { .. }
            | Self::ReservationExpired { .. }
            | Self::ChargeRequiresAction { .. }
            | Self::ChargeRefunded { .. } => 1,
            Self::ReservationCancelled { .. }
            | Self::ChargeCompleted { .. }
            | Self::ChargeDeclined { .. }
            | Self::ChargeRefundRefused { .. } => 2,
            Self::StaffActed { act } => return vec![(act.subject.uuid(), u8::from(!act.kind.publishes()))],
            // Of one account or queue, the ids say the order.
            Self::QueueOpened { .. } | Self::PasswordChanged { .. } | Self::SignedInElsewhere { .. } => {
                return Vec::new();
            }
        };
        let mut steps = vec![(self.subject(), step)];
        if let Self::ChargeRefundRequested { charge_id, .. }
        | Self::ChargeRefunded { charge_id, .. }
        | Self::ChargeRefundRefused { charge_id, .. } = self
        {
            // Refunds of one charge follow from it, and not from each other.
            steps.push((charge_id.uuid(), 3));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        AccountId, ChargeId, ChargeRefundId, PaymentId, PerformanceId, Points, ReservationId, fixtures::instant,
    };

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    #[test]
    fn events_of_a_reservation_know_its_performance_and_others_have_none() {
        for (kind, expected) in [(0, Some(PerformanceId::new(id(2)))), (1, Some(PerformanceId::new(id(2)))), (2, None)]
        {
            assert!(life(7, kind).iter().all(|event| event.performance_id() == expected), "{kind}");
        }
    }

    /// What happens to one reservation or charge, in order.
    fn life(number: usize, kind: u8) -> Vec<Event> {
        let (account_id, amount, balance) = (AccountId::new(id(1)), Points::ZERO, Points::ZERO);
        let (reservation_id, performance_id) = (ReservationId::new(id(number)), PerformanceId::new(id(2)));
        let (charge_id, refund_id) = (ChargeId::new(id(number)), ChargeRefundId::new(id(number + 1_000)));
        let other = ChargeRefundId::new(id(number + 2_000));
        let held_until = instant(0);
        let held = Event::ReservationHeld { reservation_id, account_id, performance_id, seats: vec![], held_until };
        let requested = Event::ChargeRequested { charge_id, account_id, amount };
        let refund = |refund_id| Event::ChargeRefundRequested { refund_id, charge_id, account_id, amount, balance };
        match kind {
            0 => {
                let payment_id = PaymentId::new(id(3));
                let seats = Vec::new();
                let confirmed = Event::ReservationConfirmed {
                    reservation_id,
                    account_id,
                    performance_id,
                    seats: seats.clone(),
                    payment_id,
                    amount,
                };
                let (payment_id, refunded) = (Some(payment_id), Points::ZERO);
                let cancelled = Event::ReservationCancelled {
                    reservation_id,
                    account_id,
                    performance_id,
                    seats,
                    payment_id,
                    refunded,
                };
                vec![held, confirmed, cancelled]
            }
            1 => vec![held, Event::ReservationExpired { reservation_id, account_id, performance_id, seats: vec![] }],
            2 => vec![requested, Event::ChargeDeclined { charge_id, account_id, amount, reason: None }],
            _ => vec![
                requested,
                Event::ChargeRequiresAction { charge_id, account_id, amount },
                Event::ChargeCompleted { charge_id, account_id, amount, balance },
                refund(refund_id),
                Event::ChargeRefunded { refund_id, charge_id, account_id, amount },
                refund(other),
                Event::ChargeRefundRefused { refund_id: other, charge_id, account_id, amount, balance },
            ],
        }
    }

    proptest! {
        /// Lives are mixed, put into batches, and given the ids of clocks that are wrong.
        #[test]
        fn no_event_comes_before_what_it_follows_from(
            kinds in prop::collection::vec(0u8..4, 1..8),
            mix in prop::collection::vec(0usize..8, 60),
            sizes in prop::collection::vec(1usize..4, 60),
            skew in prop::collection::vec(0u128..5, 60),
        ) {
            let mut lives: Vec<_> = kinds.iter().enumerate().map(|(number, kind)| life(number + 10, *kind)).collect();
            let mut happened = Vec::new();
            for pick in mix {
                let count = lives.len();
                let life = &mut lives[pick % count];
                if !life.is_empty() {
                    happened.push(life.remove(0));
                }
            }
            let mut batches = Vec::new();
            let mut rest = &happened[..];
            for (number, (size, skew)) in sizes.into_iter().zip(skew).enumerate() {
                let (events, later) = rest.split_at(size.min(rest.len()));
                rest = later;
                if !events.is_empty() {
                    let id = Uuid::from_u128((number as u128) * 100 + skew * 130);
                    batches.push(EventBatch { id, events: events.to_vec(), occurred_at: instant(0) });
                }
            }
            let ordered = in_order(batches.clone());
            prop_assert_eq!(ordered.len(), batches.len());
            let mut seen: HashMap<Uuid, Vec<u8>> = HashMap::new();
            for (subject, step) in ordered.iter().flat_map(|batch| &batch.events).flat_map(Event::steps) {
                let steps = seen.entry(subject).or_default();
                prop_assert!(steps.iter().all(|earlier| *earlier <= step), "{:?}", ordered);
                steps.push(step);
            }
            let mut again = ordered.clone();
            again.sort_by_key(|batch| batch.id);
            batches.sort_by_key(|batch| batch.id);
            prop_assert_eq!(again, batches, "none is lost");
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_each_other_stays_in_the_order_of_the_ids() {
        let batch = |number: usize| EventBatch {
            id: id(number),
            events: vec![life(number, 2).remove(0)],
            occurred_at: instant(0),
        };
        let ids: Vec<_> = in_order([3, 1, 2].map(batch).into()).into_iter().map(|batch| batch.id).collect();
        assert_eq!(ids, [1, 2, 3].map(id));
    }
}
