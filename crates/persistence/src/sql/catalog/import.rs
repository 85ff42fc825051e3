//! Importing a whole catalog.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        CatalogImport, CatalogKey, Concert, ImportError, ImportOptions, ImportProgress, ImportReport, Imported,
        ImportedCatalog, ImportedPerformance, Importer, KnownPerformance, NewPerformance, Owned, PerformanceImport,
        SeatingPlan, SectionPrice, StoredPerformance, Venue,
    },
    seats::Seat,
};
use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{Binary, Text, Untyped},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{
    super::{
        super::{Connection, LOCK_ROWS},
        Store, Writer,
        failure::Failure,
        history::write_down,
        insert::insert,
        retry::{Attempts, commit},
        seats::{SeatRow, new_seats},
    },
    bookings::lock_venue,
    changes::Noting,
    rows::{ConcertRow, Drawn, Origin, PerformanceRow, StoredPerformanceRow, VenueRow, key_owner},
    update_concert,
};
use crate::{
    catalog_watch::CatalogChange,
    schema::seats,
    statement::{Bind, ROWS_MAX, Statement},
    stored::{Stored, damaged, id as parse_id, name, optional_id, ordinal_number, time},
};

/// Why an import stopped.
enum Stopped {
    Refused(ImportError),
    Failed(Failure),
}

impl From<ImportError> for Stopped {
    fn from(refusal: ImportError) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[async_trait]
impl CatalogImport for Store {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        options: &ImportOptions,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let _marking = self.finder.marking(None);
        let mut attempts = Attempts::begin(self.writer.retry_max);
        loop {
            let imported = import_once(&self.writer, catalog, options, &*progress).await;
            // Even after a failure, prices may have changed.
            self.seat_cache.forget_all();
            match imported {
                Ok(report) => return Ok(report),
                Err(Stopped::Refused(refusal)) => return Err(refusal),
                // Two imports at once may have inserted the same key: the second one updates.
                Err(Stopped::Failed(failure)) => attempts.wait_after(failure).await?,
            }
        }
    }
}

async fn import_once(
    writer: &Writer,
    catalog: &ImportedCatalog,
    options: &ImportOptions,
    progress: &dyn ImportProgress,
) -> Result<ImportReport, Stopped> {
    let mut session = writer.pool.session().await?;
    let (connection, now) = (session.connection(), writer.clock.now());
    let importer = Importer::new(catalog, options, now, writer.entropy.as_ref());
    let mut import = Import {
        connection,
        importer,
        now,
        options,
        progress,
        noting: writer.noting(),
        locks_are_local: writer.locks_are_local,
        concerts: BTreeSet::new(),
        repriced: BTreeSet::new(),
        plans: HashMap::new(),
    };
    let imported = async {
        writer.begin(import.connection).await?;
        import.run(catalog).await?;
        if options.dry_run {
            import.connection.batch_execute("ROLLBACK").await?;
        } else {
            writer.before_commit(import.connection).await?;
            commit(import.connection).await?;
        }
        Ok::<_, Stopped>(())
    };
    let imported = imported.await;
    let report = import.importer.into_report();
    match imported {
        Err(Stopped::Refused(refusal)) => Err(refusal.into()),
        Err(Stopped::Failed(failure)) => Err(writer.failed(&mut session, failure).await.into()),
        Ok(()) => {
            session.answered();
            Ok(report)
        }
    }
}

struct Import<'i> {
    connection: &'i mut Connection,
    importer: Importer<'i>,
    now: Timestamp,
    options: &'i ImportOptions,
    progress: &'i dyn ImportProgress,
    noting: Noting,
    /// Whether the nodes of the database see each other's changes, and not each other's locks.
    locks_are_local: bool,
    /// The concerts that have changed, or whose performances or venues have.
    concerts: BTreeSet<ConcertId>,
    /// The performances whose prices have changed.
    repriced: BTreeSet<PerformanceId>,
    /// The plans of the venues, by the stored id.
    plans: HashMap<Vec<u8>, SeatingPlan>,
}

impl Import<'_> {
    async fn run(&mut self, catalog: &ImportedCatalog) -> Result<(), Stopped> {
        for venue in &catalog.venues {
            self.venue(&venue.key).await?;
        }
        for concert in &catalog.concerts {
            let known = self.concert(&concert.key).await?;
            for (index, performance) in concert.performances().iter().enumerate() {
                self.performance(index, performance).await?;
            }
            if let Some(id) = known {
                self.others_of_concert(id).await?;
            }
        }
        for venue_id in self.importer.venues_to_check() {
            let bookings = lock_venue(self.connection, venue_id, None).await?;
            self.importer.check_bookings(venue_id, &bookings)?;
        }
        self.others_of_owner().await?;
        write_down(self.connection, &self.importer.take_acts()).await?;
        let change = CatalogChange::of(self.concerts.iter().copied(), self.repriced.iter().copied());
        if !change.is_none() {
            self.noting.note(self.connection, change).await?;
        }
        Ok(())
    }

    fn origin<'k>(&self, key: &'k CatalogKey) -> Origin<'k> {
        Origin { publisher: self.options.promoter_id, idempotency: None, catalog_key: Some(key) }
    }

    async fn venue(&mut self, key: &CatalogKey) -> Result<(), Stopped> {
        let rows: Vec<VenueRow> = by_key(Statement::select::<VenueRow>(), key).load(self.connection).await?;
        let found = rows.into_iter().map(|row| {
            let owner = optional_id(row.publisher_id.as_ref())?;
            Ok(Owned { owner, value: Venue::try_from(row)? })
        });
        let imported = self.importer.venue(found.collect::<Result<_, StorageError>>()?)?;
        let (Imported::New(venue) | Imported::Changed(venue) | Imported::Unchanged(venue)) = &imported;
        self.plans.insert(venue.id.uuid().as_bytes().to_vec(), venue.plan.clone());
        let row = VenueRow::bind(venue, Drawn::of(venue)?, self.origin(key));
        match imported {
            Imported::New(_) => insert::<VenueRow>(self.connection, [row]).await?,
            Imported::Changed(venue) => {
                let columns =
                    ["publisher_id", "owner_id", "name", "location", "overlaps_allowed", "time_zone", "layout"];
                let update = Statement::update::<VenueRow>(row, &columns);
                update.sql(" WHERE id = ").bind(venue.id).execute(self.connection).await?;
                self.note_concerts_at(venue.id).await?;
            }
            Imported::Unchanged(_) => {}
        }
        Ok(())
    }

    /// Notes the concerts at a venue: searches find them by its name.
    async fn note_concerts_at(&mut self, id: VenueId) -> Result<(), Failure> {
        let concerts = Statement::<Binary>::new("SELECT DISTINCT concert_id FROM performances WHERE venue_id = ");
        let concerts: Vec<Vec<u8>> = concerts.bind(id).load(self.connection).await?;
        for concert in concerts {
            self.concerts.insert(parse_id(&concert)?);
        }
        Ok(())
    }

    /// Returns the concert if it was stored.
    async fn concert(&mut self, key: &CatalogKey) -> Result<Option<ConcertId>, Stopped> {
        if self.locks_are_local {
            // Of a concert that stays as it is, performances may be added, moved or withdrawn.
            let update = Statement::<Untyped>::new("UPDATE concerts SET changes_count = changes_count + 1");
            update.sql(" WHERE catalog_key = ").bind(key).execute(self.connection).await?;
        }
        let rows: Vec<ConcertRow> = by_key(Statement::select::<ConcertRow>(), key).load(self.connection).await?;
        let found = rows.into_iter().map(|row| {
            let concert = Concert::try_from(row)?;
            Ok(Owned { owner: concert.promoter_id, value: concert })
        });
        match self.importer.concert(found.collect::<Result<_, StorageError>>()?)? {
            Imported::New(concert) => {
                let row = ConcertRow::bind(&concert, self.origin(key));
                insert::<ConcertRow>(self.connection, [row]).await?;
                self.concerts.insert(concert.id);
                Ok(None)
            }
            Imported::Changed(concert) => {
                let update = update_concert(&concert, &["promoter_id", "owner_id", "version"]).sql(" WHERE id = ");
                update.bind(concert.id).execute(self.connection).await?;
                self.concerts.insert(concert.id);
                Ok(Some(concert.id))
            }
            Imported::Unchanged(concert) => Ok(Some(concert.id)),
        }
    }

    async fn performance(&mut self, index: usize, performance: &ImportedPerformance) -> Result<(), Stopped> {
        let key = &performance.key;
        let rows: Vec<StoredPerformanceRow> =
            by_key(Statement::select::<StoredPerformanceRow>(), key).load(self.connection).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let is_moved = performance.starts_at.is_some_and(|starts_at| time(starts_at) != row.starts_at);
            if is_moved {
                // A payment that is under way ends before it is decided whether the performance may be moved.
                if self.locks_are_local {
                    self.change_seats_and_back(&row.id).await?;
                }
                let lock = Statement::<Text>::new("SELECT label FROM seats WHERE performance_id = ");
                let _locked: Vec<String> = lock.bind(row.id.clone()).sql(LOCK_ROWS).load(self.connection).await?;
            }
            let (sections, is_sold) = (self.sections(&row).await?, self.is_sold(&row).await?);
            found.push(row.stored(sections, is_sold)?);
        }
        match self.importer.performance(index, found)? {
            PerformanceImport::New(performance) => {
                self.concerts.insert(performance.concert_id);
                self.insert_performance(&performance, key).await?;
            }
            PerformanceImport::Changed { performance, sections } => {
                self.concerts.insert(performance.concert_id);
                if !sections.is_empty() {
                    self.repriced.insert(performance.id);
                }
                self.update_performance(&performance).await?;
                for section in &sections {
                    self.update_price(&performance, section).await?;
                }
                self.progress.add(performance.seats_count());
            }
            PerformanceImport::Unchanged(performance) => self.progress.add(performance.seats_count()),
        }
        Ok(())
    }

    /// Changes every seat of a performance, and changes it back. Nodes compare the rows that transactions have written: a
    /// payment at another node that ends meanwhile has this import begin again, and see it.
    async fn change_seats_and_back(&mut self, performance_id: &[u8]) -> Result<(), Failure> {
        for change in ["UPDATE seats SET ordinal = ordinal + 1", "UPDATE seats SET ordinal = ordinal - 1"] {
            let update = Statement::<Untyped>::new(change).sql(" WHERE performance_id = ");
            update.bind(performance_id.to_vec()).execute(self.connection).await?;
        }
        Ok(())
    }

    /// The sections of a performance that is stored. All seats of one cost the same, so its first seat says how much.
    async fn sections(&mut self, row: &StoredPerformanceRow) -> Result<Vec<SectionPrice>, Failure> {
        if !self.plans.contains_key(&row.venue_id) {
            let query = Statement::select::<VenueRow>().sql(" WHERE id = ").bind(row.venue_id.clone());
            let venues: Vec<VenueRow> = query.load(self.connection).await?;
            for venue in venues {
                self.plans.insert(row.venue_id.clone(), Venue::try_from(venue)?.plan);
            }
        }
        let plan = self.plans.get(&row.venue_id).ok_or_else(damaged("venue"))?;
        let labels = plan.first_seats().map(|(_, seat, _)| seat.label.as_str().to_owned());
        let query = seats::table
            .filter(seats::performance_id.eq(row.id.as_slice()))
            .filter(seats::label.eq_any(labels.collect::<Vec<_>>()))
            .select(SeatRow::as_select());
        let first_seats: Vec<SeatRow> = query.load(self.connection).await?;
        let first_seats = first_seats.into_iter().map(Seat::try_from).collect::<Result<Vec<_>, StorageError>>()?;
        let prices = first_seats.into_iter().map(|seat| (seat.label, seat.price)).collect();
        Ok(SectionPrice::of_plan(plan, &prices).ok_or_else(damaged("performance"))?)
    }

    async fn is_sold(&mut self, row: &StoredPerformanceRow) -> Result<bool, Failure> {
        let query = Statement::<Text>::new("SELECT label FROM seats WHERE performance_id = ")
            .bind(row.id.clone())
            .sql(" AND reservation_id IS NOT NULL AND held_until IS NULL LIMIT 1");
        let sold: Vec<String> = query.load(self.connection).await?;
        Ok(!sold.is_empty())
    }

    async fn insert_performance(&mut self, performance: &NewPerformance, key: &CatalogKey) -> Result<(), Failure> {
        let row = PerformanceRow::bind(performance, self.origin(key));
        insert::<PerformanceRow>(self.connection, [row]).await?;
        for seats in new_seats(performance).chunks(ROWS_MAX) {
            insert::<SeatRow>(self.connection, seats.iter().cloned()).await?;
            self.progress.add(seats.len() as u64);
        }
        Ok(())
    }

    async fn update_performance(&mut self, performance: &StoredPerformance) -> Result<(), Failure> {
        let nullable = |at: Option<Timestamp>| Bind::from(at).in_column::<Option<NaiveDateTime>>();
        let moved = performance.moved;
        let update: Statement = Statement::new("UPDATE performances SET publisher_id = ")
            .bind(self.options.promoter_id)
            .sql(", owner_id = ")
            .bind(key_owner(self.options.promoter_id))
            .sql(", starts_at = ")
            .bind(performance.starts_at)
            .sql(", ends_at = ")
            .bind(performance.booking().ends_at())
            .sql(", withdrawn_at = ")
            .bind(nullable(performance.withdrawn_at))
            .sql(", moved_at = ")
            .bind(nullable(moved.map(|moved| moved.at)))
            .sql(", cancel_until = ")
            .bind(nullable(moved.map(|moved| moved.cancel_until)))
            .sql(", price_min = ")
            .bind(performance.price_min())
            .sql(", price_max = ")
            .bind(performance.price_max())
            .sql(" WHERE id = ")
            .bind(performance.id);
        update.execute(self.connection).await?;
        Ok(())
    }

    /// Changes the price of the seats of a section, taken or free: what was held or paid has its price in the reservation.
    async fn update_price(&mut self, performance: &StoredPerformance, section: &SectionPrice) -> Result<(), Failure> {
        let after = section.first_ordinal.saturating_add(section.seats_count);
        let seats = seats::table
            .filter(seats::performance_id.eq(performance.id.stored()))
            .filter(seats::ordinal.ge(ordinal_number(section.first_ordinal)))
            .filter(seats::ordinal.lt(ordinal_number(after)));
        diesel::update(seats).set(seats::price.eq(section.price.get())).execute(self.connection).await?;
        Ok(())
    }

    async fn others_of_concert(&mut self, concert_id: ConcertId) -> Result<(), Stopped> {
        let query = Statement::select::<StoredPerformanceRow>().sql(" WHERE concert_id = ").bind(concert_id);
        let rows: Vec<StoredPerformanceRow> = query.sql(" ORDER BY starts_at, id").load(self.connection).await?;
        let known = rows.into_iter().map(StoredPerformanceRow::known);
        let known = known.collect::<Result<Vec<KnownPerformance>, StorageError>>()?;
        let others = self.importer.others_of_concert(known)?;
        for id in others.adopted {
            let update: Statement = Statement::new("UPDATE performances SET publisher_id = ")
                .bind(self.options.promoter_id)
                .sql(", owner_id = ")
                .bind(key_owner(self.options.promoter_id));
            update.sql(" WHERE id = ").bind(id).execute(self.connection).await?;
        }
        for id in others.withdrawn {
            let update: Statement = Statement::new("UPDATE performances SET withdrawn_at = ").bind(self.now);
            update.sql(" WHERE id = ").bind(id).execute(self.connection).await?;
            self.concerts.insert(concert_id);
        }
        Ok(())
    }

    async fn others_of_owner(&mut self) -> Result<(), Stopped> {
        let query = Statement::<Text>::new("SELECT catalog_key FROM concerts WHERE catalog_key IS NOT NULL")
            .sql(" AND owner_id = ")
            .bind(key_owner(self.options.promoter_id))
            .sql(" AND sales_close_at > ")
            .bind(self.now)
            .sql(" AND EXISTS (SELECT 1 FROM performances WHERE performances.concert_id = concerts.id")
            .sql(" AND withdrawn_at IS NULL AND starts_at > ")
            .bind(self.now)
            .sql(")");
        let keys: Vec<String> = query.sql(" ORDER BY id").load(self.connection).await?;
        let keys = keys.iter().map(|key| name(key)).collect::<Result<Vec<_>, StorageError>>()?;
        self.importer.others_of_owner(keys);
        Ok(())
    }
}

/// What is stored under a key, of all owners, locked until the transaction ends.
fn by_key<ST>(select: Statement<ST>, key: &CatalogKey) -> Statement<ST> {
    select.sql(" WHERE catalog_key = ").bind(key).sql(LOCK_ROWS)
}
