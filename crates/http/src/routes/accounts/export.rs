//! A copy of what is stored of an account. It is written page by page, as fast as the client reads it.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use boxoffice_application::Identity;
use boxoffice_domain::{
    StorageError,
    accounts::{Account, AccountEmail, PublishedKind, SecondFactor, Session},
    page::{PAGE_ITEMS_MAX, Page, PageRequest},
    sale::HoldBudget,
    text::Name,
};
use chrono::{DateTime, Utc};
use futures::{
    FutureExt,
    future::{self, BoxFuture},
    stream,
};
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AccountResponse, me::Language};
use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::SignedIn,
    routes::{
        history::StaffActResponse,
        payments::PaymentResponse,
        reservations::ReservationResponse,
        wallet::{ChargeResponse, balance::WalletResponse, entries::EntryResponse},
        webhooks::WebhookResponse,
    },
};

/// How many exports are written at once.
pub(crate) const EXPORTS_AT_ONCE_MAX: usize = 8;
/// How many pages may wait for a slow client.
const PAGES_WAITING_MAX: usize = 1;

#[derive(Serialize, ToSchema)]
#[schema(as = ExportedSession)]
struct SessionResponse {
    id: Uuid,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    /// When it ends if it is not refreshed before.
    expires_at: DateTime<Utc>,
    /// When it was ended; `null` if it was not.
    #[schema(required)]
    ended_at: Option<DateTime<Utc>>,
    #[schema(required)]
    client: Option<String>,
}

impl From<Session> for SessionResponse {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.uuid(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            ended_at: session.ended_at,
            client: session.client.map(|client| client.as_str().to_owned()),
        }
    }
}

/// How many holds of a concert ended unpaid.
#[derive(Serialize, ToSchema)]
#[schema(as = UnpaidHolds)]
struct UnpaidHoldsResponse {
    concert_id: Uuid,
    count: u32,
    #[schema(required)]
    last_at: Option<DateTime<Utc>>,
    /// When a payment last set the count to 0; `null` if none did.
    #[schema(required)]
    paid_at: Option<DateTime<Utc>>,
}

impl From<HoldBudget> for UnpaidHoldsResponse {
    fn from(budget: HoldBudget) -> Self {
        let HoldBudget { concert_id, unpaid_count, last_unpaid_at, paid_at, .. } = budget;
        Self { concert_id: concert_id.uuid(), count: unpaid_count, last_at: last_unpaid_at, paid_at }
    }
}

/// The second factor of the account.
#[derive(Serialize, ToSchema)]
#[schema(as = ExportedSecondFactor)]
struct FactorResponse {
    created_at: DateTime<Utc>,
    #[schema(required)]
    confirmed_at: Option<DateTime<Utc>>,
    recovery_codes_left: usize,
}

impl From<SecondFactor> for FactorResponse {
    fn from(factor: SecondFactor) -> Self {
        let recovery_codes_left = factor.recovery_hashes.len();
        Self { created_at: factor.created_at, confirmed_at: factor.confirmed_at, recovery_codes_left }
    }
}

/// The e-mail of the account.
#[derive(Serialize, ToSchema)]
#[schema(as = ExportedEmail)]
struct EmailResponse {
    #[schema(required)]
    address: Option<String>,
    #[schema(required)]
    verified_at: Option<DateTime<Utc>>,
    /// The address that was last sent a code which was not used.
    #[schema(required)]
    pending_address: Option<String>,
    /// `null` if none was chosen.
    #[schema(required)]
    language: Option<Language>,
}

impl From<AccountEmail> for EmailResponse {
    fn from(email: AccountEmail) -> Self {
        let AccountEmail { address, verified_at, language, pending } = email;
        Self {
            address: address.map(String::from),
            verified_at,
            pending_address: pending.map(|(address, _)| address.into()),
            language: language.map(Language::from),
        }
    }
}

/// Something that the account published.
#[derive(Serialize, ToSchema)]
#[schema(as = ExportedPublication)]
struct PublishedResponse {
    id: Uuid,
    name: String,
}

impl From<(Uuid, Name)> for PublishedResponse {
    fn from((id, name): (Uuid, Name)) -> Self {
        Self { id, name: name.into() }
    }
}

/// What is stored of an account.
#[derive(ToSchema)]
#[schema(as = Export)]
#[expect(dead_code, reason = "only described: it is written page by page")]
pub(crate) struct ExportResponse {
    account: AccountResponse,
    exported_at: DateTime<Utc>,
    /// `null` if none was begun. Its key is left out.
    #[schema(required)]
    second_factor: Option<FactorResponse>,
    email: EmailResponse,
    sessions: Vec<SessionResponse>,
    /// `null` if the product has no wallets.
    #[schema(required)]
    wallet: Option<WalletResponse>,
    wallet_entries: Vec<EntryResponse>,
    charges: Vec<ChargeResponse>,
    reservations: Vec<ReservationResponse>,
    payments: Vec<PaymentResponse>,
    unpaid_holds: Vec<UnpaidHoldsResponse>,
    venues: Vec<PublishedResponse>,
    concerts: Vec<PublishedResponse>,
    /// Without their secrets.
    webhooks: Vec<WebhookResponse>,
    /// What it did as staff.
    acts: Vec<StaffActResponse>,
}

refusals!([SIGNED_IN], []);

/// Everything that is stored of the account
///
/// Lists are whole, and as long as they are. The hash of the password and those of tokens are left out.
#[utoipa::path(
    get, path = "/v1/me/export", tag = "accounts", operation_id = "accounts_export", security(("bearer" = [])),
    responses((status = 200, description = "The copy.", body = ExportResponse, headers(
        ("Content-Disposition", description = "The name of a file to keep it in"),
    )), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.export", skip_all)]
pub(crate) async fn handler(State(api): State<Api>, SignedIn(identity): SignedIn) -> Result<Response, Problem> {
    let permit = Arc::clone(&api.exports).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::unavailable("Enough copies are being written at the moment."))?;
    let account = api.services.accounts.me(identity).await?;
    let account = account.ok_or_else(|| Problem::invalid_access_token(Code::Unauthenticated))?;
    let (sender, receiver) = mpsc::channel(PAGES_WAITING_MAX);
    tokio::spawn(async move {
        let export = Export { api, identity, sender };
        export.write(account).await;
        drop(permit);
    });
    let pages = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let fields =
        [(CONTENT_TYPE, "application/json"), (CONTENT_DISPOSITION, "attachment; filename=\"boxoffice-account.json\"")];
    Ok((fields, Body::from_stream(pages)).into_response())
}

/// An export that is being written.
struct Export {
    api: Api,
    identity: Identity,
    sender: mpsc::Sender<Result<Bytes, StorageError>>,
}

/// Why the rest of an export is not written.
enum Stopped {
    /// The client is gone.
    Gone,
    Storage(StorageError),
}

impl From<StorageError> for Stopped {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Export {
    /// A failure half-way breaks the response off, so that no client takes the rest for the whole.
    async fn write(self, account: Account) {
        if let Err(Stopped::Storage(error)) = self.try_write(account).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a copy of an account could not be written");
            self.sender.send(Err(error)).await.ok();
        }
    }

    async fn try_write(&self, account: Account) -> Result<(), Stopped> {
        let (api, identity, now) = (&self.api, self.identity, self.api.now());
        let (services, account_id) = (&api.services, identity.account_id);
        let records = &services.accounts.records;
        self.field("{", "account", &AccountResponse::from(account)).await?;
        self.field(",", "exported_at", &now).await?;
        let factor = services.accounts.factors.find_factor(account_id).await?.map(FactorResponse::from);
        self.field(",", "second_factor", &factor).await?;
        let email = services.accounts.emails.find_email(account_id).await?;
        self.field(",", "email", &EmailResponse::from(email)).await?;
        self.list("sessions", |page| records.all_sessions(account_id, page), SessionResponse::from).await?;
        let wallet = match &services.wallet {
            Some(wallets) => wallets.balance(identity).await?.map(WalletResponse::from),
            None => None,
        };
        self.field(",", "wallet", &wallet).await?;
        let entries = |page| match &services.wallet {
            Some(wallets) => wallets.entries(identity, page).boxed(),
            None => nothing(),
        };
        self.list("wallet_entries", entries, EntryResponse::from).await?;
        self.list("charges", |page| records.all_charges(account_id, page), ChargeResponse::from).await?;
        let reservations = |page| services.reservations.list(identity, None, page).boxed();
        self.list("reservations", reservations, |view| ReservationResponse::new(view, now)).await?;
        let payments = |page| match &services.payments {
            Some(payments) => payments.list(identity, page).boxed(),
            None => nothing(),
        };
        self.list("payments", payments, |view| PaymentResponse::new(view, now)).await?;
        let budgets = |page| records.all_hold_budgets(account_id, page);
        self.list("unpaid_holds", budgets, UnpaidHoldsResponse::from).await?;
        for (name, kind) in [("venues", PublishedKind::Venue), ("concerts", PublishedKind::Concert)] {
            let published = |page| records.all_published(account_id, kind, page);
            self.list(name, published, PublishedResponse::from).await?;
        }
        let webhooks = |page| match &services.webhooks {
            Some(webhooks) => webhooks.of_account(account_id, page).boxed(),
            None => nothing(),
        };
        self.list("webhooks", webhooks, WebhookResponse::from).await?;
        self.list("acts", |page| records.all_acts(account_id, page), StaffActResponse::from).await?;
        self.send(b"}".to_vec()).await
    }

    async fn send(&self, text: Vec<u8>) -> Result<(), Stopped> {
        self.sender.send(Ok(text.into())).await.map_err(|_| Stopped::Gone)
    }

    async fn field(&self, before: &str, name: &str, value: &impl Serialize) -> Result<(), Stopped> {
        let mut text = format!("{before}\"{name}\":").into_bytes();
        text.extend(json(value)?);
        self.send(text).await
    }

    /// Writes every page of a list.
    async fn list<'a, T, K, R: Serialize>(
        &self,
        name: &str,
        read: impl Fn(PageRequest<K>) -> Reading<'a, T, K>,
        item: impl Fn(T) -> R,
    ) -> Result<(), Stopped> {
        let mut text = format!(",\"{name}\":[").into_bytes();
        let (mut request, mut is_first) = (PageRequest::first(PAGE_ITEMS_MAX), true);
        loop {
            let Page { items, next } = read(request).await?;
            for entry in items {
                if !std::mem::take(&mut is_first) {
                    text.push(b',');
                }
                text.extend(json(&item(entry))?);
            }
            let Some(after) = next else { break };
            self.send(std::mem::take(&mut text)).await?;
            request = PageRequest { limit: PAGE_ITEMS_MAX, after: Some(after) };
        }
        text.push(b']');
        self.send(text).await
    }
}

/// A page that is being read.
type Reading<'a, T, K> = BoxFuture<'a, Result<Page<T, K>, StorageError>>;

/// The list of what a product does not have.
fn nothing<'a, T: Send + 'a, K: Send + 'a>() -> Reading<'a, T, K> {
    future::ready(Ok(Page { items: Vec::new(), next: None })).boxed()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(value).map_err(|error| StorageError::Failed(error.into()))
}
