//! Hundreds want the same seats at the same instant.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    Numbers,
    client::Buyer,
    server::{Backend, MARIADB, MYSQL, Server},
    show::{Show, Terms, labels},
    together,
};

const BUYERS: usize = 500;

/// One of them gets it, and all others are told which seat it is about.
async fn all_want_one_seat(buyers: &[Buyer], show: &Show) {
    let answers = together(BUYERS, |index| {
        let ask = buyers[index].ask_hold(&show.performance, &["A-3-5"]);
        async move { ask.send().await }
    })
    .await;
    let (held, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((held.len(), refused.len()), (1, BUYERS - 1));
    for answer in refused {
        assert_eq!(answer.refuses(409, "seat_unavailable")["seats"], json!(["A-3-5"]));
    }
}

/// Pairs and fours of the 50 seats, which overlap.
fn wishes() -> Vec<Vec<String>> {
    let (labels, mut numbers) = (labels(), Numbers::new(20_261_120));
    let wish = |_| {
        let size = if numbers.below(2) == 0 { 2 } else { 4 };
        let mut wish = BTreeSet::new();
        while wish.len() < size {
            wish.insert(labels[numbers.below(labels.len())].clone());
        }
        wish.into_iter().collect()
    };
    (0..BUYERS).map(wish).collect()
}

async fn all_want_some_seats(buyers: &[Buyer], show: &Show) {
    let wishes = wishes();
    let answers = together(BUYERS, |index| {
        let wish: Vec<_> = wishes[index].iter().map(String::as_str).collect();
        let ask = buyers[index].ask_hold(&show.performance, &wish);
        async move { ask.send().await }
    })
    .await;
    let mut taken = BTreeSet::new();
    for (answer, wish) in answers.iter().zip(&wishes) {
        if answer.status == 201 {
            let seats = answer.json["seats"].as_array().expect("seats").iter();
            let got: Vec<_> = seats.map(|seat| seat["label"].as_str().expect("a label").to_owned()).collect();
            assert_eq!(&got, wish, "a reservation is of all its seats");
            for label in got {
                assert!(taken.insert(label.clone()), "{label} is held twice");
            }
        }
    }
    let losers: Vec<_> = answers.iter().zip(buyers).filter(|(answer, _)| answer.status != 201).collect();
    for (answer, _) in &losers {
        let refused = answer.refuses(409, "seat_unavailable")["seats"].as_array().expect("seats");
        assert!(!refused.is_empty());
        assert!(refused.iter().all(|label| taken.contains(label.as_str().expect("a label"))));
    }
    assert!(!taken.is_empty() && !losers.is_empty());

    // Nothing hangs: whatever nobody has can be had, and whatever is shown as held is held.
    let map = losers[0].1.seats(&show.performance).await;
    let mut lonely = losers.iter();
    let mut free = 0;
    for seat in map["seats"].as_array().expect("seats") {
        let label = seat["label"].as_str().expect("a label");
        if taken.contains(label) {
            assert_eq!(seat["status"], "held");
        } else {
            assert_eq!(seat["status"], "available");
            lonely.next().expect("there are more losers than seats").1.hold(&show.performance, &[label]).await;
            free += 1;
        }
    }
    assert_eq!(map["seats_available"], free);
    assert_eq!(losers[0].1.seats(&show.performance).await["seats_available"], 0);
}

async fn stampede(backend: Backend) {
    let server = Server::start_on(backend, &[]).await;
    let promoter = server.promoter("promoter").await;
    let first = Show::publish(&promoter, Terms::default()).await;
    let second = Show::publish(&promoter, Terms::default()).await;
    let mut buyers = Buyer::many_admitted(server.api(), BUYERS, &first.concert).await;
    all_want_one_seat(&buyers, &first).await;
    for buyer in &mut buyers {
        assert_eq!(buyer.join(&second.concert).await["status"], "active");
    }
    all_want_some_seats(&buyers, &second).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_seat_twice_or_half_a_reservation_on_sqlite() {
    stampede(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_seat_twice_or_half_a_reservation_on_mariadb() {
    stampede(MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_seat_twice_or_half_a_reservation_on_mysql() {
    stampede(MYSQL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_holds_at_once_give_an_account_exactly_its_four_seats() {
    let server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::many_admitted(server.api(), 1, &show.concert).await.remove(0);
    let labels = labels();
    let answers = together(10, |index| {
        let ask = buyer.ask_hold(&show.performance, &[&labels[index]]);
        async move { ask.send().await }
    })
    .await;
    let (held, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((held.len(), refused.len()), (4, 6));
    for answer in refused {
        assert_eq!(answer.refuses(409, "seat_limit_reached")["limit"], 4);
    }
    assert_eq!(buyer.list("/v1/reservations?status=held").await.len(), 4);
    assert_eq!(buyer.seats(&show.performance).await["seats_available"], 46);
    // The limit is for what it has: a seat given up makes room for another one.
    buyer.ask_cancel(&held[0].id()).send().await.is(200);
    buyer.hold(&show.performance, &["A-5-10"]).await;
    buyer.ask_hold(&show.performance, &["A-5-9"]).send().await.refuses(409, "seat_limit_reached");
    server.finish().await;
}
