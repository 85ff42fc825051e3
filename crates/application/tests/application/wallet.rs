use boxoffice_application::wallet::{ChargePointsError, Resolved};
use boxoffice_domain::{
    ChargeId, Points, StorageError,
    fixtures::instant,
    idempotency::{KeyReused, Made},
    page::{Page, PageRequest},
    payments::{GatewayError, GatewayRequest},
    wallet::{
        BALANCE_MAX, Charge, ChargeRefusal, ChargeRequest, ChargeState, EntryKind, GatewayVerdict, PendingKey, Wallet,
        WalletEntry,
    },
};
use mockall::{Sequence, predicate::eq};
use uuid::Uuid;

use crate::support::{ACCOUNT, NEW_ID, World, asked, assert_refused, customer, points};

const CHARGE: ChargeId = ChargeId::new(NEW_ID);
const COMPLETED: ChargeState =
    ChargeState::Completed { balance_after: Points::ZERO, completed_at: chrono::DateTime::UNIX_EPOCH };
const DECLINED: ChargeState = ChargeState::Declined { declined_at: chrono::DateTime::UNIX_EPOCH };

fn charge(id: ChargeId, state: ChargeState) -> Charge {
    let idempotency = asked("k", "5000");
    Charge { id, account_id: ACCOUNT, amount: points(5_000), state, created_at: instant(0), idempotency }
}

fn gateway_request(charge_id: ChargeId) -> GatewayRequest {
    GatewayRequest { charge_id, account_id: ACCOUNT, amount: points(5_000) }
}

impl World {
    fn charge_begins(&mut self, begun: Made<Charge>) {
        let idempotency = asked("k", "5000");
        let request = ChargeRequest {
            charge_id: CHARGE,
            account_id: ACCOUNT,
            amount: points(5_000),
            balance_max: points(BALANCE_MAX),
            idempotency,
        };
        self.makes_an_id();
        self.wallets.expect_begin_charge().with(eq(request)).times(1).return_once(|_| Ok(begun));
    }

    fn gateway_says(&mut self, id: ChargeId, said: Result<GatewayVerdict, GatewayError>) {
        self.gateway.expect_charge().with(eq(gateway_request(id))).times(1).return_once(|_| said);
    }

    fn charge_ends(&mut self, id: ChargeId, verdict: GatewayVerdict, ended: Option<Charge>) {
        self.wallets.expect_complete_charge().with(eq(id), eq(verdict)).times(1).return_once(|_, _| Ok(ended));
    }

    async fn charge(self) -> Result<Made<Charge>, ChargePointsError> {
        self.wallet_service().charge(customer(), points(5_000), asked("k", "5000")).await
    }
}

// Charging

#[tokio::test]
async fn a_charge_is_recorded_then_asked_for_under_its_id_then_credited() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    let pending = Made::now(charge(CHARGE, ChargeState::Pending));
    let completed = charge(CHARGE, COMPLETED);
    world.makes_an_id();
    world.wallets.expect_begin_charge().times(1).in_sequence(&mut order).return_once(|_| Ok(pending));
    let asks = world.gateway.expect_charge().with(eq(gateway_request(CHARGE)));
    asks.times(1).in_sequence(&mut order).return_once(|_| Ok(GatewayVerdict::Approved));
    let ends = world.wallets.expect_complete_charge().with(eq(CHARGE), eq(GatewayVerdict::Approved));
    ends.times(1).in_sequence(&mut order).return_once(|_, _| Ok(Some(completed)));
    assert_eq!(world.charge().await.unwrap(), Made::now(charge(CHARGE, COMPLETED)));
}

#[tokio::test]
async fn a_charge_is_the_callers_of_the_amount_asked_for_under_its_key() {
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Ok(GatewayVerdict::Approved));
    world.charge_ends(CHARGE, GatewayVerdict::Approved, Some(charge(CHARGE, COMPLETED)));
    assert!(!world.charge().await.unwrap().replayed);
}

#[tokio::test]
async fn a_key_that_names_another_charge_is_told_as_reused() {
    let mut world = World::new();
    world.makes_an_id();
    let begins = world.wallets.expect_begin_charge().times(1);
    begins.return_once(|_| Err(ChargeRefusal::KeyReused(KeyReused).into()));
    assert_refused!(world.charge().await, ChargePointsError::Refused(ChargeRefusal::KeyReused(KeyReused)));
}

#[tokio::test]
async fn the_gateway_hears_nothing_of_a_charge_past_the_limit_of_the_balance() {
    let mut world = World::new();
    world.makes_an_id();
    let refusal = ChargeRefusal::BalanceLimitReached;
    world.wallets.expect_begin_charge().times(1).return_once(move |_| Err(refusal.into()));
    assert_refused!(world.charge().await, ChargePointsError::Refused(ChargeRefusal::BalanceLimitReached));
}

#[tokio::test]
async fn the_gateway_hears_nothing_of_a_charge_that_could_not_be_recorded() {
    let mut world = World::new();
    world.makes_an_id();
    world.wallets.expect_begin_charge().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.charge().await, ChargePointsError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_charge_that_the_gateway_declines_is_ended_without_credit_and_told() {
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Ok(GatewayVerdict::Declined));
    world.charge_ends(CHARGE, GatewayVerdict::Declined, Some(charge(CHARGE, DECLINED)));
    assert_refused!(world.charge().await, ChargePointsError::Declined(told) if *told == charge(CHARGE, DECLINED));
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_in_time_leaves_the_charge_pending() {
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Err(GatewayError::TimedOut));
    assert_refused!(
        world.charge().await,
        ChargePointsError::Gateway { charge_id: CHARGE, source: GatewayError::TimedOut }
    );
}

#[tokio::test]
async fn a_gateway_that_fails_leaves_the_charge_pending() {
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Err(GatewayError::Failed("out of order".into())));
    assert_refused!(
        world.charge().await,
        ChargePointsError::Gateway { charge_id: CHARGE, source: GatewayError::Failed(_) }
    );
}

#[tokio::test]
async fn an_approved_charge_that_could_not_be_credited_is_a_failure_of_the_storage() {
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Ok(GatewayVerdict::Approved));
    world.wallets.expect_complete_charge().times(1).return_once(|_, _| Err(StorageError::Busy));
    assert_refused!(world.charge().await, ChargePointsError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_charge_that_vanishes_while_the_gateway_is_asked_is_a_failure_of_the_storage() {
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Ok(GatewayVerdict::Approved));
    world.charge_ends(CHARGE, GatewayVerdict::Approved, None);
    assert_refused!(world.charge().await, ChargePointsError::Storage(StorageError::Failed(_)));
}

// Repeating

#[tokio::test]
async fn a_repeated_charge_that_is_completed_is_answered_without_the_gateway() {
    let mut world = World::new();
    world.charge_begins(Made::before(charge(CHARGE, COMPLETED)));
    assert_eq!(world.charge().await.unwrap(), Made::before(charge(CHARGE, COMPLETED)));
}

#[tokio::test]
async fn a_repeated_charge_that_was_declined_stays_declined_without_the_gateway() {
    let mut world = World::new();
    world.charge_begins(Made::before(charge(CHARGE, DECLINED)));
    assert_refused!(world.charge().await, ChargePointsError::Declined(_));
}

#[tokio::test]
async fn a_repeated_charge_that_is_pending_is_asked_for_again_under_its_first_id() {
    let first = ChargeId::new(Uuid::from_u128(77));
    let mut world = World::new();
    world.charge_begins(Made::before(charge(first, ChargeState::Pending)));
    world.gateway_says(first, Ok(GatewayVerdict::Approved));
    world.charge_ends(first, GatewayVerdict::Approved, Some(charge(first, COMPLETED)));
    assert_eq!(world.charge().await.unwrap(), Made::before(charge(first, COMPLETED)));
}

#[tokio::test]
async fn whoever_ended_the_charge_meanwhile_the_answer_is_the_charge_as_it_ended() {
    // The worker was told that the charge is declined while this request waited for a late approval: the
    // storage keeps the first verdict.
    let mut world = World::new();
    world.charge_begins(Made::now(charge(CHARGE, ChargeState::Pending)));
    world.gateway_says(CHARGE, Ok(GatewayVerdict::Approved));
    world.charge_ends(CHARGE, GatewayVerdict::Approved, Some(charge(CHARGE, DECLINED)));
    assert_refused!(world.charge().await, ChargePointsError::Declined(_));
}

// Pending charges

fn pending(id: u128) -> Charge {
    charge(ChargeId::new(Uuid::from_u128(id)), ChargeState::Pending)
}

impl World {
    /// Three charges have been pending for 30 seconds.
    fn three_are_pending(&mut self) {
        let charges = vec![pending(1), pending(2), pending(3)];
        let asked = self.wallets.expect_pending_charges().with(eq(instant(-30)), eq(None), eq(10));
        asked.times(1).return_once(|_, _, _| Ok(charges));
    }

    async fn resolve(self) -> Result<Resolved, StorageError> {
        self.wallet_service().resolve_pending(30, None, 10).await
    }
}

#[tokio::test]
async fn pending_charges_are_ended_or_counted_as_still_pending() {
    let mut world = World::new();
    world.three_are_pending();
    let (approved, silent, declined) = (pending(1).id, pending(2).id, pending(3).id);
    world.gateway_says(approved, Ok(GatewayVerdict::Approved));
    world.gateway_says(silent, Err(GatewayError::TimedOut));
    world.gateway_says(declined, Ok(GatewayVerdict::Declined));
    world.charge_ends(approved, GatewayVerdict::Approved, Some(charge(approved, COMPLETED)));
    world.charge_ends(declined, GatewayVerdict::Declined, Some(charge(declined, DECLINED)));
    assert_eq!(world.resolve().await.unwrap(), Resolved { ended: 2, pending: 1, next: None });
}

#[tokio::test]
async fn a_full_turn_tells_where_the_next_one_goes_on() {
    let mut world = World::new();
    let (first, last) = (pending(1), pending(2));
    let key = |charge: &Charge| PendingKey { created_at: charge.created_at, id: charge.id };
    let (after, next) = (key(&first), key(&last));
    let asked = world.wallets.expect_pending_charges().with(eq(instant(-30)), eq(Some(after)), eq(1));
    let id = last.id;
    asked.times(1).return_once(|_, _, _| Ok(vec![last]));
    world.gateway_says(id, Err(GatewayError::TimedOut));
    let resolved = world.wallet_service().resolve_pending(30, Some(after), 1).await.unwrap();
    assert_eq!(resolved, Resolved { ended: 0, pending: 1, next: Some(next) });
}

#[tokio::test]
async fn a_storage_that_fails_stops_the_asking() {
    let mut world = World::new();
    world.three_are_pending();
    world.gateway_says(pending(1).id, Ok(GatewayVerdict::Approved));
    world.wallets.expect_complete_charge().times(1).return_once(|_, _| Err(StorageError::Busy));
    assert_refused!(world.resolve().await, StorageError::Busy);
}

#[tokio::test]
async fn without_pending_charges_the_gateway_is_left_alone() {
    let mut world = World::new();
    world.wallets.expect_pending_charges().times(1).return_once(|_, _, _| Ok(vec![]));
    assert_eq!(world.resolve().await.unwrap(), Resolved::default());
}

#[tokio::test]
async fn pending_charges_that_cannot_be_read_are_an_error() {
    let mut world = World::new();
    world.wallets.expect_pending_charges().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    assert_refused!(world.resolve().await, StorageError::Busy);
}

// Reading

#[tokio::test]
async fn the_balance_is_that_of_the_callers_wallet() {
    let mut world = World::new();
    let wallet = Wallet::new(ACCOUNT, instant(0));
    let found = wallet.clone();
    world.wallets.expect_find().with(eq(ACCOUNT)).times(1).return_once(|_| Ok(Some(found)));
    assert_eq!(world.wallet_service().balance(customer()).await.unwrap(), Some(wallet));
}

#[tokio::test]
async fn the_entries_are_those_of_the_callers_wallet() {
    let mut world = World::new();
    let entry = WalletEntry {
        account_id: ACCOUNT,
        sequence: 1,
        kind: EntryKind::Charge { charge_id: CHARGE },
        amount: 5_000,
        balance_after: points(5_000),
        created_at: instant(0),
    };
    let (page, asked) = (Page { items: vec![entry], next: Some(1) }, PageRequest { limit: 1, after: Some(2) });
    let given = page.clone();
    world.wallets.expect_entries().with(eq(ACCOUNT), eq(asked.clone())).times(1).return_once(|_, _| Ok(given));
    assert_eq!(world.wallet_service().entries(customer(), asked).await.unwrap(), page);
}

#[tokio::test]
async fn a_charge_is_looked_for_among_the_callers_alone() {
    let mut world = World::new();
    world.wallets.expect_find_charge().with(eq(ACCOUNT), eq(CHARGE)).times(1).return_once(|_, _| Ok(None));
    assert_eq!(world.wallet_service().find_charge(customer(), CHARGE).await.unwrap(), None);
}
