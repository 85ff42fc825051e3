//! The audit names the invariant that a damage of the database breaks.

use boxoffice_contracts::storage::{PRICE_A, charge_request};
use boxoffice_domain::fixtures;

use crate::home::{Backend, Home, settings};

crate::on_every_backend! {
    each_damage_is_found_by_its_invariant
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
    let home = furnished(backend).await;
    for text in include_str!("damages.sql").split("-- breaks: ").skip(1) {
        let (invariant, statements) = text.split_once('\n').expect("a name, and statements after it");
        let mut statements = statements.trim().split_terminator(';');
        let damage = statements.next().expect("a damage");
        home.place.execute(damage).await;
        let breaches = home.stage().storage.audit.breaches().await.unwrap();
        assert!(breaches.iter().any(|breach| breach.invariant == invariant), "{damage}: {breaches:?}");
        if let Some(mending) = statements.next() {
            home.place.execute(mending).await;
            assert_eq!(home.stage().storage.audit.breaches().await.unwrap(), vec![], "after {mending}");
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
