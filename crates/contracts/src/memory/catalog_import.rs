//! Importing whole catalogs.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, Timestamp,
    catalog::{
        CatalogImport, CatalogKey, ImportError, ImportOptions, ImportProgress, ImportReport, Imported, ImportedCatalog,
        Importer, KnownPerformance, Owned, PerformanceImport, PerformanceSummary, SectionPrice, StoredPerformance,
    },
    seats::SeatState,
};

use super::{MemoryStore, Rows, catalog::performance_row};

#[async_trait]
impl CatalogImport for MemoryStore {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        options: &ImportOptions,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let (mut stored, now) = (self.rows(), self.now());
        // A refused import leaves the stored rows as they are.
        let mut rows = stored.clone();
        let mut importer = Importer::new(catalog, options, now, self.entropy.as_ref());
        let owner = options.promoter_id;
        for venue in &catalog.venues {
            let found = rows.venues.imported(&venue.key).map(cloned).collect();
            let imported = importer.venue(found)?.into_inner();
            rows.venues.import(&venue.key, owner, imported.id, imported);
        }
        for concert in &catalog.concerts {
            let found = rows.concerts.imported(&concert.key).map(cloned).collect();
            let imported = importer.concert(found)?;
            let is_known = !matches!(imported, Imported::New(_));
            let imported = imported.into_inner();
            let concert_id = imported.id;
            rows.concerts.import(&concert.key, owner, concert_id, imported);
            rows.refresh_terms(concert_id);
            for (index, performance) in concert.performances().iter().enumerate() {
                let found = rows.performances.imported(&performance.key);
                let found = found.map(|found| rows.stored_performance(&found)).collect();
                let imported = importer.performance(index, found)?;
                progress.add(rows.import_performance(imported, &performance.key, owner));
            }
            if is_known {
                let others = importer.others_of_concert(rows.known_performances(concert_id))?;
                for id in others.adopted {
                    rows.performances.adopt(id, owner);
                }
                for id in others.withdrawn {
                    rows.set_withdrawn(id, Some(now));
                }
            }
        }
        for venue_id in importer.venues_to_check() {
            importer.check_bookings(venue_id, &rows.venue_bookings(venue_id))?;
        }
        importer.others_of_owner(rows.concert_keys_of(owner, now));
        rows.write_down(importer.take_acts());
        if !options.dry_run {
            *stored = rows;
        }
        Ok(importer.into_report())
    }
}

fn cloned<T: Clone>(Owned { owner, value }: Owned<&T>) -> Owned<T> {
    Owned { owner, value: value.clone() }
}

impl Rows {
    fn stored_performance(&self, found: &Owned<&PerformanceSummary>) -> Owned<StoredPerformance> {
        let (performance, seats) = (found.value, self.seats_in_order(found.value.id));
        let terms = &self.sale.terms[&performance.id];
        let sections = SectionPrice::of_seats(seats.iter().map(|seat| (seat.ordinal, &seat.label, seat.price)));
        let value = StoredPerformance {
            id: performance.id,
            concert_id: performance.concert_id,
            venue_id: performance.venue.id,
            starts_at: performance.starts_at,
            duration_minutes: performance.duration_minutes,
            moved: terms.moved,
            withdrawn_at: terms.withdrawn_at,
            sections: sections.expect("a label names its section"),
            is_sold: seats.iter().any(|seat| matches!(seat.state, SeatState::Sold { .. })),
        };
        Owned { owner: found.owner, value }
    }

    /// Returns how many seats the performance has.
    fn import_performance(&mut self, imported: PerformanceImport, key: &CatalogKey, owner: Option<AccountId>) -> u64 {
        let (after, sections) = match imported {
            PerformanceImport::New(new) => {
                self.performances.import(key, owner, new.id, performance_row(&new));
                self.put_seats(&new);
                self.refresh_terms(new.concert_id);
                return u64::from(new.venue.plan.capacity());
            }
            PerformanceImport::Unchanged(performance) => return performance.seats_count(),
            PerformanceImport::Changed { performance, sections } => (performance, sections),
        };
        let row = PerformanceSummary {
            starts_at: after.starts_at,
            duration_minutes: after.duration_minutes,
            price_min: after.price_min(),
            price_max: after.price_max(),
            ..self.performances.rows[&after.id].clone()
        };
        self.performances.import(key, owner, after.id, row);
        self.set_withdrawn(after.id, after.withdrawn_at);
        let terms = self.sale.terms.get_mut(&after.id).expect("a performance has terms");
        (terms.starts_at, terms.moved) = (after.starts_at, after.moved);
        for seat in self.sale.seats.get_mut(&after.id).into_iter().flat_map(|seats| seats.values_mut()) {
            let of_seat = |section: &&SectionPrice| section.name.as_str() == seat.label.parts().0;
            if let Some(section) = sections.iter().find(of_seat) {
                seat.price = section.price;
            }
        }
        after.seats_count()
    }

    fn set_withdrawn(&mut self, id: PerformanceId, at: Option<Timestamp>) {
        self.performances.rows.get_mut(&id).expect("a performance").withdrawn = at.is_some();
        self.sale.terms.get_mut(&id).expect("a performance has terms").withdrawn_at = at;
    }

    /// The performances of a concert, by their start.
    fn known_performances(&self, concert_id: ConcertId) -> Vec<KnownPerformance> {
        let known = |row: &PerformanceSummary| {
            let imported = self.performances.imported.iter().find(|(_, id)| **id == row.id).map(|(named, _)| named);
            let (key, owner) = imported.cloned().unzip();
            KnownPerformance {
                id: row.id,
                owner: owner.flatten(),
                key,
                starts_at: row.starts_at,
                withdrawn_at: self.sale.terms[&row.id].withdrawn_at,
            }
        };
        let mut known: Vec<_> = self.performances_of(concert_id).map(known).collect();
        known.sort_by_key(|known| (known.starts_at, known.id));
        known
    }

    /// The keys of the concerts of an owner whose sale has not closed, and that have a performance to come.
    fn concert_keys_of(&self, owner: Option<AccountId>, now: Timestamp) -> Vec<CatalogKey> {
        let of_owner = self.concerts.imported.iter().filter(|((_, of), _)| *of == owner);
        let is_open = |id: &ConcertId| {
            let to_come = |found: &PerformanceSummary| now < found.starts_at && !found.withdrawn;
            now < self.concerts.rows[id].sales.close_at() && self.performances_of(*id).any(to_come)
        };
        let mut open: Vec<_> = of_owner.filter(|(_, id)| is_open(id)).collect();
        open.sort_by_key(|(_, id)| **id);
        open.into_iter().map(|((key, _), _)| key.clone()).collect()
    }
}
