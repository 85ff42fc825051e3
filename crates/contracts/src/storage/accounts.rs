//! Accounts.

use boxoffice_domain::{
    AccountId, EntropySource, Points,
    accounts::{
        AccountChange, Belonging, ChangedAccount, CreateAccountError, Credentials, Erasure, LoginId, PasswordHash,
        PublishedKind, Role, Standing,
    },
    catalog::Concert,
    fixtures::{self, TestEntropy, charge_refund_request, idempotency},
    gateway::{GatewayVerdict, RefundVerdict},
    history::StaffAct,
    page::PageRequest,
};
use chrono::TimeDelta;

use super::{
    PRICE_A, Stage, at_once, charge_request, credentials, name,
    show::{pages, succeeded},
    stage::all,
};

/// An account is found as it was made.
pub async fn an_account_is_found_by_its_id_and_by_its_login_id(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let credentials = Credentials { idempotency: Some(idempotency()), ..credentials(stage.now()) };
    accounts.create(credentials.clone()).await.unwrap();
    let account = &credentials.account;
    assert_eq!(accounts.find(account.id).await.unwrap().as_ref(), Some(account));
    let found = accounts.credentials(&account.login_id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&credentials));
    assert_eq!(accounts.find(AccountId::new(TestEntropy.uuid())).await.unwrap(), None);
    assert_eq!(accounts.credentials(&LoginId::new("nobody").unwrap()).await.unwrap(), None);
}

/// A login id is given once; the other requests learn whose it is.
pub async fn one_of_fifty_at_once_gets_the_login_id(stage: &Stage) {
    let login_id = LoginId::new("haneul.kim").unwrap();
    let wanted = (0..50).map(|_| {
        let mut wanted = credentials(stage.now());
        wanted.account.login_id = login_id.clone();
        wanted
    });
    let outcomes = at_once(wanted, |credentials| {
        let accounts = stage.storage.accounts.clone();
        async move { accounts.create(credentials).await }
    })
    .await;
    let winner = stage.storage.accounts.credentials(&login_id).await.unwrap().expect("one of them");
    assert_eq!(succeeded(&outcomes), 1);
    for outcome in outcomes {
        match outcome {
            Ok(()) => {}
            Err(CreateAccountError::LoginIdTaken(by)) => assert_eq!(*by, winner),
            Err(CreateAccountError::Storage(error)) => panic!("the storage failed: {error:?}"),
        }
    }
}

/// A login id is found, and is taken, however it is typed.
pub async fn a_login_id_is_one_however_it_is_typed(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let mut first = credentials(stage.now());
    first.account.login_id = LoginId::new("Haneul.Kim ").unwrap();
    accounts.create(first.clone()).await.unwrap();
    for typed in ["haneul.kim", "HANEUL.KIM", " haneul.kim", "ｈaneul.kim"] {
        let login_id = LoginId::new(typed).unwrap();
        assert_eq!(accounts.credentials(&login_id).await.unwrap().as_ref(), Some(&first), "{typed:?}");
        let mut again = credentials(stage.now());
        again.account.login_id = login_id;
        let taken = accounts.create(again).await;
        assert!(matches!(taken, Err(CreateAccountError::LoginIdTaken(by)) if *by == first), "{typed:?}");
    }
}

/// What a change names is changed by login id, and nothing else of the account.
pub async fn an_account_is_changed_by_login_id_as_far_as_is_asked(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let mut expected = Credentials { idempotency: Some(idempotency()), ..credentials(stage.now()) };
    accounts.create(expected.clone()).await.unwrap();
    let other = credentials(stage.now());
    accounts.create(other.clone()).await.unwrap();
    let login_id = expected.account.login_id.clone();
    let hash = PasswordHash("$argon2id$other".to_owned());
    let (promoter, name) = (Some(Role::Promoter), Some(name("한\u{301} other name")));
    for change in [
        AccountChange { role: promoter, ..AccountChange::default() },
        AccountChange { role: promoter, ..AccountChange::default() },
        AccountChange { name: name.clone(), ..AccountChange::default() },
        AccountChange { password_hash: Some(hash.clone()), ..AccountChange::default() },
        AccountChange::default(),
        AccountChange { locked: Some(true), ..AccountChange::default() },
        AccountChange { locked: Some(true), name: name.clone(), ..AccountChange::default() },
        AccountChange { end_sessions: true, role: Some(Role::Customer), ..AccountChange::default() },
        AccountChange { locked: Some(false), ..AccountChange::default() },
        AccountChange { role: Some(Role::Admin), name, password_hash: Some(hash), ..AccountChange::default() },
    ] {
        stage.clock.advance_seconds(1);
        let account = &mut expected.account;
        let is_other_role = change.role.is_some_and(|role| role != account.role);
        account.role = change.role.unwrap_or(account.role);
        account.name = change.name.clone().unwrap_or(account.name.clone());
        expected.password_hash = change.password_hash.clone().unwrap_or(expected.password_hash);
        let standing = &mut expected.standing;
        let is_voided = is_other_role || change.ends_sessions();
        if is_voided {
            standing.access_version += 1;
            standing.access_changed_at = Some(stage.now());
        }
        let locked_at = standing.locked_at.or(Some(stage.now()));
        standing.locked_at = change.locked.map_or(standing.locked_at, |locked| locked_at.filter(|_| locked));
        let access_version = is_voided.then_some(standing.access_version);
        let changed = accounts.change(&login_id, change).await.unwrap();
        let account = expected.account.clone();
        assert_eq!(changed, Some(ChangedAccount { account, ended_sessions: Vec::new(), access_version }));
        assert_eq!(accounts.credentials(&login_id).await.unwrap().as_ref(), Some(&expected));
    }
    assert_eq!(accounts.credentials(&other.account.login_id).await.unwrap(), Some(other));
    let change = AccountChange { role: Some(Role::Admin), ..AccountChange::default() };
    assert_eq!(accounts.change(&LoginId::new("nobody").unwrap(), change).await.unwrap(), None);
}

/// An account is erased by its id, if nothing keeps it, and only for the password hash that was verified.
pub async fn an_erased_account_leaves_its_bare_id(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let made = || Credentials { idempotency: Some(idempotency()), ..credentials(stage.now()) };
    let (first, other) = (made(), made());
    for credentials in [&first, &other] {
        accounts.create(credentials.clone()).await.unwrap();
    }
    let (id, login_id) = (first.account.id, &first.account.login_id);
    stage.clock.advance_seconds(10);
    let wrong = PasswordHash("$argon2id$wrong".to_owned());
    assert_eq!(accounts.erase(id, wrong.clone()).await.unwrap(), Erasure::Changed);
    assert_eq!(accounts.erase(AccountId::new(TestEntropy.uuid()), wrong).await.unwrap(), Erasure::Changed);
    let erased = accounts.erase(id, first.password_hash.clone()).await.unwrap();
    assert_eq!(erased, Erasure::Erased { access_version: 1 });
    assert_eq!(accounts.credentials(login_id).await.unwrap(), None);
    let left = accounts.find(id).await.unwrap().expect("its id is left");
    assert_eq!((left.created_at, left.role), (first.account.created_at, Role::Customer));
    assert!(left.login_id.as_str().starts_with("erased-") && left.name.as_str() == "erased");
    let found = accounts.credentials(&left.login_id).await.unwrap().expect("its id is left");
    assert_eq!((found.password_hash.0.as_str(), found.idempotency), ("", None));
    assert_eq!(found.standing.erased_at, Some(stage.now()));

    // Nothing changes it any more.
    stage.clock.advance_seconds(10);
    for hash in [first.password_hash.clone(), found.password_hash] {
        assert_eq!(accounts.erase(id, hash).await.unwrap(), Erasure::Changed);
    }
    let change = AccountChange { role: Some(Role::Admin), ..AccountChange::default() };
    assert_eq!(accounts.change(&left.login_id, change).await.unwrap(), None);
    assert_eq!(accounts.find(id).await.unwrap(), Some(left));
    // Its login id is free again, and the other account is as it was.
    let mut again = credentials(stage.now());
    again.account.login_id = login_id.clone();
    accounts.create(again).await.unwrap();
    assert_eq!(accounts.credentials(&other.account.login_id).await.unwrap(), Some(other));
}

/// Points, charges in progress, holds that can be paid, and tickets of performances to come keep an account from being
/// erased; what is over does not.
pub async fn an_account_in_use_is_not_erased(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account().await;
    let hash = credentials(stage.now()).password_hash;
    let erase = || stage.storage.accounts.erase(account_id, hash.clone());
    let in_use = async |why: &str| assert_eq!(erase().await.unwrap(), Erasure::InUse, "{why}");
    let begun = stage.begin_charge(charge_request(account_id, PRICE_A)).await.unwrap().value;
    in_use("a charge is in progress").await;
    stage.complete_charge(begun.id, GatewayVerdict::Approved).await;
    in_use("it has points").await;
    let other = stage.charge(account_id, 5).await;
    let refund = stage.begin_charge_refund(charge_refund_request(&other)).await.unwrap().value;
    let soon = stage.another_performance(&show, stage.now() + TimeDelta::hours(1)).await;
    let held = stage.holds(&soon, account_id, &["A-1-1"]).await;
    stage.pay(stage.pay_request(&held)).await.unwrap();
    in_use("it has a ticket").await;
    let lapsed = stage.holds(&soon, account_id, &["A-1-2"]).await;
    stage.clock.set(soon.starts_at);
    assert!(lapsed.held_until < stage.now());
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    in_use("it has a hold").await;
    stage.clock.set(held.held_until);
    in_use("a refund of a charge is in progress").await;
    stage.complete_charge_refund(refund.id, RefundVerdict::Accepted).await;
    let erased = erase().await.unwrap();
    assert!(matches!(erased, Erasure::Erased { .. }), "what is left is over: {erased:?}");
    // The history of its money is there under the bare id.
    assert_eq!(stage.storage.wallets.find(account_id).await.unwrap().unwrap().balance, Points::ZERO);
    let page = PageRequest { after: None, limit: 10 };
    assert_eq!(stage.storage.wallets.entries(account_id, page).await.unwrap().items.len(), 4);
    assert_eq!(
        stage.storage.payments.list(account_id, PageRequest { after: None, limit: 10 }).await.unwrap().items.len(),
        1
    );
}

/// A holder gets everything that is stored of the account, and nothing of another, in pages of any size.
pub async fn everything_that_is_stored_of_an_account_is_read_page_by_page(stage: &Stage) {
    let (show, other) = (stage.show().await, stage.account_with(10 * PRICE_A).await);
    let account_id = stage.account().await;
    let mut charged = Vec::new();
    for _ in 0..3 {
        charged.push(stage.charge(account_id, PRICE_A).await.id);
    }
    for (account_id, label) in [(account_id, "A-1-1"), (other, "A-1-2")] {
        let held = stage.holds(&show, account_id, &[label]).await;
        let owner = stage.storage.records.owner_of(Belonging::Reservation(held.id)).await.unwrap();
        assert_eq!(owner, Some(account_id));
        stage.storage.reservations.cancel(fixtures::cancel_request(&held)).await.unwrap();
    }
    let records = &stage.storage.records;
    let unknown = TestEntropy.uuid();
    for belonging in [Belonging::Reservation(unknown.into()), Belonging::Payment(unknown.into())] {
        assert_eq!(records.owner_of(belonging).await.unwrap(), None);
    }
    charged.sort_unstable();
    for limit in [1, 2, 10] {
        let charges = pages(limit, async |page| records.all_charges(account_id, page).await).await.concat();
        assert_eq!(charges.iter().map(|charge| charge.id).collect::<Vec<_>>(), charged);
    }
    let budgets = all(async |page| records.all_hold_budgets(account_id, page).await).await;
    assert_eq!(budgets.len(), 1);
    assert_eq!((budgets[0].concert_id, budgets[0].unpaid_count), (show.concert.id, 1));
    for (kind, expected) in [
        (PublishedKind::Venue, (show.venue.id.uuid(), show.venue.name.clone())),
        (PublishedKind::Concert, (show.concert.id.uuid(), show.concert.title.clone())),
    ] {
        assert_eq!(all(async |page| records.all_published(show.promoter_id, kind, page).await).await, [expected]);
        assert_eq!(all(async |page| records.all_published(account_id, kind, page).await).await, []);
    }
    assert_eq!(all(async |page| records.all_sessions(account_id, page).await).await, []);
    let concert = Concert { version: show.concert.version + 1, ..show.concert.clone() };
    let act = StaffAct { actor: show.promoter_id.into(), ..fixtures::staff_act() };
    stage.storage.catalog.update_concert(concert, act.clone()).await.unwrap();
    assert_eq!(all(async |page| records.all_acts(show.promoter_id, page).await).await, [act]);
    assert_eq!(all(async |page| records.all_acts(account_id, page).await).await, []);
}

/// An account of the demonstration is one until it has another password.
pub async fn accounts_of_the_demonstration_are_marked_and_counted(stage: &Stage) {
    let accounts = &stage.storage.accounts;
    let is_demo = async |login_id: &LoginId| {
        let found = accounts.credentials(login_id).await.expect("the storage works");
        found.expect("an account").standing.is_demo
    };
    let count = async || accounts.count_demo().await.expect("the storage works");
    let (made_so, marked, plain) = (credentials(stage.now()), credentials(stage.now()), credentials(stage.now()));
    let made_so = Credentials { standing: Standing { is_demo: true, ..made_so.standing }, ..made_so };
    for credentials in [&made_so, &marked, &plain] {
        accounts.create(credentials.clone()).await.expect("a new account");
    }
    assert_eq!(count().await, 1);
    accounts.mark_demo(&marked.account.login_id).await.expect("the storage works");
    accounts.mark_demo(&LoginId::new("nobody").expect("a login id")).await.expect("the storage works");
    assert_eq!(count().await, 2);
    let [made_so, marked, plain] = [made_so, marked, plain].map(|credentials| credentials.account.login_id);
    assert!(is_demo(&made_so).await && is_demo(&marked).await && !is_demo(&plain).await);
    let another_name = AccountChange { name: Some(name("Kim")), ..AccountChange::default() };
    accounts.change(&marked, another_name).await.expect("the storage works");
    let another_password =
        AccountChange { password_hash: Some(PasswordHash("$another".to_owned())), ..AccountChange::default() };
    accounts.change(&made_so, another_password).await.expect("the storage works");
    assert!(!is_demo(&made_so).await && is_demo(&marked).await);
    assert_eq!(count().await, 1);
}
