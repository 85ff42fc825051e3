//! What is left of a concert, and what buyers are shown of that.

use std::ops::AddAssign;

use super::{ConcertSummary, Sales};
use crate::{
    Timestamp,
    waiting_room::{Offer, QueueTerms, SaleEnd, SaleReading},
};

/// Few seats are available if they are at most this part of all: one in twenty.
pub const FEW_PART: u64 = 20;

/// The seats of those performances of a concert that have not started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// How many seats there are.
    pub total: u64,
    /// How many are neither held nor sold.
    pub available: u64,
    /// How many are held.
    pub held: u64,
}

impl From<Sales> for Stock {
    fn from(sales: Sales) -> Self {
        let [available, held, sold] = [sales.available, sales.held, sales.sold].map(u64::from);
        Self { total: available + held + sold, available, held }
    }
}

impl AddAssign for Stock {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.available += other.available;
        self.held += other.held;
    }
}

impl Stock {
    /// What there is for those in the queue.
    pub fn offer(&self) -> Offer {
        match self {
            Self { available: 1.., .. } => Offer::Seats,
            Self { held: 1.., .. } => Offer::AllHeld,
            Self { total: 1.., .. } => Offer::Nothing(SaleEnd::SoldOut),
            // Every performance was taken away, or has started.
            _ => Offer::Nothing(SaleEnd::Closed),
        }
    }
}

/// Whether seats of a concert can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Seats are available.
    Available,
    /// At most 5 % of the seats are available.
    Few,
    /// Every seat that is not sold is held.
    Held,
    /// Every seat is sold.
    SoldOut,
    /// The sale has not opened, or there is no performance yet.
    NotYet,
    /// The sale has closed, or every performance has started.
    Closed,
}

impl Availability {
    /// Whether the queue can be joined.
    pub fn is_bookable(self) -> bool {
        matches!(self, Self::Available | Self::Few | Self::Held)
    }
}

impl ConcertSummary {
    /// Whether seats can be had at `now`. While the concert is [on sale](Self::is_on_sale) that depends on its stock.
    pub fn availability(&self, now: Timestamp, stock: Stock) -> Availability {
        let Some(last_performance_at) = self.last_performance_at else {
            let closed = self.concert.sales.close_at() <= now;
            return if closed { Availability::Closed } else { Availability::NotYet };
        };
        if self.concert.sales.close_at().min(last_performance_at) <= now {
            return Availability::Closed;
        }
        if now < self.concert.sales.open_at() {
            return Availability::NotYet;
        }
        match stock.offer() {
            Offer::Seats if stock.available * FEW_PART <= stock.total => Availability::Few,
            Offer::Seats => Availability::Available,
            Offer::AllHeld => Availability::Held,
            Offer::NotOpen => Availability::NotYet,
            Offer::Nothing(SaleEnd::SoldOut) => Availability::SoldOut,
            Offer::Nothing(SaleEnd::Closed | SaleEnd::Started) => Availability::Closed,
        }
    }

    /// How the queue is run, with how the sale stood at `read_at`. The stock counts while the concert is
    /// [on sale](Self::is_on_sale). A queue with a draw opens by itself.
    pub fn queue_terms(&self, read_at: Timestamp, stock: Stock) -> QueueTerms {
        let closes = (self.concert.sales.close_at(), SaleEnd::Closed);
        let starts = self.last_performance_at.map(|starts_at| (starts_at, SaleEnd::Started));
        let ends = starts.into_iter().chain([closes]).min_by_key(|(ends_at, _)| *ends_at);
        let offer = if self.is_on_sale(read_at) {
            stock.offer()
        } else if read_at < self.concert.sales.open_at() && self.concert.draw.is_none() {
            Offer::NotOpen
        } else {
            Offer::Seats
        };
        QueueTerms { sale: SaleReading { read_at, offer, ends }, ..self.concert.queue_terms() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Concert, SalesWindow},
        fixtures::{self, instant as at},
        waiting_room::Draw,
    };

    /// A concert whose sale opens at instant 100 and closes at 200, with performances then.
    fn summary(starts: &[i64]) -> ConcertSummary {
        let sales = SalesWindow::new(at(100), at(200)).unwrap();
        let starts: Vec<_> = starts.iter().map(|seconds| at(*seconds)).collect();
        ConcertSummary::new(Concert { sales, ..fixtures::concert() }, &starts)
    }

    fn stock(total: u64, available: u64, held: u64) -> Stock {
        Stock { total, available, held }
    }

    #[test]
    fn the_stock_decides_while_the_concert_is_on_sale() {
        for (stock, availability, offer) in [
            (stock(100, 100, 0), Availability::Available, Offer::Seats),
            (stock(100, 6, 94), Availability::Available, Offer::Seats),
            (stock(100, 5, 0), Availability::Few, Offer::Seats),
            (stock(19, 1, 1), Availability::Available, Offer::Seats),
            (stock(20, 1, 19), Availability::Few, Offer::Seats),
            (stock(100, 0, 1), Availability::Held, Offer::AllHeld),
            (stock(100, 0, 0), Availability::SoldOut, Offer::Nothing(SaleEnd::SoldOut)),
            (stock(0, 0, 0), Availability::Closed, Offer::Nothing(SaleEnd::Closed)),
        ] {
            let summary = summary(&[300]);
            assert_eq!(summary.availability(at(150), stock), availability, "{stock:?}");
            assert_eq!(summary.queue_terms(at(150), stock).sale.offer_at(at(150)), offer, "{stock:?}");
        }
    }

    #[test]
    fn before_and_after_the_sale_the_stock_says_nothing() {
        let all = stock(100, 100, 0);
        for (starts, now, availability) in [
            (&[300][..], 99, Availability::NotYet),
            (&[300], 100, Availability::Available),
            (&[300], 200, Availability::Closed),
            (&[120, 150], 149, Availability::Available),
            (&[120, 150], 150, Availability::Closed),
            (&[50], 99, Availability::Closed),
            (&[], 150, Availability::NotYet),
            (&[], 200, Availability::Closed),
        ] {
            let found = summary(starts).availability(at(now), all);
            assert_eq!(found, availability, "at {now}, with performances at {starts:?}");
            assert_eq!(found.is_bookable(), summary(starts).is_on_sale(at(now)));
        }
        assert!(
            !Availability::SoldOut.is_bookable() && Availability::Held.is_bookable() && Availability::Few.is_bookable()
        );
    }

    #[test]
    fn a_queue_ends_with_the_sale_or_with_the_start_of_the_last_performance() {
        let ends = |starts: &[i64]| summary(starts).queue_terms(at(50), Stock::default()).sale.ends;
        assert_eq!(ends(&[300, 250]), Some((at(200), SaleEnd::Closed)));
        assert_eq!(ends(&[150, 120]), Some((at(150), SaleEnd::Started)));
        assert_eq!(ends(&[]), Some((at(200), SaleEnd::Closed)));
    }

    #[test]
    fn before_the_sale_opens_a_queue_without_a_draw_admits_none() {
        let drawn = |mut summary: ConcertSummary| {
            summary.concert.draw = Some(Draw::new([7; 32]));
            summary
        };
        for (summary, now, offer) in [
            (summary(&[300]), 99, Offer::NotOpen),
            (summary(&[300]), 100, Offer::Nothing(SaleEnd::Closed)),
            (drawn(summary(&[300])), 99, Offer::Seats),
            (summary(&[]), 100, Offer::Seats),
        ] {
            let sale = summary.queue_terms(at(now), Stock::default()).sale;
            assert_eq!((sale.read_at, sale.offer_at(at(199))), (at(now), offer), "at {now}");
        }
    }

    #[test]
    fn a_stock_adds_up_what_each_performance_has() {
        let sales = Sales { available: 5, held: 3, sold: 2, ..Sales::default() };
        let mut sum = Stock::from(sales);
        assert_eq!(sum, stock(10, 5, 3));
        sum += stock(7, 4, 1);
        assert_eq!(sum, stock(17, 9, 4));
    }
}
