//! smoke
use boxoffice_domain::{accounts::*, catalog::*, idempotency::*, payments::*, reservations::*, text::*, wallet::*, *};
use boxoffice_testkit::{TestClock, TestEntropy};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let url = std::env::var("SMOKE_URL").unwrap_or_else(|_| format!("sqlite:///tmp/smoke-{}.db", std::process::id()));
    println!("{:?}", boxoffice_persistence::migrate(&url).await.unwrap());
    let clock = Arc::new(TestClock::new());
    let db =
        boxoffice_persistence::connect(&url, Default::default(), clock.clone(), Arc::new(TestEntropy)).await.unwrap();
    db.readiness.ready().await.unwrap();
    let e = TestEntropy;
    let now = clock.now();
    let account = Account {
        id: e.uuid().into(),
        login_id: LoginId::new(&format!("u{}", e.uuid().simple())).unwrap(),
        name: Name::new("x").unwrap(),
        role: Role::Customer,
        created_at: now,
    };
    db.accounts
        .create(Credentials { account: account.clone(), password_hash: PasswordHash("x".into()), idempotency: None })
        .await
        .unwrap();
    let plan = SeatingPlan::new(vec![Section {
        name: PartName::new("A").unwrap(),
        rows: vec![Row { name: PartName::new("1").unwrap(), seats: 10 }],
    }])
    .unwrap();
    let prices = PriceList::new(&plan, &[(PartName::new("A").unwrap(), Points::new(100).unwrap())]).unwrap();
    let venue = Venue {
        id: e.uuid().into(),
        name: Name::new("v").unwrap(),
        location: Name::new("l").unwrap(),
        plan,
        created_at: now,
    };
    db.catalog.publish_venue(account.id, venue.clone(), None).await.unwrap();
    let terms = fixtures::terms();
    let concert = Concert {
        id: e.uuid().into(),
        promoter_id: Some(account.id),
        title: Name::new("t").unwrap(),
        artist: Name::new("a").unwrap(),
        description: Description::new("d").unwrap(),
        sales: terms.sales,
        max_seats_per_account: 4,
        max_active: 10,
        version: 1,
        created_at: now,
    };
    db.catalog.publish_concert(concert.clone(), Some(fixtures::idempotency())).await.unwrap();
    let p = NewPerformance {
        id: e.uuid().into(),
        concert_id: concert.id,
        venue,
        starts_at: terms.starts_at,
        prices,
        created_at: now,
    };
    let made = db.catalog.publish_performance(account.id, p.clone(), None).await.unwrap();
    assert_eq!(made.value.seats_available, 10);
    println!("{:?}", db.catalog.concerts(Some(now), page::PageRequest::first(20)).await.unwrap().items.len());
    println!("{:?}", db.catalog.performances(concert.id, true, page::PageRequest::first(20)).await.unwrap());
    let mut req = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
    req.reservation_id = e.uuid().into();
    req.account_id = account.id;
    req.concert_id = concert.id;
    req.performance_id = p.id;
    req.idempotency = Some(fixtures::idempotency());
    let held = db.reservations.hold(req.clone()).await.unwrap();
    assert!(db.reservations.hold(req.clone()).await.unwrap().replayed);
    let mut c = fixtures::charge_request(500);
    c.account_id = account.id;
    c.charge_id = e.uuid().into();
    let charge = db.wallets.begin_charge(c).await.unwrap().value;
    db.wallets.complete_charge(charge.id, GatewayVerdict::Approved).await.unwrap().unwrap();
    let mut s = fixtures::settle_request(&held.value.reservation);
    s.payment_id = e.uuid().into();
    let paid = db.payments.settle(s.clone()).await.unwrap();
    assert_eq!(paid.value.view.payment.balance_after.get(), 300);
    assert!(db.payments.settle(s).await.unwrap().replayed);
    assert_eq!(db.audit.breaches().await.unwrap(), vec![]);
    println!("{:?}", db.catalog.sales(p.id).await.unwrap());
    let cancelled = db.reservations.cancel(fixtures::cancel_request(&held.value.reservation)).await.unwrap();
    assert!(matches!(cancelled.value.reservation.state, ReservationState::Cancelled { .. }));
    let mut req2 = req.clone();
    req2.idempotency = None;
    req2.reservation_id = e.uuid().into();
    db.reservations.hold(req2).await.unwrap();
    clock.advance_seconds(301);
    assert_eq!(db.reservations.expire_due(10).await.unwrap(), 1);
    println!("{:?}", db.reservations.list(account.id, None, page::PageRequest::first(10)).await.unwrap().items.len());
    println!("{:?}", db.wallets.entries(account.id, page::PageRequest::first(10)).await.unwrap());
    assert_eq!(db.audit.breaches().await.unwrap(), vec![]);
    db.shutdown().await;
    println!("{:?}", boxoffice_persistence::migrate_down(&url, 100).await.unwrap());
}
