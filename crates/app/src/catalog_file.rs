//! The format of a catalog file, and the way from its text to a checked [`ImportedCatalog`].

use std::{collections::HashMap, fmt};

use boxoffice_domain::{
    Points, SellingRules, Timestamp,
    catalog::{
        ACTIVE_MAX, ImportedCatalog, ImportedConcert, ImportedPerformance, ImportedVenue, PRICE_MAX, PlanError,
        PriceError, PriceList, Row, SEATS_PER_ACCOUNT_MAX, SalesWindow, SeatingPlan, Section,
    },
    seats::PartName,
    text::{Description, Name, TextError},
};
use chrono::{DateTime, Datelike, SubsecRound, Utc};
use serde::Deserialize;
use serde_path_to_error::Segment;

/// The most seats that the performances of one file have together: they are written in one transaction.
const SEATS_MAX: u64 = 10_000_000;

/// Something wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The place, as a JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pointer to the whole document is empty, which would read as if it were missing.
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    venues: Vec<VenueEntry>,
    concerts: Vec<ConcertEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VenueEntry {
    key: String,
    name: String,
    location: String,
    sections: Vec<SectionEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionEntry {
    name: String,
    rows: Vec<RowEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowEntry {
    name: String,
    seats: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConcertEntry {
    key: String,
    title: String,
    artist: String,
    #[serde(default)]
    description: String,
    sales_open_at: String,
    sales_close_at: String,
    max_seats_per_account: Option<u32>,
    max_active: Option<u32>,
    #[serde(default)]
    draw: bool,
    performances: Vec<PerformanceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerformanceEntry {
    key: String,
    venue: String,
    starts_at: String,
    prices: Vec<PriceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    section: String,
    price: i64,
}

/// The catalog in a text, or everything that is wrong with it. Where the text has not even the shape of a
/// catalog, that is the first such place alone.
pub(crate) fn parse(text: &[u8], rules: &SellingRules) -> Result<ImportedCatalog, Vec<Mistake>> {
    let file = read_shape(text).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader { rules, mistakes: Vec::new() };
    let catalog = reader.catalog(&file);
    if reader.mistakes.is_empty() { Ok(catalog) } else { Err(reader.mistakes) }
}

fn read_shape(text: &[u8]) -> Result<CatalogFile, Mistake> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let file = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Mistake { pointer: pointer_of(error.path()), what: error.inner().to_string() })?;
    json.end().map_err(|error| Mistake { pointer: String::new(), what: error.to_string() })?;
    Ok(file)
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    segments.collect()
}

/// Turns entries into checked values, and notes what is wrong. What is wrong is left out of the result, which is
/// thrown away then.
struct Reader<'a> {
    rules: &'a SellingRules,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn note(&mut self, pointer: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake { pointer: pointer.into(), what: what.into() });
    }

    /// The value, where there is one; otherwise the mistake is noted.
    fn noted<T, E: fmt::Display>(&mut self, pointer: impl Into<String>, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.note(pointer, error.to_string())).ok()
    }

    fn catalog(&mut self, file: &CatalogFile) -> ImportedCatalog {
        let mut venues_by_key = HashMap::new();
        let venues: Vec<_> = file.venues.iter().enumerate().map(|(i, venue)| self.venue(i, venue)).collect();
        for (index, venue) in file.venues.iter().enumerate() {
            self.claim(&mut venues_by_key, &venue.key, index, format!("/venues/{index}"));
        }
        let mut keys = Keys::default();
        let concerts = file.concerts.iter().enumerate();
        let concerts = concerts
            .map(|(index, concert)| self.concert(index, concert, &venues, &venues_by_key, &mut keys))
            .collect::<Vec<_>>();
        if !self.mistakes.is_empty() {
            return ImportedCatalog::default();
        }
        // Without a mistake every venue and concert is there, at its own index.
        let catalog = ImportedCatalog {
            venues: venues.into_iter().flatten().collect(),
            concerts: concerts.into_iter().flatten().collect(),
        };
        if catalog.seats_count() > SEATS_MAX {
            let what = format!("the performances have {} seats; at most {SEATS_MAX} fit", catalog.seats_count());
            self.note("/concerts", what);
        }
        catalog
    }

    /// Notes a key that another entry of its kind has already. Keys are compared as they are stored: trimmed.
    fn claim<'a>(&mut self, claimed: &mut Claimed<'a>, key: &'a str, index: usize, entry: String) {
        let key = key.trim();
        if let Some((_, first)) = claimed.get(key) {
            let what = format!("the key `{key}` is taken by {first}");
            self.note(format!("{entry}/key"), what);
        } else {
            claimed.insert(key, (index, entry));
        }
    }

    fn venue(&mut self, index: usize, entry: &VenueEntry) -> Option<ImportedVenue> {
        let at = format!("/venues/{index}");
        let key = self.noted(format!("{at}/key"), Name::new(&entry.key));
        let name = self.noted(format!("{at}/name"), Name::new(&entry.name));
        let location = self.noted(format!("{at}/location"), Name::new(&entry.location));
        let plan = self.plan(&format!("{at}/sections"), &entry.sections);
        Some(ImportedVenue { key: key?, name: name?, location: location?, plan: plan? })
    }

    fn plan(&mut self, at: &str, entries: &[SectionEntry]) -> Option<SeatingPlan> {
        let sections: Vec<_> =
            entries.iter().enumerate().map(|(i, entry)| self.section(&format!("{at}/{i}"), entry)).collect();
        let sections = sections.into_iter().collect::<Option<_>>()?;
        SeatingPlan::new(sections).map_err(|error| self.note(pointer_of_plan_error(at, error), error.to_string())).ok()
    }

    fn section(&mut self, at: &str, entry: &SectionEntry) -> Option<Section> {
        let name = self.noted(format!("{at}/name"), PartName::new(&entry.name));
        let rows: Vec<_> = entry
            .rows
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let name = self.noted(format!("{at}/rows/{i}/name"), PartName::new(&row.name))?;
                Some(Row { name, seats: row.seats })
            })
            .collect();
        Some(Section { name: name?, rows: rows.into_iter().collect::<Option<_>>()? })
    }

    fn concert<'a>(
        &mut self,
        index: usize,
        entry: &'a ConcertEntry,
        venues: &[Option<ImportedVenue>],
        venues_by_key: &Claimed<'_>,
        keys: &mut Keys<'a>,
    ) -> Option<ImportedConcert> {
        let at = format!("/concerts/{index}");
        self.claim(&mut keys.concerts, &entry.key, index, at.clone());
        let key = self.noted(format!("{at}/key"), Name::new(&entry.key));
        let title = self.noted(format!("{at}/title"), Name::new(&entry.title));
        let artist = self.noted(format!("{at}/artist"), Name::new(&entry.artist));
        let description = self.noted(format!("{at}/description"), Description::new(&entry.description));
        let sales = self.sales(&at, entry);
        let max_seats_per_account = entry.max_seats_per_account.unwrap_or(self.rules.max_seats_per_account.get());
        self.check_range(&at, "max_seats_per_account", max_seats_per_account, SEATS_PER_ACCOUNT_MAX);
        let max_active = entry.max_active.unwrap_or(self.rules.max_active.get());
        self.check_range(&at, "max_active", max_active, ACTIVE_MAX);
        let performances = entry.performances.iter().enumerate();
        let performances: Vec<_> = performances
            .map(|(index, performance)| {
                let at = format!("{at}/performances/{index}");
                self.claim(&mut keys.performances, &performance.key, index, at.clone());
                self.performance(&at, performance, venues, venues_by_key)
            })
            .collect();
        Some(ImportedConcert {
            key: key?,
            title: title?,
            artist: artist?,
            description: description?,
            sales: sales?,
            max_seats_per_account,
            max_active,
            draw: entry.draw,
            performances: performances.into_iter().collect::<Option<_>>()?,
        })
    }

    fn sales(&mut self, at: &str, entry: &ConcertEntry) -> Option<SalesWindow> {
        let open_at = self.noted(format!("{at}/sales_open_at"), instant(&entry.sales_open_at));
        let close_at = self.noted(format!("{at}/sales_close_at"), instant(&entry.sales_close_at));
        self.noted(format!("{at}/sales_close_at"), SalesWindow::new(open_at?, close_at?))
    }

    fn check_range(&mut self, at: &str, field: &str, number: u32, max: u32) {
        if !(1..=max).contains(&number) {
            self.note(format!("{at}/{field}"), format!("must be from 1 to {max}"));
        }
    }

    fn performance(
        &mut self,
        at: &str,
        entry: &PerformanceEntry,
        venues: &[Option<ImportedVenue>],
        venues_by_key: &Claimed<'_>,
    ) -> Option<ImportedPerformance> {
        let key = self.noted(format!("{at}/key"), Name::new(&entry.key));
        let starts_at = self.noted(format!("{at}/starts_at"), instant(&entry.starts_at));
        let prices: Vec<_> =
            entry.prices.iter().enumerate().map(|(i, price)| self.price(&format!("{at}/prices/{i}"), price)).collect();
        let Some((venue_index, _)) = venues_by_key.get(entry.venue.trim()) else {
            self.note(format!("{at}/venue"), "the file has no venue of this key");
            return None;
        };
        let prices = prices.into_iter().collect::<Option<Vec<_>>>()?;
        // The prices for a venue that is wrong itself cannot be checked.
        let plan = &venues[*venue_index].as_ref()?.plan;
        let prices = PriceList::new(plan, &prices)
            .map_err(|error| self.note(pointer_of_price_error(at, &error), error.to_string()))
            .ok();
        Some(ImportedPerformance { key: key?, venue_index: *venue_index, starts_at: starts_at?, prices: prices? })
    }

    fn price(&mut self, at: &str, entry: &PriceEntry) -> Option<(PartName, Points)> {
        // A name that no section can have is told as one that the venue does not have.
        let section = PartName::new(&entry.section).map_err(|_: TextError| "the venue has no such section");
        let section = self.noted(format!("{at}/section"), section);
        let points = Points::new(entry.price).map_err(|_| format!("a price is 0 to {PRICE_MAX} points"));
        let points = self.noted(format!("{at}/price"), points);
        Some((section?, points?))
    }
}

/// Who has which key: the index of the entry, and its pointer.
type Claimed<'a> = HashMap<&'a str, (usize, String)>;

#[derive(Default)]
struct Keys<'a> {
    concerts: Claimed<'a>,
    /// Of all concerts: a performance is found again by its key alone.
    performances: Claimed<'a>,
}

/// A time that every database can keep, in whole microseconds.
fn instant(text: &str) -> Result<Timestamp, &'static str> {
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| "must be an RFC 3339 time such as 2030-01-12T10:00:00Z")?;
    let at = at.with_timezone(&Utc).trunc_subsecs(6);
    if (1970..=9999).contains(&at.year()) { Ok(at) } else { Err("must be in the years 1970 to 9999") }
}

fn pointer_of_plan_error(at: &str, error: PlanError) -> String {
    match error {
        PlanError::NoSeats { section: Some(section) } => format!("{at}/{section}/rows"),
        PlanError::NoSeats { section: None } | PlanError::TooManySeats => at.to_owned(),
        PlanError::SectionRepeated { section } => format!("{at}/{section}/name"),
        PlanError::RowRepeated { section, row } => format!("{at}/{section}/rows/{row}/name"),
        PlanError::EmptyRow { section, row } => format!("{at}/{section}/rows/{row}/seats"),
    }
}

fn pointer_of_price_error(at: &str, error: &PriceError) -> String {
    match error {
        PriceError::SectionMissing(_) => format!("{at}/prices"),
        PriceError::SectionUnknown { price } | PriceError::SectionRepeated { price } => {
            format!("{at}/prices/{price}/section")
        }
        PriceError::TooHigh { price } => format!("{at}/prices/{price}/price"),
    }
}

#[cfg(test)]
#[path = "catalog_file_tests.rs"]
mod tests;
