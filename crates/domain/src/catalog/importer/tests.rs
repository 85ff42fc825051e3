mod withdrawal;

use super::*;
use crate::{
    AccountId, Points,
    catalog::{
        ImportedChange, ImportedVenue, InvalidSalesWindow, PriceError, SalesTimeError, SeatingPlan, StartError,
        plan::tests::{part, section},
    },
    fixtures::{TestEntropy, concert, instant, selling_rules},
    seats::SeatLabel,
    text::Name,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn plan(seats: u32) -> SeatingPlan {
    SeatingPlan::new(vec![section("A", &[("1", seats)])]).unwrap()
}

fn imported_performance(key: &str) -> ImportedPerformance {
    ImportedPerformance {
        key: name(key),
        venue_index: Some(0),
        starts_at: Some(instant(20_000)),
        duration_minutes: None,
        prices: Some(vec![(part("A"), Points::new(7).unwrap())]),
    }
}

/// One venue of 3 seats with one concert, which has one performance there.
fn catalog() -> ImportedCatalog {
    let Concert { title, artist, sales, .. } = concert();
    let venue = ImportedVenue {
        key: name("v"),
        name: Some(name("Hall")),
        location: Some(name("Seoul")),
        plan: Some(plan(3)),
        layout: None,
        overlaps_allowed: None,
        time_zone: None,
    };
    let concert = ImportedConcert {
        key: name("c"),
        title: Some(title),
        artist: Some(artist),
        description: None,
        sales_open_at: Some(sales.open_at()),
        sales_close_at: Some(sales.close_at()),
        max_seats_per_account: None,
        holds_need_balance: None,
        requires_verified_email: None,
        max_active: None,
        draw: None,
        performances: Some(vec![imported_performance("p")]),
    };
    ImportedCatalog { venues: vec![venue], concerts: vec![concert] }
}

const NOW: i64 = 5;
const PLACE: ImportPlace = ImportPlace::Performance(0, 0);

fn options() -> ImportOptions {
    ImportOptions::new(None, &selling_rules())
}

fn importer<'i>(catalog: &'i ImportedCatalog, options: &'i ImportOptions) -> Importer<'i> {
    Importer::new(catalog, options, instant(NOW), &TestEntropy)
}

fn own<T>(value: T) -> Vec<Owned<T>> {
    vec![Owned { owner: None, value }]
}

/// What the catalog is as it is stored.
struct Stored {
    venue: Venue,
    concert: Concert,
    performance: StoredPerformance,
}

impl Stored {
    fn new() -> Self {
        let (catalog, options) = (catalog(), options());
        let mut import = importer(&catalog, &options);
        let Imported::New(venue) = import.venue(vec![]).unwrap() else { panic!("a new venue") };
        let Imported::New(concert) = import.concert(vec![]).unwrap() else { panic!("a new concert") };
        let PerformanceImport::New(new) = import.performance(0, vec![]).unwrap() else { panic!("a new performance") };
        assert_eq!((concert.version, concert.created_at, concert.draw), (1, instant(NOW), None));
        assert_eq!((concert.max_active, concert.max_seats_per_account), (500, 4));
        assert_eq!((new.concert_id, &new.venue, new.duration_minutes), (concert.id, &venue, 180));
        assert_eq!(import.venues_to_check(), [venue.id]);
        let report = ImportReport {
            venues_created: 1,
            concerts_created: 1,
            performances_created: 1,
            seats_created: 3,
            ..ImportReport::default()
        };
        assert_eq!(import.into_report(), report);
        let seats: Vec<_> = new.seats().collect();
        let sections = SectionPrice::of_seats(seats.iter().map(|seat| (seat.ordinal, &seat.label, seat.price)));
        let performance = StoredPerformance {
            id: new.id,
            concert_id: concert.id,
            venue_id: venue.id,
            starts_at: new.starts_at,
            duration_minutes: new.duration_minutes,
            moved: None,
            withdrawn_at: None,
            sections: sections.unwrap(),
            is_sold: false,
        };
        Self { venue, concert, performance }
    }

    /// An import that has come to its performance.
    fn at_performance<'i>(&self, catalog: &'i ImportedCatalog, options: &'i ImportOptions) -> Importer<'i> {
        let mut import = importer(catalog, options);
        import.venue(own(self.venue.clone())).unwrap();
        import.concert(own(self.concert.clone())).unwrap();
        import
    }
}

fn assert_refused<T: std::fmt::Debug>(
    decided: Result<T, ImportError>,
    (place, field): (ImportPlace, &str),
    rule: impl Into<ImportRule>,
) {
    let Err(ImportError::Refused(refusal)) = decided else { panic!("not refused: {decided:?}") };
    assert_eq!((refusal.place, refusal.field.as_str(), refusal.rule), (place, field, rule.into()));
}

fn changes(import: Importer<'_>) -> Vec<String> {
    import.into_report().changes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_seats_of_a_plan_say_what_its_sections_cost() {
    let rows: &[&[(&str, u32)]] = &[&[("1", 2), ("2", 3)], &[("9", 4)], &[("1", 1)]];
    let sections = ["A", "B", "C"].iter().zip(rows).map(|(name, rows)| section(name, rows)).collect();
    let plan = SeatingPlan::new(sections).unwrap();
    let price = |section: &str| Points::new(i64::from(section.as_bytes()[0])).unwrap();
    let seats: Vec<_> = plan.seats().collect();
    let by_seat = SectionPrice::of_seats(seats.iter().map(|seat| (seat.ordinal, &seat.label, price(seat.section))));
    let first = plan.first_seats().map(|(_, seat, _)| (seat.label.clone(), price(seat.section)));
    let mut first: BTreeMap<_, _> = first.collect();
    assert!(plan.first_seats().all(|(_, first, _)| seats.contains(&first)));
    assert_eq!(SectionPrice::of_plan(&plan, &first), by_seat);
    first.pop_first();
    assert_eq!(SectionPrice::of_plan(&plan, &first), None);
}

#[test]
fn a_catalog_has_the_seats_of_each_performance_whose_plan_it_has() {
    let mut catalog = catalog();
    let without_venue = ImportedPerformance { venue_index: None, ..imported_performance("q") };
    catalog.concerts[0].performances = Some(vec![imported_performance("p"), imported_performance("r"), without_venue]);
    assert_eq!(catalog.seats_count(), 6);
    catalog.venues[0].plan = None;
    assert_eq!(catalog.seats_count(), 0);
    catalog.concerts[0].performances = None;
    assert_eq!(catalog.concerts[0].performances(), []);
}

#[test]
fn what_is_stored_again_stays_and_what_differs_is_reported() {
    let (stored, mut catalog, options) = (Stored::new(), catalog(), options());
    let mut again = stored.at_performance(&catalog, &options);
    let same = again.performance(0, own(stored.performance.clone())).unwrap();
    assert_eq!(same, PerformanceImport::Unchanged(stored.performance.clone()));
    assert_eq!(again.venues_to_check(), []);
    let known = ImportReport { venues_known: 1, concerts_known: 1, performances_known: 1, ..ImportReport::default() };
    assert_eq!(again.into_report(), known);

    let entry = &mut catalog.venues[0];
    (entry.name, entry.location, entry.overlaps_allowed) = (Some(name("Arena")), Some(name("Busan")), Some(true));
    let time_zone = crate::TimeZone::new("Europe/Berlin").unwrap();
    entry.time_zone = Some(time_zone);
    let layout = Some(crate::catalog::Layout::default());
    entry.layout.clone_from(&layout);
    let entry = &mut catalog.concerts[0];
    (entry.title, entry.artist) = (Some(name("Other")), Some(name("Others")));
    (entry.max_seats_per_account, entry.max_active) = (Some(2), Some(3));
    entry.description = Some(crate::text::Description::new("Later").unwrap());
    let entry = &mut catalog.concerts[0].performances.as_mut().unwrap()[0];
    (entry.duration_minutes, entry.starts_at) = (Some(10), Some(instant(30_000)));
    entry.prices = Some(vec![(part("A"), Points::new(8).unwrap())]);
    let mut import = importer(&catalog, &options);
    let Imported::Changed(venue) = import.venue(own(stored.venue.clone())).unwrap() else { panic!("unchanged") };
    assert_eq!(
        venue,
        Venue {
            name: name("Arena"),
            location: name("Busan"),
            overlaps_allowed: true,
            time_zone,
            layout,
            ..stored.venue
        }
    );
    let Imported::Changed(concert) = import.concert(own(stored.concert.clone())).unwrap() else { panic!("unchanged") };
    assert_eq!((concert.version, concert.max_seats_per_account, concert.max_active), (2, 2, 3));
    assert_eq!((concert.title.as_str(), concert.artist.as_str()), ("Other", "Others"));
    let decided = import.performance(0, own(stored.performance.clone())).unwrap();
    let PerformanceImport::Changed { performance, sections } = decided else { panic!("unchanged") };
    assert_eq!((performance.duration_minutes, performance.starts_at), (10, instant(30_000)));
    let moved = Moved { at: instant(NOW), cancel_until: instant(20_000) };
    assert_eq!((performance.moved, &performance.sections), (Some(moved), &sections));
    assert_eq!((performance.price_min().get(), performance.price_max().get(), performance.seats_count()), (8, 8, 3));
    assert_eq!(import.venues_to_check(), [venue.id]);
    let starts = ["2027-01-15T13:33:20Z", "2027-01-15T16:20:00Z"];
    assert_eq!(
        changes(import),
        [
            "venue `v`: name: Hall -> Arena".to_owned(),
            "venue `v`: location: Seoul -> Busan".to_owned(),
            "venue `v`: overlaps_allowed: false -> true".to_owned(),
            "venue `v`: time_zone: Asia/Seoul -> Europe/Berlin".to_owned(),
            "venue `v`: layout: none -> 0 sections placed, 0 seats marked".to_owned(),
            format!("concert `c`: title: {} -> Other", stored.concert.title),
            format!("concert `c`: artist: {} -> Others", stored.concert.artist),
            "concert `c`: description:  -> Later".to_owned(),
            "concert `c`: max_seats_per_account: 4 -> 2".to_owned(),
            "concert `c`: max_active: 500 -> 3".to_owned(),
            format!("performance `p`: starts_at: {} -> {}", starts[0], starts[1]),
            "performance `p`: duration_minutes: 180 -> 10".to_owned(),
            "performance `p`: price of A: 7 -> 8".to_owned(),
        ]
    );
}

#[test]
fn entries_are_decided_in_order() {
    let (mut catalog, options) = (catalog(), options());
    let second = ImportedConcert { key: name("d"), title: Some(name("Second")), ..catalog.concerts[0].clone() };
    catalog.concerts.push(second);
    catalog.concerts[1].performances.as_mut().unwrap()[0].prices = None;
    let mut import = importer(&catalog, &options);
    import.venue(vec![]).unwrap();
    let first = import.concert(vec![]).unwrap().into_inner();
    let performance = import.performance(0, vec![]).unwrap();
    assert!(matches!(performance, PerformanceImport::New(new) if new.concert_id == first.id));
    let second = import.concert(vec![]).unwrap().into_inner();
    assert_eq!((Some(&first.title), second.title.as_str()), (catalog.concerts[0].title.as_ref(), "Second"));
    assert_refused(import.performance(0, vec![]), (ImportPlace::Performance(1, 0), "prices"), ImportRule::Missing);
}

#[test]
fn an_import_leaves_everything_as_it_was_if_it_creates_and_changes_nothing() {
    let nothing = ImportReport { venues_known: 1, seats_created: 0, ..ImportReport::default() };
    assert!(nothing.is_unchanged());
    assert!(ImportReport { no_longer_named: vec![Named::Concert(name("c"))], ..nothing.clone() }.is_unchanged());
    let change = ImportedChange {
        named: Named::Venue(name("v")),
        field: "name".to_owned(),
        before: "Hall".to_owned(),
        after: "Arena".to_owned(),
    };
    for something in [
        ImportReport { venues_created: 1, ..nothing.clone() },
        ImportReport { concerts_created: 1, ..nothing.clone() },
        ImportReport { performances_created: 1, ..nothing.clone() },
        ImportReport { changes: vec![change], ..nothing.clone() },
    ] {
        assert!(!something.is_unchanged(), "{something:?}");
    }
}

#[test]
fn an_entry_belongs_to_its_owner_and_one_without_a_promoter_is_adopted() {
    let (stored, catalog) = (Stored::new(), catalog());
    let [one, other] = [1, 2].map(|number| AccountId::new(uuid::Uuid::from_u128(number)));
    let venue = |owner| Owned { owner, value: Venue { id: VenueId::new(TestEntropy.uuid()), ..stored.venue.clone() } };
    for (importing, owners, expected) in [
        (Some(one), vec![Some(one)], Ok(Some(0))),
        (Some(one), vec![Some(other), Some(one), None], Ok(Some(1))),
        (Some(one), vec![None, Some(other)], Ok(Some(0))),
        (Some(one), vec![Some(other)], Err(())),
        (None, vec![Some(one)], Err(())),
        (None, vec![Some(one), None], Ok(Some(1))),
        (None, vec![], Ok(None)),
    ] {
        let found: Vec<_> = owners.iter().copied().map(venue).collect();
        let ids: Vec<_> = found.iter().map(|found| found.value.id).collect();
        let options = ImportOptions { promoter_id: importing, ..options() };
        let mut import = importer(&catalog, &options);
        let decided = import.venue(found);
        match expected {
            Err(()) => assert_refused(decided, (ImportPlace::Venue(0), "key"), ImportRule::OtherOwner),
            Ok(None) => assert!(matches!(decided, Ok(Imported::New(_)))),
            Ok(Some(index)) => {
                let decided = decided.unwrap();
                let is_adopted = owners[index] != importing;
                assert_eq!(matches!(decided, Imported::Changed(_)), is_adopted, "{owners:?}");
                assert_eq!(decided.into_inner().id, ids[index]);
                let expected = format!("venue `v`: owner: operator -> {one}");
                assert_eq!(changes(import), if is_adopted { vec![expected] } else { vec![] });
            }
        }
    }
}

#[test]
fn a_plan_a_place_and_a_draw_do_not_change() {
    let (stored, catalog, options) = (Stored::new(), catalog(), options());
    let other_plan = Venue { plan: plan(4), ..stored.venue.clone() };
    let refused = importer(&catalog, &options).venue(own(other_plan));
    assert_refused(refused, (ImportPlace::Venue(0), "sections"), ImportRule::PlanChanged);

    let place = &stored.performance;
    let other_venue = StoredPerformance { venue_id: VenueId::new(TestEntropy.uuid()), ..place.clone() };
    let refused = stored.at_performance(&catalog, &options).performance(0, own(other_venue));
    assert_refused(refused, (PLACE, "venue"), ImportRule::VenueChanged);
    let other_concert = StoredPerformance { concert_id: ConcertId::new(TestEntropy.uuid()), ..place.clone() };
    let refused = stored.at_performance(&catalog, &options).performance(0, own(other_concert));
    assert_refused(refused, (PLACE, "key"), ImportRule::ConcertChanged);

    let mut with_draw = catalog.clone();
    with_draw.concerts[0].draw = Some(true);
    let drawn = importer(&with_draw, &options).concert(vec![]).unwrap().into_inner();
    assert!(drawn.draw.is_some());
    let refused = importer(&with_draw, &options).concert(own(stored.concert.clone()));
    assert_refused(refused, (ImportPlace::Concert(0), "draw"), DrawError::Changed);
    let kept = importer(&catalog, &options).concert(own(drawn.clone())).unwrap();
    assert_eq!(kept, Imported::Unchanged(drawn.clone()));
    let mut without_draw = catalog.clone();
    without_draw.concerts[0].draw = Some(false);
    let refused = importer(&without_draw, &options).concert(own(drawn.clone()));
    assert_refused(refused, (ImportPlace::Concert(0), "draw"), DrawError::Changed);
    assert!(importer(&without_draw, &options).concert(own(stored.concert.clone())).is_ok());
    with_draw.concerts[0].sales_open_at = Some(instant(NOW));
    let refused = importer(&with_draw, &options).concert(own(drawn));
    assert_refused(refused, (ImportPlace::Concert(0), "sales_open_at"), DrawError::Held);
}

#[test]
fn prices_fit_the_sections_that_are_stored_or_new() {
    let (stored, mut catalog, options) = (Stored::new(), catalog(), options());
    let rule = PriceError::SectionUnknown { price: 0 };
    catalog.concerts[0].performances.as_mut().unwrap()[0].prices = Some(vec![(part("B"), Points::ZERO)]);
    let refused = stored.at_performance(&catalog, &options).performance(0, own(stored.performance.clone()));
    assert_refused(refused, (PLACE, "prices/0/section"), rule.clone());
    let refused = stored.at_performance(&catalog, &options).performance(0, vec![]);
    assert_refused(refused, (PLACE, "prices/0/section"), rule);
    let labels = ["A-1-1", "A-2-1", "B-1-1"].map(|text| SeatLabel::new(text).unwrap());
    let price = |number| Points::new(number).unwrap();
    let seats = [(2, &labels[2], price(5)), (0, &labels[0], price(9)), (1, &labels[1], price(9))];
    let sections = SectionPrice::of_seats(seats).unwrap();
    let section = |text, first_ordinal, seats_count, number| SectionPrice {
        name: part(text),
        first_ordinal,
        seats_count,
        price: price(number),
    };
    assert_eq!(sections, [section("A", 0, 2, 9), section("B", 2, 1, 5)]);
}

#[test]
fn a_sale_is_in_time_for_the_performances_that_stay() {
    let (stored, mut catalog, options) = (Stored::new(), catalog(), options());
    catalog.concerts[0].sales_close_at = Some(stored.concert.sales.open_at());
    let place = ImportPlace::Concert(0);
    let refused = importer(&catalog, &options).concert(own(stored.concert.clone()));
    assert_refused(refused, (place, "sales_close_at"), InvalidSalesWindow);
    let refused = importer(&catalog, &options).concert(vec![]);
    assert_refused(refused, (place, "sales_close_at"), InvalidSalesWindow);
    catalog.concerts[0].sales_close_at = Some(instant(400_000_000));
    let refused = importer(&catalog, &options).concert(vec![]);
    assert_refused(refused, (place, "sales_close_at"), SalesTimeError::ClosesTooFarAhead);

    catalog.concerts[0].sales_close_at = None;
    catalog.concerts[0].sales_open_at = Some(instant(20_000));
    let rule = SalesTimeError::OpensAfterStart;
    let refused = stored.at_performance(&catalog, &options).performance(0, own(stored.performance.clone()));
    assert_refused(refused, (place, "sales_open_at"), rule);
    let moved_too = ImportedPerformance { starts_at: Some(instant(20_001)), ..imported_performance("p") };
    catalog.concerts[0].performances = Some(vec![moved_too]);
    let mut import = stored.at_performance(&catalog, &options);
    import.performance(0, own(stored.performance.clone())).unwrap();
    let known = |starts_at, withdrawn_at| KnownPerformance {
        id: PerformanceId::new(TestEntropy.uuid()),
        owner: None,
        key: Some(name("other")),
        starts_at: instant(starts_at),
        withdrawn_at,
    };
    let others = import.others_of_concert(vec![known(NOW, None), known(6, Some(instant(0)))]);
    assert_eq!(others.unwrap(), OtherPerformances::default());
    assert_refused(import.others_of_concert(vec![known(6, None)]), (place, "sales_open_at"), rule);
    catalog.concerts[0].performances.as_mut().unwrap()[0].starts_at = Some(instant(20_000));
    let refused = stored.at_performance(&catalog, &options).performance(0, vec![]);
    assert_refused(refused, (PLACE, "starts_at"), StartError::BeforeSale);
}

#[test]
fn a_sold_performance_is_moved_with_a_flag_and_into_the_past_with_another() {
    let (stored, mut catalog) = (Stored::new(), catalog());
    let sold = StoredPerformance { is_sold: true, ..stored.performance.clone() };
    for (starts_at, performance, history, harm, expected) in [
        (20_000, &sold, false, false, None),
        (20_001, &sold, false, false, Some(ImportRule::Harm)),
        (20_001, &sold, false, true, None),
        (20_001, &stored.performance, false, false, None),
        (NOW, &stored.performance, false, false, Some(StartError::Past.into())),
        (NOW, &sold, false, true, Some(StartError::Past.into())),
        (NOW, &sold, true, false, Some(ImportRule::Harm)),
        (NOW, &sold, true, true, None),
    ] {
        catalog.concerts[0].performances.as_mut().unwrap()[0].starts_at = Some(instant(starts_at));
        let options = ImportOptions { history, harm, ..options() };
        let decided = stored.at_performance(&catalog, &options).performance(0, own(performance.clone()));
        match expected {
            Some(rule) => assert_refused(decided, (PLACE, "starts_at"), rule),
            None => assert!(decided.is_ok(), "{decided:?}"),
        }
    }
}

#[test]
fn a_venue_takes_one_at_a_time_from_now_on_only_if_none_overlap() {
    let (stored, mut catalog, options) = (Stored::new(), catalog(), options());
    catalog.venues[0].overlaps_allowed = Some(false);
    let mut import = importer(&catalog, &options);
    import.venue(own(Venue { overlaps_allowed: true, ..stored.venue.clone() })).unwrap();
    assert_eq!(import.venues_to_check(), [stored.venue.id]);
    let booking = |starts_at| Booking {
        id: PerformanceId::new(TestEntropy.uuid()),
        starts_at: instant(starts_at),
        duration_minutes: 1,
    };
    for (starts, is_right) in [([0, 120, 60], true), ([0, 120, 59], false)] {
        let venue = VenueBookings { overlaps_allowed: false, bookings: starts.map(booking).to_vec() };
        let checked = import.check_bookings(stored.venue.id, &venue);
        if is_right {
            checked.unwrap();
        } else {
            assert_refused(checked, (ImportPlace::Venue(0), "overlaps_allowed"), ImportRule::Overlapping);
        }
    }
}
