//! Seat maps from memory: with boards that are kept for ever, for hardly any time and not at all, in several lanes, and
//! beside another process.

use std::time::Duration;

use boxoffice_domain::{
    fixtures,
    reservations::{HoldRefusal, SeatStatus},
};
use boxoffice_persistence::PersistenceSettings;
use boxoffice_testkit::{
    contracts::storage::{at_once, label},
    servers::ServerKind,
};

use crate::home::{Backend, Home, settings};

const FOR_EVER: Duration = Duration::from_hours(24);

fn with_age(seats_age_max: Duration) -> PersistenceSettings {
    PersistenceSettings { seats_age_max, ..settings() }
}

/// The contracts that look at seats, with boards of this age in so many lanes.
macro_rules! with_boards {
    ($module:ident, $backend:expr, $age:expr, $lanes:expr) => {
        mod $module {
            use super::*;

            async fn home() -> Home {
                Home::open($backend, PersistenceSettings { lanes: $lanes, ..with_age($age) }).await
            }

            boxoffice_testkit::storage_contract! { super::home;
                catalog {
                    seats_come_in_the_order_of_the_plan
                    lapsed_holds_count_as_available
                    no_map_shows_less_than_was_answered_before
                    a_seat_map_follows_every_act_and_the_time
                }
                catalog_import { an_import_changes_the_prices_of_free_seats_alone }
                races {
                    a_hold_and_the_sweep_of_the_former_one_agree
                    a_lapsed_seat_sells_again_without_a_sweep
                    a_payment_and_a_cancellation_at_once_leave_no_point_behind
                }
                reservations { overlapping_holds_neither_share_nor_split_seats cancelling_a_hold_frees_its_seats }
            }
        }
    };
}

with_boards!(sqlite_without_boards, Backend::Sqlite, Duration::ZERO, 1);
with_boards!(sqlite_for_ever, Backend::Sqlite, FOR_EVER, 1);
with_boards!(sqlite_for_hardly_any_time, Backend::Sqlite, Duration::from_nanos(1), 3);
with_boards!(mysql_for_ever_in_three_lanes, Backend::Server(ServerKind::MySql), FOR_EVER, 3);
with_boards!(mariadb_for_hardly_any_time, Backend::Server(ServerKind::MariaDb), Duration::from_nanos(1), 3);

crate::on_every_backend! {
    a_refusal_shows_what_another_process_has_sold
    what_another_process_does_is_shown_when_the_board_is_too_old
    a_repeated_answer_shows_what_another_process_has_done
}

async fn a_refusal_shows_what_another_process_has_sold(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (other, database) = home.another(settings()).await;
    let stage = home.stage();
    let show = stage.show().await;
    let (one, rival) = (stage.account().await, stage.account_with(10_000).await);
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    other.pays(&other.holds(&show, rival, &["A-1-1"]).await).await;
    other.holds(&show, rival, &["A-1-2"]).await;
    let refused = stage.hold(show.hold_request(one, &["A-1-1", "A-1-2", "A-1-3"])).await;
    let taken = vec![label("A-1-1"), label("A-1-2")];
    assert_eq!(refused.map(drop), Err(HoldRefusal::SeatUnavailable(taken)));
    let seen = at_once(0..100, |_| {
        let (stage, show) = (stage.clone(), show.clone());
        async move { (stage.seat(&show, "A-1-1").await, stage.seat(&show, "A-1-2").await) }
    });
    assert!(seen.await.into_iter().all(|seen| seen == (SeatStatus::Sold, SeatStatus::Held)));
    assert_eq!(stage.free_labels(&show).await.len(), 48);
    database.shutdown().await;
    home.close().await;
}

async fn what_another_process_does_is_shown_when_the_board_is_too_old(backend: Backend) {
    let age_max = Duration::from_millis(20);
    let home = Home::open(backend, with_age(age_max)).await;
    let (other, database) = home.another(settings()).await;
    let stage = home.stage();
    let show = stage.show().await;
    let rival = stage.account_with(10_000).await;
    let mut expected = SeatStatus::Available;
    for round in 0..4 {
        // At least this long, and so long enough, however long it takes.
        tokio::time::sleep(age_max + Duration::from_millis(1)).await;
        assert_eq!(stage.seat(&show, "A-1-1").await, expected);
        expected = if round % 2 == 0 {
            other.holds(&show, rival, &["A-1-1"]).await;
            SeatStatus::Held
        } else {
            stage.clock.advance_seconds(1_000);
            assert_eq!(other.expire_due(10).await, 1);
            SeatStatus::Available
        };
    }
    database.shutdown().await;
    home.close().await;
}

async fn a_repeated_answer_shows_what_another_process_has_done(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (other, database) = home.another(settings()).await;
    let stage = home.stage();
    let show = stage.show().await;
    let account_id = stage.account_with(10_000).await;
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    // The first answer came from the other process and was lost; this one repeats it.
    let idempotency = Some(fixtures::idempotency());
    let request =
        boxoffice_domain::reservations::HoldRequest { idempotency, ..show.hold_request(account_id, &["A-1-1"]) };
    other.hold(request.clone()).await.unwrap();
    assert!(stage.hold(request).await.unwrap().replayed);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Held);
    database.shutdown().await;
    home.close().await;
}
