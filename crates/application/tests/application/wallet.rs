use std::sync::Arc;

use boxoffice_application::{
    WalletService, fingerprint,
    wallet::{ChargePointsError, Charged, Resolved},
};
use boxoffice_contracts::storage::charge_request;
use boxoffice_domain::{
    ChargeId, Clock, SellingRules, StorageError,
    fixtures::{instant, selling_rules},
    gateway::{
        ClientAction, DeclineReason, GatewayAnswer, GatewayError, GatewayReference, GatewayState, GatewayVerdict,
        MockPaymentGateway,
    },
    idempotency::{KeyReused, Made},
    wallet::{Charge, ChargeAmount, ChargeRefusal, ChargeState, MockWallets, PendingKey},
};
use mockall::predicate::{always, eq};

use crate::support::{BALANCE, World, assert_refused, mock, points, under};

const AMOUNT: i64 = 5_000;

type GatewayResult = Result<GatewayAnswer, GatewayError>;

const DECLINED: GatewayState = GatewayState::Declined(DeclineReason::InsufficientFunds);

fn answer(state: GatewayState) -> GatewayAnswer {
    GatewayAnswer { reference: GatewayReference::new("pi_1"), state }
}

fn approved() -> GatewayAnswer {
    answer(GatewayState::Approved)
}

fn declined() -> GatewayAnswer {
    answer(DECLINED)
}

fn declined_at(seconds: i64) -> ChargeState {
    ChargeState::Declined { reason: DeclineReason::InsufficientFunds, declined_at: instant(seconds) }
}

/// A gateway that is asked to begin a charge once.
fn gateway(result: GatewayResult) -> Arc<MockPaymentGateway> {
    mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_begin().times(1).return_once(|_| result);
    })
}

impl World {
    /// Charges [`AMOUNT`] points under the key `k`.
    async fn charge(&self) -> Result<Made<Charged>, ChargePointsError> {
        self.charge_amount(AMOUNT).await
    }

    async fn charge_amount(&self, amount: i64) -> Result<Made<Charged>, ChargePointsError> {
        let key = under("k", fingerprint::charge(points(amount), None));
        self.wallet_service().charge(self.buyer(), ChargeAmount::new(points(amount)).unwrap(), None, key).await
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
            let asked = gateway.expect_begin().withf(move |request| request.charge_id == id);
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
    let request =
        world.wallet_service().find_charge(world.buyer(), charge_id).await.unwrap().unwrap().gateway_request();
    assert_eq!((request.account_id, request.amount), (world.buyer, points(AMOUNT)));
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_begin().with(eq(request)).times(1).return_once(|_| Ok(approved()));
    });
    let made = world.charge().await.unwrap();
    assert!(made.replayed);
    let charge = made.value.charge;
    assert_eq!(world.charge_state(charge_id).await, charge.state);
    assert!(matches!(charge.state, ChargeState::Completed { .. }));
    assert_eq!(charge.reference, GatewayReference::new("pi_1"));
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
    world.gateway = gateway(Ok(approved()));
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
    world.gateway = gateway(Ok(declined()));
    for _ in 0..2 {
        assert_refused!(world.charge().await, ChargePointsError::Declined(charge) if charge.state == declined_at(0));
    }
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE);
}

#[tokio::test]
async fn the_gateway_is_not_asked_about_a_charge_that_is_not_recorded() {
    let mut world = World::new().await;
    let rules = SellingRules { balance_points_max: points(BALANCE + AMOUNT - 1), ..selling_rules() };
    let service = WalletService { rules, ..world.wallet_service() };
    let (amount, key) =
        (ChargeAmount::new(points(AMOUNT)).unwrap(), under("k", fingerprint::charge(points(AMOUNT), None)));
    let charged = service.charge(world.buyer(), amount, None, key).await;
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
    let declined = world.stage.complete_charge(begun.id, GatewayVerdict::Declined(DeclineReason::Refused)).await;
    for (answer, expected) in [(Err(StorageError::Busy), "busy"), (Ok(None), "failed"), (Ok(declined), "declined")] {
        let pending = Made::now(begun.clone());
        world.gateway = gateway(Ok(approved()));
        world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
            wallets.expect_begin_charge().return_once(|_| Ok(pending));
            wallets.expect_complete_charge().return_once(|_, _, _| answer);
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
    let key = under("k", fingerprint::charge(points(AMOUNT), None));
    let charged = service.charge(world.buyer(), ChargeAmount::new(points(AMOUNT)).unwrap(), None, key).await;
    assert_refused!(charged, ChargePointsError::Unavailable);
    assert_eq!(service.resolve_pending(30, None, 10).await.unwrap(), Resolved::default());
    let stored = world.stage.storage.wallets.open_charges(false, world.stage.clock.now(), None, 10).await.unwrap();
    assert_eq!(stored, [pending]);
}

#[tokio::test]
async fn a_buyer_who_has_to_act_learns_how_and_is_credited_when_that_is_done() {
    let mut world = World::new().await;
    let action = ClientAction { client_secret: "secret".to_owned(), redirect_url: None };
    let to_act = || Ok(answer(GatewayState::ActionRequired(action.clone())));
    world.gateway = gateway(to_act());
    let made = world.charge().await.unwrap();
    assert_eq!((made.value.charge.state, made.value.action.as_ref()), (ChargeState::RequiresAction, Some(&action)));
    // Repeated, it tells again what is to be done, and then that it is done.
    for (result, expected) in [(to_act(), Some(&action)), (Ok(approved()), None)] {
        world.gateway = mock(|gateway: &mut MockPaymentGateway| {
            gateway.expect_query().times(1).return_once(|_| result.map(Some));
        });
        assert_eq!(world.charge().await.unwrap().value.action.as_ref(), expected);
    }
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE + AMOUNT);
}

#[tokio::test]
async fn a_gateway_that_has_not_decided_leaves_the_charge_pending_without_an_error() {
    let mut world = World::new().await;
    world.gateway = gateway(Ok(answer(GatewayState::Processing)));
    let made = world.charge().await.unwrap();
    assert_eq!((made.value.charge.state, made.value.action), (ChargeState::Pending, None));
}

#[tokio::test]
async fn a_buyer_who_does_not_act_in_time_is_given_up() {
    let mut world = World::new().await;
    let action = ClientAction { client_secret: "secret".to_owned(), redirect_url: None };
    world.gateway = gateway(Ok(answer(GatewayState::ActionRequired(action.clone()))));
    let charge = world.charge().await.unwrap().value.charge;
    let still = answer(GatewayState::ActionRequired(action));
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_query().times(2).returning(move |request| {
            Ok((request.reference.is_some() && request.created_at == instant(0)).then(|| still.clone()))
        });
    });
    for seconds in [300, 600] {
        world.stage.clock.set(instant(seconds));
        let resolved = world.wallet_service().resolve_waiting(30, None, 10).await.unwrap();
        assert_eq!(resolved, Resolved { pending: 1, ..Resolved::default() });
    }
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        let abandoned = answer(GatewayState::Declined(DeclineReason::Abandoned));
        gateway.expect_abandon().times(1).return_once(|_| Ok(abandoned));
    });
    world.stage.clock.set(instant(601));
    let resolved = world.wallet_service().resolve_waiting(30, None, 10).await.unwrap();
    assert_eq!(resolved, Resolved { lapsed: 1, ..Resolved::default() });
    assert!(!world.charge_state(charge.id).await.is_open());
}

// Pending charges

#[tokio::test]
async fn a_charge_without_a_verdict_for_too_long_ends_as_the_gateway_says() {
    let mut world = World::new().await;
    let mut charges = world.pending(vec![]).await;
    let mut gateway = MockPaymentGateway::new();
    let abandoned = Ok(answer(GatewayState::Declined(DeclineReason::Abandoned)));
    for result in [abandoned, Ok(approved()), Err(GatewayError::TimedOut)] {
        let charge = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
        let request = charge.gateway_request();
        gateway.expect_abandon().with(eq(request)).times(1).return_once(|_| result);
        charges.push(charge);
    }
    world.gateway = Arc::new(gateway);
    // An hour, and a moment more.
    world.stage.clock.set(instant(3_601));
    let resolved = world.wallet_service().resolve_pending(30, None, 10).await.unwrap();
    assert_eq!(resolved, Resolved { ended: 1, pending: 1, lapsed: 1, next: None });
    let declined = ChargeState::Declined { reason: DeclineReason::Abandoned, declined_at: instant(3_601) };
    assert_eq!(world.charge_state(charges[0].id).await, declined);
    assert!(matches!(world.charge_state(charges[1].id).await, ChargeState::Completed { .. }));
    assert_eq!(world.charge_state(charges[2].id).await, ChargeState::Pending, "the money may have been taken");
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE + AMOUNT);
}

#[tokio::test]
async fn a_verdict_that_another_instance_got_meanwhile_counts_rather_than_the_lapse() {
    let mut world = World::new().await;
    let charge = world.stage.begin_charge(charge_request(world.buyer, AMOUNT)).await.unwrap().value;
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        let abandoned = answer(GatewayState::Declined(DeclineReason::Abandoned));
        gateway.expect_abandon().times(1).return_once(|_| Ok(abandoned));
    });
    world.stage.clock.set(instant(7_200));
    let completed = world.stage.complete_charge(charge.id, GatewayVerdict::Approved).await;
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        let lapses = GatewayVerdict::Declined(DeclineReason::Abandoned);
        let completes = wallets.expect_complete_charge().with(eq(charge.id), eq(lapses), always());
        completes.times(1).return_once(|_, _, _| Ok(completed));
        wallets.expect_open_charges().times(1).return_once(|_, _, _, _| Ok(vec![charge]));
    });
    let resolved = world.wallet_service().resolve_pending(30, None, 10).await.unwrap();
    assert_eq!(resolved, Resolved { ended: 1, ..Resolved::default() });
}

#[tokio::test]
async fn pending_charges_are_ended_or_counted_as_still_pending() {
    let mut world = World::new().await;
    let results = vec![Ok(approved()), Err(GatewayError::TimedOut), Ok(declined())];
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
    let mut charges = world.pending(vec![Ok(approved())]).await;
    charges.push(charges[0].clone());
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_open_charges().times(1).return_once(|_, _, _, _| Ok(charges));
        wallets.expect_complete_charge().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    });
    assert_refused!(world.wallet_service().resolve_pending(30, None, 10).await, StorageError::Busy);

    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_open_charges().times(1).return_once(|_, _, _, _| Err(StorageError::Busy));
    });
    assert_refused!(world.wallet_service().resolve_pending(30, None, 10).await, StorageError::Busy);
}
