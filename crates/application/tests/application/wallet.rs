use std::sync::Arc;

use boxoffice_application::{
    WalletService, fingerprint,
    wallet::{ChargePointsError, Resolved},
};
use boxoffice_contracts::storage::charge_request;
use boxoffice_domain::{
    ChargeId, Clock, SellingRules, StorageError,
    fixtures::{instant, selling_rules},
    gateway::{GatewayError, GatewayRequest, GatewayVerdict, MockPaymentGateway},
    idempotency::{KeyReused, Made},
    wallet::{Charge, ChargeAmount, ChargeRefusal, ChargeState, MockWallets, PendingKey},
};
use mockall::predicate::eq;

use crate::support::{BALANCE, World, assert_refused, mock, points, under};

const AMOUNT: i64 = 5_000;

type GatewayResult = Result<GatewayVerdict, GatewayError>;

/// A gateway that is asked once.
fn gateway(result: GatewayResult) -> Arc<MockPaymentGateway> {
    mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_charge().times(1).return_once(|_| result);
    })
}

impl World {
    /// Charges [`AMOUNT`] points under the key `k`.
    async fn charge(&self) -> Result<Made<Charge>, ChargePointsError> {
        self.charge_amount(AMOUNT).await
    }

    async fn charge_amount(&self, amount: i64) -> Result<Made<Charge>, ChargePointsError> {
        let key = under("k", fingerprint::charge(points(amount)));
        self.wallet_service().charge(self.buyer(), ChargeAmount::new(points(amount)).unwrap(), key).await
    }

    async fn charge_state(&self, id: ChargeId) -> ChargeState {
        self.wallet_service().find_charge(self.buyer(), id).await.unwrap().unwrap().state
    }

    /// Charges that the gateway was not asked about yet, one for each result, the oldest first.
    async fn pending(&mut self, results: Vec<GatewayResult>) -> Vec<Charge> {
        let mut charges = Vec::new();
        let mut gateway = MockPaymentGateway::new();
        for result in results {
            let charge = self.stage.begin_charge(charge_request(self.buyer, AMOUNT)).await.unwrap().value;
            let id = charge.id;
            let asked = gateway.expect_charge().withf(move |request| request.charge_id == id);
            asked.times(1).return_once(|_| result);
            charges.push(charge);
            self.stage.clock.advance_seconds(1);
        }
        self.gateway = Arc::new(gateway);
        charges
    }
}

// Charging

#[tokio::test]
async fn a_charge_is_recorded_then_asked_for_under_its_id_then_credited() {
    let mut world = World::new().await;
    world.gateway = gateway(Err(GatewayError::TimedOut));
    let Err(ChargePointsError::Gateway { charge_id, .. }) = world.charge().await else { panic!("no verdict") };
    let request = GatewayRequest { charge_id, account_id: world.buyer, amount: points(AMOUNT) };
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_charge().with(eq(request)).times(1).return_once(|_| Ok(GatewayVerdict::Approved));
    });
    let made = world.charge().await.unwrap();
    assert!(made.replayed);
    assert_eq!(world.charge_state(charge_id).await, made.value.state);
    assert!(matches!(made.value.state, ChargeState::Completed { .. }));
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE + AMOUNT);
    let wallet = world.wallet_service().balance(world.buyer()).await.unwrap();
    assert_eq!(wallet.map(|wallet| wallet.balance), Some(points(BALANCE + AMOUNT)));
}

#[tokio::test]
async fn a_gateway_that_gives_no_verdict_leaves_the_charge_pending() {
    for (error, timed_out) in [(GatewayError::TimedOut, true), (GatewayError::Failed("out of order".into()), false)] {
        let mut world = World::new().await;
        world.gateway = gateway(Err(error));
        let Err(ChargePointsError::Gateway { charge_id, source }) = world.charge().await else { panic!("a verdict") };
        assert_eq!(matches!(source, GatewayError::TimedOut), timed_out);
        assert_eq!(world.charge_state(charge_id).await, ChargeState::Pending);
        assert_eq!(world.stage.balance(world.buyer).await, BALANCE);
    }
}

#[tokio::test]
async fn a_completed_charge_is_answered_again_without_the_gateway() {
    let mut world = World::new().await;
    world.gateway = gateway(Ok(GatewayVerdict::Approved));
    let made = world.charge().await.unwrap();
    assert_eq!(world.charge().await.unwrap(), Made::before(made.value));
    assert!(!made.replayed);
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE + AMOUNT);
    let other = world.charge_amount(AMOUNT + 1).await;
    assert_refused!(other, ChargePointsError::Refused(ChargeRefusal::KeyReused(KeyReused)));
}

#[tokio::test]
async fn a_charge_that_the_gateway_declines_credits_nothing_and_stays_declined() {
    let mut world = World::new().await;
    world.gateway = gateway(Ok(GatewayVerdict::Declined));
    for _ in 0..2 {
        let declined = ChargeState::Declined { declined_at: instant(0) };
        assert_refused!(world.charge().await, ChargePointsError::Declined(charge) if charge.state == declined);
    }
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE);
}

#[tokio::test]
async fn the_gateway_is_not_asked_about_a_charge_that_is_not_recorded() {
    let mut world = World::new().await;
    let rules = SellingRules { balance_points_max: points(BALANCE + AMOUNT - 1), ..selling_rules() };
    let service = WalletService { rules, ..world.wallet_service() };
    let (amount, key) = (ChargeAmount::new(points(AMOUNT)).unwrap(), under("k", fingerprint::charge(points(AMOUNT))));
    let charged = service.charge(world.buyer(), amount, key).await;
    assert_refused!(charged, ChargePointsError::Refused(ChargeRefusal::BalanceLimitReached));

    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_begin_charge().return_once(|_| Err(StorageError::Busy.into()));
    });
    assert_refused!(world.charge().await, ChargePointsError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn an_approved_charge_that_is_not_credited_is_a_failure_or_ends_as_the_storage_says() {
    let mut world = World::new().await;
    // The worker got another verdict while this request waited for a late approval: the storage keeps the first.
    let begun = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
    let declined = world.stage.complete_charge(begun.id, GatewayVerdict::Declined).await;
    for (answer, expected) in [(Err(StorageError::Busy), "busy"), (Ok(None), "failed"), (Ok(declined), "declined")] {
        let pending = Made::now(begun.clone());
        world.gateway = gateway(Ok(GatewayVerdict::Approved));
        world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
            wallets.expect_begin_charge().return_once(|_| Ok(pending));
            wallets.expect_complete_charge().return_once(|_, _| answer);
        });
        let found = match world.charge().await {
            Err(ChargePointsError::Storage(StorageError::Busy)) => "busy",
            Err(ChargePointsError::Storage(StorageError::Failed(_))) => "failed",
            Err(ChargePointsError::Declined(_)) => "declined",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn without_a_gateway_nothing_is_charged_or_recorded_and_pending_charges_stay() {
    let mut world = World::new().await;
    let charges = world.pending(vec![]).await;
    assert!(charges.is_empty());
    let pending = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
    world.stage.clock.set(instant(7_200));
    let service = WalletService { gateway: None, ..world.wallet_service() };
    let key = under("k", fingerprint::charge(points(AMOUNT)));
    let charged = service.charge(world.buyer(), ChargeAmount::new(points(AMOUNT)).unwrap(), key).await;
    assert_refused!(charged, ChargePointsError::Unavailable);
    assert_eq!(service.resolve_pending(30, None, 10).await.unwrap(), Resolved::default());
    let stored = world.stage.storage.wallets.pending_charges(world.stage.clock.now(), None, 10).await.unwrap();
    assert_eq!(stored, [pending]);
}

// Pending charges

#[tokio::test]
async fn a_charge_without_a_verdict_for_too_long_is_asked_about_again_then_declined() {
    let mut world = World::new().await;
    let silent = || Err(GatewayError::TimedOut);
    let charges = world.pending(vec![silent(), Ok(GatewayVerdict::Approved), silent()]).await;
    // The third has been pending for an hour and no longer.
    world.stage.clock.set(instant(3_600 + 2));
    let resolved = world.wallet_service().resolve_pending(30, None, 10).await.unwrap();
    assert_eq!(resolved, Resolved { ended: 1, pending: 1, lapsed: 1, next: None });
    let declined = ChargeState::Declined { declined_at: instant(3_602) };
    assert_eq!(world.charge_state(charges[0].id).await, declined);
    assert!(matches!(world.charge_state(charges[1].id).await, ChargeState::Completed { .. }));
    assert_eq!(world.charge_state(charges[2].id).await, ChargeState::Pending);
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE + AMOUNT);
}

#[tokio::test]
async fn a_verdict_that_another_instance_got_meanwhile_counts_rather_than_the_lapse() {
    let mut world = World::new().await;
    let charge = world.pending(vec![Err(GatewayError::TimedOut)]).await.remove(0);
    world.stage.clock.set(instant(7_200));
    let completed = world.stage.storage.wallets.complete_charge(charge.id, GatewayVerdict::Approved).await.unwrap();
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        let lapses = (eq(charge.id), eq(GatewayVerdict::Declined));
        wallets.expect_complete_charge().with(lapses.0, lapses.1).times(1).return_once(|_, _| Ok(completed));
        wallets.expect_pending_charges().times(1).return_once(|_, _, _| Ok(vec![charge]));
    });
    let resolved = world.wallet_service().resolve_pending(30, None, 10).await.unwrap();
    assert_eq!(resolved, Resolved::default());
}

#[tokio::test]
async fn pending_charges_are_ended_or_counted_as_still_pending() {
    let mut world = World::new().await;
    let results = vec![Ok(GatewayVerdict::Approved), Err(GatewayError::TimedOut), Ok(GatewayVerdict::Declined)];
    let charges = world.pending(results).await;
    world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap();
    world.stage.clock.set(instant(30 + 3));
    // The fourth has been pending for 30 seconds and no longer.
    let resolved = world.wallet_service().resolve_pending(30, None, 10).await.unwrap();
    assert_eq!(resolved, Resolved { ended: 2, pending: 1, ..Resolved::default() });
    assert!(matches!(world.charge_state(charges[0].id).await, ChargeState::Completed { .. }));
    assert_eq!(world.charge_state(charges[1].id).await, ChargeState::Pending);
    assert!(matches!(world.charge_state(charges[2].id).await, ChargeState::Declined { .. }));
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE + AMOUNT);
}

#[tokio::test]
async fn a_full_round_says_where_the_next_one_goes_on() {
    let mut world = World::new().await;
    let charges = world.pending(vec![Err(GatewayError::TimedOut), Err(GatewayError::TimedOut)]).await;
    let key = |charge: &Charge| PendingKey { created_at: charge.created_at, id: charge.id };
    let service = world.wallet_service();
    world.stage.clock.set(instant(100));
    let mut next = None;
    for charge in &charges {
        let resolved = service.resolve_pending(30, next, 1).await.unwrap();
        next = Some(key(charge));
        assert_eq!(resolved, Resolved { pending: 1, next, ..Resolved::default() });
    }
    assert_eq!(service.resolve_pending(30, next, 1).await.unwrap(), Resolved::default());
}

#[tokio::test]
async fn a_storage_that_fails_ends_the_round() {
    let mut world = World::new().await;
    let mut charges = world.pending(vec![Ok(GatewayVerdict::Approved)]).await;
    charges.push(charges[0].clone());
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_pending_charges().times(1).return_once(|_, _, _| Ok(charges));
        wallets.expect_complete_charge().times(1).return_once(|_, _| Err(StorageError::Busy));
    });
    assert_refused!(world.wallet_service().resolve_pending(30, None, 10).await, StorageError::Busy);

    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_pending_charges().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    });
    assert_refused!(world.wallet_service().resolve_pending(30, None, 10).await, StorageError::Busy);
}
