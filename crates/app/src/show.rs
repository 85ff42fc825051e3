//! `boxoffice show`: what is stored of one thing, for those who answer buyers and promoters. Changes nothing.

use anyhow::bail;
use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, ReservationId, Timestamp,
    accounts::{Belonging, ClientName, Credentials, LoginId, Session},
    catalog::{ConcertSummary, PerformanceSummary, Stock},
    gateway::GatewayReference,
    page::{Page, PageRequest},
    payments::{Payment, PaymentSource, PaymentStatus},
    reservations::ReservationView,
    waiting_room::{QueueStats, WaitingRoomError},
    wallet::{Charge, ChargeState, ChargeStatus, WalletEntry},
};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    output,
    settings::{Settings, WaitingRoomUrl},
    wiring::{self, Adapters},
};

/// How much is shown of a list: the latest.
const SHOWN_MAX: u32 = 20;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// An account: its wallet, its latest reservations, charges and entries, its sessions
    Account {
        /// Its id or its login id
        account: String,
    },
    /// A reservation with its performance, and its payment
    Reservation { id: ReservationId },
    /// A payment with its reservation
    Payment { id: PaymentId },
    /// The queue of a concert, if queues are in Redis
    Queue {
        /// The concert
        id: ConcertId,
    },
    /// A concert with its performances and what is left of them
    Concert { id: ConcertId },
}

/// Prints it as JSON. Exits with 1 if there is no such thing.
pub(crate) async fn run(settings: &Settings, adapters: &Adapters, command: &ShowCommand) -> anyhow::Result<Exit> {
    let now = adapters.clock.now();
    let found = match command {
        ShowCommand::Account { account } => show_account(adapters, account, now).await?,
        ShowCommand::Reservation { id } => show_reservation(adapters, *id, now).await?,
        ShowCommand::Payment { id } => show_payment(adapters, *id, now).await?,
        ShowCommand::Queue { id } => show_queue(settings, adapters, *id).await?,
        ShowCommand::Concert { id } => show_concert(adapters, *id, now).await?,
    };
    let Some(found) = found else {
        output::print_error("there is no such thing in this database");
        return Ok(Exit::Refused);
    };
    output::print_line(&serde_json::to_string_pretty(&found)?)?;
    Ok(Exit::Success)
}

async fn show_account(adapters: &Adapters, account: &str, now: Timestamp) -> anyhow::Result<Option<Value>> {
    let database = &adapters.database;
    let login_id = match account.parse::<AccountId>() {
        Ok(id) => database.accounts.find(id).await?.map(|account| account.login_id),
        Err(_) => LoginId::new(account).ok(),
    };
    let Some(login_id) = login_id else { return Ok(None) };
    let Some(credentials) = database.accounts.credentials(&login_id).await? else { return Ok(None) };
    let id = credentials.account.id;
    let wallet = database.wallets.find(id).await?;
    let entries = database.wallets.entries(id, latest()).await?;
    let reservations = database.reservations.list(id, None, latest()).await?;
    let charges = latest_charges(adapters, id).await?;
    let sessions = database.sessions.list(id).await?;
    Ok(Some(json!({
        "account": account_json(&credentials),
        "wallet": wallet.map(|wallet| json!({
            "balance": wallet.balance.get(), "pending": wallet.pending.get(), "updated_at": wallet.updated_at,
        })),
        "latest_entries": items(&entries, entry_json),
        "latest_reservations": items(&reservations, |view| reservation_json(view, now)),
        "latest_charges": charges.iter().map(charge_json).collect::<Vec<_>>(),
        "sessions": sessions.iter().map(session_json).collect::<Vec<_>>(),
    })))
}

/// The charges are listed from the oldest on.
async fn latest_charges(adapters: &Adapters, id: AccountId) -> anyhow::Result<Vec<Charge>> {
    let (mut latest, mut after) = (Vec::new(), None);
    loop {
        let page = adapters.database.records.all_charges(id, PageRequest { limit: 100, after }).await?;
        latest.extend(page.items);
        let excess = latest.len().saturating_sub(SHOWN_MAX as usize);
        latest.drain(..excess);
        after = page.next;
        if after.is_none() {
            latest.reverse();
            return Ok(latest);
        }
    }
}

async fn show_reservation(adapters: &Adapters, id: ReservationId, now: Timestamp) -> anyhow::Result<Option<Value>> {
    let database = &adapters.database;
    let Some(owner) = database.records.owner_of(Belonging::Reservation(id)).await? else { return Ok(None) };
    let Some(view) = database.reservations.find(owner, id).await? else { return Ok(None) };
    let payment = match view.reservation.payment_id() {
        Some(payment_id) => database.payments.find(owner, payment_id).await?,
        None => None,
    };
    Ok(Some(json!({
        "reservation": reservation_json(&view, now),
        "payment": payment.map(|view| payment_json(&view.payment)),
    })))
}

async fn show_payment(adapters: &Adapters, id: PaymentId, now: Timestamp) -> anyhow::Result<Option<Value>> {
    let database = &adapters.database;
    let Some(owner) = database.records.owner_of(Belonging::Payment(id)).await? else { return Ok(None) };
    let view = database.payments.find(owner, id).await?;
    Ok(view.map(|view| {
        json!({ "payment": payment_json(&view.payment), "reservation": reservation_json(&view.reservation, now) })
    }))
}

async fn show_queue(settings: &Settings, adapters: &Adapters, id: ConcertId) -> anyhow::Result<Option<Value>> {
    if settings.waiting_room == WaitingRoomUrl::Memory {
        bail!(
            "queues in memory are known to their server alone: ask it with `GET /v1/concerts/{id}/queue/stats` as an admin"
        );
    }
    let queues = wiring::queues_of_command(settings, adapters).await;
    match queues.stats(id).await {
        Ok(stats) => Ok(stats.map(queue_json)),
        Err(WaitingRoomError::Storage(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}

async fn show_concert(adapters: &Adapters, id: ConcertId, now: Timestamp) -> anyhow::Result<Option<Value>> {
    let catalog = &adapters.database.catalog;
    let Some(summary) = catalog.concert(id).await? else { return Ok(None) };
    let (mut performances, mut after) = (Vec::new(), None);
    loop {
        let page = catalog.performances(id, None, PageRequest { limit: 100, after }).await?;
        performances.extend(page.items.iter().map(performance_json));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let stock = catalog.stocks(&[id], now).await?.remove(&id).unwrap_or_default();
    Ok(Some(concert_json(&summary, stock, &performances)))
}

fn latest<K>() -> PageRequest<K> {
    PageRequest { limit: SHOWN_MAX, after: None }
}

fn items<T, K>(page: &Page<T, K>, show: impl Fn(&T) -> Value) -> Vec<Value> {
    page.items.iter().map(show).collect()
}

fn account_json(credentials: &Credentials) -> Value {
    let Credentials { account, standing, .. } = credentials;
    json!({
        "id": account.id.uuid(),
        "login_id": account.login_id.as_str(),
        "name": account.name.as_str(),
        "role": account.role.as_str(),
        "created_at": account.created_at,
        "locked_at": standing.locked_at,
        "erased_at": standing.erased_at,
        "second_factor_at": standing.second_factor_at,
        "is_demo": standing.is_demo,
    })
}

fn entry_json(entry: &WalletEntry) -> Value {
    json!({
        "sequence": entry.sequence,
        "kind": entry.kind.as_str(),
        "amount": entry.amount,
        "balance_after": entry.balance_after.get(),
        "created_at": entry.created_at,
    })
}

fn reservation_json(view: &ReservationView, now: Timestamp) -> Value {
    let ReservationView { reservation, performance } = view;
    let seats = reservation.seats.iter().map(|seat| json!({"label": seat.label.as_str(), "price": seat.price.get()}));
    json!({
        "id": reservation.id.uuid(),
        "account_id": reservation.account_id.uuid(),
        "status": reservation.status(now).as_str(),
        "concert_id": reservation.concert_id.uuid(),
        "title": performance.title.as_str(),
        "performance_id": reservation.performance_id.uuid(),
        "starts_at": performance.starts_at,
        "withdrawn_at": performance.withdrawn_at,
        "seats": seats.collect::<Vec<_>>(),
        "total_amount": reservation.total_amount.get(),
        "held_until": reservation.held_until,
        "payment_id": reservation.payment_id().map(PaymentId::uuid),
        "created_at": reservation.created_at,
        "updated_at": reservation.updated_at,
    })
}

fn payment_json(payment: &Payment) -> Value {
    let balance_after = match payment.source {
        PaymentSource::Wallet { balance_after } => Some(balance_after.get()),
        PaymentSource::Outside => None,
    };
    json!({
        "id": payment.id.uuid(),
        "account_id": payment.account_id.uuid(),
        "reservation_id": payment.reservation_id.uuid(),
        "status": match payment.status() {
            PaymentStatus::Completed => "completed",
            PaymentStatus::Refunded => "refunded",
        },
        "amount": payment.amount.get(),
        "balance_after": balance_after,
        "paid_at": payment.paid_at,
    })
}

fn charge_json(charge: &Charge) -> Value {
    let decline_reason = match charge.state {
        ChargeState::Declined { reason, .. } => Some(reason.as_str()),
        _ => None,
    };
    let ended_at = match charge.state {
        ChargeState::Pending | ChargeState::RequiresAction => None,
        ChargeState::Completed { completed_at, .. } => Some(completed_at),
        ChargeState::Declined { declined_at, .. } => Some(declined_at),
    };
    json!({
        "id": charge.id.uuid(),
        "status": match charge.status() {
            ChargeStatus::Pending => "pending",
            ChargeStatus::RequiresAction => "requires_action",
            ChargeStatus::Completed => "completed",
            ChargeStatus::Declined => "declined",
            ChargeStatus::PartiallyRefunded => "partially_refunded",
            ChargeStatus::Refunded => "refunded",
        },
        "amount": charge.amount.get(),
        "refunded": charge.refunded.get(),
        "decline_reason": decline_reason,
        "reference": charge.reference.as_ref().map(GatewayReference::as_str),
        "created_at": charge.created_at,
        "ended_at": ended_at,
    })
}

fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id.uuid(),
        "client": session.client.as_ref().map(ClientName::as_str),
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "expires_at": session.expires_at,
    })
}

fn queue_json(stats: QueueStats) -> Value {
    json!({
        "waiting": stats.waiting,
        "active": stats.active,
        "admitted_total": stats.admitted_total,
        "admitted_last_minute": stats.admitted_last_minute,
        "no_shows_total": stats.no_shows_total,
        "oldest_joined_at": stats.oldest_joined_at,
    })
}

fn concert_json(summary: &ConcertSummary, stock: Stock, performances: &[Value]) -> Value {
    let concert = &summary.concert;
    json!({
        "concert": {
            "id": concert.id.uuid(),
            "promoter_id": concert.promoter_id.map(AccountId::uuid),
            "title": concert.title.as_str(),
            "artist": concert.artist.as_str(),
            "sales_open_at": concert.sales.open_at(),
            "sales_close_at": concert.sales.close_at(),
            "max_seats_per_account": concert.max_seats_per_account,
            "max_active": concert.max_active,
            "holds_need_balance": concert.holds_need_balance,
            "requires_verified_email": concert.requires_verified_email,
            "has_draw": concert.draw.is_some(),
            "paused": concert.paused,
            "emptied_at": concert.emptied_at,
            "version": concert.version,
            "created_at": concert.created_at,
        },
        "seats": { "available": stock.available, "held": stock.held },
        "performances": performances,
    })
}

fn performance_json(performance: &PerformanceSummary) -> Value {
    json!({
        "id": performance.id.uuid(),
        "venue": performance.venue.name.as_str(),
        "starts_at": performance.starts_at,
        "duration_minutes": performance.duration_minutes,
        "withdrawn": performance.withdrawn,
        "seats_total": performance.seats_total,
        "seats_available": performance.seats_available,
        "price_min": performance.price_min.get(),
        "price_max": performance.price_max.get(),
    })
}
