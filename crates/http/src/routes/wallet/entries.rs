use axum::Json;
use boxoffice_application::WalletService;
use boxoffice_domain::{
    ChargeId, ReservationId,
    wallet::{EntryKind, WalletEntry},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    reply::{ListResponse, Problem, mirror, refusals},
    request::{PageQuery, Query, Service, SignedIn},
};

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WalletEntryKind)]
enum KindResponse {
    /// Points were charged.
    Charge,
    /// Points of a charge were given back for money; or came back, since the payment gateway refused that.
    ChargeRefund,
    /// Seats were paid.
    Payment,
    /// A paid reservation was cancelled.
    Refund,
}

mirror!(EntryKind => KindResponse: Charge, ChargeRefund, Payment, Refund);

/// One entry of a wallet's history.
#[derive(Serialize, ToSchema)]
#[schema(as = WalletEntry)]
pub(crate) struct EntryResponse {
    id: Uuid,
    kind: KindResponse,
    /// How many points came (positive) or went (negative).
    amount: i64,
    balance_after: i64,
    /// The reservation that was paid or cancelled; `null` for a charge.
    #[schema(required)]
    reservation_id: Option<Uuid>,
    /// The charge that was made or refunded; `null` for seats.
    #[schema(required)]
    charge_id: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<WalletEntry> for EntryResponse {
    fn from(entry: WalletEntry) -> Self {
        Self {
            id: id_of(&entry),
            kind: entry.kind.into(),
            amount: entry.amount,
            balance_after: entry.balance_after.get(),
            reservation_id: entry.kind.reservation_id().map(ReservationId::uuid),
            charge_id: entry.kind.charge_id().map(ChargeId::uuid),
            created_at: entry.created_at,
        }
    }
}

/// The storage keys an entry by its account and number. Its id is a digest of the two (a `UUIDv8`), so it is always the
/// same.
fn id_of(entry: &WalletEntry) -> Uuid {
    let digest = Sha256::new().chain_update(entry.account_id.uuid().as_bytes());
    let digest = digest.chain_update(entry.sequence.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

refusals!([SIGNED_IN, LIST], []);

/// The history of the wallet, newest first
#[utoipa::path(
    get, path = "/v1/wallet/entries", tag = "wallet", operation_id = "wallet_entries", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<EntryResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.entries", skip_all)]
pub(crate) async fn handler(
    Service(wallet): Service<WalletService>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<EntryResponse>>, Problem> {
    let page = wallet.entries(identity, query.page()?).await?;
    Ok(Json(ListResponse::new(page, EntryResponse::from)))
}
