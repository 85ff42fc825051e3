//! How a promoter controls a queue.

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Buyer},
    eventually,
    server::Server,
    show::{Show, Terms},
};

/// A promoter and the queue of its show.
struct Desk {
    promoter: Buyer,
    show: Show,
}

impl Desk {
    async fn open(server: &Server, max_active: usize) -> Self {
        let promoter = server.promoter("promoter").await;
        let show = Show::publish(&promoter, Terms::max_active(max_active)).await;
        Self { promoter, show }
    }

    fn path(&self, tail: &str) -> String {
        format!("/v1/concerts/{}/queue{tail}", self.show.concert)
    }

    async fn act(&self, act: &str) -> Value {
        self.promoter.post(self.path(act), &Value::Null).send().await.is(200).clone()
    }

    async fn stats(&self) -> Value {
        self.promoter.get(self.path("/stats")).send().await.is(200).clone()
    }

    async fn empty(&self) -> Answer {
        self.promoter.delete(self.path("")).send().await
    }

    async fn joined(&self, server: &Server, count: usize) -> Vec<Buyer> {
        Buyer::many_in_queue(server.api(), count, &self.show.concert).await
    }
}

async fn statuses(people: &[Buyer]) -> Vec<String> {
    let mut statuses = Vec::new();
    for buyer in people {
        statuses.push(buyer.queue_status().await);
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_stays_paused_over_a_restart_and_sells_to_those_admitted() {
    let mut server = Server::start(&[]).await;
    let desk = Desk::open(&server, 2).await;
    let people = desk.joined(&server, 5).await;
    let (performance, seats) = (&desk.show.performance, ["A-1-1", "A-1-2"]);
    people[0].charge(10_000).await;
    let reservation = people[0].hold(performance, &seats).await;

    assert_eq!(desk.act("/pause").await["paused"], true);
    people[0].pay(&reservation).await;
    people[1].leave().await;
    assert_eq!(statuses(&people).await, ["expired", "expired", "waiting", "waiting", "waiting"]);
    assert_eq!(people[2].queue().await["estimated_wait_seconds"], Value::Null);
    let mut late = Buyer::new(server.api()).await;
    assert_eq!(late.join(&desk.show.concert).await["position"], 4);

    server.restart().await;
    assert_eq!(desk.stats().await["paused"], true);
    // The last one returns first, which opens the queue again.
    late.queue().await;
    for buyer in people[2..].iter().rev() {
        assert_eq!(buyer.queue_status().await, "waiting");
    }
    assert_eq!(desk.act("/pause").await["active"], 0, "pausing again changes nothing");
    let resumed = desk.act("/resume").await;
    assert_eq!((&resumed["paused"], &resumed["active"], &resumed["waiting"]), (&json!(false), &json!(2), &json!(2)));
    assert_eq!(statuses(&people[2..]).await, ["active", "active", "waiting"]);

    // A higher limit admits at once.
    let path = format!("/v1/concerts/{}", desk.show.concert);
    desk.promoter.patch(path, &json!({"max_active": 3})).send().await.is(200);
    assert_eq!(people[4].queue_status().await, "active");
    assert_eq!(late.queue().await["position"], 1);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_queue_is_empty_also_for_accounts_that_return_after_a_restart() {
    let mut server = Server::start(&[]).await;
    let desk = Desk::open(&server, 1).await;
    let people = desk.joined(&server, 4).await;
    assert_eq!(desk.empty().await.is(200), &json!({"removed": 3}));
    assert_eq!(statuses(&people).await, ["active", "expired", "expired", "expired"]);
    let reservation = people[0].hold(&desk.show.performance, &["A-1-1"]).await;
    let mut rejoined = people[3].clone();
    assert_eq!(rejoined.join(&desk.show.concert).await["position"], 1);

    server.restart().await;
    assert_eq!(statuses(&people[1..]).await, ["expired", "expired", "expired"]);
    // An admitted account that holds seats still is, and pays; one that joined again waits behind.
    assert_eq!(rejoined.queue_status().await, "active", "no other has returned yet");
    rejoined.leave().await;
    people[0].charge(10_000).await;
    people[0].pay(&reservation).await;
    assert_eq!(desk.empty().await.is(200), &json!({"removed": 0}));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stats_show_the_state_of_a_queue() {
    let server = Server::start(&[("NO_SHOW_SECONDS", "3"), ("POLL_SECONDS_MAX", "1")]).await;
    let desk = Desk::open(&server, 1).await;
    let nothing = desk.stats().await;
    assert_eq!((&nothing["waiting"], &nothing["oldest_wait_seconds"]), (&json!(0), &Value::Null));
    let people = desk.joined(&server, 3).await;
    let stats = desk.stats().await;
    assert_eq!(stats["concert_id"], json!(desk.show.concert));
    let counts = |stats: &Value| ["waiting", "active", "max_active", "admitted_total"].map(|name| stats[name].clone());
    assert_eq!(counts(&stats), [2, 1, 1, 1].map(|count| json!(count)));
    assert!(stats["oldest_wait_seconds"].as_u64().expect("two wait") < 40);

    // The second does not come when it is admitted; the third is admitted instead.
    people[0].leave().await;
    let passed_over = eventually("the second is passed over", async || {
        let stats = desk.stats().await;
        (stats["no_shows_total"] == 1).then_some(stats)
    })
    .await;
    assert_eq!(counts(&passed_over), [0, 1, 1, 3].map(|count| json!(count)));
    assert_eq!(passed_over["admitted_per_minute"], 3);
    assert_eq!(people[1].queue_status().await, "expired");

    // Only the promoter of the concert may do this.
    let other = server.promoter("other").await;
    let asks = |account: &Buyer| {
        [
            account.get(desk.path("/stats")),
            account.post(desk.path("/pause"), &Value::Null),
            account.post(desk.path("/resume"), &Value::Null),
            account.delete(desk.path("")),
        ]
    };
    for ask in asks(&other).into_iter().chain(asks(&people[0])) {
        ask.send().await.refuses(403, "forbidden");
    }
    server.finish().await;
}

/// Two have the admissions, and only one of them looks at the seats. The other one polls, and that is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn an_admission_that_is_only_polled_with_passes_to_the_next() {
    let server = Server::start(&[("IDLE_ADMISSION_SECONDS", "4")]).await;
    let desk = Desk::open(&server, 2).await;
    let people = desk.joined(&server, 3).await;
    assert_eq!(statuses(&people).await, ["active", "active", "waiting"]);
    eventually("the third is admitted", async || {
        people[0].queue_status().await;
        people[1].seats(&desk.show.performance).await;
        (people[2].queue_status().await == "active").then_some(())
    })
    .await;
    assert_eq!(statuses(&people).await, ["expired", "active", "active"]);
    assert_eq!(desk.stats().await["no_shows_total"], 0, "it was here all the time");
    server.finish().await;
}
