use axum::{Json, extract::State};
use boxoffice_domain::{PerformanceId, catalog::Sales};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, SignedIn},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Sales)]
pub(crate) struct SalesResponse {
    /// Seats that are neither held nor sold.
    available: u32,
    /// Seats that are held and not paid.
    held: u32,
    /// Seats that are sold.
    sold: u32,
    /// The points paid for the sold ones.
    revenue: i64,
}

impl From<Sales> for SalesResponse {
    fn from(sales: Sales) -> Self {
        Self { available: sales.available, held: sales.held, sold: sales.sold, revenue: sales.revenue.get() }
    }
}

refusals!([SIGNED_IN, PATH], [Forbidden, PerformanceNotFound]);

/// How a performance sells, for the concert's promoter
#[utoipa::path(
    get, path = "/v1/performances/{id}/sales", tag = "catalog", operation_id = "catalog_sales",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The performance")),
    responses((status = 200, description = "How it sells.", body = SalesResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.sales", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<PerformanceId>,
) -> Result<Json<SalesResponse>, Problem> {
    Ok(Json(api.services.catalog.sales(identity, id).await?.into()))
}
