//! Seat maps from the cache: with entries that are kept for ever, for hardly any time and not at all, in several lanes, and
//! beside a peer.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::storage::{
    PRICE_A, Show, Stage, at_once,
    catalog_import::{catalog, import, imported_show},
    label, unavailable,
};
use boxoffice_domain::{fixtures, seats::SeatStatus};
use boxoffice_peers::{Alone, Announcement, MemoryPeers, Peers, Subscription, Topic};
use boxoffice_persistence::PersistenceSettings;
use boxoffice_testkit::servers::ServerKind;

use crate::home::{Backend, Home, settings};

const FOR_EVER: Duration = Duration::from_hours(24);

fn with_age(seats_age_max: Duration) -> PersistenceSettings {
    PersistenceSettings { seats_age_max, ..settings() }
}

/// The contracts that look at seats, with entries of this age in so many lanes.
macro_rules! with_cache {
    ($module:ident, $backend:expr, $age:expr, $lanes:expr) => {
        crate::contracts_with! { $module, $backend, PersistenceSettings { lanes: $lanes, ..with_age($age) };
            catalog {
                seats_come_in_the_order_of_the_plan
                lapsed_holds_count_as_available
                no_map_shows_less_than_was_answered_before
                a_seat_map_follows_every_act_and_the_time
            }
            catalog_import { a_new_price_counts_from_the_moment_a_seat_is_free }
            races {
                a_hold_and_the_sweep_of_the_former_one_agree
                a_lapsed_seat_sells_again_without_a_sweep
                a_payment_and_a_cancellation_at_once_leave_no_point_behind
            }
            reservations { overlapping_holds_neither_share_nor_split_seats cancelling_a_hold_frees_its_seats }
        }
    };
}

with_cache!(sqlite_without_cache, Backend::Sqlite, Duration::ZERO, 1);
with_cache!(sqlite_for_ever, Backend::Sqlite, FOR_EVER, 1);
with_cache!(sqlite_for_hardly_any_time, Backend::Sqlite, Duration::from_nanos(1), 3);
with_cache!(mysql_for_ever_in_three_lanes, Backend::Server(ServerKind::MySql), FOR_EVER, 3);
with_cache!(mariadb_for_hardly_any_time, Backend::Server(ServerKind::MariaDb), Duration::from_nanos(1), 3);

crate::on_every_backend! {
    a_refusal_shows_what_a_peer_has_sold
    what_a_peer_publishes_is_shown_at_once
    no_map_has_an_older_price_than_an_answer
    a_price_that_another_process_imports_is_on_the_next_map
    caches_of_peers_agree_with_the_seats
}

async fn a_refusal_shows_what_a_peer_has_sold(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (peer, _) = home.peer(settings()).await;
    let stage = home.stage();
    let show = stage.show().await;
    let (one, buyer) = (stage.account().await, stage.account_with(10_000).await);
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    peer.pays(&peer.holds(&show, buyer, &["A-1-1"]).await).await;
    peer.holds(&show, buyer, &["A-1-2"]).await;
    let refused = stage.hold(show.hold_request(one, &["A-1-1", "A-1-2", "A-1-3"])).await;
    let taken = vec![label("A-1-1"), label("A-1-2")];
    assert_eq!(unavailable(&refused), Some(taken));
    let seen = at_once(0..100, |_| {
        let (stage, show) = (stage.clone(), show.clone());
        async move { (stage.seat(&show, "A-1-1").await, stage.seat(&show, "A-1-2").await) }
    });
    assert!(seen.await.into_iter().all(|seen| seen == (SeatStatus::Sold, SeatStatus::Held)));
    assert_eq!(stage.free_labels(&show).await.len(), 48);
    home.close().await;
}

/// The next text that a process publishes about seats.
async fn published(subscription: &mut Subscription) -> Arc<str> {
    match subscription.next().await {
        Announcement::Published { topic: Topic::Seats, text } => text,
        other => panic!("{other:?}"),
    }
}

async fn what_a_peer_publishes_is_shown_at_once(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (peer, database) = home.peer(settings()).await;
    let peers = Arc::new(MemoryPeers::default());
    let mut subscription = peers.subscribe();
    database.publish_to(peers);
    let stage = home.stage();
    let show = stage.show().await;
    let buyer = stage.account_with(10_000).await;
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    let held = peer.holds(&show, buyer, &["A-1-1", "A-1-2"]).await;
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Available, "nothing was received");
    let of_the_hold = published(&mut subscription).await;
    assert_eq!(home.database.apply_seats(&of_the_hold), [buyer]);
    assert_eq!(stage.seat(&show, "A-1-2").await, SeatStatus::Held);
    peer.pays(&held).await;
    home.database.apply_seats(&published(&mut subscription).await);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
    // What comes late does not go back.
    home.database.apply_seats(&of_the_hold);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
    peer.cancel(fixtures::cancel_request(&held)).await.unwrap();
    home.database.apply_seats(&published(&mut subscription).await);
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    // What is refused, or repeated, is not published. What cannot be read has everything read again.
    let held = peer.holds(&show, buyer, &["A-2-1"]).await;
    published(&mut subscription).await;
    peer.hold(show.hold_request(stage.account().await, &["A-2-1"])).await.unwrap_err();
    assert!(subscription.try_next().is_none());
    assert_eq!(stage.seat(&show, "A-2-1").await, SeatStatus::Available, "nothing was received");
    assert!(home.database.apply_seats("of another version").is_empty());
    assert_eq!(stage.seat(&show, "A-2-1").await, SeatStatus::Held);
    peer.cancel(fixtures::cancel_request(&held)).await.unwrap();
    home.database.forget_seats();
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    home.close().await;
}

/// What a seat of section A costs by the map.
async fn price_shown(stage: &Stage, show: &Show) -> i64 {
    stage.seats(show).await.seats().next().unwrap().price.get()
}

/// Also if nothing says that another process has changed it.
async fn no_map_has_an_older_price_than_an_answer(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (peer, database) = home.peer(settings()).await;
    let peers = Arc::new(MemoryPeers::default());
    let mut subscription = peers.subscribe();
    database.publish_to(peers);
    let stage = home.stage();
    import(&peer, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(&peer).await;
    let buyer = peer.account_with(100_000).await;
    assert_eq!(price_shown(stage, &show).await, PRICE_A);
    import(&peer, &catalog(2_000)).await.unwrap();
    assert_eq!(price_shown(stage, &show).await, PRICE_A, "nothing has shown another price");
    let held = stage.holds(&show, buyer, &["A-1-1"]).await;
    assert_eq!((held.total_amount.get(), price_shown(stage, &show).await), (2_000, 2_000));
    // A reservation keeps its price; it says nothing against a later one.
    import(&peer, &catalog(3_000)).await.unwrap();
    let held = peer.holds(&show, buyer, &["A-1-2"]).await;
    stage.pays(&held).await;
    assert_eq!(price_shown(stage, &show).await, 3_000);
    import(&peer, &catalog(4_000)).await.unwrap();
    let held = peer.holds(&show, buyer, &["A-1-3"]).await;
    stage.cancels(&held).await;
    assert_eq!(price_shown(stage, &show).await, 4_000);
    import(&peer, &catalog(5_000)).await.unwrap();
    stage.hold(show.hold_request(stage.account().await, &["A-1-2"])).await.unwrap_err();
    assert_eq!(price_shown(stage, &show).await, 5_000);
    // So it is with what a peer has answered, and published.
    import(&peer, &catalog(6_000)).await.unwrap();
    while subscription.try_next().is_some() {}
    peer.holds(&show, stage.account().await, &["A-1-4"]).await;
    home.database.apply_seats(&published(&mut subscription).await);
    assert_eq!(price_shown(stage, &show).await, 6_000);
    home.close().await;
}

/// A process that knows all that its peers write to seats looks whether prices have changed: always, if what it has read is
/// good for hardly any time without that.
async fn a_price_that_another_process_imports_is_on_the_next_map(backend: Backend) {
    let home = Home::open(backend, with_age(Duration::from_nanos(1))).await;
    home.database.publish_to(Arc::new(Alone));
    let (importing, _) = home.peer(settings()).await;
    let stage = home.stage();
    import(&importing, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(stage).await;
    for price in [PRICE_A, 2_000, 3_000] {
        import(&importing, &catalog(price)).await.unwrap();
        assert_eq!(price_shown(stage, &show).await, price);
    }
    home.close().await;
}

async fn caches_of_peers_agree_with_the_seats(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (peer, peer_database) = home.peer(with_age(FOR_EVER)).await;
    let stages = [home.stage().clone(), peer];
    let databases = [home.database.clone(), peer_database];
    let show = stages[0].show().await;
    let accounts = stages[0].accounts(60).await;
    let mut applying = Vec::new();
    for (from, to) in [(0, 1), (1, 0)] {
        let peers = Arc::new(MemoryPeers::default());
        let mut subscription = peers.subscribe();
        databases[from].publish_to(peers.clone());
        let database = databases[to].clone();
        let applied = tokio::spawn(async move {
            loop {
                let text = published(&mut subscription).await;
                if text.is_empty() {
                    return;
                }
                database.apply_seats(&text);
            }
        });
        applying.push((peers, applied));
    }
    let acts = accounts.into_iter().enumerate().map(|(number, id)| (number, id, stages.clone(), show.clone()));
    let held = at_once(acts, |(number, id, stages, show)| async move {
        let (stage, labels, mut held) = (&stages[number % 2], show.labels(), 0);
        for round in 0..5 {
            stage.seats(&show).await;
            let label = labels[(number * 7 + round * 3) % 12].clone();
            if let Ok(made) = stage.hold(show.hold_request_for(id, vec![label])).await {
                held += 1;
                if (number + round) % 3 > 0 {
                    stage.cancel(fixtures::cancel_request(&made.value.reservation)).await.unwrap();
                }
            }
        }
        held
    });
    let held: usize = held.await.into_iter().sum();
    assert!(held >= 12, "{held}");
    for (peers, applied) in applying {
        // Everything was published before its caller got the outcome, so this comes last.
        peers.publish(Topic::Seats, String::new());
        applied.await.unwrap();
    }
    let (truth, _) = home.peer(settings()).await;
    let expected = truth.free_labels(&show).await;
    for stage in &stages {
        assert_eq!(stage.free_labels(&show).await, expected);
    }
    home.close().await;
}
