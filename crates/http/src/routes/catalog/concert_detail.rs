use boxoffice_application::ConcertView;
use boxoffice_domain::{Timestamp, catalog::PerformanceDate};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ConcertResponse, VenueSummaryResponse};

/// A concert with what everyone may know of its performances.
#[derive(Serialize, ToSchema)]
#[schema(as = ConcertDetail)]
pub(crate) struct ConcertDetailResponse {
    #[serde(flatten)]
    concert: ConcertResponse,
    /// The venues of `dates`, in the order in which they first occur there.
    venues: Vec<VenueSummaryResponse>,
    /// When and where the concert is performed, by start: at most 100, from the next one on, and earlier ones while there
    /// is room. `performances_count` counts all.
    dates: Vec<DateResponse>,
}

/// When and where a concert is performed.
#[derive(Serialize, ToSchema)]
#[schema(as = ConcertDate)]
struct DateResponse {
    /// The performance.
    id: Uuid,
    /// One of `venues`.
    venue_id: Uuid,
    starts_at: DateTime<Utc>,
}

impl ConcertDetailResponse {
    /// The concert as it is at `now`.
    pub(super) fn new(view: ConcertView, dates: Vec<PerformanceDate>, now: Timestamp) -> Self {
        let mut venues: Vec<VenueSummaryResponse> = Vec::new();
        let date = |date: PerformanceDate| {
            let PerformanceDate { id, venue, starts_at } = date;
            let venue_id = venue.id.uuid();
            if venues.iter().all(|known| known.id != venue_id) {
                venues.push(venue.into());
            }
            DateResponse { id: id.uuid(), venue_id, starts_at }
        };
        let dates = dates.into_iter().map(date).collect();
        Self { concert: ConcertResponse::new(view, now), venues, dates }
    }
}
