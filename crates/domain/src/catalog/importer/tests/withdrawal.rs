//! What a catalog does not name, and what it names again.

use super::*;
use crate::catalog::SalesWindow;

#[test]
fn what_is_not_named_is_reported_or_withdrawn_if_it_is_to_come() {
    let (stored, catalog) = (Stored::new(), catalog());
    let promoter_id = AccountId::new(uuid::Uuid::from_u128(1));
    let known = |key: &str, owner, starts_at, withdrawn_at| KnownPerformance {
        id: PerformanceId::new(TestEntropy.uuid()),
        owner,
        key: Some(name(key)),
        starts_at: instant(starts_at),
        withdrawn_at,
    };
    let others = vec![
        known("own", None, 6, None),
        known("promoters", Some(promoter_id), 6, None),
        known("started", None, NOW, None),
        known("withdrawn", None, 6, Some(instant(0))),
        KnownPerformance { key: None, ..known("none", Some(promoter_id), 7, None) },
        KnownPerformance { id: stored.performance.id, ..known("p", None, 20_000, None) },
    ];
    let without_key = others[4].id.to_string();
    let named = |keys: &[&str]| keys.iter().map(|key| Named::Performance(name(key))).collect::<Vec<_>>();
    for (withdraw, withdrawn, reported) in [
        (false, vec![], named(&["own", "promoters", &without_key])),
        (true, [0, 1, 4].map(|index| others[index].id).to_vec(), vec![]),
    ] {
        let options = ImportOptions { withdraw, ..options() };
        let mut import = stored.at_performance(&catalog, &options);
        import.performance(0, own(stored.performance.clone())).unwrap();
        let decided = OtherPerformances { adopted: vec![], withdrawn: withdrawn.clone() };
        assert_eq!(import.others_of_concert(others.clone()).unwrap(), decided);
        import.others_of_owner([name("c"), name("d")]);
        let report = import.into_report();
        let changed: Vec<_> = report.changes.iter().map(ToString::to_string).collect();
        let expected =
            ["own", "promoters", &without_key].map(|key| format!("performance `{key}`: withdrawn: false -> true"));
        assert_eq!(changed, expected[..withdrawn.len()]);
        assert_eq!(report.no_longer_named, [reported, vec![Named::Concert(name("d"))]].concat());
    }
    let mut silent = catalog;
    silent.concerts[0].performances = None;
    let options = ImportOptions { withdraw: true, ..options() };
    let mut import = stored.at_performance(&silent, &options);
    assert_eq!(import.others_of_concert(others).unwrap(), OtherPerformances::default());
    assert_eq!(import.into_report().no_longer_named, []);
}

#[test]
fn a_performance_that_is_named_again_comes_back_and_takes_its_venue() {
    let (stored, catalog, options) = (Stored::new(), catalog(), options());
    let withdrawn = StoredPerformance { withdrawn_at: Some(instant(1)), ..stored.performance.clone() };
    let mut import = stored.at_performance(&catalog, &options);
    let decided = import.performance(0, own(withdrawn)).unwrap();
    let back = PerformanceImport::Changed { performance: stored.performance.clone(), sections: vec![] };
    assert_eq!((decided, import.venues_to_check()), (back, vec![stored.venue.id]));
    let other = Booking { id: PerformanceId::new(TestEntropy.uuid()), ..stored.performance.booking() };
    let mut venue = VenueBookings { overlaps_allowed: false, bookings: vec![stored.performance.booking(), other] };
    let refused = import.check_bookings(stored.venue.id, &venue);
    assert_refused(refused, (PLACE, "starts_at"), ImportRule::Overlaps(other.starts_at));
    venue.overlaps_allowed = true;
    import.check_bookings(stored.venue.id, &venue).unwrap();
}

#[test]
fn a_withdrawn_performance_comes_back_if_it_could_be_published() {
    let (stored, mut catalog, options) = (Stored::new(), catalog(), options());
    let withdrawn = StoredPerformance { withdrawn_at: Some(instant(1)), is_sold: true, ..stored.performance.clone() };
    let decide = |catalog: &ImportedCatalog, concert: &Concert, now| {
        let mut import = Importer::new(catalog, &options, instant(now), &TestEntropy);
        import.venue(own(stored.venue.clone())).unwrap();
        import.concert(own(concert.clone())).unwrap();
        let decided = import.performance(0, own(withdrawn.clone()));
        (decided, import.venues_to_check())
    };
    let (decided, venues) = decide(&catalog, &stored.concert, 20_000);
    assert_eq!((decided.unwrap(), venues), (PerformanceImport::Unchanged(withdrawn.clone()), vec![]), "it has started");
    let (decided, _) = decide(&catalog, &stored.concert, 19_999);
    assert!(
        matches!(decided, Ok(PerformanceImport::Changed { performance, .. }) if performance.withdrawn_at.is_none())
    );

    (catalog.concerts[0].sales_open_at, catalog.concerts[0].sales_close_at) = (None, None);
    let sales = SalesWindow::new(instant(20_000), instant(30_000)).unwrap();
    let (decided, _) = decide(&catalog, &Concert { sales, ..stored.concert.clone() }, NOW);
    assert_refused(decided, (PLACE, "starts_at"), StartError::BeforeSale);
}

#[test]
fn a_performance_that_the_import_withdraws_does_not_keep_the_opening_from_being_moved() {
    let (stored, mut catalog) = (Stored::new(), catalog());
    catalog.concerts[0].sales_open_at = Some(instant(10_000));
    for (key, withdraw, is_right) in
        [(Some(name("own")), true, true), (Some(name("own")), false, false), (None, true, true), (None, false, false)]
    {
        let options = ImportOptions { withdraw, ..options() };
        let mut import = stored.at_performance(&catalog, &options);
        let (id, starts_at) = (PerformanceId::new(TestEntropy.uuid()), instant(9_000));
        let others = vec![KnownPerformance { id, owner: None, key, starts_at, withdrawn_at: None }];
        let decided = import.others_of_concert(others);
        if is_right {
            assert_eq!(decided.unwrap().withdrawn, [id]);
        } else {
            let rule = SalesTimeError::OpensAfterStart;
            assert_refused(decided, (ImportPlace::Concert(0), "sales_open_at"), rule);
        }
    }
}
