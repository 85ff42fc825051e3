//! Giving points of a charge back for money, and what the payment gateway sends by itself.

use boxoffice_domain::{
    ChargeId, ChargeRefundId, EntropySource,
    fixtures::{TestEntropy, charge_refund_request, instant},
    gateway::{GatewayReference, GatewayVerdict, PaymentMethod, RefundVerdict},
    page::PageRequest,
    wallet::{
        Charge, ChargeAmount, ChargeRefund, ChargeRefundRefusal, ChargeRefundRequest, ChargeRefundState, ChargeRequest,
        ChargeState, ChargeStatus, EntryKind, PendingRefundKey,
    },
};

use super::{
    PRICE_A, Stage, at_once, charge_request, other_request, points,
    show::{assert_first_of_all, count, succeeded},
};

fn request(charge: &Charge, amount: i64) -> ChargeRefundRequest {
    let amount = Some(ChargeAmount::new(points(amount)).expect("not zero"));
    ChargeRefundRequest { amount, ..charge_refund_request(charge) }
}

impl Stage {
    async fn charge_now(&self, charge: &Charge) -> Charge {
        self.storage.wallets.charge(charge.id).await.expect("the storage works").expect("a charge")
    }

    async fn refunded(&self, charge: &Charge, amount: i64, verdict: RefundVerdict) -> ChargeRefund {
        let begun = self.begin_charge_refund(request(charge, amount)).await.expect("no refusal").value;
        self.complete_charge_refund(begun.id, verdict).await.expect("a refund")
    }
}

/// A charge keeps how it is paid, how the gateway calls it, and that the buyer has to act; only then it is credited.
pub async fn a_charge_that_requires_action_is_credited_later(stage: &Stage) {
    let account_id = stage.account().await;
    let method = PaymentMethod::new("pm_card_visa").expect("a way to pay");
    let request = ChargeRequest { payment_method: Some(method.clone()), ..charge_request(account_id, 500) };
    let begun = stage.begin_charge(request).await.expect("no refusal").value;
    let reference = GatewayReference::new("pi_3Pq").expect("a reference");
    for _ in 0..2 {
        let wallets = &stage.storage.wallets;
        let action = (GatewayVerdict::ActionRequired, Some(reference.clone()));
        let charge = wallets.complete_charge(begun.id, action.0, action.1).await.unwrap().expect("a charge");
        assert_eq!((charge.state, charge.status()), (ChargeState::RequiresAction, ChargeStatus::RequiresAction));
        assert_eq!(charge, stage.charge_now(&begun).await);
        assert_eq!((charge.reference.as_ref(), charge.payment_method.as_ref()), (Some(&reference), Some(&method)));
    }
    for (wait_for_buyer, expected) in [(true, vec![begun.id]), (false, vec![])] {
        let open = stage.storage.wallets.open_charges(wait_for_buyer, instant(1_000), None, 10).await.unwrap();
        assert_eq!(open.iter().map(|charge| charge.id).collect::<Vec<_>>(), expected);
    }
    assert_eq!((stage.balance(account_id).await, stage.wallet(account_id).await.pending.get()), (0, 500));
    stage.clock.advance_seconds(60);
    let credited = stage.complete_charge(begun.id, GatewayVerdict::Approved).await.expect("a charge");
    assert_eq!((credited.status(), credited.reference), (ChargeStatus::Completed, Some(reference)));
    assert_eq!((stage.balance(account_id).await, stage.wallet(account_id).await.pending.get()), (500, 0));
}

/// Points leave the wallet with the refund, and come back only if the gateway refuses.
pub async fn a_refused_refund_gives_the_points_back(stage: &Stage) {
    let account_id = stage.account().await;
    let charge = stage.charge(account_id, 1_000).await;
    stage.clock.advance_seconds(10);
    let done = stage.refunded(&charge, 300, RefundVerdict::Accepted).await;
    assert_eq!(done.state, ChargeRefundState::Completed { completed_at: stage.now() });
    let now = stage.charge_now(&charge).await;
    assert_eq!((now.status(), now.refunded.get(), now.state), (ChargeStatus::PartiallyRefunded, 300, charge.state));
    let refused = stage.refunded(&charge, 700, RefundVerdict::Refused).await;
    assert_eq!(refused.state, ChargeRefundState::Refused { refused_at: stage.now() });
    assert_eq!((stage.charge_now(&charge).await.refunded.get(), stage.balance(account_id).await), (300, 700));
    stage.refunded(&charge, 700, RefundVerdict::Accepted).await;
    assert_eq!(stage.charge_now(&charge).await.status(), ChargeStatus::Refunded);
    let entries = stage.entries(account_id).await;
    let amounts: Vec<_> = entries.iter().rev().map(|entry| entry.amount).collect();
    assert_eq!(amounts, [1_000, -300, -700, 700, -700]);
    assert!(entries.iter().take(4).all(|entry| entry.kind == EntryKind::ChargeRefund { charge_id: charge.id }));
    let refunds = stage.storage.wallets.charge_refunds(account_id, charge.id).await.unwrap();
    assert_eq!((refunds.len(), &refunds[0], &refunds[1]), (3, &done, &refused));
    let other = stage.account().await;
    assert_eq!(stage.storage.wallets.charge_refunds(other, charge.id).await.unwrap(), []);
}

/// However many refunds of a charge come at once, no more is given back than is left of it and of the balance.
pub async fn fifty_refunds_at_once_give_back_what_there_is(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account().await;
    let charge = stage.charge(account_id, PRICE_A + 45).await;
    stage.pays(&stage.holds(&show, account_id, &["A-1-1"]).await).await;
    let outcomes = at_once((0..50).map(|_| request(&charge, 10)), |request| stage.begin_charge_refund(request)).await;
    let poor = ChargeRefundRefusal::InsufficientPoints { balance: points(5), required: points(10) };
    assert_eq!((succeeded(&outcomes), count(&outcomes, &Err(poor))), (4, 46), "{outcomes:?}");
    assert_eq!(stage.balance(account_id).await, 5);
    let all = stage.begin_charge_refund(charge_refund_request(&charge)).await.expect("no refusal").value;
    assert_eq!((all.amount.get(), stage.balance(account_id).await), (5, 0));
    let begun: Vec<_> = outcomes.into_iter().flatten().map(|made| made.value.id).chain([all.id]).collect();
    let ends = begun.iter().flat_map(|id| [*id; 10]);
    let ended = at_once(ends, |id| stage.complete_charge_refund(id, RefundVerdict::Accepted)).await;
    assert!(ended.iter().all(Option::is_some));
    assert_eq!(stage.charge_now(&charge).await.refunded.get(), 45);
    let too_much = stage.begin_charge_refund(request(&charge, PRICE_A + 1)).await;
    assert_eq!(too_much, Err(ChargeRefundRefusal::ExceedsCharge { rest: points(PRICE_A) }));
    stage.charge(account_id, PRICE_A).await;
    let rest = stage.refunded(&charge, PRICE_A, RefundVerdict::Accepted).await;
    assert_eq!(rest.amount.get(), PRICE_A);
    let nothing = stage.begin_charge_refund(charge_refund_request(&charge)).await;
    assert_eq!(nothing, Err(ChargeRefundRefusal::NotRefundable));
}

/// A key names one refund of one account; a repeated request gets it as it is then.
pub async fn a_repeated_refund_is_begun_once(stage: &Stage) {
    let (account_id, other) = (stage.account().await, stage.account_with(5).await);
    let charge = stage.charge(account_id, 500).await;
    let request = request(&charge, 100);
    let again = || ChargeRefundRequest { refund_id: ChargeRefundId::new(TestEntropy.uuid()), ..request.clone() };
    let answers = at_once((0..20).map(|_| again()), |request| stage.begin_charge_refund(request)).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_first_of_all(&answers);
    assert_eq!(stage.balance(account_id).await, 400);
    let first = answers[0].value.id;
    let completed = stage.complete_charge_refund(first, RefundVerdict::Accepted).await.expect("a refund");
    let replayed = stage.begin_charge_refund(again()).await.unwrap();
    assert_eq!((replayed.replayed, replayed.value), (true, completed));
    let reused = ChargeRefundRequest { idempotency: other_request(&request.idempotency), ..again() };
    assert!(matches!(stage.begin_charge_refund(reused).await, Err(ChargeRefundRefusal::KeyReused(_))));
    let of_another = ChargeRefundRequest { account_id: other, ..again() };
    assert_eq!(stage.begin_charge_refund(of_another).await, Err(ChargeRefundRefusal::NoSuchCharge));
    let unknown = ChargeRefundId::new(TestEntropy.uuid());
    assert_eq!(stage.complete_charge_refund(unknown, RefundVerdict::Accepted).await, None);
    // A bank may send the money back after all; then the points come back, once.
    stage.clock.advance_seconds(100);
    for verdict in [RefundVerdict::Refused, RefundVerdict::Refused, RefundVerdict::Accepted] {
        let late = stage.complete_charge_refund(first, verdict).await.expect("a refund");
        assert_eq!(late.state, ChargeRefundState::Refused { refused_at: stage.now() });
        assert_eq!(stage.balance(account_id).await, 500);
    }
}

/// The worker that asks the gateway again gets a bounded number of refunds, those first that have waited longest.
pub async fn pending_refunds_come_oldest_first(stage: &Stage) {
    let account_id = stage.account().await;
    let charge = stage.charge(account_id, 500).await;
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(stage.begin_charge_refund(request(&charge, 1)).await.unwrap().value);
        stage.clock.advance_seconds(10);
    }
    stage.complete_charge_refund(begun[1].id, RefundVerdict::Refused).await.unwrap();
    let pending = async |before, after, limit| {
        let refunds = stage.storage.wallets.pending_charge_refunds(before, after, limit).await.unwrap();
        refunds.into_iter().map(|refund| refund.id).collect::<Vec<_>>()
    };
    assert_eq!(pending(instant(1_000), None, 10).await, [begun[0].id, begun[2].id, begun[3].id]);
    assert_eq!(pending(begun[3].created_at, None, 10).await, [begun[0].id, begun[2].id]);
    let after = Some(PendingRefundKey { created_at: begun[0].created_at, id: begun[0].id });
    assert_eq!(pending(instant(1_000), after, 1).await, [begun[2].id]);
}

/// All charges are read page by page in the order of their ids.
pub async fn charges_are_paged_by_their_ids(stage: &Stage) {
    let accounts = [stage.account().await, stage.account().await];
    let mut ids: Vec<ChargeId> = Vec::new();
    for number in 0..5 {
        ids.push(stage.charge(accounts[number % 2], 7).await.id);
    }
    ids.sort_unstable();
    let page = async |after| {
        let page = stage.storage.wallets.charges(PageRequest { limit: 2, after }).await.unwrap();
        (page.items.iter().map(|charge| charge.id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(page(None).await, (ids[..2].to_vec(), Some(ids[1])));
    assert_eq!(page(Some(ids[1])).await, (ids[2..4].to_vec(), Some(ids[3])));
    assert_eq!(page(Some(ids[3])).await, (ids[4..].to_vec(), None));
    let unknown = ChargeId::new(TestEntropy.uuid());
    assert_eq!(stage.storage.wallets.charge(unknown).await.unwrap(), None);
}

/// A notification is kept once, however often it comes, and given out until it is worked off.
pub async fn a_notification_is_kept_once(stage: &Stage) {
    let inbox = &stage.storage.gateway_inbox;
    let charges = [(); 2].map(|()| ChargeId::new(TestEntropy.uuid()));
    let kept = at_once(0..20, |_| {
        let (inbox, charge) = (inbox.clone(), charges[0]);
        async move { inbox.keep("evt_1", charge, instant(1)).await.unwrap() }
    })
    .await;
    assert_eq!(kept.iter().filter(|is_new| **is_new).count(), 1);
    assert!(inbox.keep("evt_0", charges[1], instant(2)).await.unwrap());
    let open = async |limit| inbox.unhandled(limit).await.unwrap();
    let named = |id: &str, charge| (id.to_owned(), charge);
    assert_eq!(open(10).await, [named("evt_1", charges[0]), named("evt_0", charges[1])]);
    assert_eq!(open(1).await, [named("evt_1", charges[0])]);
    inbox.mark_handled("evt_1", instant(3)).await.unwrap();
    inbox.mark_handled("evt_unknown", instant(3)).await.unwrap();
    assert_eq!(open(10).await, [named("evt_0", charges[1])]);
    assert!(!inbox.keep("evt_1", charges[0], instant(4)).await.unwrap());
    assert_eq!(open(10).await.len(), 1);
}
