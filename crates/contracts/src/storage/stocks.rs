//! What is left of a concert.

use std::{collections::HashMap, time::Duration};

use boxoffice_domain::{ConcertId, EntropySource, catalog::Stock, fixtures::TestEntropy};
use chrono::TimeDelta;
use tokio::time::{sleep, timeout};

use super::Stage;

/// A stock follows every act and the time, over all performances of a concert that have not started; those of other
/// concerts do not count, nor do concerts without one.
pub async fn a_stock_is_what_is_left_of_performances_to_come(stage: &Stage) {
    let (show, other) = (stage.show().await, stage.show().await);
    let second = stage.another_performance(&show, show.starts_at + TimeDelta::days(1)).await;
    let unknown = ConcertId::new(TestEntropy.uuid());
    let ids = [show.concert.id, other.concert.id, unknown];
    // A storage that counts from memory may take a moment.
    let becomes = async |total, available, held| {
        let expected = Stock { total, available, held };
        let stocks = async || stage.storage.catalog.stocks(&ids, stage.now()).await.unwrap();
        let of_show = async || stocks().await.get(&show.concert.id).copied().unwrap_or_default();
        let waiting = async {
            while of_show().await != expected {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(Duration::from_secs(30), waiting).await.is_ok();
        assert!(in_time, "{:?} instead of {expected:?}", of_show().await);
        stocks().await
    };
    let all_free = Stock { total: 50, available: 50, held: 0 };
    assert_eq!(
        becomes(100, 100, 0).await,
        HashMap::from([(ids[0], Stock { total: 100, available: 100, held: 0 }), (ids[1], all_free)])
    );
    let account_id = stage.account_with(10_000).await;
    let sold = stage.holds(&show, account_id, &["A-1-1", "B-1-1"]).await;
    becomes(100, 98, 2).await;
    let lapsing = stage.holds(&second, account_id, &["A-1-1"]).await;
    becomes(100, 97, 3).await;
    stage.pays(&sold).await;
    becomes(100, 97, 1).await;
    stage.clock.set(lapsing.held_until);
    becomes(100, 98, 0).await;
    stage.seats(&second).await;
    let held = stage.holds(&second, account_id, &["A-1-2"]).await;
    becomes(100, 97, 1).await;
    stage.cancels(&held).await;
    stage.cancels(&sold).await;
    becomes(100, 100, 0).await;
    stage.clock.set(show.starts_at);
    becomes(50, 50, 0).await;
    stage.clock.set(show.starts_at + TimeDelta::days(1));
    let stocks = becomes(0, 0, 0).await;
    assert!(stocks.values().all(|stock| *stock == Stock::default()), "{stocks:?}");
}
