//! Hundreds of buyers want the same seats at the same instant.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    Numbers,
    client::Buyer,
    list, send_together,
    server::{Backend, MARIADB, MYSQL, Server},
    show::{Show, Terms, labels, server_with_buyer},
    text,
};

const BUYERS: usize = 500;

/// One buyer gets it, and the refusals of all others name it.
async fn all_want_one_seat(buyers: &[Buyer], show: &Show) {
    let answers = send_together(BUYERS, |index| buyers[index].ask_hold(&show.performance, &["A-3-5"])).await;
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
    let answers = send_together(BUYERS, |index| {
        let wish: Vec<_> = wishes[index].iter().map(String::as_str).collect();
        buyers[index].ask_hold(&show.performance, &wish)
    })
    .await;
    let mut taken = BTreeSet::new();
    for (answer, wish) in answers.iter().zip(&wishes) {
        if answer.status == 201 {
            let got: Vec<_> = list(&answer.json, "seats").iter().map(|seat| text(seat, "label").to_owned()).collect();
            assert_eq!(&got, wish, "a reservation has all its seats");
            for label in got {
                assert!(taken.insert(label.clone()), "{label} is held twice");
            }
        }
    }
    let losers: Vec<_> = answers.iter().zip(buyers).filter(|(answer, _)| answer.status != 201).collect();
    for (answer, _) in &losers {
        let refused = list(answer.refuses(409, "seat_unavailable"), "seats");
        assert!(!refused.is_empty());
        assert!(refused.iter().all(|label| taken.contains(label.as_str().expect("a label"))));
    }
    assert!(!taken.is_empty() && !losers.is_empty());

    // Every seat without a holder can be held, and every seat that is shown as held has one.
    let map = losers[0].1.seats(&show.performance).await;
    let mut without_seat = losers.iter();
    let mut free = 0;
    for seat in list(&map, "seats") {
        let label = text(seat, "label");
        if taken.contains(label) {
            assert_eq!(seat["status"], "held");
        } else {
            assert_eq!(seat["status"], "available");
            without_seat.next().expect("there are more losers than seats").1.hold(&show.performance, &[label]).await;
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
async fn no_seat_is_sold_twice_and_no_reservation_is_partial_on_sqlite() {
    stampede(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seat_is_sold_twice_and_no_reservation_is_partial_on_mariadb() {
    stampede(MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seat_is_sold_twice_and_no_reservation_is_partial_on_mysql() {
    stampede(MYSQL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_holds_at_once_give_an_account_exactly_its_four_seats() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    let labels = labels();
    let answers = send_together(10, |index| buyer.ask_hold(&show.performance, &[&labels[index]])).await;
    let (held, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((held.len(), refused.len()), (4, 6));
    for answer in refused {
        assert_eq!(answer.refuses(409, "seat_limit_reached")["limit"], 4);
    }
    assert_eq!(buyer.list("/v1/reservations?status=held").await.len(), 4);
    assert_eq!(buyer.seats(&show.performance).await["seats_available"], 46);
    // A cancelled seat does not count any more.
    buyer.ask_cancel(&held[0].id()).send().await.is(200);
    buyer.hold(&show.performance, &["A-5-10"]).await;
    buyer.ask_hold(&show.performance, &["A-5-9"]).send().await.refuses(409, "seat_limit_reached");
    server.finish().await;
}

/// Thirteen accounts without points want to keep a hall of fifty seats for themselves, by cancelling and holding again.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_cancel_and_hold_again_do_not_keep_a_hall() {
    let mut server = Server::start_on(MARIADB, &[("UNPAID_HOLDS_FREE", "3")]).await;
    let show = Show::on(&server, Terms::max_active(20)).await;
    let greedy = Buyer::many_admitted(server.api(), 13, &show.concert).await;
    let labels = labels();
    let seats: Vec<Vec<&str>> = labels.chunks(4).map(|seats| seats.iter().map(String::as_str).collect()).collect();
    for round in 0..4 {
        let held = send_together(13, |index| greedy[index].ask_hold(&show.performance, &seats[index])).await;
        let ids: Vec<_> = held.iter().map(|answer| answer.id()).collect();
        assert_eq!(ids.len(), 13, "round {round}");
        for answer in send_together(13, |index| greedy[index].ask_cancel(&ids[index])).await {
            answer.is(200);
        }
    }
    server.restart().await;
    let refused = send_together(13, |index| greedy[index].ask_hold(&show.performance, &seats[index])).await;
    for answer in &refused {
        answer.refuses(429, "hold_cooldown");
        let seconds: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    let honest = Buyer::admitted(server.api(), &show.concert).await;
    honest.hold(&show.performance, &["A-1-1", "A-1-2"]).await;
    server.finish().await;
}
