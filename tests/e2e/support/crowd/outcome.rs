//! Whether a crowd came out right.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream};

use super::{AT_ONCE, Patron, Plan, Success};
use crate::support::{
    client::Buyer,
    list,
    queue_log::{Member, QueueLog},
    text,
    timeline::Timeline,
    until,
};

pub(crate) struct Outcome {
    pub(super) concert: String,
    pub(super) performance: String,
    pub(super) plan: Plan,
    pub(super) patrons: Vec<Patron>,
    /// The logs of the queue in Redis: more than one if it was lost, none if it was in memory.
    pub(crate) logs: Vec<QueueLog>,
    pub(super) timeline: Timeline,
}

impl Outcome {
    /// How many requests were repeated because they were not answered, and because a service was down.
    pub(crate) fn repeated(&self) -> (usize, usize) {
        let sum = |count: fn(&Patron) -> usize| self.patrons.iter().map(count).sum();
        (sum(|patron| patron.unanswered), sum(|patron| patron.unavailable))
    }

    /// Every answer is true, every seat is sold exactly once, and every point is accounted for.
    pub(crate) async fn verify(&self) {
        self.verify_queue();
        // A buyer who found nothing has only left.
        let patrons = || self.patrons.iter().filter(|patron| !patron.successes.is_empty());
        let checks = patrons().map(verify_patron);
        let sold: Vec<_> = stream::iter(checks).buffered(AT_ONCE).collect().await;
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        for (patron, labels) in patrons().zip(sold) {
            for label in labels {
                let before = owners.insert(label.clone(), patron.number);
                assert_eq!(before, None, "{label} is sold twice, also to buyer {}", patron.number);
            }
        }
        assert_eq!(owners.len(), self.plan.seats(), "not every seat is sold");
        let visitor = Buyer::admitted(&self.patrons[0].buyer.api, &self.concert).await;
        until("the map shows every seat as sold", async || {
            let answer = visitor.get(format!("/v1/performances/{}/seats", self.performance)).try_send().await;
            answer.is_some_and(|answer| list(&answer.json, "seats").iter().all(|seat| seat["status"] == "sold"))
        })
        .await;
        self.timeline.note("every answer was true, and every seat is sold once");
    }

    /// Every buyer was admitted in the order of joining and by Redis alone, as many at once as allowed.
    fn verify_queue(&self) {
        if self.logs.is_empty() {
            return;
        }
        let mut admitted_at: HashMap<Member, u64> = HashMap::new();
        for admission in self.logs.iter().flat_map(|log| log.admitted.iter().chain(&log.admitted_again)) {
            admitted_at.entry(admission.member.clone()).or_insert(admission.at_micros);
        }
        for patron in &self.patrons {
            let at = admitted_at.get(&patron.buyer.account_bytes());
            let at = i64::try_from(*at.expect("it was admitted")).expect("a time");
            let first = patron.first_active_micros.expect("it was answered that it is admitted");
            assert!(at <= first, "buyer {} was answered that it is admitted, and was not", patron.number);
        }
        let most = self.logs.iter().map(|log| log.most).max().expect("there is a log");
        assert_eq!(most, self.plan.max_active, "the most that were admitted at once");
        let [log] = self.logs.as_slice() else { return };
        assert!(log.entered.is_sorted_by_key(|(_, place)| *place), "a place was given before those before it");
        assert!(log.order() == log.stayed(), "the order of admission is not the order of joining");
        assert!(log.admitted_again.is_empty(), "{:?}", log.admitted_again);
        // A buyer who had a place before another asked for one is before it.
        let joined: HashMap<_, _> = self.patrons.iter().map(|patron| (patron.buyer.account_bytes(), patron)).collect();
        let mut latest_to_ask: Option<&Patron> = None;
        for patron in log.order().iter().filter_map(|member| joined.get(member)) {
            if let Some(latest) = latest_to_ask {
                assert!(latest.joined.0 <= patron.joined.1, "buyer {} is after {}", patron.number, latest.number);
            }
            if latest_to_ask.is_none_or(|latest| latest.joined.0 < patron.joined.0) {
                latest_to_ask = Some(patron);
            }
        }
        self.timeline.note(format!("{} were admitted in the order of joining", log.admitted.len()));
    }
}

/// Gives the labels that this buyer owns.
async fn verify_patron(patron: &Patron) -> Vec<String> {
    let (buyer, number) = (&patron.buyer, patron.number);
    let (mut owned, mut cancelled, mut charged, mut paid) = (Vec::new(), Vec::new(), 0, 0);
    for success in &patron.successes {
        match success {
            Success::Charged(charge) => {
                charged += charge["amount"].as_i64().expect("a number");
                let now = buyer.get(format!("/v1/wallet/charges/{}", text(charge, "id"))).send().await;
                assert_eq!(now.is(200), charge, "buyer {number}");
            }
            Success::Held(held) => {
                let now = buyer.reservation(text(held, "id")).await;
                assert_eq!(now["seats"], held["seats"], "buyer {number}");
            }
            Success::Cancelled(reservation) => cancelled.push(text(reservation, "id")),
            Success::Paid(payment) => {
                paid += payment["amount"].as_i64().expect("a number");
                let now = buyer.get(format!("/v1/payments/{}", text(payment, "id"))).send().await;
                assert_eq!(now.is(200), payment, "buyer {number}");
                let seats = list(&now.json["reservation"], "seats").iter();
                owned.extend(seats.map(|seat| text(seat, "label").to_owned()));
            }
        }
    }
    for reservation in buyer.list("/v1/reservations").await {
        let id = text(&reservation, "id");
        let expected = if cancelled.contains(&id) { "cancelled" } else { "confirmed" };
        assert_eq!(
            reservation["status"], expected,
            "buyer {number} has a reservation that no answer named: {reservation}"
        );
    }
    // A payment has spent its place, for good.
    assert_eq!(buyer.queue_status().await, "expired", "buyer {number}");
    // Nothing was charged or paid twice, however often it was asked for.
    assert_eq!(buyer.balance().await, charged - paid, "buyer {number}");
    owned
}
