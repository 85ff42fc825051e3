//! How long an admission lasts.

use boxoffice_domain::{
    fixtures::instant,
    waiting_room::{QueueReason, Standing},
};

use super::{
    Rules, Stage,
    scene::{Scene, account, active, is_active},
};

/// An admission ends exactly when its time is over, which frees it for exactly the next one, whichever account asks
/// first.
pub async fn expiry_admits_the_next_in_order(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let first = scene.join(account()).await.status;
    assert_eq!(first.standing, active(600, 600));
    let mut places = vec![first.place];
    scene.pass_seconds(100);
    places.extend(scene.join_many(3).await);
    scene.stage.clock.set(instant(600) - chrono::TimeDelta::microseconds(1));
    scene.assert_order(&places, 0, 2).await;
    scene.stage.clock.set(instant(600));
    assert!(scene.is_active(&places[2]).await, "the next one asks first, and is admitted already");
    scene.assert_order(&places, 1, 2).await;
    scene.stage.clock.set(instant(700));
    assert_eq!(scene.census().await, (0, 2, 4));
    scene.assert_order(&places, 2, 2).await;
    scene.stage.clock.set(instant(1_300));
    assert_eq!(scene.census().await, (0, 0, 4));
    let again = scene.join(places[0].account_id).await;
    assert!(again.newly && is_active(again.status.standing));
}

/// An account that is admitted and does not come in time is passed over, and the next one is admitted; no account is
/// passed over before it is admitted, however long it is away.
pub async fn who_does_not_come_is_passed_over(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_over(), 1).await;
    let places = scene.join_many(4).await;
    scene.keep_until(&places[0], Some(instant(900))).await;
    scene.pass_seconds(500);
    scene.leave(&places[0]).await;
    assert_eq!(scene.advance().await, Some(instant(560)));
    scene.stage.clock.set(instant(560) - chrono::TimeDelta::microseconds(1));
    scene.advance().await;
    assert_eq!(scene.census().await, (2, 1, 2), "there is still time");
    scene.stage.clock.set(instant(560));
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 1, 3));
    assert!(scene.is_expired(&places[1]).await, "too late");
    assert_eq!(scene.reason(&places[1]).await, Some(QueueReason::PassedOver));
    assert_eq!(scene.reason(&places[0]).await, None, "it left");
    scene.pass_seconds(59);
    scene.assert_order(&places, 2, 1).await;
    let again = scene.join(places[1].account_id).await;
    assert!(again.newly && matches!(again.status.standing, Standing::Waiting { position: Some(2), .. }));
}

/// An account that was here may be absent from each visit on for as long as one that never came: a status and another
/// joining are visits, and so is the joining that admits. The admission ends with its time all the same.
pub async fn a_visit_keeps_an_admission_for_as_long_as_an_account_may_be_absent(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_over(), 3).await;
    let places = scene.join_many(6).await;
    let [polls, joins, never] = [&places[0], &places[1], &places[2]];
    for seconds in [30, 59] {
        scene.stage.clock.set(instant(seconds));
        assert!(scene.is_active(polls).await);
        assert!(!scene.join(joins.account_id).await.newly);
    }
    assert_eq!(scene.advance().await, Some(instant(60)));
    scene.stage.clock.set(instant(60));
    scene.advance().await;
    assert_eq!(scene.census().await, (2, 3, 4), "the one that did not come again is passed over");
    assert!(scene.is_expired(never).await);
    scene.stage.clock.set(instant(118));
    assert!(scene.is_active(polls).await && scene.is_active(&places[3]).await);
    scene.stage.clock.set(instant(119));
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 3, 5), "a minute after its last visit");
    assert!(scene.is_expired(joins).await);

    for seconds in (130..600).step_by(10) {
        scene.stage.clock.set(instant(seconds));
        assert!(scene.is_active(polls).await, "at {seconds}");
    }
    assert_eq!(scene.census().await, (0, 1, 6), "the others were passed over");
    scene.stage.clock.set(instant(600));
    scene.advance().await;
    assert!(scene.is_expired(polls).await, "visits do not prolong an admission");
    let stats = scene.stage.waiting_room.stats(scene.concert_id).await.expect("counts");
    assert_eq!(stats.map(|stats| stats.no_shows_total), Some(5));
}

/// An account that holds seats is not passed over; its absence counts from the end of its last hold, or from when it
/// gives them up.
pub async fn absence_does_not_count_while_seats_are_held(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_over(), 2).await;
    let places = scene.join_many(4).await;
    let [lapses, gives_up] = [&places[0], &places[1]];
    scene.keep_until(lapses, Some(instant(300))).await;
    scene.keep_until(gives_up, Some(instant(300))).await;
    scene.stage.clock.set(instant(100));
    scene.advance().await;
    assert_eq!(scene.census().await, (2, 2, 2), "both hold seats");
    scene.keep_until(gives_up, None).await;
    assert_eq!(scene.advance().await, Some(instant(160)));
    scene.stage.clock.set(instant(160));
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 2, 3));
    assert!(scene.is_expired(gives_up).await);

    // A visit while seats are held changes nothing about that.
    scene.stage.clock.set(instant(200));
    assert!(scene.is_active(lapses).await && scene.is_active(&places[2]).await);
    scene.keep_until(&places[2], Some(instant(9_000))).await;
    scene.stage.clock.set(instant(359));
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 2, 3));
    scene.stage.clock.set(instant(360));
    scene.advance().await;
    assert_eq!(scene.census().await, (0, 2, 4), "a minute after the hold has ended");
    assert!(scene.is_expired(lapses).await && scene.is_active(&places[3]).await);
}

/// Polling alone is no use of an admission: it passes to the next, as if its holder were absent. Looking at what is on sale
/// is a use, and no use prolongs the admission.
pub async fn an_admission_that_is_not_used_passes_on(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_on(), 2).await;
    let places = scene.join_many(4).await;
    let [polls, looks] = [&places[0], &places[1]];
    for seconds in [50, 100] {
        scene.stage.clock.set(instant(seconds));
        assert!(scene.is_active(polls).await && scene.is_used(looks).await, "at {seconds}");
        assert!(!scene.is_used(&places[2]).await, "which admits nobody");
    }
    scene.stage.clock.set(instant(120) - chrono::TimeDelta::microseconds(1));
    assert!(scene.is_active(polls).await && scene.is_active(looks).await);
    assert_eq!(scene.advance().await, Some(instant(120)));
    scene.stage.clock.set(instant(120));
    assert!(scene.is_active(&places[2]).await, "the next one has it at once");
    assert!(scene.is_expired(polls).await);
    assert_eq!(scene.reason(polls).await, Some(QueueReason::PassedOver));
    let stats = scene.stage.waiting_room.stats(scene.concert_id).await.expect("counts").expect("there is a queue");
    assert_eq!((stats.active, stats.waiting, stats.no_shows_total), (2, 1, 0));
    // A use counts for two minutes.
    scene.stage.clock.set(instant(220) - chrono::TimeDelta::microseconds(1));
    assert!(scene.is_active(looks).await);
    scene.stage.clock.set(instant(220));
    assert!(scene.is_expired(looks).await && scene.is_active(&places[3]).await);
    for seconds in (230..820).step_by(50) {
        scene.stage.clock.set(instant(seconds));
        assert!(scene.is_used(&places[3]).await, "at {seconds}");
    }
    scene.stage.clock.set(instant(820));
    assert!(scene.is_expired(&places[3]).await, "it was admitted at 220, for ten minutes");
    assert_eq!(scene.reason(&places[3]).await, None, "its time was over");
}

/// Held seats are a use until their end, and so is giving them up; polls in between count for nothing.
pub async fn an_admission_does_not_go_unused_while_seats_are_held(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_on(), 2).await;
    let places = scene.join_many(4).await;
    let [lapses, gives_up] = [&places[0], &places[1]];
    for place in [lapses, gives_up] {
        scene.keep_until(place, Some(instant(300))).await;
    }
    for seconds in [100, 200] {
        scene.stage.clock.set(instant(seconds));
        assert!(scene.is_active(lapses).await && scene.is_active(gives_up).await);
    }
    scene.keep_until(gives_up, None).await;
    assert_eq!(scene.advance().await, Some(instant(320)));
    scene.stage.clock.set(instant(320));
    assert!(scene.is_expired(gives_up).await && scene.is_active(&places[2]).await);
    scene.stage.clock.set(instant(420) - chrono::TimeDelta::microseconds(1));
    assert!(scene.is_active(lapses).await);
    scene.stage.clock.set(instant(420));
    assert!(scene.is_expired(lapses).await && scene.is_active(&places[3]).await);
}

/// An admission lasts at least as long as the seats that its holder holds.
pub async fn held_seats_prolong_an_admission(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(2).await;
    scene.keep_until(&places[0], Some(instant(300))).await;
    assert_eq!(scene.standing(&places[0]).await, active(600, 600), "a short hold shortens nothing");
    scene.keep_until(&places[0], Some(instant(800))).await;
    scene.keep_until(&places[0], Some(instant(900))).await;
    assert_eq!(scene.standing(&places[0]).await, active(600, 900));
    scene.stage.clock.set(instant(899));
    assert_eq!(scene.standing(&places[0]).await, active(600, 900));
    scene.assert_order(&places, 0, 1).await;
    scene.stage.clock.set(instant(900));
    scene.assert_order(&places, 1, 1).await;
}

/// Without held seats an admission ends when it would have anyway: at once if that is past.
pub async fn held_seats_given_up_end_a_prolonged_admission(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(3).await;
    for place in &places[..2] {
        scene.keep_until(place, Some(instant(900))).await;
    }
    scene.pass_seconds(500);
    scene.keep_until(&places[1], None).await;
    assert_eq!(scene.standing(&places[1]).await, active(600, 600));
    scene.keep_until(&places[1], Some(instant(900))).await;
    scene.pass_seconds(200);
    scene.assert_order(&places, 0, 2).await;
    let seen = scene.version().await;
    scene.keep_until(&places[1], None).await;
    scene.assert_changed(seen).await;
    assert_eq!(scene.census().await, (0, 2, 3));
    assert!(scene.is_expired(&places[1]).await);
    assert!(scene.is_active(&places[0]).await && scene.is_active(&places[2]).await);
}

/// Holding seats gives nothing to those who wait, have ended, or were never here.
pub async fn held_seats_are_nothing_to_those_not_admitted(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(3).await;
    scene.keep_until(&places[1], Some(instant(9_000))).await;
    scene.stage.waiting_room.keep_until(scene.concert_id, account(), Some(instant(9_000))).await.expect("no error");
    scene.another_concert().keep_until(&places[0], Some(instant(9_000))).await;
    scene.assert_order(&places, 0, 1).await;
    scene.pass_seconds(600);
    assert_eq!(scene.standing(&places[1]).await, active(1_200, 1_200));
    scene.keep_until(&places[0], Some(instant(9_000))).await;
    scene.assert_order(&places, 1, 1).await;
}

/// A queue to which no request comes moves by advancing, which returns when there will be something to do.
pub async fn advancing_is_enough_for_a_queue_without_visitors(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules::passing_over(), 1).await;
    assert_eq!(scene.advance().await, None, "nothing will end");
    let places = scene.join_many(3).await;
    scene.keep_until(&places[0], Some(instant(600))).await;
    let other = scene.another_concert();
    scene.pass_seconds(100);
    let elsewhere = other.join_many(1).await;
    other.keep_until(&elsewhere[0], Some(instant(640))).await;
    assert_eq!(scene.advance().await, Some(instant(600)));
    scene.stage.clock.set(instant(600));
    assert_eq!(scene.advance().await, Some(instant(660)), "the next one has to come");
    scene.stage.clock.set(instant(660));
    assert_eq!(scene.advance().await, Some(instant(700)), "the other queue's ending");
    scene.stage.clock.set(instant(720));
    assert_eq!(scene.advance().await, None);
    assert_eq!(scene.census().await, (0, 0, 3));
    assert_eq!(other.census().await, (0, 0, 1));
}
