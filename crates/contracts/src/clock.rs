//! The contract of [`Clock`].

#![expect(clippy::unused_async, reason = "the macro of a contract awaits every scenario")]

use boxoffice_domain::{Clock, Timestamp};

/// Makes a test of each function of the contract, in the module that calls it. The argument is a `fn() -> impl Clock`.
#[macro_export]
macro_rules! clock_contract {
    ($clock:expr) => {
        $crate::contract_tests! { clock, $clock;
            an_instant_is_in_whole_microseconds
            time_passes
        }
    };
}

/// An instant survives a storage that keeps microseconds.
pub async fn an_instant_is_in_whole_microseconds<C: Clock>(clock: impl Fn() -> C) {
    let clock = clock();
    // A clock that ticks in nanoseconds would show a remainder in one of these.
    for _ in 0..1_000 {
        let now = clock.now();
        assert_eq!(Timestamp::from_timestamp_micros(now.timestamp_micros()), Some(now));
    }
}

/// The clock runs.
pub async fn time_passes<C: Clock>(clock: impl Fn() -> C) {
    let clock = clock();
    let began = clock.now();
    let runs = async {
        while clock.now() <= began {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, runs).await.expect("the clock stands still");
}
