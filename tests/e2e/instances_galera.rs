//! Several instances that write through several nodes of one Galera cluster.

use boxoffice_testkit::galera::GaleraCluster;

use crate::support::{
    chronicle::Chronicle,
    client::Buyer,
    crowd::{Crowd, Plan},
    fleet::{Fleet, Shared},
    show::{Show, Terms, labels},
    together,
};

const STAMPEDE: Plan = Plan { buyers: 300, rows: 30, max_active: 100, line_is_lost: false };
const SETTINGS: [(&str, &str); 1] = [("DATABASE_CONNECT_SECONDS", "1")];

async fn two_instances_over(cluster: &GaleraCluster, chronicle: &Chronicle) -> Fleet {
    cluster.create_database("boxoffice").await.expect("a database");
    let databases = cluster.nodes()[..2].iter().map(|node| node.url("boxoffice")).collect();
    let shared = Shared { databases, ..Shared::over("", 0).await };
    Fleet::start(shared, &SETTINGS, chronicle).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_twice_through_two_nodes_of_which_one_is_killed() {
    let (chronicle, _printed) = Chronicle::new();
    let cluster = GaleraCluster::start().await.expect("a cluster");
    let fleet = two_instances_over(&cluster, &chronicle).await;
    let crowd = Crowd::start(&fleet, STAMPEDE, &chronicle).await;
    crowd.sold_percent(30).await;
    let (first, second) = (cluster.refused_commits(0).await, cluster.refused_commits(1).await);
    let refused = first.expect("a count") + second.expect("a count");
    chronicle.note(format!("{refused} transactions were refused for one of the other node"));
    assert!(refused > 0, "the nodes did not get in each other's way");
    cluster.nodes()[1].kill().await.expect("it is killed");
    chronicle.note("the node of instance 1 is killed");
    let outcome = crowd.ended().await;
    cluster.wait_for(&[0, 2]).await.expect("the others are one group");
    outcome.verify().await;
    fleet.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_keeps_to_its_seats_whichever_node_it_goes_through() {
    let (chronicle, _printed) = Chronicle::new();
    let cluster = GaleraCluster::start().await.expect("a cluster");
    let fleet = two_instances_over(&cluster, &chronicle).await;
    let promoter = fleet.instances[0].promoter("promoter").await;
    let labels = labels();
    for _ in 0..10 {
        let show = Show::publish(&promoter, Terms::default()).await;
        let mut buyer = Buyer::new(fleet.api()).await;
        buyer.join(&show.concert).await;
        let answers = together(10, |index| {
            let mut buyer = buyer.clone();
            buyer.api = fleet.instances[index % 2].api().clone();
            let ask = buyer.ask_hold(&show.performance, &[&labels[index]]);
            async move { ask.send().await }
        })
        .await;
        let held = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(held, 4, "{:?}", answers.iter().map(|answer| &answer.text).collect::<Vec<_>>());
        for refused in answers.iter().filter(|answer| answer.status != 201) {
            refused.refuses(409, "seat_limit_reached");
        }
    }
    fleet.finish(0).await;
}
