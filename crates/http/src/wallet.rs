//! `/v1/wallet`.

use std::sync::Arc;

use axum::{Json as Answer, extract::State, http::StatusCode, response::Response};
use boxoffice_application::{fingerprint, wallet::ChargePointsError};
use boxoffice_domain::{
    ChargeId, Points, StorageError,
    wallet::{Charge, ChargeRefusal, ChargeState, ChargeStatus, EntryKind, Wallet, WalletEntry},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;
use validator::Validate;

use crate::{
    api::Api,
    auth::SignedIn,
    cursor::List,
    extract::{Id, Json, Query, page, parsed},
    idempotency::{RequiredKey, made},
    problem::{Code, Problem, refusals},
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(balance))
        .routes(routes!(charge))
        .routes(routes!(find_charge))
        .routes(routes!(entries))
}

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct NewCharge {
    /// How many points; at most 10,000,000, unless the operator has set another number.
    #[validate(range(min = 1, message = "must be at least 1"))]
    #[schema(minimum = 1, example = 110_000)]
    amount: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct EntryQuery {
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Wallet)]
struct WalletAnswer {
    /// The points that it has.
    balance: i64,
    updated_at: DateTime<Utc>,
}

impl From<Wallet> for WalletAnswer {
    fn from(wallet: Wallet) -> Self {
        Self { balance: wallet.balance.get(), updated_at: wallet.updated_at }
    }
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChargeStatus)]
enum StatusAnswer {
    /// The payment gateway has not answered yet.
    Pending,
    /// Approved and credited.
    Completed,
    /// Declined by the payment gateway.
    Declined,
}

impl From<ChargeStatus> for StatusAnswer {
    fn from(status: ChargeStatus) -> Self {
        match status {
            ChargeStatus::Pending => Self::Pending,
            ChargeStatus::Completed => Self::Completed,
            ChargeStatus::Declined => Self::Declined,
        }
    }
}

/// Points added to a wallet, paid for through the payment gateway.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge)]
struct ChargeAnswer {
    id: Uuid,
    amount: i64,
    status: StatusAnswer,
    /// The balance after the credit; `null` where there was none.
    #[schema(required)]
    balance: Option<i64>,
    created_at: DateTime<Utc>,
}

impl From<Charge> for ChargeAnswer {
    fn from(charge: Charge) -> Self {
        let balance = match charge.state {
            ChargeState::Completed { balance_after, .. } => Some(balance_after.get()),
            ChargeState::Pending | ChargeState::Declined { .. } => None,
        };
        Self {
            id: charge.id.uuid(),
            amount: charge.amount.get(),
            status: charge.state.status().into(),
            balance,
            created_at: charge.created_at,
        }
    }
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WalletEntryKind)]
enum KindAnswer {
    /// Points were charged.
    Charge,
    /// Seats were paid.
    Payment,
    /// A paid reservation was cancelled.
    Refund,
}

impl From<EntryKind> for KindAnswer {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Charge { .. } => Self::Charge,
            EntryKind::Payment { .. } => Self::Payment,
            EntryKind::Refund { .. } => Self::Refund,
        }
    }
}

/// One line of a wallet's history.
#[derive(Serialize, ToSchema)]
#[schema(as = WalletEntry)]
struct EntryAnswer {
    id: Uuid,
    kind: KindAnswer,
    /// How many points came (positive) or went (negative).
    amount: i64,
    balance_after: i64,
    /// The reservation that was paid or cancelled; `null` of a charge.
    #[schema(required)]
    reservation_id: Option<Uuid>,
    /// The charge; `null` of a payment or refund.
    #[schema(required)]
    charge_id: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<WalletEntry> for EntryAnswer {
    fn from(entry: WalletEntry) -> Self {
        Self {
            id: id_of(&entry),
            kind: entry.kind.into(),
            amount: entry.amount,
            balance_after: entry.balance_after.get(),
            reservation_id: entry.kind.reservation_id().map(boxoffice_domain::ReservationId::uuid),
            charge_id: entry.kind.charge_id().map(ChargeId::uuid),
            created_at: entry.created_at,
        }
    }
}

/// An entry is stored under its account and its number; its id is a digest of the two (a `UUIDv8`), the same
/// whenever it is shown.
fn id_of(entry: &WalletEntry) -> Uuid {
    let digest = Sha256::new().chain_update(entry.account_id.uuid().as_bytes());
    let digest = digest.chain_update(entry.sequence.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl From<ChargePointsError> for Problem {
    fn from(error: ChargePointsError) -> Self {
        match error {
            ChargePointsError::Refused(ChargeRefusal::BalanceLimitReached) => Self::new(Code::BalanceLimitReached),
            ChargePointsError::Refused(ChargeRefusal::KeyReused(error)) => error.into(),
            ChargePointsError::Declined(charge) => Self::of_charge(Code::ChargeDeclined, charge.id),
            ChargePointsError::Gateway { charge_id, .. } => {
                tracing::warn!(%charge_id, error = &error as &dyn std::error::Error, "a charge has no verdict yet");
                Self::of_charge(Code::GatewayFailed, charge_id)
                    .detail("The payment gateway gave no answer. The charge stays pending and is resolved later.")
            }
            ChargePointsError::Storage(error) => error.into(),
        }
    }
}

refusals!(WalletProblems: [SIGNED_IN], []);
refusals!(ChargeProblems: [SIGNED_IN, BODY, KEYED], [
    IdempotencyKeyRequired, ChargeDeclined, BalanceLimitReached, GatewayFailed,
]);
refusals!(FindChargeProblems: [SIGNED_IN, PATH], [ChargeNotFound]);
refusals!(EntriesProblems: [SIGNED_IN, LIST], []);

/// The balance
#[utoipa::path(
    get, path = "/v1/wallet", tag = "wallet", security(("bearer" = [])),
    responses((status = 200, description = "The wallet.", body = WalletAnswer), WalletProblems),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.balance", skip_all)]
async fn balance(State(api): State<Api>, SignedIn(identity): SignedIn) -> Result<Answer<WalletAnswer>, Problem> {
    let wallet = api.services.wallet.balance(identity).await?;
    let wallet = wallet.ok_or_else(|| StorageError::failed("an account has no wallet"))?;
    Ok(Answer(wallet.into()))
}

/// Charge points
#[utoipa::path(
    post, path = "/v1/wallet/charges", tag = "wallet", security(("bearer" = [])), request_body = NewCharge,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it may be repeated")),
    responses(
        (status = 201, description = "The points were credited.", body = ChargeAnswer, headers(
            ("Location", description = "Where the charge is"),
            ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
        )),
        ChargeProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.charge", skip_all)]
async fn charge(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    key: RequiredKey,
    Json(body): Json<NewCharge>,
) -> Result<Response, Problem> {
    let amount = parsed("/amount", "range", Points::new(body.amount))?;
    let amount_max = api.settings.charge_points_max;
    if body.amount > amount_max {
        return Err(Problem::violation("/amount", "range", format!("must be 1 to {amount_max}")));
    }
    let idempotency = key.naming(fingerprint::charge(amount));
    let (service, asked) = (Arc::clone(&api.services.wallet), idempotency.clone());
    let act = async move { service.charge(identity, amount, asked).await };
    let charged = api.keyed_act(identity, Some(&idempotency), act).await??;
    let location = format!("/v1/wallet/charges/{}", charged.value.id);
    Ok(made(charged, StatusCode::CREATED, Some(&location), ChargeAnswer::from))
}

/// A charge of the account
#[utoipa::path(
    get, path = "/v1/wallet/charges/{id}", tag = "wallet", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The charge")),
    responses((status = 200, description = "The charge.", body = ChargeAnswer), FindChargeProblems),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.find_charge", skip_all)]
async fn find_charge(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ChargeId>,
) -> Result<Answer<ChargeAnswer>, Problem> {
    let charge = api.services.wallet.find_charge(identity, id).await?;
    Ok(Answer(charge.ok_or_else(|| Problem::new(Code::ChargeNotFound))?.into()))
}

/// The history of the wallet, newest first
#[utoipa::path(
    get, path = "/v1/wallet/entries", tag = "wallet", security(("bearer" = [])), params(EntryQuery),
    responses((status = 200, description = "One page.", body = List<EntryAnswer>), EntriesProblems),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.entries", skip_all)]
async fn entries(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<EntryQuery>,
) -> Result<Answer<List<EntryAnswer>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let page = api.services.wallet.entries(identity, page).await?;
    Ok(Answer(List::new(page, EntryAnswer::from)))
}
