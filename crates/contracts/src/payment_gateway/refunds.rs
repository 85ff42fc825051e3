//! Money that is given back, and the books.

use boxoffice_domain::gateway::{GatewayError, GatewayRequest, RefundVerdict};
use chrono::TimeDelta;
use futures::future::join_all;

use super::{Ability, Behaviour, Subject, assert_given_back, assert_taken, can, charge, named, paid, refund};

/// However often a refund is asked for, also at once, its money is given back once. An instance that has lost the name of
/// the payment gives it back too.
pub async fn money_is_given_back_once<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = paid(&subject).await;
    let unnamed = GatewayRequest { reference: None, ..charge.clone() };
    for (charge, given_back) in [(&charge, 3_000), (&unnamed, 6_000)] {
        let refund = refund(charge, 3_000);
        if can(&subject, Ability::KnowsChargesAgain) {
            // At once, some may be told to come back later.
            for outcome in join_all((0..10).map(|_| subject.gateway().refund(&refund))).await {
                assert!(matches!(outcome, Ok(RefundVerdict::Accepted) | Err(GatewayError::Failed(_))), "{outcome:?}");
            }
        }
        for _ in 0..2 {
            assert_eq!(subject.gateway().refund(&refund).await.expect("a verdict"), RefundVerdict::Accepted);
        }
        assert_given_back(&subject, charge, given_back).await;
    }
}

/// What is left can be given back to the last point; more is refused, and changes nothing.
pub async fn money_is_given_back_in_parts_and_no_more_than_was_taken<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = paid(&subject).await;
    let amount = charge.amount.get();
    let mut parts = vec![(amount - 1_000, RefundVerdict::Accepted)];
    if can(&subject, Ability::RefusesExcess) {
        parts.push((1_001, RefundVerdict::Refused));
    }
    parts.push((1_000, RefundVerdict::Accepted));
    if can(&subject, Ability::RefusesExcess) {
        parts.push((1, RefundVerdict::Refused));
    }
    for (part, expected) in parts {
        let verdict = subject.gateway().refund(&refund(&charge, part)).await.expect("a verdict");
        assert_eq!(verdict, expected, "{part} points");
    }
    assert_given_back(&subject, &charge, amount).await;
    assert_taken(&subject, &charge, amount).await;
}

/// Nothing is given back for the second amount.
pub async fn another_amount_under_the_same_refund_is_a_conflict<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = paid(&subject).await;
    let first = refund(&charge, 1_000);
    assert_eq!(subject.gateway().refund(&first).await.expect("a verdict"), RefundVerdict::Accepted);
    let mut second = refund(&charge, 2_000);
    second.refund_id = first.refund_id;
    let outcome = subject.gateway().refund(&second).await;
    assert!(matches!(outcome, Err(GatewayError::Conflict)), "{outcome:?}");
    assert_given_back(&subject, &charge, 1_000).await;
}

/// A charge that was never begun, and one that was declined.
pub async fn money_that_was_not_taken_is_not_given_back<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let unknown = charge(&subject, Behaviour::Approves).await;
    let declined = charge(&subject, Behaviour::Declines).await;
    let answer = subject.gateway().begin(&declined).await.expect("an answer");
    let declined = if answer.reference.is_some() { named(&declined, &answer) } else { declined };
    for charge in [&unknown, &declined] {
        let verdict = subject.gateway().refund(&refund(charge, 1)).await.expect("a verdict");
        assert_eq!(verdict, RefundVerdict::Refused);
        assert_given_back(&subject, charge, 0).await;
    }
}

/// Each payment is there with its name, its charge and what became of its money; those of other times are not, and a
/// bound is kept.
pub async fn the_books_agree_with_what_was_done<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let (from, until) = (subject.now() - TimeDelta::minutes(5), subject.now() + TimeDelta::minutes(5));
    let (kept, given_back) = (paid(&subject).await, paid(&subject).await);
    let verdict = subject.gateway().refund(&refund(&given_back, 4_000)).await.expect("a verdict");
    assert_eq!(verdict, RefundVerdict::Accepted);
    let declined = charge(&subject, Behaviour::Declines).await;
    subject.gateway().begin(&declined).await.expect("an answer");

    let records = subject.gateway().records(from, until, 1_000).await.expect("the books");
    let of = |charge: &GatewayRequest| {
        let mut found = records.iter().filter(|record| record.charge_id == Some(charge.charge_id));
        let record = found.next();
        assert!(found.next().is_none(), "a charge is there twice: {records:?}");
        record
    };
    for (charge, refunded) in [(&kept, 0), (&given_back, 4_000)] {
        let record = of(charge).expect("a record");
        assert_eq!(Some(&record.reference), charge.reference.as_ref());
        assert_eq!((record.amount, record.is_paid, record.refunded.get()), (charge.amount, true, refunded));
        assert!((from..until).contains(&record.created_at));
    }
    assert!(of(&declined).is_none_or(|record| !record.is_paid));

    let earlier = subject.gateway().records(from - TimeDelta::days(1), from, 1_000).await.expect("the books");
    assert!(earlier.iter().all(|record| record.charge_id != Some(kept.charge_id)), "{earlier:?}");
    let bounded = subject.gateway().records(from, until, 1).await;
    assert!(matches!(bounded, Err(GatewayError::Failed(_))), "{bounded:?}");
}
