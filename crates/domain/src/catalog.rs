//! What is sold: venues, concerts, performances and their seats.

use std::{
    collections::{HashMap, HashSet},
    ops::{Deref, Range},
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ConcertId, PerformanceId, Points, StorageError, Timestamp, VenueId,
    idempotency::{Idempotency, KeyReused, Made},
    page::{Page, PageRequest},
    seats::{SeatLabel, SeatState, SeatStatus},
    text::{Description, Name},
    waiting_room::{Draw, QueueTerms},
};

pub use crate::seats::PartName;

/// The most seats of a venue.
pub const VENUE_SEATS_MAX: u32 = 200_000;
/// The most points that one seat costs.
pub const PRICE_MAX: i64 = 100_000_000;
/// The most seats that a concert may allow one account.
pub const SEATS_PER_ACCOUNT_MAX: u32 = 100;
/// The most accounts that a concert may admit at once.
pub const ACTIVE_MAX: u32 = 1_000_000;

/// A row of seats, numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name, unique within its section.
    pub name: PartName,
    /// How many seats it has, at least 1.
    pub seats: u32,
}

/// A section of a venue; seats of one section cost the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its name, unique within its venue.
    pub name: PartName,
    /// Its rows, front to back.
    pub rows: Vec<Row>,
}

/// Where the seats of a venue are. Checked once, and right from then on.
///
/// ```
/// use boxoffice_domain::{catalog::{Row, SeatingPlan, Section}, seats::PartName};
/// let row = |name: &str, seats| Row { name: PartName::new(name).unwrap(), seats };
/// let stalls = Section { name: PartName::new("A").unwrap(), rows: vec![row("1", 2), row("2", 3)] };
/// let plan = SeatingPlan::new(vec![stalls])?;
/// assert_eq!(plan.capacity(), 5);
/// let labels: Vec<_> = plan.seats().map(|seat| seat.label.to_string()).collect();
/// assert_eq!(labels, ["A-1-1", "A-1-2", "A-2-1", "A-2-2", "A-2-3"]);
/// # Ok::<(), boxoffice_domain::catalog::PlanError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatingPlan {
    sections: Vec<Section>,
    capacity: u32,
}

/// Why sections do not make a seating plan; the numbers are indexes into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No section, or one without rows.
    #[error("a venue has at least one section, and a section at least one row")]
    NoSeats {
        /// The section without rows; `None` where there is no section at all.
        section: Option<usize>,
    },
    /// Two sections of one name.
    #[error("section names are unique in their venue")]
    SectionRepeated {
        /// The later of the two.
        section: usize,
    },
    /// Two rows of one name in one section.
    #[error("row names are unique in their section")]
    RowRepeated {
        /// The section.
        section: usize,
        /// The later of the two rows.
        row: usize,
    },
    /// A row without seats.
    #[error("a row has at least one seat")]
    EmptyRow {
        /// The section.
        section: usize,
        /// The row.
        row: usize,
    },
    /// More than [`VENUE_SEATS_MAX`] seats.
    #[error("a venue has at most 200000 seats")]
    TooManySeats,
}

/// A seat as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSeat<'a> {
    /// Its place in the order of the plan, from 0.
    pub ordinal: u32,
    /// Its label.
    pub label: SeatLabel,
    /// Its section's name.
    pub section: &'a str,
    /// Its row's name.
    pub row: &'a str,
    /// Its number in the row, from 1.
    pub number: u32,
}

impl SeatingPlan {
    /// Checks sections.
    pub fn new(sections: Vec<Section>) -> Result<Self, PlanError> {
        if sections.is_empty() {
            return Err(PlanError::NoSeats { section: None });
        }
        let mut capacity = 0u64;
        let mut section_names = HashSet::new();
        for (section_index, section) in sections.iter().enumerate() {
            if !section_names.insert(&section.name) {
                return Err(PlanError::SectionRepeated { section: section_index });
            }
            capacity += Self::check_rows(section_index, section)?;
        }
        match u32::try_from(capacity) {
            Ok(capacity) if capacity <= VENUE_SEATS_MAX => Ok(Self { sections, capacity }),
            _ => Err(PlanError::TooManySeats),
        }
    }

    fn check_rows(section_index: usize, section: &Section) -> Result<u64, PlanError> {
        if section.rows.is_empty() {
            return Err(PlanError::NoSeats { section: Some(section_index) });
        }
        let mut row_names = HashSet::new();
        for (row_index, row) in section.rows.iter().enumerate() {
            if row.seats == 0 {
                return Err(PlanError::EmptyRow { section: section_index, row: row_index });
            }
            if !row_names.insert(&row.name) {
                return Err(PlanError::RowRepeated { section: section_index, row: row_index });
            }
        }
        Ok(section.rows.iter().map(|row| u64::from(row.seats)).sum())
    }

    /// The sections.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// How many seats there are.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Every seat, in the order of the plan.
    pub fn seats(&self) -> impl Iterator<Item = PlannedSeat<'_>> {
        let rows = self.sections.iter().flat_map(|section| section.rows.iter().map(move |row| (section, row)));
        let seats = rows.flat_map(|(section, row)| (1..=row.seats).map(move |number| (section, row, number)));
        seats.zip(0..).map(|((section, row, number), ordinal)| PlannedSeat {
            ordinal,
            label: SeatLabel::of(&section.name, &row.name, number),
            section: section.name.as_str(),
            row: row.name.as_str(),
            number,
        })
    }
}

/// A hall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Venue {
    /// Its id.
    pub id: VenueId,
    /// What it is called.
    pub name: Name,
    /// Where it is.
    pub location: Name,
    /// Its seats.
    pub plan: SeatingPlan,
    /// When it was published.
    pub created_at: Timestamp,
}

/// A hall as it is named beside a performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueSummary {
    /// Its id.
    pub id: VenueId,
    /// What it is called.
    pub name: Name,
    /// Where it is.
    pub location: Name,
}

/// When a concert is sold: from `open_at` on, until before `close_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SalesWindow {
    open_at: Timestamp,
    close_at: Timestamp,
}

/// The window would close before it opens, or as it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sales must open before they close")]
pub struct InvalidSalesWindow;

/// Why a concert is not sold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOnSale {
    /// Sales open later.
    #[error("the sale has not opened yet")]
    NotOpen,
    /// Sales have closed.
    #[error("the sale has closed")]
    Closed,
}

impl SalesWindow {
    /// Checks a window.
    pub fn new(open_at: Timestamp, close_at: Timestamp) -> Result<Self, InvalidSalesWindow> {
        if open_at < close_at { Ok(Self { open_at, close_at }) } else { Err(InvalidSalesWindow) }
    }

    /// The first instant of the sale.
    pub fn open_at(&self) -> Timestamp {
        self.open_at
    }

    /// The first instant after the sale.
    pub fn close_at(&self) -> Timestamp {
        self.close_at
    }

    /// Whether the sale is open at `now`.
    pub fn check(&self, now: Timestamp) -> Result<(), NotOnSale> {
        if now < self.open_at {
            Err(NotOnSale::NotOpen)
        } else if now >= self.close_at {
            Err(NotOnSale::Closed)
        } else {
            Ok(())
        }
    }
}

/// What is sold: a title with one or more performances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concert {
    /// Its id.
    pub id: ConcertId,
    /// The account that published it; `None` where the house did, by importing.
    pub promoter_id: Option<AccountId>,
    /// What it is called.
    pub title: Name,
    /// Who plays.
    pub artist: Name,
    /// More about it.
    pub description: Description,
    /// When it is sold.
    pub sales: SalesWindow,
    /// How many of its seats one account may hold and own together, 1 to [`SEATS_PER_ACCOUNT_MAX`].
    pub max_seats_per_account: u32,
    /// How many accounts are admitted at once, 1 to [`ACTIVE_MAX`].
    pub max_active: u32,
    /// The draw among those who get in line before the sale opens; without one nobody can then.
    pub draw: Option<Draw>,
    /// Whether admission is paused.
    pub paused: bool,
    /// When the line was last emptied: whoever joined before that and is not known in it any more has no place.
    pub emptied_at: Option<Timestamp>,
    /// Counts the changes, from 1; the entity tag is made of it.
    pub version: u32,
    /// When it was published.
    pub created_at: Timestamp,
}

impl Concert {
    /// How its line is run.
    pub fn queue_terms(&self) -> QueueTerms {
        QueueTerms {
            version: self.version,
            max_active: self.max_active,
            paused: self.paused,
            opens_at: self.draw.map(|_| self.sales.open_at()),
        }
    }

    /// The draw, if its seed is public at `now`: from the opening on.
    pub fn published_draw(&self, now: Timestamp) -> Option<Draw> {
        self.draw.filter(|_| self.sales.open_at() <= now)
    }

    /// Whether the sale may open when it does, given how the concert was until `now`. Nobody can move a draw that has
    /// been held, nor into the past, and none can be added: who is in line has a place already.
    pub fn check_draw(&self, before: &Self, now: Timestamp) -> Result<(), DrawError> {
        let (opened_at, opens_at) = (before.sales.open_at(), self.sales.open_at());
        match (before.draw, self.draw) {
            (None, None) => Ok(()),
            (before, after) if before != after => Err(DrawError::Changed),
            _ if opened_at == opens_at => Ok(()),
            _ if opened_at <= now => Err(DrawError::Held),
            _ if opens_at <= now => Err(DrawError::Past),
            _ => Ok(()),
        }
    }
}

/// Why a concert's draw cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// The concert was published with another draw, or without one.
    #[error("whether there is a draw is decided when the concert is published")]
    Changed,
    /// The sale has opened already.
    #[error("the draw has been held, and cannot be moved")]
    Held,
    /// The time has come already.
    #[error("a draw cannot be moved into the past")]
    Past,
}

/// A concert as buyers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcertSummary {
    /// The concert.
    pub concert: Concert,
    /// How many performances it has.
    pub performances_count: u32,
    /// When the first of them starts.
    pub first_performance_at: Option<Timestamp>,
    /// When the last of them starts.
    pub last_performance_at: Option<Timestamp>,
}

impl ConcertSummary {
    /// Whether a buyer can get in line at `now`: the sale is open, and a performance has yet to start.
    pub fn is_bookable(&self, now: Timestamp) -> bool {
        self.concert.sales.check(now).is_ok() && self.last_performance_at.is_some_and(|starts_at| now < starts_at)
    }
}

/// What a promoter changes of a concert; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Concert`")]
pub struct ConcertChange {
    pub title: Option<Name>,
    pub artist: Option<Name>,
    pub description: Option<Description>,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    pub max_seats_per_account: Option<u32>,
    pub max_active: Option<u32>,
    pub paused: Option<bool>,
    pub emptied_at: Option<Timestamp>,
}

/// Why a concert cannot be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConcertChangeError {
    /// The sale would close before it opens.
    #[error(transparent)]
    SalesWindow(#[from] InvalidSalesWindow),
    /// The draw cannot be then.
    #[error(transparent)]
    Draw(#[from] DrawError),
}

impl ConcertChange {
    /// The concert as it is after the change.
    pub fn apply(self, concert: &Concert, now: Timestamp) -> Result<Concert, ConcertChangeError> {
        let sales = SalesWindow::new(
            self.sales_open_at.unwrap_or(concert.sales.open_at()),
            self.sales_close_at.unwrap_or(concert.sales.close_at()),
        )?;
        let changed = Concert {
            title: self.title.unwrap_or_else(|| concert.title.clone()),
            artist: self.artist.unwrap_or_else(|| concert.artist.clone()),
            description: self.description.unwrap_or_else(|| concert.description.clone()),
            sales,
            max_seats_per_account: self.max_seats_per_account.unwrap_or(concert.max_seats_per_account),
            max_active: self.max_active.unwrap_or(concert.max_active),
            paused: self.paused.unwrap_or(concert.paused),
            emptied_at: self.emptied_at.or(concert.emptied_at),
            version: concert.version.saturating_add(1),
            ..*concert
        };
        changed.check_draw(concert, now)?;
        Ok(changed)
    }
}

/// What the seats of each section cost. Every section of the venue has exactly one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList(Vec<Points>);

/// Why prices do not fit a venue; the numbers are indexes into the prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// A section has no price.
    #[error("the section `{0}` has no price")]
    SectionMissing(String),
    /// A price is for a section that the venue does not have.
    #[error("the venue has no such section")]
    SectionUnknown {
        /// The price.
        price: usize,
    },
    /// A section has two prices.
    #[error("the section has a price already")]
    SectionRepeated {
        /// The later of the two.
        price: usize,
    },
    /// More than [`PRICE_MAX`].
    #[error("a price is 0 to 100000000 points")]
    TooHigh {
        /// The price.
        price: usize,
    },
}

impl PriceList {
    /// Checks prices, each for the section of that name, against the plan they are for.
    pub fn new(plan: &SeatingPlan, prices: &[(PartName, Points)]) -> Result<Self, PriceError> {
        let sections: HashSet<&PartName> = plan.sections().iter().map(|section| &section.name).collect();
        let mut by_section = HashMap::new();
        for (price_index, (section, price)) in prices.iter().enumerate() {
            if price.get() > PRICE_MAX {
                return Err(PriceError::TooHigh { price: price_index });
            }
            if !sections.contains(section) {
                return Err(PriceError::SectionUnknown { price: price_index });
            }
            if by_section.insert(section, *price).is_some() {
                return Err(PriceError::SectionRepeated { price: price_index });
            }
        }
        let of_section = |section: &Section| {
            by_section
                .get(&section.name)
                .copied()
                .ok_or_else(|| PriceError::SectionMissing(section.name.as_str().to_owned()))
        };
        plan.sections().iter().map(of_section).collect::<Result<_, _>>().map(Self)
    }

    /// The prices, in the order of the plan's sections.
    pub fn by_section(&self) -> &[Points] {
        &self.0
    }

    /// The lowest price.
    pub fn min(&self) -> Points {
        self.0.iter().min().copied().unwrap_or_default()
    }

    /// The highest price.
    pub fn max(&self) -> Points {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// Every seat of the plan with its price.
    pub fn seats<'a>(&'a self, plan: &'a SeatingPlan) -> impl Iterator<Item = (PlannedSeat<'a>, Points)> {
        let prices = plan.sections().iter().zip(&self.0).flat_map(|(section, price)| {
            let seats: usize = section.rows.iter().map(|row| row.seats as usize).sum();
            std::iter::repeat_n(*price, seats)
        });
        plan.seats().zip(prices)
    }
}

/// One concert at one venue at one time, to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPerformance {
    /// Its id.
    pub id: PerformanceId,
    /// The concert.
    pub concert_id: ConcertId,
    /// The venue, whose plan the prices were checked against.
    pub venue: Venue,
    /// When it starts.
    pub starts_at: Timestamp,
    /// What its seats cost.
    pub prices: PriceList,
    /// When it was published.
    pub created_at: Timestamp,
}

/// A performance as buyers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformanceSummary {
    /// Its id.
    pub id: PerformanceId,
    /// The concert.
    pub concert_id: ConcertId,
    /// The venue.
    pub venue: VenueSummary,
    /// When it starts.
    pub starts_at: Timestamp,
    /// How many seats it has.
    pub seats_total: u32,
    /// How many of them are neither sold nor held.
    pub seats_available: u32,
    /// What the cheapest seat costs.
    pub price_min: Points,
    /// What the dearest seat costs.
    pub price_max: Points,
}

/// Where a list of performances goes on: they are sorted by start, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the last performance seen")]
pub struct PerformanceKey {
    pub starts_at: Timestamp,
    pub id: PerformanceId,
}

/// What the rules of selling need to know of a performance, and what a reservation shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformanceTerms {
    /// Its id.
    pub id: PerformanceId,
    /// The concert.
    pub concert_id: ConcertId,
    /// The concert's title.
    pub title: Name,
    /// The venue.
    pub venue: VenueSummary,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When the concert is sold.
    pub sales: SalesWindow,
    /// How many seats of the concert one account may hold and own together.
    pub max_seats_per_account: u32,
}

/// A seat as buyers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatView<'m> {
    /// Its label.
    pub label: &'m SeatLabel,
    /// Its section's name.
    pub section: &'m str,
    /// Its row's name.
    pub row: &'m str,
    /// Its number in the row.
    pub number: u32,
    /// What it costs.
    pub price: Points,
    /// Whether it can be had.
    pub status: SeatStatus,
}

/// The labels of all seats of a performance in the order of the plan, in which the seats of a section stand together.
/// Whoever looks for a section need not read the others.
///
/// ```
/// use boxoffice_domain::{catalog::SeatLabels, seats::SeatLabel};
/// let labels = ["A-1-1", "A-2-1", "B-1-1"].map(|text| SeatLabel::new(text).unwrap());
/// let labels = SeatLabels::from_iter(labels);
/// assert_eq!(labels.section("A").collect::<Vec<_>>(), [0, 1]);
/// assert_eq!((labels.section("B").count(), labels.section("C").count()), (1, 0));
/// assert_eq!(labels[2].as_str(), "B-1-1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatLabels {
    labels: Vec<SeatLabel>,
    /// Runs of labels of one section. A section has one, where the labels are in the order of a plan.
    runs: Vec<Range<usize>>,
}

impl SeatLabels {
    /// The places of a section's labels among all.
    pub fn section(&self, name: &str) -> impl Iterator<Item = usize> {
        self.runs.iter().filter(move |run| self.labels[run.start].parts().0 == name).cloned().flatten()
    }
}

impl FromIterator<SeatLabel> for SeatLabels {
    fn from_iter<I: IntoIterator<Item = SeatLabel>>(labels: I) -> Self {
        let labels: Vec<_> = labels.into_iter().collect();
        let mut begin = 0;
        let runs = labels.chunk_by(|one, next| one.parts().0 == next.parts().0).map(|run| {
            let end = begin + run.len();
            std::mem::replace(&mut begin, end)..end
        });
        Self { runs: runs.collect(), labels }
    }
}

impl Deref for SeatLabels {
    type Target = [SeatLabel];

    fn deref(&self) -> &[SeatLabel] {
        &self.labels
    }
}

/// The seats of a performance at one instant, in the order of the plan. What hardly ever changes is shared
/// by the maps of one performance, so that a map is cheap to make and to compare.
///
/// ```
/// use std::sync::Arc;
/// use boxoffice_domain::{
///     Points, catalog::{SeatLabels, SeatMap}, fixtures::{self, instant},
///     seats::{SeatLabel, SeatState, SeatStatus},
/// };
/// let labels = ["A-1-1", "A-1-2"].map(|text| SeatLabel::new(text).unwrap());
/// let labels = Arc::new(SeatLabels::from_iter(labels));
/// let prices: Arc<[Points]> = [Points::ZERO; 2].into();
/// let terms = fixtures::terms();
/// let by = fixtures::hold_request(&terms, &["A-1-2"]).reservation_id;
/// let states = [SeatState::Free, SeatState::Held { by, until: instant(300) }];
/// let map = SeatMap::at(instant(299), terms.id, labels.clone(), prices.clone(), &states);
/// assert_eq!((map.available(), map.lapses_at()), (1, Some(instant(300))));
/// let second = map.seats().nth(1).unwrap();
/// assert_eq!((second.section, second.row, second.number, second.status), ("A", "1", 2, SeatStatus::Held));
/// // The hold is over at its end, and from then on nothing changes by itself.
/// let map = SeatMap::at(instant(300), terms.id, labels, prices, &states);
/// assert_eq!((map.available(), map.lapses_at()), (2, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatMap {
    performance_id: PerformanceId,
    labels: Arc<SeatLabels>,
    prices: Arc<[Points]>,
    statuses: Vec<SeatStatus>,
    available: usize,
    lapses_at: Option<Timestamp>,
}

impl SeatMap {
    /// Shows seats as they are at `now`. The three lists are those of the same seats, in the order of the
    /// plan; what one of them has beyond the others is left out.
    pub fn at(
        now: Timestamp,
        performance_id: PerformanceId,
        labels: Arc<SeatLabels>,
        prices: Arc<[Points]>,
        states: &[SeatState],
    ) -> Self {
        let count = labels.len().min(prices.len()).min(states.len());
        let (mut statuses, mut available, mut lapses_at) = (Vec::with_capacity(count), 0, None::<Timestamp>);
        for state in &states[..count] {
            let status = state.status(now);
            match (status, state) {
                (SeatStatus::Available, _) => available += 1,
                (SeatStatus::Held, SeatState::Held { until, .. }) => {
                    lapses_at = Some(lapses_at.map_or(*until, |first| first.min(*until)));
                }
                _ => {}
            }
            statuses.push(status);
        }
        Self { performance_id, labels, prices, statuses, available, lapses_at }
    }

    /// The performance.
    pub fn performance_id(&self) -> PerformanceId {
        self.performance_id
    }

    /// Every seat.
    pub fn seats(&self) -> impl ExactSizeIterator<Item = SeatView<'_>> {
        (0..self.statuses.len()).map(|place| self.seat(place))
    }

    /// The seats of a section.
    pub fn section(&self, name: &str) -> impl Iterator<Item = SeatView<'_>> {
        let places = self.labels.section(name).take_while(|place| *place < self.statuses.len());
        places.map(|place| self.seat(place))
    }

    fn seat(&self, place: usize) -> SeatView<'_> {
        let label = &self.labels[place];
        let (section, row, number) = label.parts();
        SeatView { label, section, row, number, price: self.prices[place], status: self.statuses[place] }
    }

    /// The status of every seat.
    pub fn statuses(&self) -> &[SeatStatus] {
        &self.statuses
    }

    /// How many of the seats can be had.
    pub fn available(&self) -> usize {
        self.available
    }

    /// When the next hold shown here ends, so that its seat can be had: from then on this map is out of date.
    pub fn lapses_at(&self) -> Option<Timestamp> {
        self.lapses_at
    }

    /// Whether two maps are of the same seats at the same prices; only statuses may differ.
    pub fn has_seats_of(&self, other: &Self) -> bool {
        self.performance_id == other.performance_id
            && (Arc::ptr_eq(&self.labels, &other.labels) || self.labels == other.labels)
            && (Arc::ptr_eq(&self.prices, &other.prices) || self.prices == other.prices)
    }
}

/// How a performance sells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sales {
    /// Seats that can be had.
    pub available: u32,
    /// Seats that are held and not paid.
    pub held: u32,
    /// Seats that are sold.
    pub sold: u32,
    /// The points paid for the sold ones.
    pub revenue: Points,
}

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The concert is not there.
    #[error("the concert does not exist")]
    ConcertNotFound,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a concert was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateConcertError {
    /// It is at another version than the one the change was made for.
    #[error("the concert has been changed meanwhile")]
    VersionMismatch,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps the catalogue.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Stores a new venue. `idempotency` is unique per publishing account: a second call with its key
    /// gives the venue that the first one made, or [`KeyReused`] where the fingerprints differ.
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Venue>, PublishError>;

    /// Stores a new concert; `idempotency` as for a venue.
    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Concert>, PublishError>;

    /// Stores a new performance with all of its seats, available; `idempotency` as for a venue.
    async fn publish_performance(
        &self,
        publisher: AccountId,
        performance: NewPerformance,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<PerformanceSummary>, PublishError>;

    /// Replaces a concert, if the stored one is at the version before `concert.version`.
    async fn update_concert(&self, concert: Concert) -> Result<(), UpdateConcertError>;

    /// A venue.
    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError>;

    /// A concert.
    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError>;

    /// The concerts in the order of their publication; with `bookable_at` only those bookable then.
    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError>;

    /// The performances of a concert by start, then by id; with `available_only` those with a seat to be
    /// had that have not started. Seats whose hold has lapsed count as available.
    async fn performances(
        &self,
        concert_id: ConcertId,
        available_only: bool,
        page: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError>;

    /// A performance.
    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError>;

    /// The concert of a performance. It never changes, so an answer may be kept.
    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError>;

    /// Every seat of a performance as it is now; seats whose hold has lapsed are available.
    ///
    /// An implementor may answer from memory, within limits. Whatever any port of this storage has answered
    /// before the call is in the map: a seat is not available once its hold, its payment, or the refusal of
    /// a hold as unavailable has been answered, and is available once its cancellation has. What other
    /// processes have written may be missing for a short, bounded time, which the implementor states.
    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError>;

    /// How a performance sells now.
    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError>;
}

/// A promoter's own name for something it publishes, by which a second import finds it again.
pub type CatalogueKey = Name;

/// A venue of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Venue`")]
pub struct CatalogueVenue {
    pub key: CatalogueKey,
    pub name: Name,
    pub location: Name,
    pub plan: SeatingPlan,
}

/// A concert of a catalogue, with its performances.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Concert`")]
pub struct CatalogueConcert {
    pub key: CatalogueKey,
    pub title: Name,
    pub artist: Name,
    pub description: Description,
    pub sales: SalesWindow,
    pub max_seats_per_account: u32,
    pub max_active: u32,
    /// Whether it has a draw. The one of a concert that is there stays, whatever this says.
    pub draw: bool,
    pub performances: Vec<CataloguePerformance>,
}

/// A performance of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CataloguePerformance {
    /// The promoter's own name for it.
    pub key: CatalogueKey,
    /// The index of its venue in [`Catalogue::venues`].
    pub venue_index: usize,
    /// When it starts.
    pub starts_at: Timestamp,
    /// What its seats cost, checked against the venue's plan.
    pub prices: PriceList,
}

/// A whole catalogue to be imported, each part checked. Keys are unique among their kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The venues.
    pub venues: Vec<CatalogueVenue>,
    /// The concerts.
    pub concerts: Vec<CatalogueConcert>,
}

impl Catalogue {
    /// How many seats its performances have together.
    pub fn seats_count(&self) -> u64 {
        let performances = self.concerts.iter().flat_map(|concert| &concert.performances);
        performances.map(|performance| u64::from(self.venues[performance.venue_index].plan.capacity())).sum()
    }
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field counts what its name says")]
pub struct ImportReport {
    pub venues_created: u32,
    pub venues_updated: u32,
    pub concerts_created: u32,
    pub concerts_updated: u32,
    pub performances_created: u32,
    pub performances_updated: u32,
    pub seats_created: u64,
}

/// Why a catalogue was not imported. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A venue of that key exists with another seating plan, and seats cannot be moved under buyers.
    #[error("venue {venue_index} has another seating plan than the one that is stored")]
    PlanChanged {
        /// Its index in the catalogue.
        venue_index: usize,
    },
    /// A performance of that key exists at another venue or under another concert.
    #[error("performance {performance_index} of concert {concert_index} is stored at another venue or concert")]
    PerformanceMoved {
        /// The index of its concert in the catalogue.
        concert_index: usize,
        /// Its index in the concert.
        performance_index: usize,
    },
    /// A concert is stored without the draw that it is to have, or its draw cannot be when its sale is to open.
    #[error("{error}")]
    Draw {
        /// The index of the concert in the catalogue.
        concert_index: usize,
        /// Why not.
        error: DrawError,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Hears of an import how many seats more have been written, each time some have.
pub type ImportProgress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// Takes whole catalogues in.
#[async_trait]
pub trait CatalogImport: Send + Sync {
    /// Writes a catalogue in one transaction, all of it or nothing. What has a known key is updated where
    /// that hurts nobody: texts, sale window and limits of a concert, name and location of a venue, the
    /// start of a performance, and the prices of its seats that are neither held nor sold. A concert keeps
    /// its draw, and its line stays paused where it is.
    /// New ids and seeds are made by the caller's source. `promoter_id` becomes the promoter of new concerts.
    async fn import(
        &self,
        catalogue: &Catalogue,
        promoter_id: Option<AccountId>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportReport, ImportError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> PartName {
        PartName::new(text).unwrap()
    }

    fn section(name: &str, rows: &[(&str, u32)]) -> Section {
        let rows = rows.iter().map(|(name, seats)| Row { name: part(name), seats: *seats }).collect();
        Section { name: part(name), rows }
    }

    #[test]
    fn plans_without_seats_or_with_repeated_names_are_refused() {
        assert_eq!(SeatingPlan::new(vec![]), Err(PlanError::NoSeats { section: None }));
        assert_eq!(SeatingPlan::new(vec![section("A", &[])]), Err(PlanError::NoSeats { section: Some(0) }));
        assert_eq!(SeatingPlan::new(vec![section("A", &[("1", 0)])]), Err(PlanError::EmptyRow { section: 0, row: 0 }));
        assert_eq!(
            SeatingPlan::new(vec![section("A", &[("1", 1)]), section("A", &[("1", 1)])]),
            Err(PlanError::SectionRepeated { section: 1 })
        );
        assert_eq!(
            SeatingPlan::new(vec![section("A", &[("1", 1), ("1", 1)])]),
            Err(PlanError::RowRepeated { section: 0, row: 1 })
        );
    }

    #[test]
    fn a_venue_has_at_most_200_000_seats() {
        assert_eq!(SeatingPlan::new(vec![section("A", &[("1", 200_000)])]).unwrap().capacity(), 200_000);
        assert_eq!(SeatingPlan::new(vec![section("A", &[("1", 200_001)])]), Err(PlanError::TooManySeats));
        let huge = section("A", &[("1", u32::MAX), ("2", u32::MAX)]);
        assert_eq!(SeatingPlan::new(vec![huge]), Err(PlanError::TooManySeats));
    }

    #[test]
    fn every_section_has_exactly_one_price() {
        let plan = SeatingPlan::new(vec![section("A", &[("1", 1)]), section("B", &[("1", 2)])]).unwrap();
        let points = |n| Points::new(n).unwrap();
        let list = PriceList::new(&plan, &[(part("B"), points(5)), (part("A"), points(9))]).unwrap();
        let prices: Vec<_> = list.seats(&plan).map(|(seat, price)| (seat.label.to_string(), price.get())).collect();
        assert_eq!(prices, [("A-1-1".to_owned(), 9), ("B-1-1".to_owned(), 5), ("B-1-2".to_owned(), 5)]);
        assert_eq!((list.min().get(), list.max().get()), (5, 9));

        let error = |prices: &[(PartName, Points)]| PriceList::new(&plan, prices).unwrap_err();
        assert_eq!(error(&[(part("A"), points(1))]), PriceError::SectionMissing("B".to_owned()));
        assert_eq!(error(&[(part("C"), points(1))]), PriceError::SectionUnknown { price: 0 });
        assert_eq!(error(&[(part("A"), points(1)), (part("A"), points(1))]), PriceError::SectionRepeated { price: 1 });
        assert_eq!(error(&[(part("A"), points(PRICE_MAX + 1))]), PriceError::TooHigh { price: 0 });
    }

    #[test]
    fn a_sale_is_open_from_its_first_instant_to_before_its_last() {
        let at = crate::fixtures::instant;
        let sales = SalesWindow::new(at(10), at(20)).unwrap();
        assert_eq!(sales.check(at(9)), Err(NotOnSale::NotOpen));
        assert_eq!(sales.check(at(10)), Ok(()));
        assert_eq!(sales.check(at(19)), Ok(()));
        assert_eq!(sales.check(at(20)), Err(NotOnSale::Closed));
        assert_eq!(SalesWindow::new(at(10), at(10)), Err(InvalidSalesWindow));
    }

    /// A concert whose sale opens at [`instant`](crate::fixtures::instant) 100 and closes at 200.
    fn concert(draw: Option<Draw>) -> Concert {
        let at = crate::fixtures::instant;
        Concert {
            id: ConcertId::new(uuid::Uuid::from_u128(1)),
            promoter_id: None,
            title: Name::new("Night").unwrap(),
            artist: Name::new("Band").unwrap(),
            description: Description::default(),
            sales: SalesWindow::new(at(100), at(200)).unwrap(),
            max_seats_per_account: 4,
            max_active: 500,
            draw,
            paused: false,
            emptied_at: None,
            version: 7,
            created_at: at(0),
        }
    }

    const DRAW: Draw = Draw::new([7; 32]);

    #[test]
    fn a_draw_is_held_and_published_when_the_sale_opens() {
        let at = crate::fixtures::instant;
        let (plain, drawn) = (concert(None), concert(Some(DRAW)));
        assert_eq!((drawn.published_draw(at(99)), drawn.published_draw(at(100))), (None, Some(DRAW)));
        assert_eq!(plain.published_draw(at(100)), None);
        assert_eq!((plain.queue_terms().opens_at, drawn.queue_terms().opens_at), (None, Some(at(100))));
    }

    #[test]
    fn a_draw_is_moved_only_before_it_is_held_and_only_into_the_future() {
        let at = crate::fixtures::instant;
        let moved = |concert: &Concert, open_at, now| {
            let change = ConcertChange { sales_open_at: Some(at(open_at)), ..ConcertChange::default() };
            change.apply(concert, at(now)).map(|concert| concert.sales.open_at())
        };
        let drawn = concert(Some(DRAW));
        assert_eq!(moved(&drawn, 150, 99), Ok(at(150)));
        assert_eq!(moved(&drawn, 51, 50), Ok(at(51)));
        assert_eq!(moved(&drawn, 50, 50), Err(DrawError::Past.into()));
        assert_eq!(moved(&drawn, 150, 100), Err(DrawError::Held.into()));
        assert_eq!(moved(&drawn, 100, 100), Ok(at(100)), "nothing is moved");
        assert_eq!(moved(&drawn, 200, 50), Err(InvalidSalesWindow.into()));
        assert_eq!(moved(&concert(None), 50, 150), Ok(at(50)), "without a draw");

        assert_eq!(drawn.check_draw(&concert(None), at(50)), Err(DrawError::Changed));
        assert_eq!(concert(None).check_draw(&drawn, at(50)), Err(DrawError::Changed));
        assert_eq!(concert(Some(Draw::new([8; 32]))).check_draw(&drawn, at(50)), Err(DrawError::Changed));
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name() {
        let at = crate::fixtures::instant;
        let before = Concert { paused: true, emptied_at: Some(at(3)), ..concert(Some(DRAW)) };
        let after = ConcertChange::default().apply(&before, at(150)).unwrap();
        assert_eq!(after, Concert { version: 8, ..before.clone() });
        let change = ConcertChange { paused: Some(false), emptied_at: Some(at(9)), ..ConcertChange::default() };
        let after = change.apply(&before, at(150)).unwrap();
        assert_eq!((after.paused, after.emptied_at, after.draw), (false, Some(at(9)), before.draw));
    }
}
