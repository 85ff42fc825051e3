//! Two instances over one database, as two processes have it open: only the locks of the database keep them apart.

use boxoffice_contracts::storage::{
    PRICE_A, Stage, at_once, label, new_performance, pay_request, plan, points,
    reservations::{assert_all_or_none, overlapping},
    unavailable, venue,
};
use boxoffice_domain::{
    catalog::PublishError,
    fixtures,
    payments::PayRefusal,
    reservations::{HoldRefusal, ReservationStatus},
};

use chrono::TimeDelta;

use crate::home::{Backend, Home, settings};

crate::on_every_backend! {
    two_instances_give_a_seat_once
    two_instances_neither_share_nor_split_seats
    two_instances_keep_the_limit_of_an_account
    two_instances_spend_a_point_once
    two_instances_answer_one_key_alike
    two_instances_sweep_together
    two_instances_take_a_venue_once
}

async fn two_instances(backend: Backend) -> (Home, [Stage; 2]) {
    let home = Home::open(backend, settings()).await;
    let stages = [home.stage().clone(), home.peer(settings()).await.0];
    (home, stages)
}

async fn two_instances_give_a_seat_once(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    let show = stages[1].show().await;
    let accounts = stages[1].accounts(200).await;
    for label_of_round in ["A-1-1", "A-1-2", "A-1-3"] {
        let requests = accounts.iter().map(|id| show.hold_request(*id, &[label_of_round])).enumerate();
        let outcomes = at_once(requests, |(number, request)| stages[number % 2].hold(request)).await;
        let taken = Some(vec![label(label_of_round)]);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| unavailable(outcome) == taken).count(), 199);
    }
    home.end().await;
}

async fn two_instances_neither_share_nor_split_seats(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    let show = stages[1].show().await;
    let accounts = stages[1].accounts(200).await;
    let requests = overlapping(&show, &accounts, 7);
    let numbered = requests.clone().into_iter().enumerate();
    let outcomes = at_once(numbered, |(number, request)| stages[number % 2].hold(request)).await;
    assert_all_or_none(&stages[1], &show, &requests, &outcomes).await;
    home.end().await;
}

async fn two_instances_keep_the_limit_of_an_account(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    for _ in 0..5 {
        let show = stages[1].show().await;
        let account_id = stages[1].account().await;
        let requests = show.labels().into_iter().take(10).map(|label| show.hold_request_for(account_id, vec![label]));
        let outcomes = at_once(requests.enumerate(), |(number, request)| stages[number % 2].hold(request)).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
        let limited = Err(HoldRefusal::SeatLimitReached { limit: 4 });
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == limited).count(), 6);
    }
    home.end().await;
}

async fn two_instances_spend_a_point_once(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    let show = stages[1].show_allowing(50).await;
    let account_id = stages[1].account_with(5 * PRICE_A).await;
    let mut held = Vec::new();
    for label in show.labels().iter().take(20) {
        held.push(stages[1].holds(&show, account_id, &[label.as_str()]).await);
    }
    // Twenty reservations, and points for five.
    let acts = held.iter().map(pay_request).enumerate();
    let outcomes = at_once(acts, |(number, request)| stages[number % 2].pay(request)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    let poor = PayRefusal::InsufficientPoints { balance: points(0), required: points(PRICE_A) };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(poor)).count(), 15);
    assert_eq!(stages[1].balance(account_id).await, 0);
    at_once(0..50, |number| {
        let stage = stages[number % 2].clone();
        async move { stage.charge(account_id, 100).await }
    })
    .await;
    assert_eq!(stages[0].balance(account_id).await, 5_000);
    home.end().await;
}

async fn two_instances_answer_one_key_alike(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    let show = stages[1].show().await;
    for label in show.labels().iter().take(5) {
        let account_id = stages[1].account_with(5_000).await;
        let held = stages[1].holds(&show, account_id, &[label.as_str()]).await;
        let request = pay_request(&held);
        let answers = at_once(0..20, |number: usize| stages[number % 2].pay(request.clone())).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|made| !made.replayed).count(), 1);
        assert!(answers.iter().all(|made| made.value == answers[0].value));
        assert_eq!(stages[1].balance(account_id).await, 5_000 - PRICE_A);
        let cancellations = at_once(0..2, |number: usize| stages[number].cancel(fixtures::cancel_request(&held))).await;
        assert_eq!(cancellations.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(stages[1].balance(account_id).await, 5_000);
    }
    home.end().await;
}

async fn two_instances_sweep_together(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    let show = stages[1].show().await;
    let mut lapsed = Vec::new();
    for (account_id, label) in stages[1].accounts(20).await.into_iter().zip(show.labels()) {
        lapsed.push(stages[1].holds(&show, account_id, &[label.as_str()]).await);
    }
    stages[0].clock.set(lapsed[0].held_until);
    // While both sweep, other accounts take the seats.
    let next = stages[1].accounts(20).await;
    let (swept, held) = tokio::join!(
        at_once(0..4, |number: usize| stages[number % 2].expire_due(100)),
        at_once(next.into_iter().zip(show.labels()).enumerate(), |(number, (account_id, label))| {
            stages[number % 2].hold(show.hold_request_for(account_id, vec![label]))
        })
    );
    assert_eq!(swept.into_iter().sum::<u32>(), 20);
    for (former, held) in lapsed.iter().zip(held) {
        assert_eq!(stages[1].status(former).await, ReservationStatus::Expired);
        assert_eq!(stages[1].status(&held.unwrap().value.reservation).await, ReservationStatus::Held);
    }
    assert_eq!(stages[1].free_labels(&show).await.len(), 30);
    home.end().await;
}

async fn two_instances_take_a_venue_once(backend: Backend) {
    let (home, stages) = two_instances(backend).await;
    let show = stages[1].show().await;
    for round in 0..3 {
        let hall = venue(plan(), stages[0].now());
        stages[0]
            .storage
            .catalog
            .publish_venue(show.promoter_id, hall.clone(), None, fixtures::staff_act())
            .await
            .unwrap();
        let outcomes = at_once(0..20, |number| {
            let starts_at = show.starts_at + TimeDelta::minutes(i64::try_from(number).unwrap());
            let new = new_performance(&show.concert, &hall, starts_at);
            let (catalog, promoter_id) = (stages[number % 2].storage.catalog.clone(), show.promoter_id);
            async move { catalog.publish_performance(promoter_id, new, None, fixtures::staff_act()).await }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{round}: {outcomes:?}");
        let overlapping = |outcome: &&Result<_, _>| matches!(outcome, Err(PublishError::Overlaps(_)));
        assert_eq!(outcomes.iter().filter(overlapping).count(), 19);
    }
    home.end().await;
}
