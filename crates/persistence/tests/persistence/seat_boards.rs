//! Seat maps from memory: with boards that are kept for ever, for hardly any time and not at all, in several lanes, and
//! beside another process.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::storage::{at_once, label, unavailable};
use boxoffice_domain::{
    announcements::{Announcements, Topic},
    fixtures,
    reservations::SeatStatus,
};
use boxoffice_persistence::PersistenceSettings;
use boxoffice_testkit::servers::ServerKind;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

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

            boxoffice_contracts::storage_contract! { super::home;
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
    what_another_process_announces_is_shown_at_once
    boards_that_hear_of_each_other_agree_with_the_seats
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
    assert_eq!(unavailable(&refused), Some(taken));
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

/// Carries what one process announces to another one.
struct Wire(UnboundedSender<String>);

#[async_trait::async_trait]
impl Announcements for Wire {
    fn has_listeners(&self) -> bool {
        true
    }

    fn hears_all(&self) -> bool {
        false
    }

    fn others_busy_with(&self, _topic: Topic) -> usize {
        0
    }

    fn announce(&self, topic: Topic, text: String) {
        assert_eq!(topic, Topic::Seats);
        // At the end of a test nobody may be listening.
        let _ = self.0.send(text);
    }

    async fn leave(&self) {}
}

async fn what_another_process_announces_is_shown_at_once(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (other, database) = home.another(settings()).await;
    let (sender, mut announced) = unbounded_channel();
    database.announce_seats(Arc::new(Wire(sender)));
    let stage = home.stage();
    let show = stage.show().await;
    let rival = stage.account_with(10_000).await;
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    let held = other.holds(&show, rival, &["A-1-1", "A-1-2"]).await;
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Available, "nothing was heard");
    let of_the_hold = announced.recv().await.unwrap();
    assert_eq!(home.database.hear_of_seats(&of_the_hold), [rival]);
    assert_eq!(stage.seat(&show, "A-1-2").await, SeatStatus::Held);
    other.pays(&held).await;
    home.database.hear_of_seats(&announced.recv().await.unwrap());
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
    // What comes late does not go back.
    home.database.hear_of_seats(&of_the_hold);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
    other.cancel(fixtures::cancel_request(&held)).await.unwrap();
    home.database.hear_of_seats(&announced.recv().await.unwrap());
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    // What is refused, or repeated, is no news. What cannot be read has all be read anew.
    let held = other.holds(&show, rival, &["A-2-1"]).await;
    announced.recv().await.unwrap();
    other.hold(show.hold_request(stage.account().await, &["A-2-1"])).await.unwrap_err();
    assert!(announced.try_recv().is_err());
    assert_eq!(stage.seat(&show, "A-2-1").await, SeatStatus::Available, "nothing was heard");
    assert!(home.database.hear_of_seats("of another version").is_empty());
    assert_eq!(stage.seat(&show, "A-2-1").await, SeatStatus::Held);
    other.cancel(fixtures::cancel_request(&held)).await.unwrap();
    home.database.forget_seats();
    assert_eq!(stage.free_labels(&show).await.len(), 50);
    database.shutdown().await;
    home.close().await;
}

async fn boards_that_hear_of_each_other_agree_with_the_seats(backend: Backend) {
    let home = Home::open(backend, with_age(FOR_EVER)).await;
    let (other, other_database) = home.another(with_age(FOR_EVER)).await;
    let stages = [home.stage().clone(), other];
    let databases = [home.database.clone(), other_database];
    let show = stages[0].show().await;
    let accounts = stages[0].accounts(60).await;
    let mut heeding = Vec::new();
    for (from, to) in [(0, 1), (1, 0)] {
        let (sender, mut announced) = unbounded_channel();
        databases[from].announce_seats(Arc::new(Wire(sender.clone())));
        let heeds = databases[to].clone();
        let heeded = tokio::spawn(async move {
            while let Some(text) = announced.recv().await
                && !text.is_empty()
            {
                heeds.hear_of_seats(&text);
            }
        });
        heeding.push((sender, heeded));
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
    for (sender, heeded) in heeding {
        // All was announced before it was answered, so this comes last.
        sender.send(String::new()).unwrap();
        heeded.await.unwrap();
    }
    let (truth, database) = home.another(settings()).await;
    let expected = truth.free_labels(&show).await;
    for stage in &stages {
        assert_eq!(stage.free_labels(&show).await, expected);
    }
    database.shutdown().await;
    databases[1].shutdown().await;
    home.close().await;
}
