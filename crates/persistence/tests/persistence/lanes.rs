//! How writes come together: within bounds, and with the same outcome however they are grouped.

use boxoffice_contracts::storage::at_once;
use boxoffice_domain::{
    StorageError, fixtures,
    reservations::{HoldError, HoldRefusal},
    seats::SeatStatus,
};
use boxoffice_persistence::PersistenceSettings;
use boxoffice_testkit::servers::ServerKind;

use crate::home::{Backend, Home, settings};

crate::on_every_backend! {
    a_full_lane_refuses_and_serves_the_others
    a_shutdown_answers_what_was_taken_and_refuses_the_rest
    a_shutdown_ends_while_commands_keep_coming
}

// One command in each transaction.
crate::contracts_with! { sqlite_without_batches, Backend::Sqlite,
    PersistenceSettings { batch_commands_max: 1, ..settings() };
    races { everything_at_once_breaks_nothing a_hold_and_the_sweep_of_the_former_one_agree }
    reservations { overlapping_holds_neither_share_nor_split_seats ten_holds_at_once_of_one_account_give_its_limit }
    payments { fifty_identical_payments_debit_once }
    wallet { points_for_one_of_two_reservations_pay_exactly_one }
}

// Batches of two, on a database that keeps them apart by row locks.
crate::contracts_with! { mysql_in_small_batches, Backend::Server(ServerKind::MySql),
    PersistenceSettings { batch_commands_max: 2, ..settings() };
    reservations { ten_holds_at_once_of_one_account_give_its_limit }
    payments { fifty_payments_of_one_reservation_debit_once }
    wallet { charges_and_payments_at_once_add_up }
}

/// Several lanes write at once, and the same accounts and seats are met in more than one of them.
macro_rules! in_three_lanes {
    ($module:ident, $backend:expr) => {
        crate::contracts_with! { $module, $backend, PersistenceSettings { lanes: 3, ..settings() };
            races { everything_at_once_breaks_nothing a_payment_and_a_cancellation_at_once_leave_no_point_behind }
            reservations { the_limit_counts_every_performance_of_the_concert }
            payments { fifty_identical_payments_debit_once }
            wallet { charges_and_payments_at_once_add_up points_for_one_of_two_reservations_pay_exactly_one }
        }
    };
}

in_three_lanes!(sqlite_in_three_lanes, Backend::Sqlite);
in_three_lanes!(mariadb_in_three_lanes, Backend::Server(ServerKind::MariaDb));
in_three_lanes!(mysql_in_three_lanes, Backend::Server(ServerKind::MySql));

async fn a_full_lane_refuses_and_serves_the_others(backend: Backend) {
    let tiny = PersistenceSettings { lane_waiting_max: 2, batch_commands_max: 2, ..settings() };
    let home = Home::open(backend, tiny).await;
    let stage = home.stage();
    let show = stage.show_allowing(50).await;
    let account_id = stage.account().await;
    let requests = (0..20).flat_map(|_| show.labels()).map(|label| show.hold_request_for(account_id, vec![label]));
    let outcomes = at_once(requests, |request| {
        let port = stage.storage.reservations.clone();
        async move { (request.seats.labels()[0].clone(), port.hold(request).await) }
    })
    .await;
    let (mut had, mut busy) = (Vec::new(), 0);
    for (seat, outcome) in outcomes {
        match outcome {
            Ok(_) => had.push(seat),
            Err(HoldError::Storage(StorageError::Busy)) => busy += 1,
            Err(HoldError::Refused(HoldRefusal::SeatUnavailable { seats, .. })) => {
                assert_eq!(seats.iter().map(|taken| &taken.label).collect::<Vec<_>>(), [&seat]);
            }
            Err(error) => panic!("another failure: {error:?}"),
        }
    }
    assert!(busy > 0 && !had.is_empty());
    had.sort_unstable();
    let expected = had.clone();
    had.dedup();
    assert_eq!(had, expected, "a seat was given twice");
    assert_eq!(stage.free_labels(&show).await.len(), 50 - had.len());
    for label in stage.free_labels(&show).await {
        stage.holds(&show, account_id, &[label.as_str()]).await;
    }
    home.end().await;
}

async fn a_shutdown_answers_what_was_taken_and_refuses_the_rest(backend: Backend) {
    let home = Home::open(backend, PersistenceSettings { batch_commands_max: 4, ..settings() }).await;
    let stage = home.stage();
    let show = stage.show_allowing(50).await;
    let account_id = stage.account().await;
    let requests = show.labels().into_iter().map(|label| show.hold_request_for(account_id, vec![label]));
    let requests: Vec<_> = requests.collect();
    // Each hold is sent when it is polled first, so all of them are in the lane before it closes.
    let mut holds = Vec::new();
    for request in &requests {
        let mut hold = Box::pin(stage.storage.reservations.hold(request.clone()));
        assert!(futures::poll!(&mut hold).is_pending());
        holds.push(hold);
    }
    home.database.shutdown().await;
    let mut held = Vec::new();
    for (request, hold) in requests.iter().zip(holds) {
        held.push(hold.await.unwrap().value.reservation);
        assert_eq!(held.last().unwrap().id, request.reservation_id);
    }
    assert_eq!(stage.free_labels(&show).await, vec![]);
    // Nothing is written from now on, and what is stored can be read.
    let late = stage.storage.reservations.hold(requests[0].clone()).await;
    assert!(matches!(late, Err(HoldError::Storage(StorageError::Unavailable(_)))), "{late:?}");
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Held);
    assert!(stage.storage.reservations.cancel(fixtures::cancel_request(&held[0])).await.is_err());
    home.end().await;
}

async fn a_shutdown_ends_while_commands_keep_coming(backend: Backend) {
    let home = Home::open(backend, PersistenceSettings { batch_commands_max: 4, ..settings() }).await;
    let stage = home.stage();
    let show = stage.show().await;
    let first = stage.account().await;
    stage.holds(&show, first, &["A-1-1"]).await;
    let account_id = stage.account().await;
    // More of them than a batch takes, so the lane is never empty.
    let comers = at_once(0..40, |_| {
        let (port, show) = (stage.storage.reservations.clone(), show.clone());
        async move {
            loop {
                match port.hold(show.hold_request(account_id, &["A-1-1"])).await {
                    Err(HoldError::Refused(HoldRefusal::SeatUnavailable { .. })) => {}
                    Err(HoldError::Storage(StorageError::Unavailable(_))) => return,
                    other => panic!("another answer: {other:?}"),
                }
            }
        }
    });
    let closing = async {
        // When a later caller gets its answer, all of them have begun.
        let late = stage.hold(show.hold_request(first, &["A-1-1"])).await;
        assert!(late.is_err());
        home.database.shutdown().await;
    };
    tokio::join!(comers, closing);
    home.end().await;
}
