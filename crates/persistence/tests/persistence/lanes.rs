//! How writes come together: within bounds, and with the same outcome however they are grouped.

use boxoffice_contracts::storage::{Stage, at_once};
use boxoffice_domain::{
    AccountId, StorageError, fixtures,
    page::PageRequest,
    reservations::{HoldError, HoldRefusal, Reservation},
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

/// Some of the contracts, with one command in each transaction.
mod sqlite_without_batches {
    use super::{Backend, Home, PersistenceSettings, settings};

    async fn home() -> Home {
        Home::open(Backend::Sqlite, PersistenceSettings { batch_commands_max: 1, ..settings() }).await
    }

    boxoffice_contracts::storage_contract! { home;
        races { everything_at_once_breaks_nothing a_hold_and_the_sweep_of_the_former_one_agree }
        reservations { overlapping_holds_neither_share_nor_split_seats ten_holds_at_once_of_one_account_give_its_limit }
        payments { fifty_identical_payments_debit_once }
        wallet { points_for_one_of_two_reservations_pay_exactly_one }
    }
}

/// Some of the contracts, with batches of two on a database that keeps them apart by row locks.
mod mysql_in_small_batches {
    use super::{Backend, Home, PersistenceSettings, ServerKind, settings};

    async fn home() -> Home {
        let settings = PersistenceSettings { batch_commands_max: 2, ..settings() };
        Home::open(Backend::Server(ServerKind::MySql), settings).await
    }

    boxoffice_contracts::storage_contract! { home;
        reservations { ten_holds_at_once_of_one_account_give_its_limit }
        payments { fifty_payments_of_one_reservation_debit_once }
        wallet { charges_and_payments_at_once_add_up }
    }
}

/// Several lanes write at once, and the same accounts and seats are met in more than one of them.
macro_rules! in_three_lanes {
    ($module:ident, $backend:expr) => {
        mod $module {
            use super::{Backend, Home, PersistenceSettings, settings};

            async fn home() -> Home {
                Home::open($backend, PersistenceSettings { lanes: 3, ..settings() }).await
            }

            boxoffice_contracts::storage_contract! { home;
                races { everything_at_once_breaks_nothing a_payment_and_a_cancellation_at_once_leave_no_point_behind }
                reservations { the_limit_counts_every_performance_of_the_concert }
                payments { fifty_identical_payments_debit_once }
                wallet { charges_and_payments_at_once_add_up points_for_one_of_two_reservations_pay_exactly_one }
            }
        }
    };
}

in_three_lanes!(sqlite_in_three_lanes, Backend::Sqlite);
in_three_lanes!(mariadb_in_three_lanes, Backend::Server(super::ServerKind::MariaDb));
in_three_lanes!(mysql_in_three_lanes, Backend::Server(super::ServerKind::MySql));

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
            Err(HoldError::Refused(HoldRefusal::SeatUnavailable(seats))) => {
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
    for (request, hold) in requests.iter().zip(holds) {
        assert_eq!(hold.await.unwrap().value.reservation.id, request.reservation_id);
    }
    assert_eq!(stage.free_labels(&show).await, vec![]);
    // Closed is closed: nothing is written any more, and what is there can be read.
    let late = stage.storage.reservations.hold(requests[0].clone()).await;
    assert!(matches!(late, Err(HoldError::Storage(StorageError::Unavailable(_)))), "{late:?}");
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Held);
    let unknown = fixtures::cancel_request(&any_reservation(stage, account_id).await);
    assert!(stage.storage.reservations.cancel(unknown).await.is_err());
    home.end().await;
}

/// Any reservation of the account.
async fn any_reservation(stage: &Stage, account_id: AccountId) -> Reservation {
    let page = stage.storage.reservations.list(account_id, None, PageRequest::first(1)).await.unwrap();
    page.items[0].reservation.clone()
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
                    Err(HoldError::Refused(HoldRefusal::SeatUnavailable(_))) => {}
                    Err(HoldError::Storage(StorageError::Unavailable(_))) => return,
                    other => panic!("another answer: {other:?}"),
                }
            }
        }
    });
    let closing = async {
        // Once one who came after them is answered, they are in full swing.
        let late = stage.hold(show.hold_request(first, &["A-1-1"])).await;
        assert!(late.is_err());
        home.database.shutdown().await;
    };
    tokio::join!(comers, closing);
    home.end().await;
}
