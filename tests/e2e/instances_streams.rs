//! Queue streams over several instances.

use tokio::time::Instant;

use crate::support::{
    client::Buyer,
    fleet::Fleet,
    queue_stream::QueueStream,
    show::{Show, Terms},
    until,
};

const INSTANCES: usize = 3;
/// How many admissions pass from one instance to the next.
const ADMISSIONS: usize = 9;

/// Buyers in the queue of a concert that admits one at a time; the first one is admitted.
async fn in_queue(fleet: &Fleet, count: usize) -> Vec<Buyer> {
    let show = Show::publish(&fleet.promoter().await, Terms::max_active(1)).await;
    Buyer::many_in_queue(fleet.api(), count, &show.concert).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_waits_at_one_instance_sees_what_happens_at_another() {
    // Without an announcement a change is seen when the view of the queue is a second old.
    let fleet = Fleet::start(INSTANCES, &[("REDIS_POLL_MILLISECONDS", "1000")]).await;
    let redis = &fleet.redis;
    until("every instance listens to its peers", async || {
        let listening = redis.command("PUBSUB NUMSUB boxoffice:changed").await.expect("Redis says who listens");
        listening == format!("boxoffice:changed\n{INSTANCES}")
    })
    .await;
    let monitor = redis.monitor(&["boxoffice:changed"]).await.expect("Redis shows what it does");
    let buyers = in_queue(&fleet, ADMISSIONS + 1).await;
    let mut took = Vec::new();
    for (index, pair) in buyers.windows(2).enumerate() {
        let (admitted, next) = (fleet.at(index % INSTANCES, &pair[0]), fleet.at((index + 1) % INSTANCES, &pair[1]));
        let mut stream = QueueStream::open(&next).await;
        let first = stream.status().await;
        assert_eq!((&first["status"], first["position"].as_i64()), (&"waiting".into(), Some(1)));
        let freed = Instant::now();
        admitted.leave().await;
        let status = stream.status().await;
        assert_eq!(status["status"], "active", "{status}");
        took.push(freed.elapsed());
    }
    let steps = monitor.steps().await.expect("Redis shows what it did");
    let published = steps.iter().filter(|step| step.words.first().is_some_and(|word| word == b"PUBLISH")).count();
    assert!(published >= ADMISSIONS, "{published} changes were published to peers");
    took.sort();
    println!("seen at another instance after {:?}, {:?} at most", took[ADMISSIONS / 2], took[ADMISSIONS - 1]);
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_with_its_instance_goes_on_at_another_and_nothing_is_lost() {
    let mut fleet = Fleet::start(INSTANCES, &[]).await;
    let buyers = in_queue(&fleet, 4).await;
    let mut streams = Vec::new();
    for buyer in &buyers[1..] {
        let mut stream = QueueStream::open(&fleet.at(1, buyer)).await;
        assert_eq!(stream.status().await["status"], "waiting");
        streams.push(stream);
    }
    fleet.kill(1);
    for stream in streams {
        stream.broken().await;
    }
    // What happens in the meantime is not missed.
    fleet.at(0, &buyers[0]).leave().await;
    fleet.balancer.wait_for(1, false).await.expect("the load balancer notices it");
    for (index, buyer) in buyers[1..].iter().enumerate() {
        let status = QueueStream::open(buyer).await.status().await;
        assert_eq!(status["position"], index, "{status}");
        assert_eq!(status["status"], if index == 0 { "active" } else { "waiting" });
        assert_eq!(status["token"], buyer.asks.queue_token);
        assert_eq!(buyer.queue().await["position"], index);
    }
    // A stream through the load balancer shows what comes next, too.
    let mut stream = QueueStream::open(&buyers[2]).await;
    assert_eq!(stream.status().await["status"], "waiting");
    fleet.at(2, &buyers[1]).leave().await;
    assert_eq!(stream.status().await["status"], "active");
    fleet.start_again(1).await;
    assert_eq!(fleet.at(1, &buyers[3]).queue().await["position"], 1);
    fleet.finish().await;
}
