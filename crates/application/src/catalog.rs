//! Publishing what is sold, and looking at it.

use std::sync::Arc;

use boxoffice_domain::{
    Clock, ConcertId, EntropySource, PerformanceId, Points, StorageError, TimeZone, Timestamp, VenueId,
    accounts::Role,
    catalog::{
        Booking, Catalog, Concert, ConcertChange, ConcertChangeError, ConcertSummary, DrawError, InvalidSalesWindow,
        Layout, LayoutError, NewPerformance, PerformanceDate, PerformanceKey, PerformanceSummary, PriceError,
        PriceList, PublishError, Sales, SalesTimeError, SalesWindow, SeatMap, SeatingPlan, StartError,
        UpdateConcertError, Venue, VenueSummary, check_opening, check_sales,
    },
    history::{History, StaffAct},
    idempotency::{Idempotency, KeyReused, Made},
    page::{Page, PageRequest},
    seats::PartName,
    text::{Description, Name},
    waiting_room::{Draw, WaitingRoomError},
};

use crate::{
    CatalogGeneration, Gate, Identity, Staff, Visitor,
    waiting_room::{GateError, Purpose},
};

/// How often a change is tried while others are written between its reading and its writing.
const UPDATE_ATTEMPTS_MAX: u32 = 5;

/// Comes after the ids of all performances.
const LAST_ID: PerformanceId = PerformanceId::new(uuid::Uuid::max());

/// A venue to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVenue {
    pub name: Name,
    pub location: Name,
    pub plan: SeatingPlan,
    /// Whether several performances may take place at one time.
    pub overlaps_allowed: bool,
    pub time_zone: TimeZone,
    /// How it is drawn; it has to fit the plan.
    pub layout: Option<Layout>,
}

/// A concert to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConcert {
    pub title: Name,
    pub artist: Name,
    pub description: Description,
    pub sales: SalesWindow,
    pub max_seats_per_account: u32,
    pub max_active: u32,
    pub holds_need_balance: bool,
    pub requires_verified_email: bool,
    /// Whether a draw orders the accounts that join before the sale opens.
    pub draw: bool,
}

/// A performance to be published, of a concert that the caller manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishPerformance {
    pub concert_id: ConcertId,
    pub venue_id: VenueId,
    pub starts_at: Timestamp,
    pub duration_minutes: u32,
    /// One price for each section of the venue, in any order.
    pub prices: Vec<(PartName, Points)>,
}

/// A change of a concert that the caller manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateConcert {
    pub concert_id: ConcertId,
    pub change: ConcertChange,
    /// The version that the concert must have; any version if `None`.
    pub version: Option<u32>,
}

/// Why something was not published or changed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("this is for the concert's promoter")]
    Forbidden,
    #[error("the concert does not exist")]
    ConcertNotFound,
    #[error("the venue does not exist")]
    VenueNotFound,
    #[error("the performance does not exist")]
    PerformanceNotFound,
    #[error("the concert has been changed meanwhile")]
    VersionMismatch,
    #[error(transparent)]
    SalesWindow(#[from] InvalidSalesWindow),
    #[error(transparent)]
    SalesTime(#[from] SalesTimeError),
    #[error(transparent)]
    Draw(#[from] DrawError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the venue has another performance at that time")]
    Overlaps(Booking),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Prices(#[from] PriceError),
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    WaitingRoom(#[from] WaitingRoomError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<PublishError> for CatalogError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::KeyReused(error) => error.into(),
            PublishError::ConcertNotFound => Self::ConcertNotFound,
            PublishError::Start(error) => error.into(),
            PublishError::Overlaps(other) => Self::Overlaps(other),
            PublishError::Storage(error) => error.into(),
        }
    }
}

impl From<UpdateConcertError> for CatalogError {
    fn from(error: UpdateConcertError) -> Self {
        match error {
            UpdateConcertError::VersionMismatch => Self::VersionMismatch,
            UpdateConcertError::Storage(error) => error.into(),
        }
    }
}

impl From<ConcertChangeError> for CatalogError {
    fn from(error: ConcertChangeError) -> Self {
        match error {
            ConcertChangeError::SalesWindow(error) => error.into(),
            ConcertChangeError::SalesTime(error) => error.into(),
            ConcertChangeError::Draw(error) => error.into(),
        }
    }
}

/// Proof that a caller has passed the gate of a concert's performances, or of a performance and its seats.
/// Only passing the gate makes one, and nothing behind it is read without one. Callers that have one may share what was
/// read.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<T>(T);

impl<T: Copy> Admitted<T> {
    /// What is behind the gate.
    pub fn id(self) -> T {
        self.0
    }
}

/// Publishes what is sold, and shows it.
pub struct CatalogService {
    pub catalog: Arc<dyn Catalog>,
    pub history: Arc<dyn History>,
    /// The gate of dates and seats. Its queues receive the terms of a concert that was changed.
    pub gate: Gate,
    /// A new generation begins with each change of the catalog.
    pub generation: Arc<CatalogGeneration>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
}

impl CatalogService {
    /// Publishes a venue. Every promoter may then have performances there.
    pub async fn publish_venue(
        &self,
        staff: impl Into<Staff>,
        new: NewVenue,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Venue>, CatalogError> {
        let (staff, now) = (staff.into(), self.clock.now());
        let identity = staff.identity;
        may_publish(identity)?;
        new.layout.as_ref().map_or(Ok(()), |layout| layout.check(&new.plan))?;
        let venue = Venue {
            id: VenueId::new(self.entropy.uuid()),
            name: new.name,
            location: new.location,
            plan: new.plan,
            layout: new.layout,
            overlaps_allowed: new.overlaps_allowed,
            time_zone: new.time_zone,
            created_at: now,
        };
        let act = StaffAct::venue_published(self.entropy.as_ref(), now, staff.into(), &venue);
        self.change(None, self.catalog.publish_venue(identity.account_id, venue, idempotency, act)).await
    }

    /// Publishes a concert, without performances yet.
    pub async fn publish_concert(
        &self,
        staff: impl Into<Staff>,
        new: NewConcert,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Concert>, CatalogError> {
        let (staff, now) = (staff.into(), self.clock.now());
        let identity = staff.identity;
        may_publish(identity)?;
        check_sales(now, None, &new.sales)?;
        let concert = Concert {
            id: ConcertId::new(self.entropy.uuid()),
            promoter_id: Some(identity.account_id),
            title: new.title,
            artist: new.artist,
            description: new.description,
            sales: new.sales,
            max_seats_per_account: new.max_seats_per_account,
            max_active: new.max_active,
            holds_need_balance: new.holds_need_balance,
            requires_verified_email: new.requires_verified_email,
            draw: new.draw.then(|| Draw::new(self.entropy.secret())),
            paused: false,
            emptied_at: None,
            version: 1,
            created_at: now,
        };
        let act = StaffAct::concert_published(self.entropy.as_ref(), now, staff.into(), &concert);
        self.change(Some(concert.id), self.catalog.publish_concert(concert, idempotency, act)).await
    }

    /// Changes a concert of the caller, and its queue if that can be reached.
    pub async fn update_concert(
        &self,
        staff: impl Into<Staff>,
        update: UpdateConcert,
    ) -> Result<ConcertSummary, CatalogError> {
        let summary = self.write_change(staff.into(), update).await?;
        // Otherwise the queue gets the terms with the next account that joins.
        if let Err(error) = self.set_terms(&summary.concert).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a queue has not got the terms of its concert");
        }
        Ok(summary)
    }

    /// Writes a change of a concert of the caller, and leaves its queue as it is.
    pub(crate) async fn write_change(
        &self,
        staff: Staff,
        update: UpdateConcert,
    ) -> Result<ConcertSummary, CatalogError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let summary = self.managed(staff.identity, update.concert_id).await?;
            if update.version.is_some_and(|version| version != summary.concert.version) {
                return Err(CatalogError::VersionMismatch);
            }
            let now = self.clock.now();
            let concert = update.change.clone().apply(&summary.concert, now)?;
            if concert == summary.concert {
                return Ok(summary);
            }
            if concert.sales.open_at() != summary.concert.sales.open_at()
                && let Some(starts_at) = self.next_start(concert.id, now).await?
            {
                check_opening(now, &concert.sales, starts_at)?;
            }
            let (entropy, actor) = (self.entropy.as_ref(), staff.clone().into());
            let act = StaffAct::concert_changed(entropy, now, actor, &summary.concert, &concert);
            match self.change(Some(concert.id), self.catalog.update_concert(concert.clone(), act)).await {
                Ok(()) => return Ok(ConcertSummary { concert, ..summary }),
                Err(CatalogError::VersionMismatch) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CatalogError::VersionMismatch)
    }

    /// When the first performance of a concert starts that is still to come, and on sale.
    async fn next_start(&self, id: ConcertId, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        let mut page = PageRequest { limit: 100, after: Some(PerformanceKey { starts_at: now, id: LAST_ID }) };
        loop {
            let found = self.catalog.performances(id, None, page.clone()).await?;
            if let Some(first) = found.items.iter().find(|performance| !performance.withdrawn) {
                return Ok(Some(first.starts_at));
            }
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Makes a change of the catalog, of one concert if it is known. It begins a new generation.
    async fn change<T, E: Into<CatalogError>>(
        &self,
        concert_id: Option<ConcertId>,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CatalogError> {
        let act = async { act.await.map_err(E::into) };
        let is_refusal = |outcome: &Result<T, CatalogError>| {
            outcome.as_ref().is_err_and(|error| !matches!(error, CatalogError::Storage(_)))
        };
        self.generation.change_of(concert_id, act, is_refusal).await
    }

    pub(crate) async fn set_terms(&self, concert: &Concert) -> Result<(), WaitingRoomError> {
        match self.gate.queues() {
            Some(queues) => queues.set_terms(concert.id, concert.queue_terms()).await,
            None => Ok(()),
        }
    }

    /// Publishes a performance of a concert of the caller, with all its seats.
    pub async fn publish_performance(
        &self,
        staff: impl Into<Staff>,
        new: PublishPerformance,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<PerformanceSummary>, CatalogError> {
        let staff = staff.into();
        let identity = staff.identity;
        self.managed(identity, new.concert_id).await?;
        let venue = self.catalog.venue(new.venue_id).await?.ok_or(CatalogError::VenueNotFound)?;
        let prices = PriceList::new(&venue.plan, &new.prices)?;
        let performance = NewPerformance {
            id: PerformanceId::new(self.entropy.uuid()),
            concert_id: new.concert_id,
            venue,
            starts_at: new.starts_at,
            duration_minutes: new.duration_minutes,
            prices,
            created_at: self.clock.now(),
        };
        let at = performance.created_at;
        let act = StaffAct::performance_published(self.entropy.as_ref(), at, staff.into(), &performance);
        let publication = self.catalog.publish_performance(identity.account_id, performance, idempotency, act);
        self.change(Some(new.concert_id), publication).await
    }

    /// A venue, as everyone may know it.
    pub async fn venue(&self, id: VenueId) -> Result<Venue, CatalogError> {
        self.catalog.venue(id).await?.ok_or(CatalogError::VenueNotFound)
    }

    /// The venues where performances can be published, the newest first, for those who publish.
    pub async fn venues(
        &self,
        identity: Identity,
        page: PageRequest<VenueId>,
    ) -> Result<Page<VenueSummary, VenueId>, CatalogError> {
        may_publish(identity)?;
        Ok(self.catalog.venues(page).await?)
    }

    /// How a performance of the caller's concert sells.
    pub async fn sales(&self, identity: Identity, id: PerformanceId) -> Result<Sales, CatalogError> {
        may_publish(identity)?;
        let concert_id = self.catalog.concert_of(id).await?.ok_or(CatalogError::PerformanceNotFound)?;
        self.managed(identity, concert_id).await?;
        self.catalog.sales(id).await?.ok_or(CatalogError::PerformanceNotFound)
    }

    /// The concert, if the caller may manage it: its promoter, or an admin.
    pub(crate) async fn managed(&self, identity: Identity, id: ConcertId) -> Result<ConcertSummary, CatalogError> {
        may_publish(identity)?;
        let summary = self.catalog.concert(id).await?.ok_or(CatalogError::ConcertNotFound)?;
        let own = summary.concert.promoter_id == Some(identity.account_id);
        let admin = identity.role == Role::Admin;
        if own || admin { Ok(summary) } else { Err(CatalogError::Forbidden) }
    }

    /// When and where a concert is performed, as everyone may know: none if there is no such concert.
    pub async fn dates(&self, id: ConcertId) -> Result<Vec<PerformanceDate>, StorageError> {
        self.catalog.dates(id, self.clock.now()).await
    }

    pub async fn concert(&self, id: ConcertId) -> Result<ConcertSummary, CatalogError> {
        self.catalog.concert(id).await?.ok_or(CatalogError::ConcertNotFound)
    }

    /// Passes the gate of the performances of a concert.
    pub async fn admit_to_concert(
        &self,
        visitor: impl Into<Visitor>,
        concert_id: ConcertId,
    ) -> Result<Admitted<ConcertId>, CatalogError> {
        let visitor = visitor.into();
        if visitor.place.is_none_or(|place| place.concert_id != concert_id)
            && self.catalog.concert(concert_id).await?.is_none()
        {
            return Err(CatalogError::ConcertNotFound);
        }
        self.gate.admit(visitor, concert_id, Purpose::Look).await?;
        Ok(Admitted(concert_id))
    }

    /// Passes the gate of a performance and its seats: that of its concert.
    pub async fn admit_to_performance(
        &self,
        visitor: impl Into<Visitor>,
        id: PerformanceId,
    ) -> Result<Admitted<PerformanceId>, CatalogError> {
        let visitor = visitor.into();
        let concert_id = self.catalog.concert_of(id).await?.ok_or(CatalogError::PerformanceNotFound)?;
        self.gate.admit(visitor, concert_id, Purpose::Look).await?;
        Ok(Admitted(id))
    }

    pub async fn performances(
        &self,
        to: Admitted<ConcertId>,
        available: Option<bool>,
        page: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, CatalogError> {
        Ok(self.catalog.performances(to.id(), available, page).await?)
    }

    pub async fn performance(&self, to: Admitted<PerformanceId>) -> Result<PerformanceSummary, CatalogError> {
        self.catalog.performance(to.id()).await?.ok_or(CatalogError::PerformanceNotFound)
    }

    pub async fn seats(&self, to: Admitted<PerformanceId>) -> Result<SeatMap, CatalogError> {
        self.catalog.seats(to.id()).await?.ok_or(CatalogError::PerformanceNotFound)
    }
}

/// Checked first, so that other callers do not learn what exists.
pub(crate) fn may_publish(identity: Identity) -> Result<(), CatalogError> {
    if identity.role.may_publish() { Ok(()) } else { Err(CatalogError::Forbidden) }
}
