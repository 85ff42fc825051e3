//! Checks the entries of a catalog file, and finds all mistakes at once.

use std::{collections::HashMap, fmt};

use boxoffice_domain::{
    Points, TimeZone, Timestamp,
    catalog::{
        ACTIVE_MAX, DURATION_MINUTES_MAX, ImportedCatalog, ImportedConcert, ImportedPerformance, ImportedVenue, Layout,
        MarkedSeat, Measure, PRICE_MAX, PlanError, PriceList, Row, SEATS_PER_ACCOUNT_MAX, SalesWindow, SeatingPlan,
        Section, SectionPlace, StagePlace, VENUE_SEATS_MAX,
    },
    seats::{PartName, SeatLabel},
    text::{Description, Name, TextError},
};
use boxoffice_http::json::{self, Object};

use super::{CatalogFile, ConcertEntry, LayoutEntry, Mistake, PerformanceEntry, PriceEntry, SectionEntry, VenueEntry};

/// The most seats that the performances of one file have together: they are written in one transaction.
const SEATS_MAX: u64 = 10_000_000;

/// The catalog of a file, or everything that is wrong with it.
pub(super) fn check(file: &CatalogFile) -> Result<ImportedCatalog, Vec<Mistake>> {
    let mut checker = Checker { mistakes: Vec::new(), venues: Vec::new(), keys: HashMap::new() };
    for (index, entry) in file.venues.iter().enumerate() {
        let venue = checker.venue(index, entry);
        checker.venues.push(venue);
    }
    let concerts = all(&file.concerts, |index, entry| checker.concert(index, entry));
    // Without a mistake all of them are there, at their indexes.
    let catalog = ImportedCatalog {
        venues: checker.venues.drain(..).flatten().collect(),
        concerts: concerts.unwrap_or_default(),
    };
    if checker.mistakes.is_empty() && catalog.seats_count() > SEATS_MAX {
        let what = format!("the performances have {} seats; at most {SEATS_MAX} fit", catalog.seats_count());
        checker.note("/concerts", what);
    }
    if checker.mistakes.is_empty() { Ok(catalog) } else { Err(checker.mistakes) }
}

/// Checks every entry, so that all mistakes are found; `None` if one is wrong.
fn all<'a, T, U>(entries: &'a [Object<T>], mut check: impl FnMut(usize, &'a T) -> Option<U>) -> Option<Vec<U>> {
    let checked: Vec<_> = entries.iter().enumerate().map(|(index, Object(entry))| check(index, entry)).collect();
    checked.into_iter().collect()
}

/// The entries that have unique keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Venue,
    Concert,
    /// Of any concert: a later import finds a performance by its key alone.
    Performance,
}

/// Turns entries into checked values, and notes what is wrong.
struct Checker {
    mistakes: Vec<Mistake>,
    /// The venues so far; `None` for a wrong one.
    venues: Vec<Option<ImportedVenue>>,
    /// The first entry of each key: its index and its pointer.
    keys: HashMap<(Kind, Name), (usize, String)>,
}

impl Checker {
    fn note(&mut self, pointer: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake { pointer: pointer.into(), what: what.into() });
    }

    /// The value of a field; a mistake is noted.
    fn field<T, E: fmt::Display>(&mut self, at: &str, name: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.note(format!("{at}/{name}"), error.to_string())).ok()
    }

    /// The key of an entry, which differs from those of its kind. Keys are compared as they are stored.
    fn key(&mut self, kind: Kind, key: &str, index: usize, at: &str) -> Option<Name> {
        let key = self.field(at, "key", Name::distinct(key))?;
        if let Some((_, first)) = self.keys.get(&(kind, key.clone())) {
            let what = format!("the key `{key}` is taken by {first}");
            self.note(format!("{at}/key"), what);
        } else {
            self.keys.insert((kind, key.clone()), (index, at.to_owned()));
        }
        Some(key)
    }

    /// As [`Self::field`], for a field that may be absent. `None` if it is wrong.
    #[expect(clippy::option_option, reason = "a field can be wrong, or be absent")]
    fn optional<V, T, E: fmt::Display>(
        &mut self,
        at: &str,
        name: &str,
        value: Option<V>,
        check: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(value) => self.field(at, name, check(value)).map(Some),
        }
    }

    fn venue(&mut self, index: usize, entry: &VenueEntry) -> Option<ImportedVenue> {
        let at = format!("/venues/{index}");
        let key = self.key(Kind::Venue, &entry.key, index, &at);
        let name = self.optional(&at, "name", entry.name.as_deref(), Name::new);
        let location = self.optional(&at, "location", entry.location.as_deref(), Name::new);
        let plan = match &entry.sections {
            None => Some(None),
            Some(sections) => self.plan(&format!("{at}/sections"), sections).map(Some),
        };
        let layout = match (&entry.layout, &plan) {
            (None, _) => Some(None),
            // What is wrong with the plan is noted already.
            (Some(_), None) => None,
            (Some(layout), Some(plan)) => self.layout(&at, layout, plan.as_ref()).map(Some),
        };
        let time_zone = self.optional(&at, "time_zone", entry.time_zone.as_deref(), TimeZone::new);
        let overlaps_allowed = entry.overlaps_allowed;
        Some(ImportedVenue {
            key: key?,
            name: name?,
            location: location?,
            plan: plan?,
            layout: layout?,
            overlaps_allowed,
            time_zone: time_zone?,
        })
    }

    fn plan(&mut self, at: &str, entries: &[Object<SectionEntry>]) -> Option<SeatingPlan> {
        let sections = all(entries, |index, entry| self.section(&format!("{at}/{index}"), entry))?;
        SeatingPlan::new(sections).map_err(|error| self.note(pointer_of_plan_error(at, error), error.to_string())).ok()
    }

    /// A layout, which is checked against the plan beside it.
    fn layout(
        &mut self,
        venue: &str,
        Object(entry): &Object<LayoutEntry>,
        plan: Option<&SeatingPlan>,
    ) -> Option<Layout> {
        let at = format!("{venue}/layout");
        let sections = all(&entry.sections, |index, place| {
            let section = self.field(&format!("{at}/sections/{index}"), "section", PartName::new(&place.section))?;
            let [x, y, angle, curvature] = [place.x, place.y, place.angle, place.curvature].map(Measure::from);
            Some(SectionPlace { section, x, y, angle, curvature })
        });
        let marks = all(&entry.marks, |index, marked| {
            let at = format!("{at}/marks/{index}");
            let seat = self.field(&at, "seat", SeatLabel::new(&marked.seat));
            let mark = self.field(&at, "mark", marked.mark.parse());
            Some(MarkedSeat { seat: seat?, mark: mark? })
        });
        let stage = entry.stage.as_ref().map(|Object(stage)| {
            let [x, y, width, depth] = [stage.x, stage.y, stage.width, stage.depth].map(Measure::from);
            StagePlace { x, y, width, depth }
        });
        let layout = Layout { stage, sections: sections?, marks: marks? };
        let Some(plan) = plan else {
            self.note(at, "needs the `sections` of the venue beside it");
            return None;
        };
        if let Err(error) = layout.check(plan) {
            self.note(format!("{at}/{}", error.field()), error.to_string());
            return None;
        }
        Some(layout)
    }

    fn section(&mut self, at: &str, entry: &SectionEntry) -> Option<Section> {
        let name = self.field(at, "name", PartName::new(&entry.name));
        let rows = all(&entry.rows, |index, row| {
            let at = format!("{at}/rows/{index}");
            let name = self.field(&at, "name", PartName::new(&row.name));
            let seats = self.field(&at, "seats", in_range(row.seats, VENUE_SEATS_MAX));
            Some(Row { name: name?, seats: seats? })
        });
        Some(Section { name: name?, rows: rows? })
    }

    fn concert(&mut self, index: usize, entry: &ConcertEntry) -> Option<ImportedConcert> {
        let at = format!("/concerts/{index}");
        let key = self.key(Kind::Concert, &entry.key, index, &at);
        let title = self.optional(&at, "title", entry.title.as_deref(), Name::new);
        let artist = self.optional(&at, "artist", entry.artist.as_deref(), Name::new);
        let description = self.optional(&at, "description", entry.description.as_deref(), Description::new);
        let sales = self.sales(&at, entry);
        let seats_max = |number| in_range(number, SEATS_PER_ACCOUNT_MAX);
        let max_seats = self.optional(&at, "max_seats_per_account", entry.max_seats_per_account, seats_max);
        let active_max = |number| in_range(number, ACTIVE_MAX);
        let max_active = self.optional(&at, "max_active", entry.max_active, active_max);
        let performances = match &entry.performances {
            None => Some(None),
            Some(entries) => {
                let each = |index, entry| self.performance(&format!("{at}/performances/{index}"), index, entry);
                all(entries, each).map(Some)
            }
        };
        let (sales_open_at, sales_close_at) = sales?;
        Some(ImportedConcert {
            key: key?,
            title: title?,
            artist: artist?,
            description: description?,
            sales_open_at,
            sales_close_at,
            max_seats_per_account: max_seats?,
            max_active: max_active?,
            holds_need_balance: entry.holds_need_balance,
            requires_verified_email: entry.requires_verified_email,
            draw: entry.draw,
            performances: performances?,
        })
    }

    fn sales(&mut self, at: &str, entry: &ConcertEntry) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
        let open_at = self.optional(at, "sales_open_at", entry.sales_open_at.as_deref(), instant);
        let close_at = self.optional(at, "sales_close_at", entry.sales_close_at.as_deref(), instant);
        let (open_at, close_at) = (open_at?, close_at?);
        if let (Some(open_at), Some(close_at)) = (open_at, close_at) {
            self.field(at, "sales_close_at", SalesWindow::new(open_at, close_at))?;
        }
        Some((open_at, close_at))
    }

    fn performance(&mut self, at: &str, index: usize, entry: &PerformanceEntry) -> Option<ImportedPerformance> {
        let key = self.key(Kind::Performance, &entry.key, index, at);
        let starts_at = self.optional(at, "starts_at", entry.starts_at.as_deref(), instant);
        let duration_max = |number| in_range(number, DURATION_MINUTES_MAX);
        let duration_minutes = self.optional(at, "duration_minutes", entry.duration_minutes, duration_max);
        let prices = match &entry.prices {
            None => Some(None),
            Some(entries) => all(entries, |index, entry| self.price(&format!("{at}/prices/{index}"), entry)).map(Some),
        };
        let index_of = |key| {
            let key = Name::new(key).ok()?;
            self.keys.get(&(Kind::Venue, key)).map(|(index, _)| *index)
        };
        let venue = entry.venue.as_deref().map(index_of);
        let found = |venue: Option<usize>| venue.ok_or("the file has no venue of this key");
        let venue_index = self.optional(at, "venue", venue, found)?;
        let prices = prices?;
        if let (Some(index), Some(prices)) = (venue_index, &prices) {
            // Prices cannot be checked against a venue that is wrong itself; those of a plan that is stored are checked later.
            if let Some(plan) = &self.venues[index].as_ref()?.plan
                && let Err(error) = PriceList::new(plan, prices)
            {
                self.note(format!("{at}/{}", error.field()), error.to_string());
                return None;
            }
        }
        Some(ImportedPerformance {
            key: key?,
            venue_index,
            starts_at: starts_at?,
            duration_minutes: duration_minutes?,
            prices,
        })
    }

    fn price(&mut self, at: &str, entry: &PriceEntry) -> Option<(PartName, Points)> {
        // No section can have such a name, so the venue does not have it.
        let section = PartName::new(&entry.section).map_err(|_: TextError| "the venue has no such section");
        let section = self.field(at, "section", section);
        let points = Points::new(entry.price).map_err(|_| format!("a price is 0 to {PRICE_MAX} points"));
        let points = self.field(at, "price", points);
        Some((section?, points?))
    }
}

fn in_range(number: i64, max: u32) -> Result<u32, String> {
    let within = u32::try_from(number).ok().filter(|number| (1..=max).contains(number));
    within.ok_or_else(|| format!("must be from 1 to {max}"))
}

/// An instant that every storage keeps.
fn instant(text: &str) -> Result<Timestamp, &'static str> {
    json::time(text).and_then(json::in_years)
}

fn pointer_of_plan_error(at: &str, error: PlanError) -> String {
    match error {
        PlanError::NoSeats { section: Some(section) } => format!("{at}/{section}/rows"),
        PlanError::NoSeats { section: None }
        | PlanError::TooManySeats
        | PlanError::TooManySections
        | PlanError::NamesTooLong => at.to_owned(),
        PlanError::SectionRepeated { section } => format!("{at}/{section}/name"),
        PlanError::RowRepeated { section, row } => format!("{at}/{section}/rows/{row}/name"),
        PlanError::EmptyRow { section, row } => format!("{at}/{section}/rows/{row}/seats"),
    }
}
