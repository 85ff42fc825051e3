//! Whether a stampede came out right.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream};
use serde_json::Value;

use super::{AT_ONCE, Patron, Plan, Told};
use crate::support::{
    chronicle::Chronicle,
    client::Buyer,
    eventually,
    line_log::{LineLog, Member},
};

/// The result of a stampede.
pub(crate) struct Outcome {
    pub(crate) concert: String,
    pub(super) performance: String,
    pub(super) plan: Plan,
    pub(super) patrons: Vec<Patron>,
    /// The logs of the queue: more than one if it was lost.
    pub(crate) lines: Vec<LineLog>,
    pub(super) chronicle: Chronicle,
}

impl Outcome {
    /// How many requests were repeated because they were not answered, and because a service was down.
    pub(crate) fn repeated(&self) -> (usize, usize) {
        let sum = |count: fn(&Patron) -> usize| self.patrons.iter().map(count).sum();
        (sum(|patron| patron.unanswered), sum(|patron| patron.unavailable))
    }

    /// Every answer is true, every seat is sold exactly once, and every point is accounted for.
    pub(crate) async fn verify(&self) {
        self.verify_line();
        // A buyer who found nothing has only left.
        let patrons = || self.patrons.iter().filter(|patron| !patron.told.is_empty());
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
        let mut looking = Buyer::new(&self.patrons[0].buyer.api).await;
        looking.join(&self.concert).await;
        let sold = "the map shows every seat as sold";
        eventually(sold, || async {
            let path = format!("/v1/performances/{}/seats", self.performance);
            let answer = looking.get(path).try_send().await?;
            let seats = answer.json["seats"].as_array()?;
            seats.iter().all(|seat| seat["status"] == "sold").then_some(())
        })
        .await;
        self.chronicle.note("every answer was true, and every seat is sold once");
    }

    /// Every buyer was admitted in the order of joining and by Redis alone, as many at once as may be.
    fn verify_line(&self) {
        let mut admitted_at: HashMap<Member, u64> = HashMap::new();
        for admission in self.lines.iter().flat_map(|line| line.admitted.iter().chain(&line.admitted_again)) {
            admitted_at.entry(admission.member.clone()).or_insert(admission.at_micros);
        }
        for patron in &self.patrons {
            let at = admitted_at.get(&patron.buyer.account_bytes());
            let at = i64::try_from(*at.expect("it was admitted")).expect("a time");
            let first = patron.told_active.first().expect("it was told that it is admitted");
            assert!(at <= *first, "buyer {} was told that it is admitted, and was not", patron.number);
        }
        let most = self.lines.iter().map(|line| line.most).max().expect("there is a line");
        assert_eq!(most, self.plan.max_active, "the most who were admitted at once");
        let [line] = self.lines.as_slice() else { return };
        assert!(line.entered.is_sorted_by_key(|(_, place)| *place), "a place was given before those before it");
        assert!(line.order() == line.stayed(), "the order of admission is not the order of joining");
        assert!(line.admitted_again.is_empty(), "{:?}", line.admitted_again);
        // A buyer who had a place before another asked for one is before it.
        let joined: HashMap<_, _> = self.patrons.iter().map(|patron| (patron.buyer.account_bytes(), patron)).collect();
        let mut latest_to_ask: Option<&Patron> = None;
        for patron in line.order().iter().filter_map(|member| joined.get(member)) {
            if let Some(latest) = latest_to_ask {
                assert!(latest.joined.0 <= patron.joined.1, "buyer {} is after {}", patron.number, latest.number);
            }
            if latest_to_ask.is_none_or(|latest| latest.joined.0 < patron.joined.0) {
                latest_to_ask = Some(patron);
            }
        }
        self.chronicle.note(format!("{} were admitted in the order of joining", line.admitted.len()));
    }
}

/// Gives the labels that this buyer owns.
async fn verify_patron(patron: &Patron) -> Vec<String> {
    let buyer = &patron.buyer;
    let who = patron.number;
    let (mut owned, mut given_back, mut charged, mut paid) = (Vec::new(), Vec::new(), 0, 0);
    for told in &patron.told {
        match told {
            Told::Charged(charge) => {
                charged += charge["amount"].as_i64().expect("a number");
                let now = buyer.get(format!("/v1/wallet/charges/{}", text(charge, "id"))).send().await;
                assert_eq!(now.is(200), charge, "buyer {who}");
            }
            Told::Held(held) => {
                let now = buyer.reservation(text(held, "id")).await;
                assert_eq!(now["seats"], held["seats"], "buyer {who}");
            }
            Told::GivenBack(reservation) => given_back.push(text(reservation, "id")),
            Told::Paid(payment) => {
                paid += payment["amount"].as_i64().expect("a number");
                let now = buyer.get(format!("/v1/payments/{}", text(payment, "id"))).send().await;
                assert_eq!(now.is(200), payment, "buyer {who}");
                let seats = now.json["reservation"]["seats"].as_array().expect("seats");
                owned.extend(seats.iter().map(|seat| text(seat, "label").to_owned()));
            }
        }
    }
    for reservation in buyer.list("/v1/reservations").await {
        let id = text(&reservation, "id");
        let expected = if given_back.contains(&id) { "cancelled" } else { "confirmed" };
        assert_eq!(
            reservation["status"], expected,
            "buyer {who} has a reservation that no answer named: {reservation}"
        );
    }
    // A payment has spent its place, for good.
    assert_eq!(buyer.queue_status().await, "expired", "buyer {who}");
    // Nothing was charged or paid twice, however often it was asked for.
    assert_eq!(buyer.balance().await, charged - paid, "buyer {who}");
    owned
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().expect("a text")
}
