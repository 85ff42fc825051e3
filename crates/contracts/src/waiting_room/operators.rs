//! Running a queue: pausing, emptying, counting.

use boxoffice_domain::{
    fixtures::instant,
    waiting_room::{QueueCensus, QueueReason, QueueStats, RestoreRequest},
};

use super::{
    Rules, Stage,
    scene::{Scene, account, is_active},
};

impl Scene {
    async fn pause(&mut self) {
        self.set_terms(|terms| terms.paused = true).await;
    }

    async fn resume(&mut self) {
        self.set_terms(|terms| terms.paused = false).await;
    }

    async fn empty(&self) -> u64 {
        self.stage.waiting_room.empty(self.concert_id).await.expect("empties")
    }

    async fn stats(&self) -> QueueStats {
        self.stage.waiting_room.stats(self.concert_id).await.expect("counts").expect("there is a queue")
    }
}

/// While a queue is paused no account is admitted, whatever frees an admission; when it is resumed as many are at once as
/// may be, in order. None is sent back, places are kept, and accounts join and leave as ever.
pub async fn a_paused_queue_admits_none_and_resumes_at_once(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 3).await;
    let mut places = scene.join_many(8).await;
    let seen = scene.version().await;
    scene.pause().await;
    scene.assert_changed(seen).await;
    scene.assert_order(&places, 0, 3).await;
    scene.leave(&places[0]).await;
    scene.spend(&places[1]).await;
    scene.set_max_active(5).await;
    places.extend(scene.join_many(2).await);
    scene.leave(&places.remove(5)).await;
    scene.advance().await;
    scene.assert_order(&places, 2, 1).await;
    scene.pass_seconds(600);
    scene.advance().await;
    scene.assert_order(&places, 3, 0).await;
    assert_eq!(scene.census().await, (6, 0, 3));
    assert_eq!(scene.reason(&places[3]).await, Some(QueueReason::Paused));
    assert_eq!(scene.reason(&places[0]).await, None, "it left before");

    let seen = scene.version().await;
    scene.resume().await;
    scene.assert_changed(seen).await;
    assert_eq!(scene.census().await, (1, 5, 8));
    assert_eq!(scene.reason(places.last().expect("one waits")).await, None);
    scene.assert_order(&places, 3, 5).await;
}

/// A queue that is paused from its beginning admits none.
pub async fn a_queue_can_begin_paused(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 3).await;
    scene.terms.paused = true;
    let places = scene.join_many(4).await;
    scene.assert_order(&places, 0, 0).await;
    scene.resume().await;
    scene.assert_order(&places, 0, 3).await;
}

/// A pause does not shorten an admission, which lasts as long as before, and as long as the hold.
pub async fn a_pause_does_nothing_to_those_admitted(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 2).await;
    let places = scene.join_many(3).await;
    scene.pause().await;
    scene.keep_until(&places[0], Some(instant(900))).await;
    scene.stage.clock.set(instant(600) - chrono::TimeDelta::microseconds(1));
    scene.assert_order(&places, 0, 2).await;
    scene.stage.clock.set(instant(600));
    assert!(scene.is_active(&places[0]).await);
    assert!(scene.is_expired(&places[1]).await);
    scene.stage.clock.set(instant(900));
    assert!(scene.is_expired(&places[0]).await);
    assert_eq!(scene.position(&places[2]).await, 1);
}

/// There is no estimate while the queue is paused, and afterwards it is the same as before.
pub async fn a_pause_is_no_part_of_the_measure(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    let places = scene.join_many(100).await;
    for place in &places[..50] {
        scene.pass_seconds(2);
        scene.spend(place).await;
    }
    let before = scene.estimate(&places[99]).await.expect("there is a measure");
    assert!((90..=110).contains(&before), "{before} s for 49 people at one in 2 s");
    scene.pause().await;
    assert_eq!(scene.estimate(&places[99]).await, None);
    scene.keep_until(&places[50], Some(instant(50_000))).await;
    for _ in 0..10 {
        scene.pass_seconds(1_000);
        scene.advance().await;
    }
    scene.resume().await;
    assert_eq!(scene.estimate(&places[99]).await, Some(before));
}

/// A request with the terms of an older version of the concert does not undo the newer ones.
pub async fn older_terms_do_not_undo_newer_ones(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    let uninformed = scene.clone();
    let mut places = scene.join_many(3).await;
    scene.pause().await;
    scene.leave(&places[0]).await;
    places.extend(uninformed.join_many(1).await);
    uninformed.send_terms(uninformed.terms).await;
    let request = RestoreRequest { place: places[1], terms: uninformed.terms, draw: None, held_until: None };
    scene.stage.waiting_room.restore(request).await.expect("answers");
    scene.assert_order(&places, 1, 0).await;
    let paused = scene.clone();
    scene.resume().await;
    paused.send_terms(paused.terms).await;
    scene.leave(&places[1]).await;
    scene.assert_order(&places, 2, 1).await;
}

/// Emptying a queue ends every place that waits and returns how many, leaves those admitted alone, and closes it to none.
pub async fn emptying_ends_all_waiting_and_no_others(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let other = scene.another_concert();
    let elsewhere = other.join_many(4).await;
    let places = scene.join_many(7).await;
    let seen = scene.version().await;
    assert_eq!(scene.empty().await, 5);
    scene.assert_changed(seen).await;
    assert_eq!(scene.census().await, (0, 2, 2));
    for place in &places[2..] {
        assert!(scene.is_expired(place).await);
    }
    let seen = scene.version().await;
    assert_eq!(scene.empty().await, 0);
    assert_eq!(scene.version().await, seen, "nothing has changed");
    scene.leave(&places[0]).await;
    assert_eq!(scene.census().await, (0, 1, 2), "none is left to be admitted");
    assert!(scene.is_active(&places[1]).await);

    let again = scene.join(places[6].account_id).await;
    assert!(again.newly && is_active(again.status.standing));
    let waiting = scene.join(places[2].account_id).await.status.place;
    assert!(waiting.number > places[6].number);
    assert_eq!(scene.position(&waiting).await, 1);
    other.assert_order(&elsewhere, 0, 2).await;
    assert_eq!(scene.another_concert().empty().await, 0, "there is no queue");
}

/// A queue is empty if none waits, however many are admitted; asking opens no queue.
pub async fn a_queue_is_empty_if_none_waits(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let is_empty = async || scene.is_empty(instant(0)).await;
    assert!(is_empty().await, "there is no queue");
    assert_eq!(scene.stage.waiting_room.stats(scene.concert_id).await.expect("counts"), None);
    scene.pass_seconds(1);
    scene.join_many(2).await;
    assert!(is_empty().await, "both are admitted");
    let last = scene.join(account()).await.status.place;
    assert!(!is_empty().await);
    scene.leave(&last).await;
    assert!(is_empty().await);
    scene.join_many(2).await;
    scene.empty().await;
    assert!(is_empty().await);
}

/// The numbers about a queue are right; asking for them opens no queue.
pub async fn the_stats_are_right(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_over(), 2).await;
    let nothing = scene.stage.waiting_room.stats(scene.concert_id).await.expect("counts");
    assert_eq!(nothing, None);
    assert_eq!(scene.stage.waiting_room.census(9).await.expect("counts"), []);

    let mut places = scene.join_many(3).await;
    for place in &places[..2] {
        scene.keep_until(place, Some(instant(300))).await;
    }
    scene.pass_seconds(20);
    places.extend(scene.join_many(2).await);
    let begun = QueueStats {
        waiting: 3,
        active: 2,
        admitted_total: 2,
        admitted_last_minute: 2,
        no_shows_total: 0,
        oldest_joined_at: Some(instant(0)),
    };
    assert_eq!(scene.stats().await, begun);
    scene.leave(&places[2]).await;
    scene.pass_seconds(20);
    scene.leave(&places[0]).await;
    let moved = QueueStats { waiting: 1, admitted_total: 3, admitted_last_minute: 3, ..begun };
    assert_eq!(scene.stats().await, QueueStats { oldest_joined_at: Some(instant(20)), ..moved });
    scene.pass_seconds(20);
    let later = scene.stats().await;
    assert_eq!((later.admitted_total, later.admitted_last_minute), (3, 1), "the first two were a minute ago");

    // The one who was admitted does not come; the next one is admitted instead.
    scene.pass_seconds(40);
    let passed_over = scene.stats().await;
    assert_eq!((passed_over.no_shows_total, passed_over.waiting, passed_over.active), (1, 0, 2));
    assert_eq!((passed_over.admitted_total, passed_over.admitted_last_minute), (4, 1));
    assert_eq!(passed_over.oldest_joined_at, None);
}

/// The oldest wait of a drawn queue is that of the account that joined first, not of the one that is first.
pub async fn the_oldest_wait_of_a_drawn_queue_is_the_earliest_joining(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    scene.terms.opens_at = Some(instant(100));
    let mut places = Vec::new();
    for draw in [30, 10, 20] {
        places.push(scene.join_drawn(draw).await);
        scene.pass_seconds(10);
    }
    assert_eq!(scene.stats().await.oldest_joined_at, Some(instant(0)));
    scene.stage.clock.set(instant(100));
    let late = scene.join(account()).await.status.place;
    assert_eq!(scene.stats().await.oldest_joined_at, Some(instant(0)));
    scene.leave(&places[0]).await;
    assert_eq!(scene.stats().await.oldest_joined_at, Some(instant(20)), "the one of 10 s is admitted");
    scene.spend(&places[1]).await;
    assert_eq!(scene.stats().await.oldest_joined_at, Some(late.joined_at));
}

/// The census has the longest queues first, and no more of them than asked for.
pub async fn the_census_has_the_longest_first(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let mut expected = Vec::new();
    for (waiting, joins) in [(1, 3), (5, 7), (3, 5)] {
        let queue = scene.another_concert();
        queue.join_many(joins).await;
        expected.push(QueueCensus { concert_id: queue.concert_id, waiting, active: 2, admitted_total: 2 });
    }
    expected.sort_by_key(|queue| std::cmp::Reverse(queue.waiting));
    let room = &scene.stage.waiting_room;
    assert_eq!(room.census(usize::MAX).await.expect("counts"), expected);
    assert_eq!(room.census(2).await.expect("counts"), expected[..2]);
    assert_eq!(room.census(0).await.expect("counts"), []);
}
