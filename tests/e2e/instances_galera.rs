//! Several instances that write through several nodes of one Galera cluster.

use boxoffice_testkit::galera::GaleraCluster;

use crate::support::{
    client::{Answer, Ask, Buyer},
    crowd::{Crowd, Plan},
    fleet::Fleet,
    send_together,
    show::{PRICE, Show, Terms, labels},
};

const CROWD: Plan = Plan { buyers: 150, rows: 12, max_active: 60, queue_is_lost: false };
/// How often one account does everything at once.
const ROUNDS: usize = 8;
const SETTINGS: [(&str, &str); 1] = [("DATABASE_CONNECT_SECONDS", "1")];

async fn two_instances_over(cluster: &GaleraCluster) -> Fleet {
    cluster.create_database("boxoffice").await.expect("a database");
    Fleet::over(cluster.nodes()[..2].iter().map(|node| node.url("boxoffice")).collect(), &SETTINGS).await
}

/// How many transactions of the two nodes were refused because of one of the other node.
async fn refused(cluster: &GaleraCluster, fleet: &Fleet) -> u64 {
    let (first, second) = (cluster.refused_commits(0).await, cluster.refused_commits(1).await);
    let refused = first.expect("a count") + second.expect("a count");
    fleet.timeline.note(format!("{refused} transactions were refused because of one of the other node"));
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_twice_through_two_nodes_of_which_one_is_killed() {
    let cluster = GaleraCluster::start().await.expect("a cluster");
    let fleet = two_instances_over(&cluster).await;
    let crowd = Crowd::start(&fleet, CROWD).await;
    crowd.sold_percent(30).await;
    refused(&cluster, &fleet).await;
    cluster.nodes()[1].kill().await.expect("it is killed");
    fleet.timeline.note("the node of instance 1 is killed");
    let outcome = crowd.ended().await;
    cluster.wait_for(&[0, 2]).await.expect("the others are one group");
    outcome.verify().await;
    fleet.finish().await;
}

/// Asks at the same instant, through both nodes by turns.
async fn through_both(fleet: &Fleet, buyer: &Buyer, count: usize, ask: impl Fn(&Buyer, usize) -> Ask) -> Vec<Answer> {
    send_together(count, |index| ask(&fleet.at(index % 2, buyer), index)).await
}

/// How many answers have this status; the others are refused with this status and code.
fn count(answers: &[Answer], status: u16, refused: (u16, &str)) -> usize {
    let (done, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == status);
    for other in others {
        other.refuses(refused.0, refused.1);
    }
    done.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_account_does_through_two_nodes_at_once_is_done_one_by_one() {
    let cluster = GaleraCluster::start().await.expect("a cluster");
    let fleet = two_instances_over(&cluster).await;
    let promoter = fleet.promoter().await;
    let labels = labels();
    for round in 0..ROUNDS {
        let show = Show::publish(&promoter, Terms::default()).await;
        let buyer = Buyer::admitted(fleet.api(), &show.concert).await;
        // The limit of four seats holds.
        let hold = |buyer: &Buyer, index: usize| buyer.ask_hold(&show.performance, &[&labels[index]]);
        let held = through_both(&fleet, &buyer, 10, hold).await;
        assert_eq!(count(&held, 201, (409, "seat_limit_reached")), 4);
        let held: Vec<_> = held.iter().filter(|answer| answer.status == 201).map(Answer::id).collect();
        // No charge is lost, and one that is asked for through both nodes is made once.
        let charge = |buyer: &Buyer, index: usize| buyer.ask_charge(PRICE).key(format!("{round}-{}", index / 2));
        let charged = through_both(&fleet, &buyer, 6, charge).await;
        count(&charged, 201, (409, "idempotency_key_in_use"));
        assert_eq!(buyer.balance().await, 3 * PRICE);
        // There are points for three of the four.
        let pay = |buyer: &Buyer, index: usize| buyer.ask_pay(&held[index]);
        let paid = through_both(&fleet, &buyer, 4, pay).await;
        assert_eq!(count(&paid, 201, (402, "insufficient_points")), 3);
        assert_eq!(buyer.balance().await, 0);
        // Each is cancelled through both nodes, and its points come back once.
        let cancel = |buyer: &Buyer, index: usize| buyer.ask_cancel(&held[index / 2]);
        let cancelled = through_both(&fleet, &buyer, 8, cancel).await;
        assert!(count(&cancelled, 200, (409, "reservation_cancelled")) >= 4);
        assert_eq!(buyer.balance().await, 3 * PRICE);
        assert_eq!(buyer.seats(&show.performance).await["seats_available"], 50);
    }
    assert!(refused(&cluster, &fleet).await > 0, "the nodes did not conflict");
    fleet.finish().await;
}
