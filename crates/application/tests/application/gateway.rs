//! Refunds of charges, what the gateway sends by itself, and the comparison of the books.

use std::sync::Arc;

use boxoffice_application::{
    WalletService, fingerprint,
    wallet::{Difference, NotificationError, ReconcileError, Reconciliation, RefundPointsError, ResolvedRefunds},
};
use boxoffice_contracts::storage::charge_request;
use boxoffice_domain::{
    ChargeId, EntropySource, Points, StorageError,
    fixtures::{TestEntropy, charge_refund_request, instant},
    gateway::{
        DeclineReason, GatewayAnswer, GatewayError, GatewayRecord, GatewayReference, GatewayState, GatewayVerdict,
        MockPaymentGateway, Notification, NotificationRefusal, RefundVerdict,
    },
    idempotency::Made,
    wallet::{
        Charge, ChargeAmount, ChargeRefund, ChargeRefundRefusal, ChargeRefundRequest, ChargeRefundState, ChargeState,
        MockWallets, PendingRefundKey,
    },
};
use chrono::TimeDelta;

use crate::support::{BALANCE, World, assert_refused, mock, points, under};

const AMOUNT: i64 = 5_000;

type RefundResult = Result<RefundVerdict, GatewayError>;

/// A gateway that is asked for a refund once.
fn gateway(result: RefundResult) -> Arc<MockPaymentGateway> {
    mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_refund().times(1).return_once(|_| result);
    })
}

fn amount(number: i64) -> ChargeAmount {
    ChargeAmount::new(points(number)).unwrap()
}

impl World {
    async fn charged(&self) -> Charge {
        let begun = self.stage.begin_charge(charge_request(self.buyer, AMOUNT)).await.unwrap().value;
        let wallets = &self.stage.storage.wallets;
        let reference = GatewayReference::new(format!("pi_{}", begun.id));
        wallets.complete_charge(begun.id, GatewayVerdict::Approved, reference).await.unwrap().unwrap()
    }

    async fn refund(&self, charge: ChargeId, number: i64) -> Result<Made<ChargeRefund>, RefundPointsError> {
        let amount = Some(amount(number));
        let key = under("r", fingerprint::charge_refund(charge, amount));
        self.wallet_service().refund(self.buyer(), charge, amount, key).await
    }

    async fn balance(&self) -> i64 {
        self.stage.balance(self.buyer).await - BALANCE
    }
}

// Refunds

#[tokio::test]
async fn points_leave_the_wallet_before_the_gateway_is_asked_under_the_refunds_id() {
    let mut world = World::new().await;
    let charge = world.charged().await;
    world.gateway = gateway(Err(GatewayError::TimedOut));
    let refused = world.refund(charge.id, 2_000).await;
    let Err(RefundPointsError::Gateway { charge_id, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((charge_id, world.balance().await), (charge.id, 3_000));
    let pending = world.stage.storage.wallets.charge_refunds(world.buyer, charge.id).await.unwrap().remove(0);
    let (id, reference) = (pending.id, charge.reference.clone());
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        let asked = gateway.expect_refund().withf(move |refund| {
            (refund.refund_id, refund.amount, &refund.charge.reference) == (id, points(2_000), &reference)
        });
        asked.times(1).return_once(|_| Ok(RefundVerdict::Accepted));
    });
    let made = world.refund(charge.id, 2_000).await.unwrap();
    assert!(made.replayed);
    assert_eq!(made.value.state, ChargeRefundState::Completed { completed_at: instant(0) });
    // Repeated: the gateway is not asked.
    assert_eq!(world.refund(charge.id, 2_000).await.unwrap(), made);
    assert_eq!(world.balance().await, 3_000);
    let reused = world.refund(charge.id, 1).await;
    assert_refused!(reused, RefundPointsError::Refused(ChargeRefundRefusal::KeyReused(_)));
}

#[tokio::test]
async fn points_come_back_if_the_gateway_refuses() {
    let mut world = World::new().await;
    let charge = world.charged().await;
    world.gateway = gateway(Ok(RefundVerdict::Refused));
    for _ in 0..2 {
        assert_refused!(world.refund(charge.id, 2_000).await, RefundPointsError::Declined(refund) if refund.charge_id == charge.id);
    }
    assert_eq!(world.balance().await, AMOUNT);
}

#[tokio::test]
async fn what_is_refused_here_never_reaches_the_gateway() {
    let world = World::new().await;
    let charge = world.charged().await;
    let excess = world.refund(charge.id, AMOUNT + 1).await;
    assert_refused!(excess, RefundPointsError::Refused(ChargeRefundRefusal::ExceedsCharge { .. }));
    let unknown = world.refund(ChargeId::new(TestEntropy.uuid()), 1).await;
    assert_refused!(unknown, RefundPointsError::Refused(ChargeRefundRefusal::NoSuchCharge));
    let service = WalletService { gateway: None, ..world.wallet_service() };
    let key = under("r", fingerprint::charge_refund(charge.id, None));
    let refused = service.refund(world.buyer(), charge.id, None, key).await;
    assert_refused!(refused, RefundPointsError::Unavailable);
    assert_eq!(service.resolve_refunds(0, None, 10).await.unwrap(), ResolvedRefunds::default());
    assert_eq!(service.handle_notifications(10).await.unwrap(), 0);
    assert_eq!(world.balance().await, AMOUNT);
}

#[tokio::test]
async fn pending_refunds_are_ended_or_counted_as_still_pending() {
    let mut world = World::new().await;
    let charge = world.charged().await;
    let mut gateway = MockPaymentGateway::new();
    let mut begun = Vec::new();
    for result in [Ok(RefundVerdict::Accepted), Err(GatewayError::TimedOut), Ok(RefundVerdict::Refused)] {
        let request = ChargeRefundRequest { amount: Some(amount(10)), ..charge_refund_request(&charge) };
        let refund = world.stage.begin_charge_refund(request).await.unwrap().value;
        let id = refund.id;
        gateway.expect_refund().withf(move |asked| asked.refund_id == id).times(1).return_once(|_| result);
        begun.push(refund);
        world.stage.clock.advance_seconds(1);
    }
    world.gateway = Arc::new(gateway);
    world.stage.clock.set(instant(100));
    let service = world.wallet_service();
    let first = service.resolve_refunds(30, None, 2).await.unwrap();
    let next = Some(PendingRefundKey { created_at: begun[1].created_at, id: begun[1].id });
    assert_eq!(first, ResolvedRefunds { ended: 1, pending: 1, next });
    let rest = service.resolve_refunds(30, next, 2).await.unwrap();
    assert_eq!(rest, ResolvedRefunds { ended: 1, ..ResolvedRefunds::default() });
    assert_eq!(world.balance().await, AMOUNT - 20);
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_pending_charge_refunds().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    });
    assert_refused!(world.wallet_service().resolve_refunds(30, None, 2).await, StorageError::Busy);
}

// Notifications

fn verifies(result: Result<Notification, NotificationRefusal>) -> Arc<MockPaymentGateway> {
    mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_verify_notification().returning(move |_, _, _| result.clone());
    })
}

#[tokio::test]
async fn a_notification_is_kept_once_and_leads_to_what_the_gateway_says_now() {
    let mut world = World::new().await;
    let charge = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
    let about = |charge_id| Ok(Notification { id: "evt_1".to_owned(), charge_id });
    world.gateway = verifies(about(Some(charge.id)));
    for _ in 0..3 {
        world.wallet_service().receive_notification(&[], b"{}").await.unwrap();
    }
    assert_eq!(world.stage.storage.gateway_inbox.unhandled(10).await.unwrap().len(), 1);
    // The gateway is away: it stays.
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_begin().times(1).return_once(|_| Err(GatewayError::TimedOut));
    });
    assert_eq!(world.wallet_service().handle_notifications(10).await.unwrap(), 0);
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        let answer = GatewayAnswer { reference: GatewayReference::new("pi_1"), state: GatewayState::Approved };
        gateway.expect_begin().times(1).return_once(|_| Ok(answer));
    });
    let service = world.wallet_service();
    assert_eq!(service.handle_notifications(10).await.unwrap(), 1);
    assert_eq!(service.handle_notifications(10).await.unwrap(), 0);
    assert_eq!(world.balance().await, AMOUNT);

    // What is about nothing, or about what has ended or is unknown, needs no answer.
    world.gateway = verifies(about(None));
    world.wallet_service().receive_notification(&[], b"{}").await.unwrap();
    for (id, charge_id) in [("evt_2", charge.id), ("evt_3", ChargeId::new(TestEntropy.uuid()))] {
        world.stage.storage.gateway_inbox.keep(id, charge_id, instant(0)).await.unwrap();
    }
    world.gateway = Arc::new(MockPaymentGateway::new());
    assert_eq!(world.wallet_service().handle_notifications(10).await.unwrap(), 2);
}

#[tokio::test]
async fn a_refund_that_a_bank_sent_back_gives_the_points_back() {
    let mut world = World::new().await;
    let charge = world.charged().await;
    world.gateway = gateway(Ok(RefundVerdict::Accepted));
    world.refund(charge.id, 2_000).await.unwrap();
    world.stage.storage.gateway_inbox.keep("evt", charge.id, instant(0)).await.unwrap();
    let unreachable = GatewayError::Failed("connection refused".into());
    for (result, handled, balance) in
        [(Err(GatewayError::TimedOut), 0, 3_000), (Err(unreachable), 0, 3_000), (Ok(RefundVerdict::Refused), 1, AMOUNT)]
    {
        world.gateway = gateway(result);
        assert_eq!(world.wallet_service().handle_notifications(10).await.unwrap(), handled);
        assert_eq!(world.balance().await, balance);
    }
}

#[tokio::test]
async fn a_gateway_that_gives_nothing_back_leaves_the_points_where_they_are() {
    let mut world = World::new().await;
    let charge = world.charged().await;
    world.gateway = gateway(Err(GatewayError::Unsupported));
    assert_refused!(world.refund(charge.id, 2_000).await, RefundPointsError::Declined(_));
    assert_eq!(world.balance().await, AMOUNT);
}

#[tokio::test]
async fn a_payment_that_is_not_that_of_its_charge_is_not_asked_about_for_ever() {
    let mut world = World::new().await;
    let charge = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
    world.stage.storage.gateway_inbox.keep("evt", charge.id, instant(0)).await.unwrap();
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_begin().times(1).return_once(|_| Err(GatewayError::Conflict));
    });
    assert_eq!(world.wallet_service().handle_notifications(10).await.unwrap(), 1);
    assert_eq!(world.stage.storage.wallets.charge(charge.id).await.unwrap().unwrap().state, ChargeState::Pending);
}

#[tokio::test]
async fn a_notification_that_is_not_genuine_is_not_kept() {
    let mut world = World::new().await;
    world.gateway = verifies(Err(NotificationRefusal::Forged));
    let refused = world.wallet_service().receive_notification(&[], b"{}").await;
    assert_refused!(refused, NotificationError::Refused(NotificationRefusal::Forged));
    let service = WalletService { gateway: None, ..world.wallet_service() };
    let refused = service.receive_notification(&[], b"{}").await;
    assert_refused!(refused, NotificationError::Refused(NotificationRefusal::NotExpected));
}

// The books

/// As far as the clock of the tests is from the time of which ids are made.
const MARGIN: TimeDelta = TimeDelta::days(40 * 365);

fn record(charge: &Charge, is_paid: bool, refunded: i64) -> GatewayRecord {
    GatewayRecord {
        reference: GatewayReference::new(format!("pi_{}", charge.id)).unwrap(),
        charge_id: Some(charge.id),
        amount: charge.amount,
        is_paid,
        refunded: points(refunded),
        created_at: charge.created_at,
    }
}

impl World {
    async fn reconciled(&mut self, records: Vec<GatewayRecord>) -> Reconciliation {
        self.gateway = mock(|gateway: &mut MockPaymentGateway| {
            let asked = gateway.expect_records().withf(|from, until, limit| {
                (*from, *until, *limit) == (instant(0) - MARGIN, instant(60) + MARGIN, 1_000)
            });
            asked.times(1).return_once(|_, _, _| Ok(records));
        });
        self.wallet_service().reconcile(instant(0), instant(60), MARGIN, 1_000).await.unwrap()
    }
}

#[tokio::test]
async fn books_that_agree_have_no_differences() {
    let mut world = World::new().await;
    // The balance of the buyer is a charge too, which the gateway has.
    let first = world.stage.storage.wallets.charges(boxoffice_domain::page::PageRequest { limit: 9, after: None });
    let mut records: Vec<_> = first.await.unwrap().items.iter().map(|charge| record(charge, true, 0)).collect();
    let before = records.len();
    let charge = world.charged().await;
    let request = |number| ChargeRefundRequest { amount: Some(amount(number)), ..charge_refund_request(&charge) };
    let done = world.stage.begin_charge_refund(request(100)).await.unwrap().value;
    world.stage.complete_charge_refund(done.id, RefundVerdict::Accepted).await.unwrap();
    // The answer about this one was lost.
    world.stage.begin_charge_refund(request(50)).await.unwrap();
    let open = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
    let foreign = GatewayRecord { charge_id: None, ..record(&charge, true, 0) };
    records.extend([record(&open, false, 0), foreign]);
    for given_back in [100, 150] {
        let mut records = records.clone();
        records.push(record(&charge, true, given_back));
        let found = world.reconciled(records).await;
        assert_eq!((found.charges, found.records, found.foreign), (before + 2, before + 3, 1));
        assert_eq!(found.differences, vec![]);
    }
}

#[tokio::test]
async fn each_difference_is_named() {
    let mut world = World::new().await;
    let all = world.stage.storage.wallets.charges(boxoffice_domain::page::PageRequest { limit: 9, after: None });
    let mut records: Vec<_> = all.await.unwrap().items.iter().map(|charge| record(charge, true, 0)).collect();
    let mut charges = Vec::new();
    for _ in 0..5 {
        charges.push(world.charged().await);
    }
    let mut declined = Vec::new();
    for _ in 0..2 {
        let begun = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
        let verdict = GatewayVerdict::Declined(DeclineReason::Refused);
        declined.push(world.stage.complete_charge(begun.id, verdict).await.unwrap());
    }
    let [open, returned] = &declined[..] else { panic!("two") };
    let (open, returned) = (open.clone(), returned.clone());
    let unknown = Charge { id: ChargeId::new(TestEntropy.uuid()), ..open.clone() };
    let other_amount = GatewayRecord { amount: points(1), ..record(&charges[2], true, 0) };
    let second = GatewayRecord { reference: GatewayReference::new("pi_2").unwrap(), ..record(&charges[3], true, 0) };
    records.extend([
        record(&charges[1], false, 0),
        other_amount,
        record(&charges[3], true, 0),
        second.clone(),
        record(&charges[4], true, 7),
        record(&open, true, 0),
        record(&returned, true, AMOUNT),
        record(&unknown, true, 0),
    ]);
    let reference = |charge: &Charge| GatewayReference::new(format!("pi_{}", charge.id)).unwrap();
    let found = world.reconciled(records).await;
    let expected = [
        Difference::NotHere { charge_id: unknown.id, reference: reference(&unknown), amount: points(AMOUNT) },
        Difference::NotAtGateway { charge_id: charges[0].id, amount: points(AMOUNT) },
        Difference::NotPaid { charge_id: charges[1].id, reference: reference(&charges[1]) },
        Difference::Amount { charge_id: charges[2].id, here: points(AMOUNT), at_gateway: points(1) },
        Difference::PaidTwice { charge_id: charges[3].id, references: vec![reference(&charges[3]), second.reference] },
        Difference::Refunded { charge_id: charges[4].id, here: Points::ZERO, at_gateway: points(7) },
        Difference::NotCredited { charge_id: open.id, reference: reference(&open) },
    ];
    assert_eq!(found.differences, expected);
    for difference in &found.differences {
        assert!(difference.to_string().contains("charge "), "{difference}");
    }
}

#[tokio::test]
async fn without_a_gateway_or_its_books_nothing_is_compared() {
    let mut world = World::new().await;
    let service = WalletService { gateway: None, ..world.wallet_service() };
    let refused = service.reconcile(instant(0), instant(1), TimeDelta::zero(), 1).await;
    assert_refused!(refused, ReconcileError::Unavailable);
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_records().times(1).return_once(|_, _, _| Err(GatewayError::Unsupported));
    });
    let refused = world.wallet_service().reconcile(instant(0), instant(1), TimeDelta::zero(), 1).await;
    assert_refused!(refused, ReconcileError::Gateway(GatewayError::Unsupported));
}
