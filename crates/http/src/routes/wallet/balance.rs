use axum::Json;
use boxoffice_application::WalletService;
use boxoffice_domain::wallet::Wallet;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    reply::{Code, Problem, refusals},
    request::{Service, SignedIn},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Wallet)]
pub(crate) struct WalletResponse {
    /// The points in it.
    balance: i64,
    updated_at: DateTime<Utc>,
}

impl From<Wallet> for WalletResponse {
    fn from(wallet: Wallet) -> Self {
        Self { balance: wallet.balance.get(), updated_at: wallet.updated_at }
    }
}

refusals!([SIGNED_IN], []);

/// The balance
#[utoipa::path(
    get, path = "/v1/wallet", tag = "wallet", operation_id = "wallet_balance", security(("bearer" = [])),
    responses((status = 200, description = "The wallet.", body = WalletResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.balance", skip_all)]
pub(crate) async fn handler(
    Service(wallet): Service<WalletService>,
    SignedIn(identity): SignedIn,
) -> Result<Json<WalletResponse>, Problem> {
    let wallet = wallet.balance(identity).await?;
    let wallet = wallet.ok_or_else(|| Problem::invalid_access_token(Code::Unauthenticated))?;
    Ok(Json(wallet.into()))
}
