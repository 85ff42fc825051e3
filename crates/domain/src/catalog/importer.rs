//! What an import makes of a catalog, given what is stored.

use super::{
    concert::{Concert, DrawError},
    import::{ImportError, ImportReport, ImportedCatalog},
    performance::NewPerformance,
    plan::Venue,
};
use crate::{AccountId, ConcertId, EntropySource, PerformanceId, Timestamp, VenueId, waiting_room::Draw};

/// What an import makes of one entry of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported<T> {
    /// Nothing is stored under its key: this is inserted.
    New(T),
    /// This takes the place of what is stored.
    Changed(T),
    /// What is stored stays as it is.
    Unchanged(T),
}

impl<T> Imported<T> {
    /// The entry as it is after the import.
    pub fn into_inner(self) -> T {
        match self {
            Self::New(value) | Self::Changed(value) | Self::Unchanged(value) => value,
        }
    }
}

/// A performance that is stored under the key of an imported one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `NewPerformance`")]
pub struct StoredPerformance {
    pub id: PerformanceId,
    pub concert_id: ConcertId,
    pub venue_id: VenueId,
}

/// Decides what an import makes of each entry of a catalog, and counts it.
///
/// For each entry the storage loads what it has under the entry's key, asks for the decision, and writes it: first the
/// venues, then each concert with its performances, all in the order of the catalog. A refusal ends the import; nothing
/// that was written for it may stay.
pub struct Importer<'i> {
    catalog: &'i ImportedCatalog,
    promoter_id: Option<AccountId>,
    now: Timestamp,
    entropy: &'i dyn EntropySource,
    venues: Vec<Venue>,
    concerts: Vec<ConcertId>,
    report: ImportReport,
}

impl std::fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer").field("report", &self.report).finish_non_exhaustive()
    }
}

impl<'i> Importer<'i> {
    /// An import at `now`. `promoter_id` becomes the promoter of new concerts.
    pub fn new(
        catalog: &'i ImportedCatalog,
        promoter_id: Option<AccountId>,
        now: Timestamp,
        entropy: &'i dyn EntropySource,
    ) -> Self {
        let (venues, concerts) = (Vec::with_capacity(catalog.venues.len()), Vec::with_capacity(catalog.concerts.len()));
        Self { catalog, promoter_id, now, entropy, venues, concerts, report: ImportReport::default() }
    }

    /// What was decided up to now.
    pub fn report(&self) -> ImportReport {
        self.report
    }

    /// Decides on the next venue. Its name and location may change, its seating plan may not.
    pub fn venue(&mut self, stored: Option<Venue>) -> Result<Imported<Venue>, ImportError> {
        let venue_index = self.venues.len();
        let imported = &self.catalog.venues[venue_index];
        if stored.as_ref().is_some_and(|stored| stored.plan != imported.plan) {
            return Err(ImportError::PlanChanged { venue_index });
        }
        let (id, created_at) = stored
            .as_ref()
            .map_or_else(|| (VenueId::new(self.entropy.uuid()), self.now), |stored| (stored.id, stored.created_at));
        let (name, location, plan) = (imported.name.clone(), imported.location.clone(), imported.plan.clone());
        let venue = Venue { id, name, location, plan, created_at };
        self.venues.push(venue.clone());
        self.report.venues_created += u32::from(stored.is_none());
        self.report.venues_updated += u32::from(stored.is_some());
        Ok(imported_from(stored, venue))
    }

    /// Decides on the next concert. A stored one keeps its promoter, its draw and its queue. If nothing else changes, it
    /// keeps its version too, and with it its entity tag.
    pub fn concert(&mut self, stored: Option<Concert>) -> Result<Imported<Concert>, ImportError> {
        let concert_index = self.concerts.len();
        let imported = &self.catalog.concerts[concert_index];
        let before = stored.clone().unwrap_or_else(|| Concert {
            id: ConcertId::new(self.entropy.uuid()),
            promoter_id: self.promoter_id,
            title: imported.title.clone(),
            artist: imported.artist.clone(),
            description: imported.description.clone(),
            sales: imported.sales,
            max_seats_per_account: imported.max_seats_per_account,
            max_active: imported.max_active,
            draw: imported.draw.then(|| Draw::new(self.entropy.secret())),
            paused: false,
            emptied_at: None,
            version: 1,
            created_at: self.now,
        });
        let mut concert = Concert {
            title: imported.title.clone(),
            artist: imported.artist.clone(),
            description: imported.description.clone(),
            sales: imported.sales,
            max_seats_per_account: imported.max_seats_per_account,
            max_active: imported.max_active,
            ..before
        };
        if let Some(stored) = &stored {
            let draw_added = if imported.draw && stored.draw.is_none() { Err(DrawError::Changed) } else { Ok(()) };
            draw_added
                .and_then(|()| concert.check_draw(stored, self.now))
                .map_err(|error| ImportError::Draw { concert_index, error })?;
            concert.version += u32::from(concert != *stored);
        }
        self.concerts.push(concert.id);
        self.report.concerts_created += u32::from(stored.is_none());
        self.report.concerts_updated += u32::from(stored.is_some());
        Ok(imported_from(stored, concert))
    }

    /// Decides on a performance of the last concert. It stays at its venue; its start and the prices of its seats that are
    /// neither held nor sold become those of the catalog.
    pub fn performance(
        &mut self,
        performance_index: usize,
        stored: Option<StoredPerformance>,
    ) -> Result<Imported<NewPerformance>, ImportError> {
        let concert_index = self.concerts.len() - 1;
        let imported = &self.catalog.concerts[concert_index].performances[performance_index];
        let (concert_id, venue) = (self.concerts[concert_index], &self.venues[imported.venue_index]);
        if stored.is_some_and(|stored| (stored.concert_id, stored.venue_id) != (concert_id, venue.id)) {
            return Err(ImportError::PerformanceMoved { concert_index, performance_index });
        }
        let performance = NewPerformance {
            id: stored.map_or_else(|| PerformanceId::new(self.entropy.uuid()), |stored| stored.id),
            concert_id,
            venue: venue.clone(),
            starts_at: imported.starts_at,
            prices: imported.prices.clone(),
            created_at: self.now,
        };
        if stored.is_some() {
            self.report.performances_updated += 1;
            return Ok(Imported::Changed(performance));
        }
        self.report.performances_created += 1;
        self.report.seats_created += u64::from(venue.plan.capacity());
        Ok(Imported::New(performance))
    }
}

fn imported_from<T: PartialEq>(stored: Option<T>, value: T) -> Imported<T> {
    match stored {
        None => Imported::New(value),
        Some(stored) if stored == value => Imported::Unchanged(value),
        Some(_) => Imported::Changed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Points,
        catalog::{
            ImportedConcert, ImportedPerformance, ImportedVenue, PriceList, SalesWindow, SeatingPlan,
            plan::tests::section,
        },
        fixtures::{TestEntropy, concert, instant},
        text::{Description, Name},
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn plan(seats: u32) -> SeatingPlan {
        SeatingPlan::new(vec![section("A", &[("1", seats)])]).unwrap()
    }

    /// One venue of 3 seats with one concert, which has one performance there.
    fn catalog() -> ImportedCatalog {
        let Concert { title, artist, description, sales, max_seats_per_account, max_active, .. } = concert();
        let venue = ImportedVenue { key: name("v"), name: name("Hall"), location: name("Seoul"), plan: plan(3) };
        let section = venue.plan.sections()[0].name.clone();
        let prices = PriceList::new(&venue.plan, &[(section, Points::new(7).unwrap())]).unwrap();
        let performance = ImportedPerformance { key: name("p"), venue_index: 0, starts_at: instant(9), prices };
        let (key, performances) = (name("c"), vec![performance]);
        let concert = ImportedConcert {
            key,
            title,
            artist,
            description,
            sales,
            max_seats_per_account,
            max_active,
            draw: false,
            performances,
        };
        ImportedCatalog { venues: vec![venue], concerts: vec![concert] }
    }

    #[test]
    fn a_catalog_has_the_seats_of_each_performance() {
        let mut catalog = catalog();
        let again = catalog.concerts[0].performances[0].clone();
        catalog.concerts[0].performances.push(again);
        assert_eq!(catalog.seats_count(), 6);
    }

    const NOW: i64 = 5;

    fn importer(catalog: &ImportedCatalog) -> Importer<'_> {
        Importer::new(catalog, None, instant(NOW), &TestEntropy)
    }

    #[test]
    fn what_is_not_stored_is_new_and_what_is_stored_again_stays() {
        let mut catalog = catalog();
        let mut first = importer(&catalog);
        let Imported::New(venue) = first.venue(None).unwrap() else { panic!("a new venue") };
        let Imported::New(concert) = first.concert(None).unwrap() else { panic!("a new concert") };
        let Imported::New(performance) = first.performance(0, None).unwrap() else { panic!("a new performance") };
        assert_eq!((concert.version, concert.created_at, concert.draw), (1, instant(NOW), None));
        assert_eq!((performance.concert_id, &performance.venue), (concert.id, &venue));
        let report = ImportReport {
            venues_created: 1,
            concerts_created: 1,
            performances_created: 1,
            seats_created: 3,
            ..first.report()
        };
        assert_eq!(first.report(), report);

        let stored = StoredPerformance { id: performance.id, concert_id: concert.id, venue_id: venue.id };
        let mut second = importer(&catalog);
        assert_eq!(second.venue(Some(venue.clone())).unwrap(), Imported::Unchanged(venue.clone()));
        assert_eq!(second.concert(Some(concert.clone())).unwrap(), Imported::Unchanged(concert.clone()));
        assert_eq!(second.performance(0, Some(stored)).unwrap(), Imported::Changed(performance));
        let report =
            ImportReport { venues_updated: 1, concerts_updated: 1, performances_updated: 1, ..ImportReport::default() };
        assert_eq!(second.report(), report);

        catalog.venues[0].name = name("Great Hall");
        let imported = &mut catalog.concerts[0];
        (imported.title, imported.artist) = (name("Day"), name("Rain"));
        imported.description = Description::new("Later").unwrap();
        imported.sales = SalesWindow::new(instant(NOW), instant(NOW + 1)).unwrap();
        (imported.max_seats_per_account, imported.max_active) = (1, 2);
        let ImportedConcert { title, artist, description, sales, .. } = imported.clone();
        let changed =
            Concert { title, artist, description, sales, max_seats_per_account: 1, max_active: 2, ..concert.clone() };
        let mut third = importer(&catalog);
        let renamed = Venue { name: name("Great Hall"), ..venue.clone() };
        assert_eq!(third.venue(Some(venue)).unwrap(), Imported::Changed(renamed));
        assert_eq!(third.concert(Some(concert)).unwrap(), Imported::Changed(Concert { version: 2, ..changed }));
    }

    #[test]
    fn a_plan_a_place_and_a_draw_do_not_change() {
        let catalog = catalog();
        let venue = importer(&catalog).venue(None).unwrap().into_inner();
        let other_plan = Venue { plan: plan(4), ..venue.clone() };
        let refused = importer(&catalog).venue(Some(other_plan)).unwrap_err();
        assert!(matches!(refused, ImportError::PlanChanged { venue_index: 0 }));

        let mut at_other_place = importer(&catalog);
        at_other_place.venue(Some(venue.clone())).unwrap();
        let concert = at_other_place.concert(None).unwrap().into_inner();
        let place = StoredPerformance {
            id: PerformanceId::new(TestEntropy.uuid()),
            concert_id: concert.id,
            venue_id: venue.id,
        };
        let other_venue = StoredPerformance { venue_id: VenueId::new(TestEntropy.uuid()), ..place };
        let other_concert = StoredPerformance { concert_id: ConcertId::new(TestEntropy.uuid()), ..place };
        for moved in [other_venue, other_concert] {
            let refused = at_other_place.performance(0, Some(moved)).unwrap_err();
            assert!(matches!(refused, ImportError::PerformanceMoved { concert_index: 0, performance_index: 0 }));
        }

        let mut with_draw = catalog.clone();
        with_draw.concerts[0].draw = true;
        let drawn = importer(&with_draw).concert(None).unwrap().into_inner();
        assert!(drawn.draw.is_some());
        let refused = importer(&with_draw).concert(Some(concert)).unwrap_err();
        assert!(matches!(refused, ImportError::Draw { concert_index: 0, error: DrawError::Changed }));
        assert_eq!(importer(&catalog).concert(Some(drawn.clone())).unwrap(), Imported::Unchanged(drawn.clone()));
        with_draw.concerts[0].sales = SalesWindow::new(instant(NOW), drawn.sales.close_at()).unwrap();
        let refused = importer(&with_draw).concert(Some(drawn)).unwrap_err();
        assert!(matches!(refused, ImportError::Draw { concert_index: 0, error: DrawError::Held }));
    }
}
