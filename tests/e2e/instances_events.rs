//! Event streams over several instances.

use boxoffice_testkit::servers::{ServerKind, fresh_database};
use tokio::time::Instant;

use crate::support::{
    chronicle::Chronicle,
    client::Buyer,
    eventually,
    fleet::{Fleet, Shared},
    show::{Show, Terms},
};

const INSTANCES: usize = 3;
/// How many admissions are handed on, from one instance to the next.
const TURNS: usize = 9;

/// Buyers in line for a concert that admits one at a time; the first one is admitted.
async fn in_line(fleet: &Fleet, count: usize) -> Vec<Buyer> {
    let promoter = fleet.instances[0].promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(1)).await;
    let mut buyers = Buyer::many(fleet.api(), count).await;
    for buyer in &mut buyers {
        buyer.join(&show.concert).await;
    }
    buyers
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_at_one_instance_is_told_what_happens_at_another() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    // Without a message a change is seen when the view of the line is a second old.
    let settings = [("REDIS_POLL_MILLISECONDS", "1000")];
    let fleet = Fleet::start(Shared::over(database.url(), INSTANCES).await, &settings, &chronicle).await;
    let redis = &fleet.shared.redis;
    eventually("every instance listens to what the others say", || async {
        let listening = redis.command("PUBSUB NUMSUB boxoffice:changed").await.expect("Redis tells who listens");
        (listening == format!("boxoffice:changed\n{INSTANCES}")).then_some(())
    })
    .await;
    let said = redis.monitor(&["boxoffice:changed"]).await.expect("Redis tells what it does");
    let mut buyers = in_line(&fleet, TURNS + 1).await;
    let mut took = Vec::new();
    for turn in 0..TURNS {
        let (leaves_at, waits_at) = (turn % INSTANCES, (turn + 1) % INSTANCES);
        let [admitted, next] = &mut buyers[turn..turn + 2] else { panic!("there are two") };
        next.api = fleet.instances[waits_at].api().clone();
        let mut events = next.events().await;
        let first = events.next().await.expect("an event");
        assert_eq!((&first["status"], first["position"].as_i64()), (&"waiting".into(), Some(1)));
        admitted.api = fleet.instances[leaves_at].api().clone();
        let freed = Instant::now();
        admitted.leave().await;
        let told = events.next().await.expect("an event");
        assert_eq!(told["status"], "active", "{told}");
        took.push(freed.elapsed());
    }
    let said = said.steps().await.expect("Redis tells what it did");
    let said = said.iter().filter(|step| step.words.first().is_some_and(|word| word == b"PUBLISH")).count();
    assert!(said >= TURNS, "{said} changes were told to other instances");
    took.sort();
    println!("told over another instance after {:?}, {:?} at most", took[TURNS / 2], took[TURNS - 1]);
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_with_its_instance_goes_on_at_another_and_nothing_is_lost() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let mut fleet = Fleet::start(Shared::over(database.url(), INSTANCES).await, &[], &chronicle).await;
    let buyers = in_line(&fleet, 4).await;
    let over = |buyer: &Buyer, fleet: &Fleet, index: usize| {
        let api = fleet.instances[index].api().clone();
        Buyer { api, ..buyer.clone() }
    };
    let mut streams = Vec::new();
    for buyer in &buyers[1..] {
        let mut events = over(buyer, &fleet, 1).events().await;
        assert_eq!(events.next().await.expect("an event")["status"], "waiting");
        streams.push(events);
    }
    fleet.kill(1);
    for events in streams {
        events.broken().await;
    }
    // What happens in the meantime is not missed.
    over(&buyers[0], &fleet, 0).leave().await;
    fleet.balancer.wait_for(1, false).await.expect("the load balancer sees it");
    for (index, buyer) in buyers[1..].iter().enumerate() {
        let mut events = buyer.events().await;
        let status = events.next().await.expect("an event");
        assert_eq!(status["position"], index, "{status}");
        assert_eq!(status["status"], if index == 0 { "active" } else { "waiting" });
        assert_eq!(status["token"], buyer.asks.queue_token);
        assert_eq!(buyer.queue().await["position"], index);
    }
    // A stream over the load balancer is told of what comes next, too.
    let mut events = buyers[2].events().await;
    assert_eq!(events.next().await.expect("an event")["status"], "waiting");
    over(&buyers[1], &fleet, 2).leave().await;
    assert_eq!(events.next().await.expect("an event")["status"], "active");
    fleet.start_again(1).await;
    assert_eq!(over(&buyers[3], &fleet, 1).queue().await["position"], 1);
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}
