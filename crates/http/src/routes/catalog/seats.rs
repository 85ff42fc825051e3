use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::{
    PerformanceId,
    catalog::{SeatMap, SeatView},
    seats::{PartName, SeatStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    api::Api,
    reply::{CacheScope, NotModified, Problem, Tagged, mirror, refusals},
    request::{Id, IfNoneMatch, LookingIn, Query},
};

#[derive(Default, Deserialize, IntoParams, PartialEq)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatQuery {
    /// Only seats of this status.
    #[param(inline)]
    status: Option<SeatStatusResponse>,
    /// Only seats of this section.
    section: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SeatStatus)]
enum SeatStatusResponse {
    /// Neither held nor sold.
    Available,
    /// Held by an account that has not paid yet.
    Held,
    /// Sold.
    Sold,
}

mirror!(SeatStatus => SeatStatusResponse: Available, Held, Sold);

#[derive(Serialize, ToSchema)]
#[schema(as = Seat)]
struct SeatResponse<'m> {
    #[schema(example = "A-1-12")]
    label: &'m str,
    section: &'m str,
    row: &'m str,
    /// Its number in the row, from 1.
    number: u32,
    /// What it costs, in points.
    price: i64,
    status: SeatStatusResponse,
}

impl<'m> From<SeatView<'m>> for SeatResponse<'m> {
    fn from(seat: SeatView<'m>) -> Self {
        Self {
            label: seat.label.as_str(),
            section: seat.section,
            row: seat.row,
            number: seat.number,
            price: seat.price.get(),
            status: seat.status.into(),
        }
    }
}

// `seat_maps` writes the whole map without this type.
/// The seats of a performance at one instant.
#[derive(Serialize, ToSchema)]
#[schema(as = SeatMap)]
pub(crate) struct SeatMapResponse<'m> {
    performance_id: Uuid,
    /// The seats that the query selects, in the order of the venue.
    seats: Vec<SeatResponse<'m>>,
    /// How many seats the performance has, whatever the query.
    seats_total: usize,
    /// How many of all its seats are neither sold nor held.
    seats_available: usize,
}

impl<'m> SeatMapResponse<'m> {
    pub(crate) fn new(map: &'m SeatMap, query: &SeatQuery) -> Self {
        let selected = |seat: &SeatView| query.status.is_none_or(|status| status == seat.status.into());
        let seats = match &query.section {
            // No section can have another name.
            Some(section) => PartName::new(section).map_or_else(
                |_| Vec::new(),
                |section| map.section(section.as_str()).filter(selected).map(SeatResponse::from).collect(),
            ),
            None => map.seats().filter(selected).map(SeatResponse::from).collect(),
        };
        Self {
            performance_id: map.performance_id().uuid(),
            seats,
            seats_total: map.statuses().len(),
            seats_available: map.available(),
        }
    }
}

refusals!([SIGNED_IN, ADMITTED, PATH], [PerformanceNotFound]);

/// The seats of a performance
#[utoipa::path(
    get, path = "/v1/performances/{id}/seats", tag = "catalog", operation_id = "catalog_seats",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The performance"), SeatQuery, LookingIn, IfNoneMatch),
    responses(
        (status = 200, description = "The seats.", body = SeatMapResponse,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.seats", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    LookingIn(visitor): LookingIn,
    headers: HeaderMap,
    Id(id): Id<PerformanceId>,
    Query(query): Query<SeatQuery>,
) -> Result<Response, Problem> {
    let admitted = api.services.catalog.admit_to_performance(visitor, id).await?;
    if query == SeatQuery::default() {
        let mark = api.marks.of(visitor.account_id);
        return api.seat_maps.map(&api.services, admitted, mark).await?.respond(&headers).await;
    }
    let map = api.services.catalog.seats(admitted).await?;
    let response = Tagged::of(&SeatMapResponse::new(&map, &query))?;
    // It may be newer than the whole map that is shown at the moment.
    api.marks.set(visitor.account_id);
    Ok(response.respond(&headers, CacheScope::Private))
}
