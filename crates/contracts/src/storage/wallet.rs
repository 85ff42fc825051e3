//! Points in and out: whatever happens at once adds up.

use boxoffice_domain::{
    AccountId, ChargeId, EntropySource,
    fixtures::{TestEntropy, instant, selling_rules},
    gateway::{DeclineReason, GatewayVerdict},
    idempotency::KeyReused,
    page::PageRequest,
    payments::{PayRefusal, PaymentStatus},
    reservations::ReservationState,
    seats::SeatStatus,
    wallet::{Charge, ChargeRefusal, ChargeRequest, ChargeState, ChargeStatus, EntryKind, PendingKey},
};
use futures::future::Either;

use super::{
    PRICE_A, PRICE_B, SHOW_SEATS, Stage, at_once, charge_request, credentials, other_request, pay_request, points,
    show::{assert_first_of_all, count, succeeded},
};

const DECLINED: GatewayVerdict = GatewayVerdict::Declined(DeclineReason::Refused);

/// A new account has an empty wallet. A caller that does not know whether an account was made can ask again.
pub async fn creating_an_account_again_makes_no_second_wallet(stage: &Stage) {
    let credentials = credentials(stage.now());
    let account_id = credentials.account.id;
    stage.storage.accounts.create(credentials.clone()).await.unwrap();
    let wallet = stage.wallet(account_id).await;
    assert_eq!((wallet.balance.get(), wallet.pending.get(), wallet.entries_count), (0, 0, 0));
    stage.charge(account_id, 5).await;
    stage.storage.accounts.create(credentials).await.unwrap();
    assert_eq!(stage.balance(account_id).await, 5);
}

/// A point is spent once, whichever reservation it is for.
pub async fn points_for_one_of_two_reservations_pay_exactly_one(stage: &Stage) {
    let (show, other_show) = (stage.show().await, stage.show().await);
    for (round, label) in show.labels().into_iter().take(20).enumerate() {
        let account_id = stage.account_with(PRICE_A).await;
        // In every other round they are of two concerts.
        let second_label = format!("A-2-{}", round / 2 + 1);
        let second_of = if round % 2 == 0 { &show } else { &other_show };
        let one = stage.holds(&show, account_id, &[label.as_str()]).await;
        let other = stage.holds(second_of, account_id, &[&second_label]).await;
        let outcomes = at_once([&one, &other].map(pay_request), |request| stage.pay(request)).await;
        let poor = PayRefusal::InsufficientPoints { balance: points(0), required: points(PRICE_A) };
        assert_eq!((succeeded(&outcomes), count(&outcomes, &Err(poor))), (1, 1), "{outcomes:?}");
        assert_eq!(stage.balance(account_id).await, 0);
    }
}

/// A payment that fails leaves everything as it was, and can be made once there are points, under the same key.
pub async fn a_payment_without_points_leaves_the_hold(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(PRICE_A + PRICE_B - 1).await;
    let held = stage.holds(&show, account_id, &["A-1-1", "B-1-1"]).await;
    let (balance, required) = (points(PRICE_A + PRICE_B - 1), points(PRICE_A + PRICE_B));
    stage.clock.advance_seconds(5);
    let request = pay_request(&held);
    let refused = stage.pay(request.clone()).await;
    assert_eq!(refused, Err(PayRefusal::InsufficientPoints { balance, required }));
    assert_eq!(stage.reservation(&held).await, held);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Held);
    assert_eq!(stage.wallet(account_id).await.balance, balance);
    assert_eq!(stage.storage.payments.find_by_key(account_id, &request.idempotency.key).await.unwrap(), None);
    stage.charge(account_id, 1).await;
    assert!(!stage.pay(request).await.unwrap().replayed);
    assert_eq!(stage.balance(account_id).await, 0);
}

/// A cancelled payment gives all of its points back, once, and leaves its history.
pub async fn a_refund_brings_the_points_back(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let held = stage.holds(&show, account_id, &["A-1-1", "B-1-1"]).await;
    let paid = stage.pays(&held).await.payment.payment;
    assert_eq!(stage.balance(account_id).await, 5_000 - PRICE_A - PRICE_B);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
    stage.clock.advance_seconds(86_400);
    let cancelled = stage.cancels(&held).await;
    assert_eq!(cancelled.state, ReservationState::Cancelled { payment_id: Some(paid.id), idempotency: None });
    let entries = stage.entries(account_id).await;
    let amounts: Vec<_> = entries.iter().map(|entry| (entry.sequence, entry.amount)).collect();
    assert_eq!(amounts, [(3, PRICE_A + PRICE_B), (2, -PRICE_A - PRICE_B), (1, 5_000)]);
    assert_eq!(entries[0].kind, EntryKind::Refund { reservation_id: held.id });
    assert_eq!(entries[1].kind, EntryKind::Payment { reservation_id: held.id, payment_id: paid.id });
    assert_eq!((entries[0].balance_after.get(), stage.balance(account_id).await), (5_000, 5_000));
    let found = stage.storage.payments.find(account_id, paid.id).await.unwrap().unwrap();
    assert_eq!(found.payment.status(), PaymentStatus::Refunded);
    assert_eq!(found.payment.refunded_at(), Some(stage.now()));
    assert_eq!(found.reservation.reservation, cancelled);
    assert_eq!(stage.free_labels(&show).await.len(), SHOW_SEATS);
    let sales = stage.sales(&show).await;
    assert_eq!((sales.sold, sales.revenue.get()), (0, 0));
    let other = stage.account_with(PRICE_A).await;
    let again = stage.holds(&show, other, &["A-1-1"]).await;
    stage.pays(&again).await;
}

/// A thousand charges of one wallet at once all succeed, and its history tells each of them.
pub async fn a_thousand_charges_at_once_add_up(stage: &Stage) {
    let account_id = stage.account().await;
    let charged = at_once(1..=1_000, |amount| {
        let stage = stage.clone();
        async move { stage.charge(account_id, amount).await }
    })
    .await;
    assert!(charged.iter().all(|charge| charge.status() == ChargeStatus::Completed));
    let wallet = stage.wallet(account_id).await;
    assert_eq!((wallet.balance.get(), wallet.pending.get(), wallet.entries_count), (500_500, 0, 1_000));
    let entries = stage.entries(account_id).await;
    let sequences: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=1_000).rev().collect::<Vec<_>>());
    assert_eq!(entries.iter().map(|entry| entry.amount).sum::<i64>(), 500_500);
}

/// Charges and payments of one wallet at once leave what they must.
pub async fn charges_and_payments_at_once_add_up(stage: &Stage) {
    let show = stage.show_allowing(50).await;
    let account_id = stage.account_with(30 * PRICE_A + 20 * PRICE_B).await;
    let mut held = Vec::new();
    for labels in show.labels().chunks(2) {
        let request = show.hold_request_for(account_id, labels.to_vec());
        held.push(stage.hold(request).await.unwrap().value.reservation);
    }
    let acts = (0..100).map(|number| held.get(number).map(pay_request));
    at_once(acts, |act| {
        let stage = stage.clone();
        match act {
            Some(request) => Either::Left(async move { drop(stage.pay(request).await.unwrap()) }),
            None => Either::Right(async move { drop(stage.charge(account_id, 7).await) }),
        }
    })
    .await;
    let wallet = stage.wallet(account_id).await;
    assert_eq!((wallet.balance.get(), wallet.entries_count), (75 * 7, 1 + 25 + 75));
    let sales = stage.sales(&show).await;
    assert_eq!((sales.sold, sales.revenue.get()), (50, 30 * PRICE_A + 20 * PRICE_B));
}

/// However often the gateway's verdict comes in, it is credited once.
pub async fn a_charge_completed_fifty_times_is_credited_once(stage: &Stage) {
    let account_id = stage.account().await;
    let begun = stage.begin_charge(charge_request(account_id, 500)).await.unwrap().value;
    assert_eq!((begun.state, stage.balance(account_id).await), (ChargeState::Pending, 0));
    let verdict = GatewayVerdict::Approved;
    let answers = at_once((0..50).map(|_| begun.id), |id| stage.complete_charge(id, verdict)).await;
    let state = ChargeState::Completed { balance_after: points(500), completed_at: stage.now() };
    assert!(answers.iter().all(|charge| charge.as_ref().is_some_and(|charge| charge.state == state)));
    assert_eq!(stage.balance(account_id).await, 500);
    // A verdict that comes late and differs changes nothing.
    stage.clock.advance_seconds(9);
    let late = stage.complete_charge(begun.id, DECLINED).await.unwrap();
    assert_eq!(late.state, state);
    let entries = stage.entries(account_id).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].kind, EntryKind::Charge { charge_id: begun.id });
}

/// Charges without a verdict count, so that an approved charge can always be credited.
pub async fn charges_in_progress_count_against_the_limit(stage: &Stage) {
    let account_id = stage.account().await;
    let balance_max = selling_rules().balance_points_max.get();
    let requests = (0..10).map(|_| charge_request(account_id, balance_max / 4));
    let outcomes = at_once(requests, |request| stage.begin_charge(request)).await;
    let limited = Err(ChargeRefusal::BalanceLimitReached);
    assert_eq!((succeeded(&outcomes), count(&outcomes, &limited)), (4, 6));
    let begun: Vec<_> = outcomes.into_iter().flatten().map(|made| made.value).collect();
    assert_eq!(stage.begin_charge(charge_request(account_id, 1)).await, limited);
    stage.complete_charge(begun[0].id, GatewayVerdict::Approved).await.unwrap();
    assert_eq!(stage.begin_charge(charge_request(account_id, 1)).await, limited);
    stage.complete_charge(begun[1].id, DECLINED).await.unwrap();
    let last = stage.begin_charge(charge_request(account_id, balance_max / 4)).await.unwrap().value;
    for charge in [&begun[2], &begun[3], &last] {
        stage.complete_charge(charge.id, GatewayVerdict::Approved).await.unwrap();
    }
    assert_eq!(stage.balance(account_id).await, balance_max);
}

/// A declined charge leaves the wallet alone, also where an approval comes in later.
pub async fn a_declined_charge_credits_nothing(stage: &Stage) {
    let account_id = stage.account().await;
    let begun = stage.begin_charge(charge_request(account_id, 500)).await.unwrap().value;
    assert_eq!(stage.wallet(account_id).await.pending, points(500));
    let declined = stage.complete_charge(begun.id, DECLINED).await.unwrap();
    assert_eq!(declined.state, ChargeState::Declined { reason: DeclineReason::Refused, declined_at: stage.now() });
    let late = stage.complete_charge(begun.id, GatewayVerdict::Approved).await.unwrap();
    assert_eq!(late, declined);
    let wallet = stage.wallet(account_id).await;
    assert_eq!((wallet.balance, wallet.pending, wallet.entries_count), (points(0), points(0), 0));
    assert_eq!(stage.entries(account_id).await, vec![]);
}

/// A key names one charge of one account; a repeated request gets it as it is then.
pub async fn a_repeated_charge_is_begun_once(stage: &Stage) {
    let (account_id, other) = (stage.account().await, stage.account().await);
    let request = charge_request(account_id, 500);
    let again = || ChargeRequest { charge_id: ChargeId::new(TestEntropy.uuid()), ..request.clone() };
    let answers = at_once((0..20).map(|_| again()), |request| stage.begin_charge(request)).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_first_of_all(&answers);
    let first = answers[0].value.clone();
    assert_eq!(stage.wallet(account_id).await.pending, points(500));
    let completed = stage.complete_charge(first.id, GatewayVerdict::Approved).await.unwrap();
    let replayed = stage.begin_charge(again()).await.unwrap();
    assert!(replayed.replayed);
    assert_eq!(replayed.value, completed);
    let reused = ChargeRequest { idempotency: other_request(&request.idempotency), ..again() };
    assert_eq!(stage.begin_charge(reused).await, Err(KeyReused.into()));
    let of_another = ChargeRequest { account_id: other, ..again() };
    assert!(!stage.begin_charge(of_another).await.unwrap().replayed);
    assert_eq!(stage.balance(account_id).await, 500);
}

/// The worker that asks the gateway again gets a bounded number of charges, those first that have waited longest.
pub async fn pending_charges_come_oldest_first_and_no_more_than_asked(stage: &Stage) {
    let account_id = stage.account().await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(stage.begin_charge(charge_request(account_id, 100)).await.unwrap().value);
        stage.clock.advance_seconds(10);
    }
    stage.complete_charge(begun[1].id, GatewayVerdict::Approved).await.unwrap();
    stage.complete_charge(begun[2].id, DECLINED).await.unwrap();
    let pending_after = async |before, after, limit| {
        let charges = stage.storage.wallets.open_charges(false, before, after, limit).await.unwrap();
        charges.into_iter().map(|charge| charge.id).collect::<Vec<_>>()
    };
    let pending = async |before, limit| pending_after(before, None, limit).await;
    let key = |charge: &Charge| Some(PendingKey { created_at: charge.created_at, id: charge.id });
    assert_eq!(pending_after(instant(1_000), key(&begun[0]), 1).await, [begun[3].id]);
    assert_eq!(pending_after(instant(1_000), key(&begun[4]), 1).await, []);
    assert_eq!(pending(instant(1_000), 10).await, [begun[0].id, begun[3].id, begun[4].id]);
    assert_eq!(pending(instant(1_000), 2).await, [begun[0].id, begun[3].id]);
    assert_eq!(pending(begun[4].created_at, 10).await, [begun[0].id, begun[3].id]);
    assert_eq!(pending(begun[0].created_at, 10).await, []);
}

/// The history of a wallet comes newest first, page by page, each entry once.
pub async fn entries_are_paged_newest_first(stage: &Stage) {
    let (account_id, other) = (stage.account().await, stage.account_with(9).await);
    for amount in 1..=5 {
        stage.charge(account_id, amount).await;
        stage.clock.advance_seconds(1);
    }
    let page = async |after| {
        let page = stage.storage.wallets.entries(account_id, PageRequest { limit: 2, after }).await.unwrap();
        let items: Vec<_> = page.items.iter().map(|entry| (entry.amount, entry.balance_after.get())).collect();
        (items, page.next)
    };
    assert_eq!(page(None).await, (vec![(5, 15), (4, 10)], Some(4)));
    assert_eq!(page(Some(4)).await, (vec![(3, 6), (2, 3)], Some(2)));
    assert_eq!(page(Some(2)).await, (vec![(1, 1)], None));
    assert_eq!(stage.entries(other).await.len(), 1);
    assert_eq!(stage.wallet(account_id).await.updated_at, instant(4));
}

/// An account finds its own charges alone.
pub async fn a_charge_is_found_by_its_owner_alone(stage: &Stage) {
    let (account_id, other) = (stage.account().await, stage.account().await);
    let begun = stage.begin_charge(charge_request(account_id, 100)).await.unwrap().value;
    let wallets = &stage.storage.wallets;
    assert_eq!(wallets.find_charge(account_id, begun.id).await.unwrap(), Some(begun.clone()));
    assert_eq!(wallets.find_charge(other, begun.id).await.unwrap(), None);
    let unknown = ChargeId::new(TestEntropy.uuid());
    assert_eq!(wallets.find_charge(account_id, unknown).await.unwrap(), None);
    assert_eq!(stage.complete_charge(unknown, GatewayVerdict::Approved).await, None);
    assert_eq!(wallets.find(AccountId::new(TestEntropy.uuid())).await.unwrap(), None);
}
