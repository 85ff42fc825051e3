//! What the staff did is written down with it.

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    accounts::{AccountChange, PasswordHash, Role},
    catalog::{Concert, ConcertChange, UpdateConcertError},
    fixtures::{TestEntropy, idempotency},
    history::{ActKind, ActSubject, Actor, FieldChange, StaffAct},
    page::PageRequest,
};
use uuid::Uuid;

use super::{
    Stage,
    catalog_import::{catalog, import, imported, performances_of},
    concert, credentials, new_performance, plan,
    show::pages,
    venue,
};

fn by(account_id: AccountId) -> Actor {
    Actor { account_id: Some(account_id), request_id: Some("request-7".to_owned()) }
}

/// All acts about a concert, or of everything, page by page.
async fn acts(stage: &Stage, concert_id: Option<ConcertId>) -> Vec<StaffAct> {
    let list = async |page: PageRequest<Uuid>| stage.storage.history.acts(concert_id, page).await;
    pages(2, list).await.into_iter().flatten().collect()
}

/// What is published and changed is in the history once, newest first, as it was given; what is refused, and what a key
/// gives again, is not.
pub async fn acts_are_written_down_with_what_they_do(stage: &Stage) {
    let (catalog, promoter_id) = (&stage.storage.catalog, stage.account().await);
    let now = || -> Timestamp { stage.now() };
    let (hall, key) = (venue(plan(), now()), idempotency());
    let hall_act = StaffAct::venue_published(&TestEntropy, now(), by(promoter_id), &hall);
    for again in [false, true] {
        let act = if again { StaffAct { id: Uuid::from_u128(9), ..hall_act.clone() } } else { hall_act.clone() };
        catalog.publish_venue(promoter_id, hall.clone(), Some(key.clone()), act).await.unwrap();
    }
    let published = concert(promoter_id, now());
    let concert_act = StaffAct::concert_published(&TestEntropy, now(), by(promoter_id), &published);
    catalog.publish_concert(published.clone(), None, concert_act.clone()).await.unwrap();
    let performance = new_performance(&published, &hall, now() + chrono::TimeDelta::days(1));
    let performance_act = StaffAct::performance_published(&TestEntropy, now(), by(promoter_id), &performance);
    catalog.publish_performance(promoter_id, performance, None, performance_act.clone()).await.unwrap();

    let change = ConcertChange { max_active: Some(7), paused: Some(true), ..ConcertChange::default() };
    let changed = change.apply(&published, now()).unwrap();
    let act = || StaffAct::concert_changed(&TestEntropy, now(), by(promoter_id), &published, &changed);
    let change_act = act();
    catalog.update_concert(changed.clone(), change_act.clone()).await.unwrap();
    let stale = Concert { max_active: 9, ..changed.clone() };
    let refused = catalog.update_concert(stale, act()).await;
    assert!(matches!(refused, Err(UpdateConcertError::VersionMismatch)), "{refused:?}");

    let of_concert = [change_act, performance_act, concert_act];
    assert_eq!(acts(stage, Some(published.id)).await, of_concert);
    let others = stage.show().await;
    let all = acts(stage, None).await;
    let own: Vec<_> = all.iter().filter(|act| act.actor == by(promoter_id)).cloned().collect();
    assert_eq!(own, [&of_concert[..], &[hall_act]].concat());
    assert_eq!(acts(stage, Some(others.concert.id)).await, [], "that is noted under another concert");
}

/// An import is the operator's, each entry that it makes or changes an act; a second import of the same does nothing.
pub async fn an_import_writes_down_what_it_did(stage: &Stage) {
    let kinds = async || -> Vec<(ActKind, Actor)> {
        acts(stage, None).await.into_iter().map(|act| (act.kind, act.actor)).collect()
    };
    let operator = |kind| (kind, Actor::default());
    for _ in 0..2 {
        import(stage, &catalog(1_000)).await.unwrap();
        let mut made = kinds().await;
        made.sort_unstable_by_key(|(kind, _)| kind.as_str());
        let performance = operator(ActKind::PerformancePublished);
        let expected = [operator(ActKind::ConcertPublished), performance.clone(), performance];
        assert_eq!(made, [&expected[..], &[operator(ActKind::VenuePublished)]].concat());
    }
    let stored = imported(stage).await;
    let mut changed = catalog(1_000);
    changed.concerts[0].max_active = Some(stored.max_active + 1);
    performances_of(&mut changed)[0].duration_minutes = Some(17);
    import(stage, &changed).await.unwrap();
    let acts = acts(stage, Some(stored.id)).await;
    let newest: Vec<_> = acts[..2].iter().map(|act| (act.kind, act.changes.clone())).collect();
    let change = |field: &str, before: String, after: String| FieldChange {
        field: field.to_owned(),
        before: Some(before),
        after: Some(after),
    };
    let of_concert = change("max_active", stored.max_active.to_string(), (stored.max_active + 1).to_string());
    let of_performance = change("duration_minutes", "180".to_owned(), "17".to_owned());
    let expected = [(ActKind::PerformanceChanged, vec![of_performance]), (ActKind::ConcertChanged, vec![of_concert])];
    assert_eq!(newest, expected);
    assert!(matches!(acts[0].subject, ActSubject::Performance(_)), "{:?}", acts[0]);
}

/// What the operator changes of an account is written down once; a password is named and not told.
pub async fn a_changed_account_is_written_down_once(stage: &Stage) {
    let id = stage.account().await;
    let login_id = stage.storage.accounts.find(id).await.unwrap().expect("an account").login_id;
    let change = AccountChange {
        role: Some(Role::Promoter),
        password_hash: Some(PasswordHash("another".to_owned())),
        locked: Some(true),
        ..AccountChange::default()
    };
    for _ in 0..2 {
        stage.storage.accounts.change(&login_id, change.clone()).await.unwrap().expect("an account");
    }
    let all = acts(stage, None).await;
    let [act] = &all[..] else { panic!("{all:?}") };
    assert_eq!((act.kind, act.subject), (ActKind::AccountChanged, ActSubject::Account(id)));
    assert_eq!((&act.actor, act.concert_id), (&Actor::default(), None));
    let change = |field: &str, before: Option<&str>, after: Option<&str>| FieldChange {
        field: field.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    let expected = [
        change("role", Some("customer"), Some("promoter")),
        change("locked", Some("false"), Some("true")),
        change("password", None, None),
    ];
    assert_eq!(act.changes, expected);

    // An account of staff is one from its beginning, which nobody who signs up is.
    let mut made = credentials(stage.now());
    made.account.role = Role::Admin;
    for _ in 0..2 {
        stage.storage.accounts.create(made.clone()).await.unwrap();
    }
    stage.storage.accounts.create(credentials(stage.now())).await.unwrap();
    let written: Vec<_> = acts(stage, None).await.into_iter().filter(|other| other.id != act.id).collect();
    let [of_made] = &written[..] else { panic!("{written:?}") };
    assert_eq!((of_made.kind, of_made.subject), (ActKind::AccountChanged, ActSubject::Account(made.account.id)));
    assert_eq!(of_made.changes, [change("role", Some("customer"), Some("admin"))]);
}
