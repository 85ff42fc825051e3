//! The draw before a queue opens.

use boxoffice_domain::{
    AccountId,
    fixtures::instant,
    waiting_room::{DrawNumber, QueuePlace, QueueStatus, QueueTerms, Standing},
};

use super::{
    Rules, Stage,
    scene::{Scene, account},
};
use crate::crowd::Dice;

/// When the queues of these tests open.
const OPENS_AFTER_SECONDS: i64 = 100;

/// A scene whose queue opens later.
async fn before_the_draw(stage: impl AsyncFn(Rules) -> Stage, max_active: u32) -> Scene {
    let mut scene = Scene::new(stage, max_active).await;
    scene.terms.opens_at = Some(instant(OPENS_AFTER_SECONDS));
    scene
}

fn number(number: u64) -> DrawNumber {
    DrawNumber::from_random(number)
}

impl Scene {
    async fn join_all_drawn(&self, draws: &[u64]) -> Vec<QueuePlace> {
        let mut places = Vec::with_capacity(draws.len());
        for draw in draws {
            places.push(self.join_drawn(*draw).await);
        }
        places
    }

    fn open(&self) {
        self.stage.clock.set(instant(OPENS_AFTER_SECONDS));
    }

    /// Asserts that a place waits without a position; returns when to ask again.
    async fn assert_undrawn(&self, place: &QueuePlace) -> u32 {
        match self.standing(place).await {
            Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds } => {
                poll_after_seconds
            }
            other => panic!("{other:?} instead of waiting without an order"),
        }
    }
}

/// Before a queue opens none is admitted and there is no position, however much room there is; the next poll is at the
/// opening, and a place can be left.
pub async fn before_the_draw_none_has_an_order(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = before_the_draw(stage, 100).await;
    let account_id = account();
    let joined = scene.try_join_with(account_id, Some(number(7))).await.expect("joins");
    assert!(joined.newly);
    assert!(matches!(joined.status.standing, Standing::Waiting { position: None, .. }), "{joined:?}");
    let place = joined.status.place;
    let again = scene.try_join_with(account_id, Some(number(7))).await.expect("answers");
    assert!(!again.newly && again.status.place == place);
    let others = scene.join_all_drawn(&[1, 9, 4]).await;

    for (seconds, asks_after_seconds) in [(0, 20), (80, 20), (81, 19), (90, 10), (99, 1)] {
        scene.stage.clock.set(instant(seconds));
        assert_eq!(scene.advance().await, Some(instant(OPENS_AFTER_SECONDS)));
        assert_eq!(scene.assert_undrawn(&place).await, asks_after_seconds, "after {seconds} s");
    }
    scene.stage.clock.set(instant(OPENS_AFTER_SECONDS) - chrono::TimeDelta::microseconds(1));
    assert_eq!(scene.assert_undrawn(&others[0]).await, 1);
    assert_eq!(scene.census().await, (4, 0, 0));
    scene.leave(&others[1]).await;
    assert!(scene.is_expired(&others[1]).await);
    assert_eq!(scene.census().await, (3, 0, 0));
    for other in [&others[0], &others[2]] {
        scene.leave(other).await;
    }
    scene.leave(&place).await;
    assert_eq!(scene.advance().await, None, "no place waits for the opening");
}

/// When the queue opens, the order is that of the numbers, whichever account asks first; and advancing wakes watchers.
pub async fn the_order_is_that_of_the_numbers(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = before_the_draw(stage, 2).await;
    let last = DrawNumber::END - 1;
    let draws = [500, 3, last, 40, 0, 77, 1 << 49, 41];
    let mut places = scene.join_all_drawn(&draws).await;
    let seen = scene.version().await;
    scene.open();
    let order: Vec<u64> = by_number(&mut places, &draws);
    assert!(order.is_sorted());
    assert!(scene.is_active(&places[1]).await, "the second one asks first, and is admitted already");
    scene.assert_order(&places, 0, 2).await;
    scene.assert_changed(seen).await;
    scene.spend(&places[0]).await;
    scene.leave(&places[2]).await;
    places.remove(2);
    scene.assert_order(&places, 1, 2).await;

    let other = scene.another_concert();
    let other = Scene { terms: QueueTerms { opens_at: Some(instant(200)), ..other.terms }, ..other };
    let unaware = other.join_all_drawn(&[2, 1, 0]).await;
    let seen = other.version().await;
    other.stage.clock.set(instant(200));
    other.advance().await;
    other.assert_changed(seen).await;
    assert_eq!(other.census().await, (1, 2, 2), "there was no request");
    assert_eq!(other.position(&unaware[0]).await, 1);
}

/// The opening gives positions, and wakes watchers, though none is admitted.
pub async fn an_opening_that_admits_none_wakes_watchers(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = before_the_draw(stage, 0).await;
    let place = scene.join_drawn(5).await;
    let seen = scene.version().await;
    scene.open();
    assert_eq!(scene.advance().await, None, "the opening is over");
    scene.assert_changed(seen).await;
    assert_eq!(scene.position(&place).await, 1);
}

/// Sorts places by the number drawn by each; returns the numbers in that order.
fn by_number(places: &mut Vec<QueuePlace>, draws: &[u64]) -> Vec<u64> {
    let mut drawn: Vec<(u64, QueuePlace)> = draws.iter().copied().zip(places.iter().copied()).collect();
    drawn.sort_by_key(|(draw, _)| *draw);
    *places = drawn.iter().map(|(_, place)| *place).collect();
    drawn.into_iter().map(|(draw, _)| draw).collect()
}

/// An account that joins as the queue opens, or later, stands behind all that took part in the draw, in the order of
/// joining, even with the lowest number.
pub async fn later_comers_stand_behind_the_draw(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = before_the_draw(stage, 1).await;
    let mut places = scene.join_all_drawn(&[DrawNumber::END - 1, 8]).await;
    places.reverse();
    scene.open();
    places.push(scene.join_drawn(5).await);
    places.push(scene.join_drawn(0).await);
    places.push(scene.join(account()).await.status.place);
    scene.pass_seconds(10);
    places.push(scene.join_drawn(1).await);
    scene.assert_order(&places, 0, 1).await;
    scene.spend(&places[0]).await;
    scene.spend(&places[1]).await;
    scene.assert_order(&places, 2, 1).await;
}

/// Accounts with the same number stand in the order of their ids.
pub async fn equal_numbers_stand_by_account(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = before_the_draw(stage, 2).await;
    let mut accounts: Vec<AccountId> = (0..12).map(|_| account()).collect();
    accounts.sort_unstable();
    let mut places: Vec<Option<QueuePlace>> = vec![None; accounts.len()];
    for index in [5, 0, 11, 3, 7, 1, 10, 2, 9, 4, 8, 6] {
        let joined = scene.try_join_with(accounts[index], Some(number(6))).await.expect("joins");
        places[index] = Some(joined.status.place);
    }
    let mut places: Vec<QueuePlace> = places.into_iter().flatten().collect();
    let first = scene.join_drawn(5).await;
    scene.open();
    places.insert(0, first);
    scene.assert_order(&places, 0, 2).await;
    scene.leave(&places[6]).await;
    places.remove(6);
    scene.leave(&places[0]).await;
    scene.assert_order(&places, 1, 2).await;
}

/// Leaving and joining again before the draw gives another place with the same number: nothing is gained or lost.
pub async fn leaving_and_joining_again_before_the_draw_gains_nothing(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = before_the_draw(stage, 1).await;
    let account_id = account();
    let join = async || -> QueueStatus {
        let joined = scene.try_join_with(account_id, Some(number(20))).await.expect("joins");
        assert!(joined.newly);
        joined.status
    };
    let mut former = join().await.place;
    let others = scene.join_all_drawn(&[10, 30]).await;
    for _ in 0..5 {
        scene.leave(&former).await;
        let again = join().await.place;
        assert!(again.number > former.number);
        assert!(scene.is_expired(&former).await);
        former = again;
    }
    scene.open();
    scene.assert_order(&[others[0], former, others[1]], 0, 1).await;
}

/// A number is nothing in a queue without a draw.
pub async fn numbers_do_not_count_without_a_draw(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_all_drawn(&[3, 2, 1, 0]).await;
    scene.assert_order(&places, 0, 1).await;
}

/// An opening that is put off or brought forward is the one that counts, also against terms that were read before.
pub async fn an_opening_can_be_moved(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = before_the_draw(stage, 1).await;
    let stale = scene.terms;
    let mut places = scene.join_all_drawn(&[9, 5, 1]).await;
    scene.set_terms(|terms| terms.opens_at = Some(instant(300))).await;
    scene.open();
    scene.assert_undrawn(&places[0]).await;
    assert_eq!(scene.advance().await, Some(instant(300)));
    let uninformed = Scene { terms: stale, ..scene.clone() };
    places.push(uninformed.join_drawn(0).await);
    scene.assert_undrawn(&places[3]).await;
    scene.set_terms(|terms| terms.opens_at = Some(instant(200))).await;
    scene.stage.clock.set(instant(200));
    let uninformed = Scene { terms: QueueTerms { version: 1, opens_at: Some(instant(300)), ..stale }, ..scene.clone() };
    let late = uninformed.join_drawn(0).await;
    places.reverse();
    places.push(late);
    scene.assert_order(&places, 0, 1).await;
}

/// All are served, one after the other, in the order drawn, and those who came after the draw behind them.
pub async fn ten_thousand_are_served_in_the_order_drawn(stage: impl AsyncFn(Rules) -> Stage) {
    const PEOPLE: usize = 10_000;
    const ACTIVE: usize = 50;
    let scene = before_the_draw(stage, 50).await;
    let mut dice = Dice::new(7);
    let draws: Vec<u64> =
        (0..PEOPLE).map(|_| (dice.below(1 << 25) as u64) << 25 | dice.below(1 << 25) as u64).collect();
    let mut places = scene.join_all_drawn(&draws).await;
    assert!(by_number(&mut places, &draws).is_sorted());
    scene.open();
    places.extend(scene.join_many(10).await);
    for (index, place) in places.iter().enumerate() {
        if index % 97 == 0
            && let Some(waiting) = places.get(index + ACTIVE + index % 50)
        {
            assert_eq!(scene.position(waiting).await, (index % 50 + 1) as u64, "number {index}");
        }
        assert!(scene.is_active(place).await, "number {index} in the order");
        scene.spend(place).await;
    }
    assert_eq!(scene.census().await, (0, 0, places.len() as u64));
}
