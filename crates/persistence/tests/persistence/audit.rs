//! The audit names the invariant that a damage of the database breaks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use boxoffice_contracts::storage::{PRICE_A, charge_request};
use boxoffice_domain::{
    Clock, Points, StorageError, Timestamp,
    audit::Breach,
    fixtures::{self, TestClock, TestEntropy},
    gateway::{GatewayVerdict, RefundVerdict},
    wallet::{ChargeAmount, ChargeRefundRequest},
};
use boxoffice_persistence::connect;
use diesel::{Connection, SqliteConnection, connection::SimpleConnection};

use crate::home::{Backend, Home, settings, sqlite};

crate::on_every_backend! {
    each_damage_is_found_by_its_invariant
    each_damage_of_a_refund_is_found_by_its_invariant
    a_breach_tells_which_row_it_is
}

/// A database in which everything is, and all is well.
async fn furnished(backend: Backend) -> Home {
    let home = Home::open(backend, settings()).await;
    let stage = home.stage();
    let show = stage.show().await;
    let holder = stage.account_with(PRICE_A).await;
    stage.holds(&show, holder, &["A-1-1"]).await;
    stage.begin_charge(charge_request(holder, 77)).await.unwrap();
    let owner = stage.account_with(2 * PRICE_A).await;
    let owned = stage.holds(&show, owner, &["A-1-2"]).await;
    stage.pays(&owned).await;
    let quitter = stage.account_with(2 * PRICE_A).await;
    let quit = stage.holds(&show, quitter, &["A-1-3"]).await;
    stage.pays(&quit).await;
    stage.cancel(fixtures::cancel_request(&quit)).await.unwrap();
    home.place.execute("UPDATE venues SET overlaps_allowed = FALSE").await;
    stage.assert_sound().await;
    home
}

async fn each_damage_is_found_by_its_invariant(backend: Backend) {
    assert_found(furnished(backend).await, include_str!("damages.sql")).await;
}

async fn each_damage_of_a_refund_is_found_by_its_invariant(backend: Backend) {
    let home = Home::open(backend, settings()).await;
    let stage = home.stage();
    let charge = stage.charge(stage.account().await, 100).await;
    for (points, verdict) in [(30, RefundVerdict::Accepted), (20, RefundVerdict::Refused)] {
        let amount = ChargeAmount::new(Points::new(points).unwrap()).ok();
        let request = ChargeRefundRequest { amount, ..fixtures::charge_refund_request(&charge) };
        let begun = stage.begin_charge_refund(request).await.unwrap().value;
        stage.complete_charge_refund(begun.id, verdict).await.unwrap();
    }
    let waiting = stage.begin_charge(charge_request(stage.account().await, 77)).await.unwrap().value;
    stage.complete_charge(waiting.id, GatewayVerdict::ActionRequired).await.unwrap();
    stage.assert_sound().await;
    assert_found(home, include_str!("refund_damages.sql")).await;
}

/// What an audit finds. On a busy machine it can stand still for two seconds between two statements: then another test, which
/// ends the transactions that stand still on the server that all share, may end it.
async fn breaches(home: &Home) -> Vec<Breach> {
    let mut ended = 0;
    loop {
        match home.stage().storage.audit.breaches().await {
            Err(StorageError::Unavailable(_)) if ended < 3 => ended += 1,
            found => return found.unwrap(),
        }
    }
}

/// Does each damage, which its invariant has to name, and mends it.
async fn assert_found(home: Home, damages: &str) {
    for text in damages.split("-- breaks: ").skip(1) {
        let (invariant, statements) = text.split_once('\n').expect("a name, and statements after it");
        let mut statements = statements.trim().split_terminator(';');
        let damage = statements.next().expect("a damage");
        home.place.execute(damage).await;
        let breaches = breaches(&home).await;
        assert!(breaches.iter().any(|breach| breach.invariant == invariant), "{damage}: {breaches:?}");
        if let Some(mending) = statements.next() {
            home.place.execute(mending).await;
            assert_eq!(self::breaches(&home).await, vec![], "after {mending}");
        }
    }
    home.close().await;
}

async fn a_breach_tells_which_row_it_is(backend: Backend) {
    let home = furnished(backend).await;
    home.place.execute("UPDATE concerts SET max_seats_per_account = 0").await;
    let stage = home.stage();
    let breaches = stage.storage.audit.breaches().await.unwrap();
    assert_eq!(breaches.len(), 2, "{breaches:?}");
    for breach in &breaches {
        let account_id = breach.detail.split(':').next().and_then(|id| id.parse().ok()).expect("the id of an account");
        assert!(stage.storage.accounts.find(account_id).await.unwrap().is_some(), "{breach:?}");
    }
    home.close().await;
}

/// A clock that changes a SQLite database when it is read for the first time after it was armed.
struct ChangingClock {
    clock: Arc<TestClock>,
    file: String,
    is_armed: AtomicBool,
}

impl Clock for ChangingClock {
    fn now(&self) -> Timestamp {
        if self.is_armed.swap(false, Ordering::SeqCst) {
            let mut connection = SqliteConnection::establish(&self.file).unwrap();
            connection.batch_execute("UPDATE wallets SET balance = balance + 1").unwrap();
        }
        self.clock.now()
    }
}

#[test]
fn the_time_of_an_audit_is_not_before_what_it_sees() {
    boxoffice_contracts::run(2, async {
        let home = sqlite().await;
        home.stage().account().await;
        let url = home.place.url();
        let file = url.strip_prefix("sqlite://").unwrap().to_owned();
        let clock = ChangingClock { clock: Arc::clone(&home.stage().clock), file, is_armed: AtomicBool::new(false) };
        let clock = Arc::new(clock);
        let database = connect(&url, settings(), clock.clone(), Arc::new(TestEntropy)).await.unwrap();
        clock.is_armed.store(true, Ordering::SeqCst);
        assert_eq!(database.audit.breaches().await.unwrap(), vec![], "a change after the reading of the time is seen");
        assert!(!clock.is_armed.load(Ordering::SeqCst), "the clock is read");
        assert_eq!(database.audit.breaches().await.unwrap().len(), 1);
        database.shutdown().await;
        home.close().await;
    });
}
