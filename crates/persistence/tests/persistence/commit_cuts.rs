//! The connection to the database is cut at the very commit: before it, during it, and after it.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::storage::{PRICE_A, emails::member, pay_request};
use boxoffice_domain::{
    StorageError,
    accounts::{Credentials, EmailBegun, EmailCodeTried, PasswordHash},
    fixtures::{self, TestClock},
    reservations::HoldError,
};
use boxoffice_persistence::{PersistenceSettings, migrate};
use boxoffice_testkit::{
    servers::{ServerKind, TestDatabase, fresh_database},
    tcp_proxy::{CutAt, MYSQL_COMMIT, Network, TcpProxy},
};
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl};
use tokio::time::timeout;

use crate::{
    home::{join, settings},
    restarts::Stampede,
};

const BUYERS: usize = 100;
/// How many commits of the stampede are cut in each way.
const CUTS_EACH: usize = 30;
/// How many acts follow each other while every second commit is cut.
const ROUNDS: usize = 20;

/// An attempt ends after 20 s.
const GIVEN_UP_AFTER_MAX: Duration = Duration::from_mins(1);

const EVERY_WAY: [CutAt; 3] = [CutAt::Request, CutAt::Work, CutAt::Answer];

async fn database_behind_a_proxy(kind: ServerKind) -> (TestDatabase, TcpProxy, String) {
    let place = fresh_database(kind).await.unwrap();
    migrate(place.url()).await.unwrap();
    let (proxy, url) = TcpProxy::before_database(place.url()).await.unwrap();
    (place, proxy, url)
}

async fn count(place: &TestDatabase, query: &str) -> i64 {
    let mut connection = AsyncMysqlConnection::establish(place.url()).await.unwrap();
    diesel::dsl::sql::<BigInt>(query).get_result(&mut connection).await.unwrap()
}

/// With every second commit cut, each act succeeds as if nothing had happened: what was committed is not done again, and
/// what was not is.
async fn every_act_is_done_once(kind: ServerKind) {
    let (place, proxy, url) = database_behind_a_proxy(kind).await;
    let (stage, database) = join(&url, settings(), Arc::new(TestClock::new())).await;
    let show = stage.show().await;
    let account_id = stage.account_with(1_000 * PRICE_A).await;
    let outbox = "SELECT CAST(COUNT(*) AS SIGNED) FROM outbox_batches";
    let before = count(&place, outbox).await;
    for at in EVERY_WAY {
        let cuts = proxy.cuts();
        proxy.cut_when(MYSQL_COMMIT, at, 2);
        for _ in 0..ROUNDS {
            let held = stage.hold(show.hold_request(account_id, &["A-1-1"])).await.unwrap();
            assert!(!held.replayed, "{at:?}");
            let paid = stage.pay(pay_request(&held.value.reservation)).await.unwrap();
            assert!(!paid.replayed, "{at:?}");
            let given_up = stage.cancel(fixtures::cancel_request(&held.value.reservation)).await.unwrap();
            assert!(!given_up.replayed, "{at:?}");
        }
        proxy.cut_nothing();
        // If a cut commit did not happen, its second attempt follows; if it happened, the commit of the next act follows.
        let commits = 3 * ROUNDS;
        let expected = if at == CutAt::Request { commits } else { commits / 2 };
        assert_eq!(proxy.cuts() - cuts, expected, "{at:?}");
    }
    let acts = i64::try_from(3 * ROUNDS * EVERY_WAY.len()).unwrap();
    assert_eq!(count(&place, outbox).await - before, acts);
    assert_eq!(stage.balance(account_id).await, 1_000 * PRICE_A);
    assert_eq!(stage.entries(account_id).await.len(), 1 + 2 * ROUNDS * EVERY_WAY.len());
    stage.assert_sound().await;
    database.shutdown().await;
    place.remove().await.unwrap();
}

/// With every second commit cut, an address is verified and a password reset, each with one mail and one event.
async fn every_act_on_an_address_is_done_once(kind: ServerKind) {
    let (place, proxy, url) = database_behind_a_proxy(kind).await;
    let (stage, database) = join(&url, settings(), Arc::new(TestClock::new())).await;
    let rows = async |table: &str| count(&place, &format!("SELECT CAST(COUNT(*) AS SIGNED) FROM {table}")).await;
    let mut rounds = 0;
    for at in EVERY_WAY {
        // An even number of acts in each round, of which every second is cut: in one round those, in the next the others.
        for skipped in [false, true] {
            rounds += 1;
            let number = u8::try_from(rounds).unwrap();
            let account = member(&stage).await;
            let (id, login_id) = (account.account.id, account.account.login_id.clone());
            proxy.cut_when(MYSQL_COMMIT, at, 2);
            if skipped {
                stage.storage.emails.set_language(id, boxoffice_domain::mail::MailLanguage::English).await.unwrap();
            }
            let to = format!("a{number}");
            assert_eq!(stage.begin_email(&account, &to, number).await, EmailBegun::Begun { is_sent: true }, "{at:?}");
            assert!(matches!(stage.verify_email(id, number).await, EmailCodeTried::Right(_)), "{at:?}");
            assert!(stage.begin_reset(&login_id, number).await, "{at:?}");
            let next = PasswordHash(format!("$argon2id$next-{number}"));
            assert!(stage.complete_reset(number, next.clone()).await.is_some(), "{at:?}");
            let account = Credentials { password_hash: next, ..account };
            assert!(stage.storage.emails.remove_email(id, account.password_hash).await.unwrap(), "{at:?}");
            proxy.cut_nothing();
            stage.clock.advance_seconds(1);
        }
    }
    assert_eq!(rows("mails WHERE address LIKE 'a%' AND notice LIKE '%email_verification%'").await, rounds);
    assert_eq!(rows("mails WHERE notice LIKE '%password_reset%'").await, rounds);
    assert_eq!(rows("outbox_batches WHERE events LIKE '%password_changed%'").await, rounds);
    stage.assert_sound().await;
    database.shutdown().await;
    place.remove().await.unwrap();
}

/// Commits are cut in every way under buyers who hold, pay and cancel at once, over two instances.
async fn a_stampede_loses_and_doubles_nothing(kind: ServerKind) {
    let (place, proxy, url) = database_behind_a_proxy(kind).await;
    let clock = Arc::new(TestClock::new());
    let lanes = PersistenceSettings { lanes: 2, retry_max: 6, ..settings() };
    let (stage, database) = join(&url, lanes.clone(), Arc::clone(&clock)).await;
    let (other, other_database) = join(&url, lanes, clock).await;
    let show = stage.show().await;
    let accounts = stage.accounts(BUYERS).await;
    for account_id in &accounts {
        stage.charge(*account_id, 100 * PRICE_A).await;
    }
    let mut stampede = Stampede::default();
    for (number, account_id) in accounts.iter().enumerate() {
        let stage = if number % 2 == 0 { &stage } else { &other };
        stampede.add_buyer(stage, &show, *account_id);
    }
    for at in EVERY_WAY {
        let enough = proxy.cuts() + CUTS_EACH;
        proxy.cut_when(MYSQL_COMMIT, at, 3);
        while proxy.cuts() < enough {
            stampede.answers.wait_for(1).await;
        }
    }
    proxy.cut_nothing();
    stampede.end(&stage).await;
    database.shutdown().await;
    other_database.shutdown().await;
    place.remove().await.unwrap();
}

/// A database that no longer answers does not keep callers waiting for ever, and is used again when it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_database_is_given_up_and_found_again() {
    let (place, proxy, url) = database_behind_a_proxy(ServerKind::MariaDb).await;
    let brief = PersistenceSettings { connect_timeout: Duration::from_millis(500), retry_max: 1, ..settings() };
    let (stage, database) = join(&url, brief, Arc::new(TestClock::new())).await;
    let show = stage.show().await;
    let account_id = stage.account().await;
    stage.holds(&show, account_id, &["A-1-1"]).await;
    proxy.set(Network::Swallowing).await;
    let request = show.hold_request(account_id, &["A-1-2"]);
    let waited = timeout(GIVEN_UP_AFTER_MAX, stage.storage.reservations.hold(request)).await;
    let failed = waited.expect("it is given up").unwrap_err();
    assert!(matches!(failed, HoldError::Storage(StorageError::Unavailable(_))), "{failed:?}");
    proxy.set(Network::Whole).await;
    stage.holds(&show, account_id, &["A-1-2"]).await;
    stage.assert_sound().await;
    database.shutdown().await;
    place.remove().await.unwrap();
}

crate::on_every_backend! { @ mariadb, super::ServerKind::MariaDb; every_act_is_done_once every_act_on_an_address_is_done_once a_stampede_loses_and_doubles_nothing }
crate::on_every_backend! { @ mysql, super::ServerKind::MySql; every_act_is_done_once every_act_on_an_address_is_done_once a_stampede_loses_and_doubles_nothing }
