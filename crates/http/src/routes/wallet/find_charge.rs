use axum::Json;
use boxoffice_application::WalletService;
use boxoffice_domain::ChargeId;

use super::ChargeResponse;
use crate::{
    reply::{Code, Problem, refusals},
    request::{Id, Service, SignedIn},
};

refusals!([SIGNED_IN, PATH], [ChargeNotFound]);

/// A charge of the account
#[utoipa::path(
    get, path = "/v1/wallet/charges/{id}", tag = "wallet", operation_id = "wallet_find_charge",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The charge")),
    responses((status = 200, description = "The charge.", body = ChargeResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.find_charge", skip_all)]
pub(crate) async fn handler(
    Service(wallet): Service<WalletService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ChargeId>,
) -> Result<Json<ChargeResponse>, Problem> {
    let charge = wallet.find_charge(identity, id).await?;
    Ok(Json(charge.ok_or_else(|| Problem::new(Code::ChargeNotFound))?.into()))
}
