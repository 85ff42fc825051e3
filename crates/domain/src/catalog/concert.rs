//! Concerts: what is sold, when, and under which limits.

use std::ops::Range;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::rules::{SalesTimeError, check_sales};
use crate::{
    AccountId, ConcertId, TimeZone, Timestamp,
    catalog::performance::PriceRange,
    text::{Description, Name},
    time::seconds_until,
    waiting_room::{Draw, QueueTerms, SaleReading},
};

/// The most seats that a concert may allow one account.
pub const SEATS_PER_ACCOUNT_MAX: u32 = 100;
/// The most accounts that a concert may admit at once.
pub const ACTIVE_MAX: u32 = 1_000_000;

/// When a concert is sold: from `open_at` on, until before `close_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "(Timestamp, Timestamp)", into = "(Timestamp, Timestamp)"))]
pub struct SalesWindow {
    open_at: Timestamp,
    close_at: Timestamp,
}

impl TryFrom<(Timestamp, Timestamp)> for SalesWindow {
    type Error = InvalidSalesWindow;

    fn try_from((open_at, close_at): (Timestamp, Timestamp)) -> Result<Self, InvalidSalesWindow> {
        Self::new(open_at, close_at)
    }
}

impl From<SalesWindow> for (Timestamp, Timestamp) {
    fn from(window: SalesWindow) -> Self {
        (window.open_at, window.close_at)
    }
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
    NotOpen {
        /// When they open.
        opens_at: Timestamp,
        /// In how many seconds that is, rounded up.
        seconds_left: u64,
    },
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
            Err(NotOnSale::NotOpen { opens_at: self.open_at, seconds_left: seconds_until(now, self.open_at) })
        } else if now >= self.close_at {
            Err(NotOnSale::Closed)
        } else {
            Ok(())
        }
    }
}

/// What is sold: a title with one or more performances.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Concert {
    pub id: ConcertId,
    /// The account that published it; `None` where the house did, by importing.
    pub promoter_id: Option<AccountId>,
    pub title: Name,
    pub artist: Name,
    pub description: Description,
    pub sales: SalesWindow,
    /// How many of its seats one account may hold and own together, 1 to [`SEATS_PER_ACCOUNT_MAX`].
    pub max_seats_per_account: u32,
    /// How many accounts are admitted at once, 1 to [`ACTIVE_MAX`].
    pub max_active: u32,
    /// Whether an account may hold seats only if its wallet covers all that it holds.
    pub holds_need_balance: bool,
    /// Whether an account needs a verified e-mail address to join the queue.
    pub requires_verified_email: bool,
    /// The draw among those who join the queue before the sale opens; without one none can then.
    pub draw: Option<Draw>,
    pub paused: bool,
    /// When the queue was last emptied: an account that joined before and that the queue no longer knows has no place.
    pub emptied_at: Option<Timestamp>,
    /// Counts the changes, from 1; the entity tag is made of it.
    pub version: u32,
    pub created_at: Timestamp,
}

impl Concert {
    /// How its queue is run, without how the sale stands.
    pub fn queue_terms(&self) -> QueueTerms {
        QueueTerms {
            version: self.version,
            max_active: self.max_active,
            paused: self.paused,
            opens_at: self.draw.map(|_| self.sales.open_at()),
            sale: SaleReading::NONE,
        }
    }

    /// Whether it may be written over the stored concert, whose performances on sale start then: it is its next version, and
    /// does not move the opening behind a start that is to come.
    pub fn replaces(&self, stored: &Self, now: Timestamp, starts: impl IntoIterator<Item = Timestamp>) -> bool {
        let opens_at = self.sales.open_at();
        let is_in_time = |starts_at| starts_at <= now || opens_at < starts_at;
        stored.version + 1 == self.version && (stored.sales.open_at() == opens_at || starts.into_iter().all(is_in_time))
    }

    /// The draw, if its seed is public at `now`: from the opening on.
    pub fn published_draw(&self, now: Timestamp) -> Option<Draw> {
        self.draw.filter(|_| self.sales.open_at() <= now)
    }

    /// Whether the sale may open when it does, given how the concert was until `now`. A draw that has been held cannot be
    /// moved, nor one into the past, and none can be added: accounts in the queue have their places already.
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

/// A concert as buyers see it. Performances that are taken from sale are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct ConcertSummary {
    pub concert: Concert,
    pub performances_count: u32,
    pub first_performance_at: Option<Timestamp>,
    pub last_performance_at: Option<Timestamp>,
    /// What its seats cost, over all performances.
    pub prices: Option<PriceRange>,
    /// The zone of its venues; `None` if there is none, or venues in several zones.
    #[cfg_attr(feature = "serde", serde(default))]
    pub time_zone: Option<TimeZone>,
}

impl ConcertSummary {
    /// The summary of a concert whose performances start then, have these prices, and are in these zones.
    pub fn of(concert: Concert, performances: &[(Timestamp, PriceRange, TimeZone)]) -> Self {
        let starts: Vec<_> = performances.iter().map(|(starts_at, ..)| *starts_at).collect();
        let prices = PriceRange::of(performances.iter().map(|(_, prices, _)| *prices));
        let zone = performances.first().map(|(.., zone)| *zone);
        let time_zone = zone.filter(|zone| performances.iter().all(|(.., other)| other == zone));
        Self { prices, time_zone, ..Self::new(concert, &starts) }
    }

    /// The summary of a concert whose performances start then, before anything is known of their prices and venues.
    pub fn new(concert: Concert, starts: &[Timestamp]) -> Self {
        Self {
            concert,
            performances_count: u32::try_from(starts.len()).unwrap_or(u32::MAX),
            first_performance_at: starts.iter().min().copied(),
            last_performance_at: starts.iter().max().copied(),
            prices: None,
            time_zone: None,
        }
    }

    /// Whether the sale is open at `now` and a performance has yet to start. Whether seats can be had then depends on the
    /// [stock](super::Stock).
    pub fn is_on_sale(&self, now: Timestamp) -> bool {
        self.on_sale().contains(&now)
    }

    /// From when to when the sale is open and a performance has yet to start.
    pub(super) fn on_sale(&self) -> Range<Timestamp> {
        let (open_at, close_at) = (self.concert.sales.open_at(), self.concert.sales.close_at());
        open_at..self.last_performance_at.map_or(open_at, |starts_at| starts_at.min(close_at))
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
    pub holds_need_balance: Option<bool>,
    pub requires_verified_email: Option<bool>,
    pub paused: Option<bool>,
    pub emptied_at: Option<Timestamp>,
}

/// Why a concert cannot be changed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConcertChangeError {
    /// The sale would close before it opens.
    #[error(transparent)]
    SalesWindow(#[from] InvalidSalesWindow),
    /// The sale cannot be then.
    #[error(transparent)]
    SalesTime(#[from] SalesTimeError),
    /// The draw cannot be then.
    #[error(transparent)]
    Draw(#[from] DrawError),
}

impl ConcertChangeError {
    /// The field that is wrong.
    pub fn field(self) -> &'static str {
        match self {
            Self::SalesWindow(_) => "sales_close_at",
            Self::SalesTime(error) => error.field(),
            Self::Draw(DrawError::Changed) => "draw",
            Self::Draw(_) => "sales_open_at",
        }
    }
}

impl ConcertChange {
    /// The concert as it is after the change, at the next version; at the same one if nothing changes.
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
            holds_need_balance: self.holds_need_balance.unwrap_or(concert.holds_need_balance),
            requires_verified_email: self.requires_verified_email.unwrap_or(concert.requires_verified_email),
            paused: self.paused.unwrap_or(concert.paused),
            emptied_at: self.emptied_at.or(concert.emptied_at),
            ..*concert
        };
        check_sales(now, Some(&concert.sales), &sales)?;
        changed.check_draw(concert, now)?;
        let version = concert.version.saturating_add(u32::from(changed != *concert));
        Ok(Concert { version, ..changed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Points,
        fixtures::{self, instant as at},
    };

    /// A concert whose sale opens at instant 100 and closes at 200.
    fn concert(draw: Option<Draw>) -> Concert {
        let id = ConcertId::new(uuid::Uuid::from_u128(1));
        let sales = SalesWindow::new(at(100), at(200)).unwrap();
        Concert { id, sales, draw, version: 7, ..fixtures::concert() }
    }

    const DRAW: Draw = Draw::new([7; 32]);

    #[test]
    fn a_sale_is_open_from_its_first_instant_to_before_its_last() {
        let sales = SalesWindow::new(at(10), at(20)).unwrap();
        assert_eq!(sales.check(at(9)), Err(NotOnSale::NotOpen { opens_at: at(10), seconds_left: 1 }));
        let almost = at(10) - chrono::TimeDelta::microseconds(1_000_001);
        assert_eq!(sales.check(almost), Err(NotOnSale::NotOpen { opens_at: at(10), seconds_left: 2 }));
        assert_eq!(sales.check(at(10)), Ok(()));
        assert_eq!(sales.check(at(19)), Ok(()));
        assert_eq!(sales.check(at(20)), Err(NotOnSale::Closed));
        assert_eq!(SalesWindow::new(at(10), at(10)), Err(InvalidSalesWindow));
        assert_eq!(<(Timestamp, Timestamp)>::from(sales), (at(10), at(20)));
    }

    #[test]
    fn the_next_version_replaces_a_concert_if_its_opening_is_before_the_starts_to_come() {
        let stored = concert(None);
        let next = |version, open_at| {
            let sales = SalesWindow::new(at(open_at), at(900)).unwrap();
            Concert { sales, version, ..stored.clone() }
        };
        for (version, open_at, starts, replaces) in [
            (8, 100, vec![at(100)], true),
            (7, 100, vec![], false),
            (9, 100, vec![], false),
            (8, 300, vec![], true),
            (8, 300, vec![at(301), at(302)], true),
            (8, 300, vec![at(301), at(300)], false),
            (8, 300, vec![at(51)], false),
            (8, 300, vec![at(50)], true),
        ] {
            let found = next(version, open_at).replaces(&stored, at(50), starts.clone());
            assert_eq!(found, replaces, "version {version}, opening at {open_at}, starts at {starts:?}");
        }
    }

    #[test]
    fn a_summary_has_the_prices_of_all_performances() {
        let range = |min, max| PriceRange { min: Points::new(min).unwrap(), max: Points::new(max).unwrap() };
        let seoul = TimeZone::default();
        let prices = |performances: &[_]| ConcertSummary::of(concert(None), performances).prices;
        assert_eq!(prices(&[(at(1), range(30, 50), seoul), (at(2), range(20, 40), seoul)]), Some(range(20, 50)));
        assert_eq!(prices(&[]), None);
    }

    #[test]
    fn a_summary_has_a_zone_if_all_venues_are_in_it() {
        let prices = PriceRange { min: Points::ZERO, max: Points::ZERO };
        let (seoul, berlin) = (TimeZone::default(), TimeZone::new("Europe/Berlin").unwrap());
        for (zones, zone) in [
            (vec![berlin, berlin], Some(berlin)),
            (vec![berlin, seoul], None),
            (vec![seoul, seoul, berlin], None),
            (vec![], None),
        ] {
            let performances: Vec<_> = zones.iter().map(|zone| (at(1), prices, *zone)).collect();
            assert_eq!(ConcertSummary::of(concert(None), &performances).time_zone, zone, "{zones:?}");
        }
    }

    #[test]
    fn a_concert_is_on_sale_until_its_last_performance_starts() {
        let twice = || vec![at(150), at(120)];
        for (starts, now, on_sale) in [
            (twice(), 99, false),
            (twice(), 100, true),
            (twice(), 149, true),
            (twice(), 150, false),
            (vec![at(300)], 200, false),
            (vec![], 100, false),
        ] {
            let summary = ConcertSummary::new(concert(None), &starts);
            assert_eq!(summary.is_on_sale(at(now)), on_sale, "at {now}, with performances at {starts:?}");
        }
    }

    #[test]
    fn a_draw_is_held_and_published_when_the_sale_opens() {
        let (plain, drawn) = (concert(None), concert(Some(DRAW)));
        assert_eq!((drawn.published_draw(at(99)), drawn.published_draw(at(100))), (None, Some(DRAW)));
        assert_eq!(plain.published_draw(at(100)), None);
        assert_eq!((plain.queue_terms().opens_at, drawn.queue_terms().opens_at), (None, Some(at(100))));
    }

    #[test]
    fn a_draw_is_moved_only_before_it_is_held_and_only_into_the_future() {
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
        let late = ConcertChange { sales_close_at: Some(at(400_000_000)), ..ConcertChange::default() };
        let refused = late.apply(&drawn, at(0)).unwrap_err();
        assert_eq!(refused, SalesTimeError::ClosesTooFarAhead.into());
        let errors = [refused, InvalidSalesWindow.into(), DrawError::Changed.into(), DrawError::Past.into()];
        let fields = errors.map(ConcertChangeError::field);
        assert_eq!(fields, ["sales_close_at", "sales_close_at", "draw", "sales_open_at"]);

        assert_eq!(drawn.check_draw(&concert(None), at(50)), Err(DrawError::Changed));
        assert_eq!(concert(None).check_draw(&drawn, at(50)), Err(DrawError::Changed));
        assert_eq!(concert(Some(Draw::new([8; 32]))).check_draw(&drawn, at(50)), Err(DrawError::Changed));
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name() {
        let before = Concert { paused: true, emptied_at: Some(at(3)), ..concert(Some(DRAW)) };
        let after = ConcertChange::default().apply(&before, at(150)).unwrap();
        assert_eq!(after, before, "nothing changes, and the version neither");
        let same = ConcertChange { title: Some(before.title.clone()), paused: Some(true), ..ConcertChange::default() };
        assert_eq!(same.apply(&before, at(150)).unwrap(), before);
        let change = ConcertChange {
            max_seats_per_account: Some(9),
            max_active: Some(8),
            paused: Some(false),
            emptied_at: Some(at(9)),
            ..ConcertChange::default()
        };
        let after = change.apply(&before, at(150)).unwrap();
        assert_eq!((after.max_seats_per_account, after.max_active, after.version), (9, 8, 8));
        assert_eq!((after.paused, after.emptied_at, after.draw), (false, Some(at(9)), before.draw));
    }
}
