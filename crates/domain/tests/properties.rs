//! Whatever is asked in whatever order at whatever time, the promises of the crate hold.

mod world;

use boxoffice_domain::{
    fixtures::selling_rules,
    gateway::{DeclineReason, GatewayVerdict, RefundVerdict},
};
use proptest::{prelude::*, sample::subsequence, test_runner::FileFailurePersistence};
use world::{ACCOUNTS, Command, PERFORMANCES, SEATS, World};

/// Amounts are near the prices, so that wallets run short, and now and then at the limit of the balance.
fn amount() -> impl Strategy<Value = i64> {
    let balance_max = selling_rules().balance_points_max.get();
    prop_oneof![8 => 1i64..=60, 1 => Just(balance_max / 2), 1 => Just(balance_max)]
}

fn verdict() -> impl Strategy<Value = GatewayVerdict> {
    prop_oneof![
        8 => Just(GatewayVerdict::Approved),
        2 => Just(GatewayVerdict::Declined(DeclineReason::Refused)),
        1 => Just(GatewayVerdict::ActionRequired),
    ]
}

fn refund_verdict() -> impl Strategy<Value = RefundVerdict> {
    prop_oneof![2 => Just(RefundVerdict::Accepted), 1 => Just(RefundVerdict::Refused)]
}

fn command() -> impl Strategy<Value = Command> {
    let seats = || subsequence((0..SEATS).collect::<Vec<_>>(), 1..=SEATS);
    // Mostly the owner acts on a reservation, and sometimes somebody else tries to.
    let stranger = || prop::option::weighted(0.1, 0..ACCOUNTS);
    prop_oneof![
        6 => (0..ACCOUNTS, 0..PERFORMANCES, seats())
            .prop_map(|(account, performance, seats)| Command::Hold { account, performance, seats }),
        5 => (any::<prop::sample::Index>(), stranger())
            .prop_map(|(reservation, stranger)| Command::Pay { reservation, stranger }),
        3 => (any::<prop::sample::Index>(), stranger())
            .prop_map(|(reservation, stranger)| Command::Cancel { reservation, stranger }),
        2 => any::<prop::sample::Index>().prop_map(|reservation| Command::Expire { reservation }),
        5 => (0..ACCOUNTS, amount()).prop_map(|(account, amount)| Command::BeginCharge { account, amount }),
        5 => (any::<prop::sample::Index>(), verdict())
            .prop_map(|(charge, verdict)| Command::CompleteCharge { charge, verdict }),
        2 => (any::<prop::sample::Index>(), prop::option::of(1i64..=60), stranger())
            .prop_map(|(charge, amount, stranger)| Command::BeginChargeRefund { charge, amount, stranger }),
        2 => (any::<prop::sample::Index>(), refund_verdict())
            .prop_map(|(refund, verdict)| Command::CompleteChargeRefund { refund, verdict }),
        2 => prop_oneof![3 => 0i64..=4, 1 => 30i64..=70].prop_map(|seconds| Command::Wait { seconds }),
        3 => (any::<prop::sample::Index>(), 0i64..=1)
            .prop_map(|(reservation, early_microseconds)| Command::WaitForEnd { reservation, early_microseconds }),
        1 => Just(Command::WaitForStart),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(command(), 1..80)
}

fn config() -> ProptestConfig {
    // A failing case is written beside this file, and tried first from then on.
    let persistence = FileFailurePersistence::WithSource("regressions");
    let usual = ProptestConfig::default();
    ProptestConfig { cases: 2 * usual.cases, failure_persistence: Some(Box::new(persistence)), ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_promise_holds_after_every_step(commands in commands()) {
        let mut world = World::new();
        for command in &commands {
            world.apply(command);
            world.check()?;
        }
    }

    #[test]
    fn nothing_visible_depends_on_the_sweeper(commands in commands()) {
        let (mut swept, mut unswept) = (World::new(), World::new());
        for command in commands.iter().filter(|command| !matches!(command, Command::Expire { .. })) {
            let outcome = swept.apply(command);
            swept.sweep();
            prop_assert_eq!(outcome, unswept.apply(command));
            prop_assert_eq!(swept.visible(), unswept.visible());
        }
        unswept.sweep();
        prop_assert_eq!(swept.visible(), unswept.visible());
        unswept.check()?;
    }
}

/// A property over commands that are all refused would prove nothing.
#[test]
fn the_commands_reach_every_kind_of_event() {
    use proptest::{
        strategy::ValueTree,
        test_runner::{RngAlgorithm, TestRng, TestRunner},
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let mut world = World::new();
        for command in commands().new_tree(&mut runner).unwrap().current() {
            world.apply(&command);
        }
        kinds.extend(world.event_kinds());
    }
    assert_eq!(kinds.len(), 11, "{kinds:?}");
}
