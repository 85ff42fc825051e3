//! What an import makes of a catalog, given what is stored.

mod changes;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::changes::Changes;
use super::{
    concert::{Concert, DrawError, SalesWindow},
    import::{
        CatalogKey, ImportError, ImportOptions, ImportPlace, ImportReport, ImportRule, ImportedCatalog,
        ImportedConcert, ImportedPerformance, Named,
    },
    performance::{Moved, NewPerformance, PriceList},
    plan::Venue,
    rules::{Booking, DURATION_MINUTES, check_opening, check_sales, check_start},
};
use crate::{
    ConcertId, EntropySource, PerformanceId, Timestamp, VenueId,
    history::{ActKind, ActSubject, Actor, StaffAct},
    waiting_room::Draw,
};

pub use self::stored::{KnownPerformance, OtherPerformances, Owned, SectionPrice, StoredPerformance, VenueBookings};

/// What an import makes of one entry of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported<T> {
    /// Nothing is stored under its key: this is inserted.
    New(T),
    /// This takes the place of what is stored, with the owner of the import.
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

    fn of_known(value: T, changed: bool) -> Self {
        if changed { Self::Changed(value) } else { Self::Unchanged(value) }
    }
}

/// What an import makes of one performance of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PerformanceImport {
    /// Nothing is stored under its key: this is inserted, with its seats.
    New(NewPerformance),
    /// This takes the place of what is stored, with the owner of the import.
    Changed {
        /// The performance after the import.
        performance: StoredPerformance,
        /// The sections of it whose price has changed: that of all their seats becomes the new one.
        sections: Vec<SectionPrice>,
    },
    /// What is stored stays as it is.
    Unchanged(StoredPerformance),
}

/// The last concert that was decided on.
struct CurrentConcert {
    id: ConcertId,
    sales: SalesWindow,
    is_moved: bool,
    named: BTreeSet<PerformanceId>,
}

/// Decides what an import makes of each entry of a catalog, and reports it.
///
/// For each entry the storage loads what it has under the key of the entry, of all owners, asks for the decision, and writes
/// it: first the venues, then each concert with its performances, all in the order of the catalog. After those of a
/// concert that was stored it asks [what else](Self::others_of_concert) the concert has; at the end, for each of the
/// [venues to check](Self::venues_to_check), whether it is [taken once](Self::check_bookings), and what else
/// [the owner](Self::others_of_owner) has. A refusal ends the import; nothing that was written for it may stay.
pub struct Importer<'i> {
    catalog: &'i ImportedCatalog,
    options: &'i ImportOptions,
    now: Timestamp,
    entropy: &'i dyn EntropySource,
    venues: Vec<Venue>,
    concerts_count: usize,
    concert: Option<CurrentConcert>,
    /// Venues in which performances may overlap from now on no longer, by their index.
    venues_closed: BTreeMap<VenueId, usize>,
    /// The performances that take their venue at another time than before.
    booked: BTreeMap<VenueId, Vec<(Booking, ImportPlace)>>,
    report: ImportReport,
    acts: Vec<StaffAct>,
}

impl std::fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer").field("report", &self.report).finish_non_exhaustive()
    }
}

impl<'i> Importer<'i> {
    /// An import at `now`.
    pub fn new(
        catalog: &'i ImportedCatalog,
        options: &'i ImportOptions,
        now: Timestamp,
        entropy: &'i dyn EntropySource,
    ) -> Self {
        Self {
            catalog,
            options,
            now,
            entropy,
            venues: Vec::with_capacity(catalog.venues.len()),
            concerts_count: 0,
            concert: None,
            venues_closed: BTreeMap::new(),
            booked: BTreeMap::new(),
            report: ImportReport::default(),
            acts: Vec::new(),
        }
    }

    /// What was done so far, for the history: each act once.
    pub fn take_acts(&mut self) -> Vec<StaffAct> {
        std::mem::take(&mut self.acts)
    }

    /// What was decided.
    pub fn into_report(self) -> ImportReport {
        self.report
    }

    /// Decides on the next venue. Its seating plan does not change.
    pub fn venue(&mut self, found: Vec<Owned<Venue>>) -> Result<Imported<Venue>, ImportError> {
        let index = self.venues.len();
        let (imported, place) = (&self.catalog.venues[index], ImportPlace::Venue(index));
        let Some(Owned { owner, value: stored }) = self.own(found, place)? else {
            let venue = Venue {
                id: VenueId::new(self.entropy.uuid()),
                name: required(imported.name.as_ref(), place, "name")?,
                location: required(imported.location.as_ref(), place, "location")?,
                plan: required(imported.plan.as_ref(), place, "sections")?,
                layout: imported.layout.clone(),
                overlaps_allowed: imported.overlaps_allowed.unwrap_or_default(),
                time_zone: imported.time_zone.unwrap_or_default(),
                created_at: self.now,
            };
            self.venues.push(venue.clone());
            self.report.venues_created += 1;
            self.acts.push(StaffAct::venue_published(self.entropy, self.now, Actor::default(), &venue));
            return Ok(Imported::New(venue));
        };
        if imported.plan.as_ref().is_some_and(|plan| *plan != stored.plan) {
            return Err(ImportRule::PlanChanged.at(place, "sections"));
        }
        let venue = Venue {
            name: imported.name.clone().unwrap_or_else(|| stored.name.clone()),
            location: imported.location.clone().unwrap_or_else(|| stored.location.clone()),
            overlaps_allowed: imported.overlaps_allowed.unwrap_or(stored.overlaps_allowed),
            time_zone: imported.time_zone.unwrap_or(stored.time_zone),
            layout: imported.layout.clone().or_else(|| stored.layout.clone()),
            ..stored.clone()
        };
        if stored.overlaps_allowed && !venue.overlaps_allowed {
            self.venues_closed.insert(venue.id, index);
        }
        let mut changes = Changes::of(Named::Venue(imported.key.clone()));
        changes.owner(owner, self.options.promoter_id);
        changes.field("name", &stored.name, &venue.name);
        changes.field("location", &stored.location, &venue.location);
        changes.field("overlaps_allowed", stored.overlaps_allowed, venue.overlaps_allowed);
        changes.field("time_zone", stored.time_zone, venue.time_zone);
        changes.layout(stored.layout.as_ref(), venue.layout.as_ref());
        self.venues.push(venue.clone());
        self.report.venues_known += 1;
        let changed = self.note(ActKind::VenueChanged, ActSubject::Venue(venue.id), None, changes);
        Ok(Imported::of_known(venue, changed))
    }

    /// Decides on the next concert. A stored one keeps its draw and its queue, and its promoter unless it had none. If
    /// nothing changes, it keeps its version too, and with it its entity tag.
    pub fn concert(&mut self, found: Vec<Owned<Concert>>) -> Result<Imported<Concert>, ImportError> {
        let index = self.concerts_count;
        let (imported, place) = (&self.catalog.concerts[index], ImportPlace::Concert(index));
        self.concerts_count += 1;
        let Some(Owned { owner, value: stored }) = self.own(found, place)? else {
            let concert = self.new_concert(imported, place)?;
            self.begin_concert(&concert, false);
            self.report.concerts_created += 1;
            self.acts.push(StaffAct::concert_published(self.entropy, self.now, Actor::default(), &concert));
            return Ok(Imported::New(concert));
        };
        if imported.draw.is_some_and(|draw| draw != stored.draw.is_some()) {
            return Err(ImportRule::Draw(DrawError::Changed).at(place, "draw"));
        }
        let changed = imported.change().apply(&stored, self.now);
        let mut concert = changed.map_err(|error| ImportRule::from(error).at(place, error.field()))?;
        concert.promoter_id = self.options.promoter_id;
        let mut changes = Changes::of(Named::Concert(imported.key.clone()));
        changes.owner(owner, self.options.promoter_id);
        changes.field("title", &stored.title, &concert.title);
        changes.field("artist", &stored.artist, &concert.artist);
        changes.text("description", stored.description.as_str(), concert.description.as_str());
        changes.time("sales_open_at", stored.sales.open_at(), concert.sales.open_at());
        changes.time("sales_close_at", stored.sales.close_at(), concert.sales.close_at());
        changes.field("max_seats_per_account", stored.max_seats_per_account, concert.max_seats_per_account);
        changes.field("max_active", stored.max_active, concert.max_active);
        changes.field("holds_need_balance", stored.holds_need_balance, concert.holds_need_balance);
        let (was_required, is_required) = (stored.requires_verified_email, concert.requires_verified_email);
        changes.field("requires_verified_email", was_required, is_required);
        self.begin_concert(&concert, concert.sales.open_at() != stored.sales.open_at());
        self.report.concerts_known += 1;
        let subject = ActSubject::Concert(concert.id);
        let changed = self.note(ActKind::ConcertChanged, subject, Some(concert.id), changes);
        concert.version = stored.version.saturating_add(u32::from(changed));
        Ok(Imported::of_known(concert, changed))
    }

    fn new_concert(&self, imported: &ImportedConcert, place: ImportPlace) -> Result<Concert, ImportError> {
        let open_at = required(imported.sales_open_at.as_ref(), place, "sales_open_at")?;
        let close_at = required(imported.sales_close_at.as_ref(), place, "sales_close_at")?;
        let sales = SalesWindow::new(open_at, close_at);
        let sales = sales.map_err(|error| ImportRule::from(error).at(place, "sales_close_at"))?;
        check_sales(self.now, None, &sales).map_err(|error| ImportRule::from(error).at(place, error.field()))?;
        Ok(Concert {
            id: ConcertId::new(self.entropy.uuid()),
            promoter_id: self.options.promoter_id,
            title: required(imported.title.as_ref(), place, "title")?,
            artist: required(imported.artist.as_ref(), place, "artist")?,
            description: imported.description.clone().unwrap_or_default(),
            sales,
            max_seats_per_account: imported.max_seats_per_account.unwrap_or(self.options.max_seats_per_account),
            max_active: imported.max_active.unwrap_or(self.options.max_active),
            holds_need_balance: imported.holds_need_balance.unwrap_or(false),
            requires_verified_email: imported.requires_verified_email.unwrap_or(false),
            draw: (imported.draw == Some(true)).then(|| Draw::new(self.entropy.secret())),
            paused: false,
            emptied_at: None,
            version: 1,
            created_at: self.now,
        })
    }

    fn begin_concert(&mut self, concert: &Concert, is_moved: bool) {
        let (id, sales, named) = (concert.id, concert.sales, BTreeSet::new());
        self.concert = Some(CurrentConcert { id, sales, is_moved, named });
    }

    /// The last concert, and its index.
    fn current(&mut self) -> (&mut CurrentConcert, usize) {
        let index = self.concerts_count.saturating_sub(1);
        (self.concert.as_mut().expect("a performance comes after its concert"), index)
    }

    /// Decides on a performance of the last concert. It stays at its venue.
    pub fn performance(
        &mut self,
        performance_index: usize,
        found: Vec<Owned<StoredPerformance>>,
    ) -> Result<PerformanceImport, ImportError> {
        let concert_index = self.current().1;
        let imported = &self.catalog.concerts[concert_index].performances()[performance_index];
        let place = ImportPlace::Performance(concert_index, performance_index);
        match self.own(found, place)? {
            None => self.new_performance(imported, place).map(PerformanceImport::New),
            Some(stored) => self.known_performance(imported, place, stored),
        }
    }

    fn new_performance(
        &mut self,
        imported: &ImportedPerformance,
        place: ImportPlace,
    ) -> Result<NewPerformance, ImportError> {
        let venue = &self.venues[required(imported.venue_index.as_ref(), place, "venue")?];
        let prices = required(imported.prices.as_ref(), place, "prices")?;
        let prices = PriceList::new(&venue.plan, &prices);
        let performance = NewPerformance {
            id: PerformanceId::new(self.entropy.uuid()),
            venue: venue.clone(),
            starts_at: required(imported.starts_at.as_ref(), place, "starts_at")?,
            duration_minutes: imported.duration_minutes.unwrap_or(DURATION_MINUTES),
            prices: prices.map_err(|error| error_of_prices(error, place))?,
            created_at: self.now,
            concert_id: self.current().0.id,
        };
        self.check_start(performance.starts_at, place)?;
        self.current().0.named.insert(performance.id);
        self.book(performance.venue.id, performance.booking(), place);
        self.report.performances_created += 1;
        self.acts.push(StaffAct::performance_published(self.entropy, self.now, Actor::default(), &performance));
        self.report.seats_created += u64::from(performance.venue.plan.capacity());
        Ok(performance)
    }

    fn known_performance(
        &mut self,
        imported: &ImportedPerformance,
        place: ImportPlace,
        Owned { owner, value: stored }: Owned<StoredPerformance>,
    ) -> Result<PerformanceImport, ImportError> {
        if stored.concert_id != self.current().0.id {
            return Err(ImportRule::ConcertChanged.at(place, "key"));
        }
        if imported.venue_index.is_some_and(|index| self.venues[index].id != stored.venue_id) {
            return Err(ImportRule::VenueChanged.at(place, "venue"));
        }
        self.current().0.named.insert(stored.id);
        let starts_at = imported.starts_at.unwrap_or(stored.starts_at);
        // One that has started stays withdrawn, so that those who have paid for it can cancel.
        let comes_back = stored.withdrawn_at.is_some() && self.now < starts_at;
        let mut performance = StoredPerformance {
            duration_minutes: imported.duration_minutes.unwrap_or(stored.duration_minutes),
            withdrawn_at: stored.withdrawn_at.filter(|_| !comes_back),
            ..stored.clone()
        };
        if starts_at == stored.starts_at {
            if comes_back {
                self.check_start(starts_at, place)?;
            } else if stored.withdrawn_at.is_none() {
                self.check_opening(starts_at)?;
            }
        } else {
            if stored.is_sold && !self.options.harm {
                return Err(ImportRule::Harm.at(place, "starts_at"));
            }
            self.check_start(starts_at, place)?;
            performance.starts_at = starts_at;
            performance.moved = Some(Moved::from(stored.starts_at, stored.moved, self.now));
        }
        if let Some(prices) = &imported.prices {
            let names = stored.sections.iter().map(|section| &section.name);
            let prices = PriceList::of_sections(names, prices).map_err(|error| error_of_prices(error, place))?;
            for (section, price) in performance.sections.iter_mut().zip(prices.by_section()) {
                section.price = *price;
            }
        }
        let mut changes = Changes::of(Named::Performance(imported.key.clone()));
        changes.owner(owner, self.options.promoter_id);
        changes.time("starts_at", stored.starts_at, performance.starts_at);
        changes.field("duration_minutes", stored.duration_minutes, performance.duration_minutes);
        changes.field("withdrawn", stored.withdrawn_at.is_some(), performance.withdrawn_at.is_some());
        let mut sections = performance.sections.clone();
        sections.retain(|section| !stored.sections.contains(section));
        for section in &sections {
            let before = stored.sections.iter().find(|before| before.name == section.name).map(|before| before.price);
            changes.field(format!("price of {}", section.name), before.unwrap_or_default(), section.price);
        }
        if performance.booking() != stored.booking() || comes_back {
            self.book(stored.venue_id, performance.booking(), place);
        }
        self.report.performances_known += 1;
        let subject = ActSubject::Performance(stored.id);
        if self.note(ActKind::PerformanceChanged, subject, Some(stored.concert_id), changes) {
            Ok(PerformanceImport::Changed { performance, sections })
        } else {
            Ok(PerformanceImport::Unchanged(stored))
        }
    }

    fn check_start(&mut self, starts_at: Timestamp, place: ImportPlace) -> Result<(), ImportError> {
        let (now, history) = (self.now, self.options.history);
        let checked = check_start(now, &self.current().0.sales, starts_at, history);
        checked.map_err(|error| ImportRule::from(error).at(place, "starts_at"))
    }

    /// Checks the sale of the last concert, if it was moved, against a performance that stays.
    fn check_opening(&mut self, starts_at: Timestamp) -> Result<(), ImportError> {
        let now = self.now;
        let (concert, index) = self.current();
        if !concert.is_moved {
            return Ok(());
        }
        let checked = check_opening(now, &concert.sales, starts_at);
        checked.map_err(|error| ImportRule::from(error).at(ImportPlace::Concert(index), error.field()))
    }

    fn book(&mut self, venue_id: VenueId, booking: Booking, place: ImportPlace) {
        self.booked.entry(venue_id).or_default().push((booking, place));
    }

    /// Decides on all performances of the last concert, which belong with it. Those that the catalog does not name get the
    /// owner of the import too, and are taken from sale if that is asked. Those that have started stay on sale.
    pub fn others_of_concert(&mut self, known: Vec<KnownPerformance>) -> Result<OtherPerformances, ImportError> {
        let index = self.current().1;
        let says_nothing = self.catalog.concerts[index].performances.is_none();
        let mut others = OtherPerformances::default();
        for performance in known {
            if self.current().0.named.contains(&performance.id) {
                continue;
            }
            let mut changes = Changes::of(performance.named());
            if performance.is_adopted_by(self.options.promoter_id) {
                changes.owner(None, self.options.promoter_id);
                others.adopted.push(performance.id);
            }
            let is_missed = !says_nothing && self.now < performance.starts_at && performance.withdrawn_at.is_none();
            if is_missed && self.options.withdraw {
                changes.field("withdrawn", false, true);
                others.withdrawn.push(performance.id);
            } else if performance.withdrawn_at.is_none() {
                self.check_opening(performance.starts_at)?;
            }
            let (subject, concert_id) = (ActSubject::Performance(performance.id), self.current().0.id);
            self.note(ActKind::PerformanceChanged, subject, Some(concert_id), changes);
            if is_missed && !self.options.withdraw {
                self.report.no_longer_named.push(performance.named());
            }
        }
        Ok(others)
    }

    /// Takes note of the keys of the concerts of the owner that can still be sold and have a performance to come: which of
    /// them the catalog does not name.
    pub fn others_of_owner(&mut self, keys: impl IntoIterator<Item = CatalogKey>) {
        let named: BTreeSet<_> = self.catalog.concerts.iter().map(|concert| &concert.key).collect();
        let others = keys.into_iter().filter(|key| !named.contains(key));
        self.report.no_longer_named.extend(others.map(Named::Concert));
    }

    /// The venues that are taken at other times than before. They have to be locked before their performances are read.
    pub fn venues_to_check(&self) -> Vec<VenueId> {
        let venues: BTreeSet<_> = self.booked.keys().chain(self.venues_closed.keys()).copied().collect();
        venues.into_iter().collect()
    }

    /// Checks that a venue has one performance at a time, given how it is taken after the import.
    pub fn check_bookings(&self, venue_id: VenueId, venue: &VenueBookings) -> Result<(), ImportError> {
        if venue.overlaps_allowed {
            return Ok(());
        }
        for (booking, place) in self.booked.get(&venue_id).into_iter().flatten() {
            if let Some(other) = booking.conflict(&venue.bookings) {
                return Err(ImportRule::Overlaps(other.starts_at).at(*place, "starts_at"));
            }
        }
        let Some(index) = self.venues_closed.get(&venue_id) else { return Ok(()) };
        let mut bookings = venue.bookings.clone();
        bookings.sort_unstable_by_key(|booking| booking.starts_at);
        if bookings.windows(2).any(|pair| pair[0].overlaps(&pair[1])) {
            return Err(ImportRule::Overlapping.at(ImportPlace::Venue(*index), "overlaps_allowed"));
        }
        Ok(())
    }

    /// Of what is stored under a key, what the import may change: what its owner has; else what the operator has, which a
    /// promoter adopts. If only others have something, it is theirs.
    fn own<T>(&self, found: Vec<Owned<T>>, place: ImportPlace) -> Result<Option<Owned<T>>, ImportError> {
        let is_empty = found.is_empty();
        let (mut own, mut without_promoter) = (None, None);
        for stored in found {
            if stored.owner == self.options.promoter_id {
                own = Some(stored);
            } else if stored.owner.is_none() {
                without_promoter = Some(stored);
            }
        }
        match own.or(without_promoter) {
            None if !is_empty => Err(ImportRule::OtherOwner.at(place, "key")),
            chosen => Ok(chosen),
        }
    }

    /// Reports changes. Returns whether there are any.
    fn note(&mut self, kind: ActKind, subject: ActSubject, concert_id: Option<ConcertId>, changes: Changes) -> bool {
        let is_changed = !changes.list.is_empty();
        if is_changed {
            let act = StaffAct::new(self.entropy, self.now, Actor::default(), kind, subject);
            self.acts.push(StaffAct { concert_id, ..act.with(changes.fields()) });
        }
        self.report.changes.extend(changes.list);
        is_changed
    }
}

fn required<T: Clone>(value: Option<&T>, place: ImportPlace, field: &str) -> Result<T, ImportError> {
    value.cloned().ok_or_else(|| ImportRule::Missing.at(place, field))
}

fn error_of_prices(error: super::PriceError, place: ImportPlace) -> ImportError {
    let field = error.field();
    ImportRule::from(error).at(place, field)
}
