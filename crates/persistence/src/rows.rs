//! Rows as they are stored, and the entities that they stand for.

use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, SessionId, StorageError,
    Timestamp, VenueId,
    accounts::{Account, Credentials, LoginId, PasswordHash},
    catalog::{Concert, PerformanceTerms, SalesWindow, SeatingPlan, Section, Venue, VenueSummary},
    events::Event,
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
    payments::{Payment, PaymentSource, PaymentState},
    reservations::{Reservation, ReservationState, ReservationStatus},
    seats::{Seat, SeatLabel, SeatState},
    text::{Description, Name},
    waiting_room::{Draw, PlaceNumber},
    wallet::{Charge, ChargeState, EntryKind, Wallet, WalletEntry},
};
use chrono::NaiveDateTime;
use diesel::prelude::{AsChangeset, Insertable, Queryable};
use serde::Serialize;
use uuid::Uuid;

use crate::{schema, statement::Bind};

/// What is stored does not stand for an entity: a defect, or damaged data.
pub(crate) type Damaged = StorageError;

fn damaged(what: &'static str) -> impl FnOnce() -> Damaged {
    move || StorageError::failed(format!("a stored {what} is damaged"))
}

fn uuid(bytes: &[u8]) -> Result<Uuid, Damaged> {
    Uuid::from_slice(bytes).map_err(|_| damaged("id")())
}

pub(crate) fn id<T: From<Uuid>>(bytes: &[u8]) -> Result<T, Damaged> {
    uuid(bytes).map(T::from)
}

fn optional_id<T: From<Uuid>>(bytes: Option<&Vec<u8>>) -> Result<Option<T>, Damaged> {
    bytes.map(|bytes| id(bytes)).transpose()
}

pub(crate) fn points(number: i64) -> Result<Points, Damaged> {
    Points::new(number).map_err(|_| damaged("number of points")())
}

pub(crate) fn count(number: i64) -> Result<u32, Damaged> {
    u32::try_from(number).map_err(|_| damaged("count")())
}

pub(crate) fn name(text: &str) -> Result<Name, Damaged> {
    Name::new(text).map_err(|_| damaged("name")())
}

pub(crate) fn label(text: &str) -> Result<SeatLabel, Damaged> {
    SeatLabel::new(text).map_err(|_| damaged("seat label")())
}

pub(crate) fn idempotency(key: Option<&str>, fingerprint: Option<&Vec<u8>>) -> Result<Option<Idempotency>, Damaged> {
    let (Some(key), Some(fingerprint)) = (key, fingerprint) else {
        return Ok(None);
    };
    let key = IdempotencyKey::new(key).map_err(|_| damaged("idempotency key")())?;
    let fingerprint = <[u8; 16]>::try_from(fingerprint.as_slice()).map_err(|_| damaged("fingerprint")())?;
    Ok(Some(Idempotency { key, fingerprint: Fingerprint(fingerprint) }))
}

pub(crate) fn key_text(idempotency: Option<&Idempotency>) -> Option<String> {
    idempotency.map(|idempotency| idempotency.key.as_str().to_owned())
}

pub(crate) fn fingerprint_bytes(idempotency: Option<&Idempotency>) -> Option<Vec<u8>> {
    idempotency.map(|idempotency| idempotency.fingerprint.0.to_vec())
}

/// An id as it is stored.
pub(crate) trait Stored {
    fn stored(&self) -> Vec<u8>;

    fn bound(&self) -> Bind;
}

macro_rules! stored_ids {
    ($($name:ident),*) => {$(
        impl Stored for $name {
            fn stored(&self) -> Vec<u8> {
                self.uuid().as_bytes().to_vec()
            }

            fn bound(&self) -> Bind {
                Bind::Bytes16(self.uuid().into_bytes())
            }
        }
    )*};
}

stored_ids!(AccountId, ChargeId, ConcertId, PaymentId, PerformanceId, ReservationId, SessionId, VenueId);

fn optional_bound<T: Stored>(id: Option<T>) -> Bind {
    id.map_or(Bind::OptionalBytes(None), |id| id.bound())
}

/// An instant as it is stored.
pub(crate) fn time(at: Timestamp) -> NaiveDateTime {
    at.naive_utc()
}

fn sequence(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(Debug, Insertable, Queryable)]
#[diesel(table_name = schema::accounts)]
pub(crate) struct AccountRow {
    pub(crate) id: Vec<u8>,
    pub(crate) login_id: String,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) password_hash: String,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Vec<u8>>,
}

impl From<&Credentials> for AccountRow {
    fn from(credentials: &Credentials) -> Self {
        let account = &credentials.account;
        Self {
            id: account.id.stored(),
            login_id: account.login_id.as_str().to_owned(),
            name: account.name.as_str().to_owned(),
            role: account.role.as_str().to_owned(),
            password_hash: credentials.password_hash.0.clone(),
            created_at: time(account.created_at),
            idempotency_key: key_text(credentials.idempotency.as_ref()),
            fingerprint: fingerprint_bytes(credentials.idempotency.as_ref()),
        }
    }
}

impl TryFrom<AccountRow> for Credentials {
    type Error = Damaged;

    fn try_from(row: AccountRow) -> Result<Self, Damaged> {
        let account = Account {
            id: id(&row.id)?,
            login_id: LoginId::new(&row.login_id).map_err(|_| damaged("login id")())?,
            name: name(&row.name)?,
            role: row.role.parse().map_err(|_| damaged("role")())?,
            created_at: row.created_at.and_utc(),
        };
        let idempotency = idempotency(row.idempotency_key.as_deref(), row.fingerprint.as_ref())?;
        Ok(Self { account, password_hash: PasswordHash(row.password_hash), idempotency })
    }
}

#[derive(Debug, Insertable, Queryable)]
#[diesel(table_name = schema::sessions)]
pub(crate) struct SessionRow {
    pub(crate) id: Vec<u8>,
    pub(crate) account_id: Vec<u8>,
    pub(crate) refresh_hash: Vec<u8>,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) expires_at: NaiveDateTime,
    pub(crate) ended_at: Option<NaiveDateTime>,
}

#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = schema::venues)]
pub(crate) struct VenueRow {
    pub(crate) id: Vec<u8>,
    pub(crate) catalog_key: Option<String>,
    pub(crate) publisher_id: Option<Vec<u8>>,
    pub(crate) name: String,
    pub(crate) location: String,
    pub(crate) capacity: i64,
    pub(crate) sections: String,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Vec<u8>>,
}

pub(crate) fn sections_text(plan: &SeatingPlan) -> Result<String, StorageError> {
    json(plan.sections())
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Failed(error.into()))
}

impl TryFrom<VenueRow> for Venue {
    type Error = Damaged;

    fn try_from(row: VenueRow) -> Result<Self, Damaged> {
        let sections: Vec<Section> = serde_json::from_str(&row.sections).map_err(|_| damaged("seating plan")())?;
        Ok(Self {
            id: id(&row.id)?,
            name: name(&row.name)?,
            location: name(&row.location)?,
            plan: SeatingPlan::new(sections).map_err(|_| damaged("seating plan")())?,
            created_at: row.created_at.and_utc(),
        })
    }
}

/// As a change, it leaves alone what is `None` in it: the keys under which the concert was published. A draw and the
/// time of an emptying are never taken back.
#[derive(AsChangeset, Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = schema::concerts)]
pub(crate) struct ConcertRow {
    pub(crate) id: Vec<u8>,
    pub(crate) catalog_key: Option<String>,
    pub(crate) promoter_id: Option<Vec<u8>>,
    pub(crate) title: String,
    pub(crate) artist: String,
    pub(crate) description: String,
    pub(crate) sales_open_at: NaiveDateTime,
    pub(crate) sales_close_at: NaiveDateTime,
    pub(crate) max_seats_per_account: i64,
    pub(crate) max_active: i64,
    pub(crate) version: i64,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Vec<u8>>,
    pub(crate) draw_seed: Option<Vec<u8>>,
    pub(crate) paused: bool,
    pub(crate) emptied_at: Option<NaiveDateTime>,
}

impl ConcertRow {
    pub(crate) fn new(concert: &Concert, key: Option<&Name>, idempotency: Option<&Idempotency>) -> Self {
        Self {
            id: concert.id.stored(),
            catalog_key: key.map(|key| key.as_str().to_owned()),
            promoter_id: concert.promoter_id.map(|id| id.stored()),
            title: concert.title.as_str().to_owned(),
            artist: concert.artist.as_str().to_owned(),
            description: concert.description.as_str().to_owned(),
            sales_open_at: time(concert.sales.open_at()),
            sales_close_at: time(concert.sales.close_at()),
            max_seats_per_account: i64::from(concert.max_seats_per_account),
            max_active: i64::from(concert.max_active),
            version: i64::from(concert.version),
            created_at: time(concert.created_at),
            idempotency_key: key_text(idempotency),
            fingerprint: fingerprint_bytes(idempotency),
            draw_seed: concert.draw.map(|draw| draw.seed().to_vec()),
            paused: concert.paused,
            emptied_at: concert.emptied_at.map(time),
        }
    }
}

pub(crate) fn sales_window(open_at: NaiveDateTime, close_at: NaiveDateTime) -> Result<SalesWindow, Damaged> {
    SalesWindow::new(open_at.and_utc(), close_at.and_utc()).map_err(|_| damaged("sale window")())
}

fn draw(seed: Vec<u8>) -> Result<Draw, Damaged> {
    seed.try_into().map(Draw::new).map_err(|_| damaged("draw seed")())
}

impl TryFrom<ConcertRow> for Concert {
    type Error = Damaged;

    fn try_from(row: ConcertRow) -> Result<Self, Damaged> {
        Ok(Self {
            id: id(&row.id)?,
            promoter_id: optional_id(row.promoter_id.as_ref())?,
            title: name(&row.title)?,
            artist: name(&row.artist)?,
            description: Description::new(&row.description).map_err(|_| damaged("description")())?,
            sales: sales_window(row.sales_open_at, row.sales_close_at)?,
            max_seats_per_account: count(row.max_seats_per_account)?,
            max_active: count(row.max_active)?,
            draw: row.draw_seed.map(draw).transpose()?,
            paused: row.paused,
            emptied_at: row.emptied_at.map(|at| at.and_utc()),
            version: count(row.version)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = schema::performances)]
pub(crate) struct PerformanceRow {
    pub(crate) id: Vec<u8>,
    pub(crate) catalog_key: Option<String>,
    pub(crate) publisher_id: Option<Vec<u8>>,
    pub(crate) concert_id: Vec<u8>,
    pub(crate) venue_id: Vec<u8>,
    pub(crate) starts_at: NaiveDateTime,
    pub(crate) seats_total: i64,
    pub(crate) price_min: i64,
    pub(crate) price_max: i64,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Vec<u8>>,
}

/// What the rules of selling need of a performance, its concert and its venue.
#[derive(Debug, Queryable)]
pub(crate) struct TermsRow {
    pub(crate) id: Vec<u8>,
    pub(crate) concert_id: Vec<u8>,
    pub(crate) title: String,
    pub(crate) venue_id: Vec<u8>,
    pub(crate) venue_name: String,
    pub(crate) venue_location: String,
    pub(crate) starts_at: NaiveDateTime,
    pub(crate) sales_open_at: NaiveDateTime,
    pub(crate) sales_close_at: NaiveDateTime,
    pub(crate) max_seats_per_account: i64,
}

impl TryFrom<TermsRow> for PerformanceTerms {
    type Error = Damaged;

    fn try_from(row: TermsRow) -> Result<Self, Damaged> {
        Ok(Self {
            id: id(&row.id)?,
            concert_id: id(&row.concert_id)?,
            title: name(&row.title)?,
            venue: VenueSummary {
                id: id(&row.venue_id)?,
                name: name(&row.venue_name)?,
                location: name(&row.venue_location)?,
            },
            starts_at: row.starts_at.and_utc(),
            sales: sales_window(row.sales_open_at, row.sales_close_at)?,
            max_seats_per_account: count(row.max_seats_per_account)?,
        })
    }
}

#[derive(Debug, Queryable)]
pub(crate) struct SeatRow {
    pub(crate) performance_id: Vec<u8>,
    pub(crate) label: String,
    pub(crate) ordinal: i32,
    pub(crate) price: i64,
    pub(crate) reservation_id: Option<Vec<u8>>,
    pub(crate) held_until: Option<NaiveDateTime>,
}

impl SeatRow {
    pub(crate) fn bound(performance_id: PerformanceId, seat: &Seat) -> Vec<Bind> {
        let (reservation_id, held_until) = match seat.state {
            SeatState::Free => (None, None),
            SeatState::Held { by, until } => (Some(by), Some(time(until))),
            SeatState::Sold { to } => (Some(to), None),
        };
        vec![
            performance_id.bound(),
            Bind::Text(seat.label.as_str().to_owned()),
            Bind::Integer(ordinal_number(seat.ordinal)),
            Bind::BigInt(seat.price.get()),
            optional_bound(reservation_id),
            Bind::OptionalTime(held_until),
        ]
    }
}

impl TryFrom<SeatRow> for Seat {
    type Error = Damaged;

    fn try_from(row: SeatRow) -> Result<Self, Damaged> {
        let state = seat_state(row.reservation_id.as_ref(), row.held_until)?;
        let ordinal = u32::try_from(row.ordinal).map_err(|_| damaged("seat")())?;
        Ok(Self { label: label(&row.label)?, ordinal, price: points(row.price)?, state })
    }
}

/// A place in the order of a plan as it is stored; a venue has far fewer seats than the type has numbers.
pub(crate) fn ordinal_number(ordinal: u32) -> i32 {
    i32::try_from(ordinal).unwrap_or(i32::MAX)
}

fn seat_state(reservation_id: Option<&Vec<u8>>, held_until: Option<NaiveDateTime>) -> Result<SeatState, Damaged> {
    match (optional_id::<ReservationId>(reservation_id)?, held_until) {
        (None, None) => Ok(SeatState::Free),
        (Some(by), Some(until)) => Ok(SeatState::Held { by, until: until.and_utc() }),
        (Some(to), None) => Ok(SeatState::Sold { to }),
        (None, Some(_)) => Err(damaged("seat")()),
    }
}

/// What may change of a seat.
#[derive(Debug, Queryable)]
pub(crate) struct SeatStateRow {
    pub(crate) ordinal: i32,
    pub(crate) price: i64,
    pub(crate) reservation_id: Option<Vec<u8>>,
    pub(crate) held_until: Option<NaiveDateTime>,
}

impl TryFrom<SeatStateRow> for (Points, SeatState) {
    type Error = Damaged;

    fn try_from(row: SeatStateRow) -> Result<Self, Damaged> {
        Ok((points(row.price)?, seat_state(row.reservation_id.as_ref(), row.held_until)?))
    }
}

#[derive(Debug, Queryable)]
pub(crate) struct ReservationRow {
    pub(crate) id: Vec<u8>,
    pub(crate) account_id: Vec<u8>,
    pub(crate) performance_id: Vec<u8>,
    pub(crate) concert_id: Vec<u8>,
    pub(crate) status: String,
    #[expect(dead_code, reason = "counted by the database; the entity has the seats themselves")]
    pub(crate) seats_count: i64,
    pub(crate) total_amount: i64,
    pub(crate) held_until: NaiveDateTime,
    pub(crate) payment_id: Option<Vec<u8>>,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Vec<u8>>,
    pub(crate) cancel_key: Option<String>,
    pub(crate) cancel_fingerprint: Option<Vec<u8>>,
    /// JSON.
    pub(crate) seats: String,
}

impl ReservationRow {
    pub(crate) fn bound(reservation: &Reservation) -> Result<Vec<Bind>, StorageError> {
        let asked = reservation.idempotency.as_ref();
        let cancelled = reservation.cancelled_under();
        Ok(vec![
            reservation.id.bound(),
            reservation.account_id.bound(),
            reservation.performance_id.bound(),
            reservation.concert_id.bound(),
            Bind::Word(stored_status(&reservation.state).as_str()),
            Bind::BigInt(i64::try_from(reservation.seats.len()).unwrap_or(i64::MAX)),
            Bind::BigInt(reservation.total_amount.get()),
            Bind::Time(time(reservation.held_until)),
            optional_bound(reservation.payment_id()),
            Bind::Time(time(reservation.created_at)),
            Bind::Time(time(reservation.updated_at)),
            Bind::OptionalText(key_text(asked)),
            Bind::OptionalBytes(fingerprint_bytes(asked)),
            Bind::OptionalText(key_text(cancelled)),
            Bind::OptionalBytes(fingerprint_bytes(cancelled)),
            Bind::Text(json(&reservation.seats)?),
        ])
    }
}

impl TryFrom<ReservationRow> for Reservation {
    type Error = Damaged;

    fn try_from(row: ReservationRow) -> Result<Self, Damaged> {
        let held_until = row.held_until.and_utc();
        let payment_id: Option<PaymentId> = optional_id(row.payment_id.as_ref())?;
        let status: ReservationStatus = row.status.parse().map_err(|_| damaged("status")())?;
        let state = match status {
            ReservationStatus::Held => ReservationState::Held { until: held_until },
            ReservationStatus::Confirmed => {
                ReservationState::Confirmed { payment_id: payment_id.ok_or_else(damaged("reservation"))? }
            }
            ReservationStatus::Cancelled => {
                let idempotency = idempotency(row.cancel_key.as_deref(), row.cancel_fingerprint.as_ref())?;
                ReservationState::Cancelled { payment_id, idempotency }
            }
            ReservationStatus::Expired => ReservationState::Expired,
        };
        Ok(Self {
            id: id(&row.id)?,
            account_id: id(&row.account_id)?,
            performance_id: id(&row.performance_id)?,
            concert_id: id(&row.concert_id)?,
            seats: serde_json::from_str(&row.seats).map_err(|_| damaged("list of reserved seats")())?,
            total_amount: points(row.total_amount)?,
            state,
            held_until,
            created_at: row.created_at.and_utc(),
            updated_at: row.updated_at.and_utc(),
            idempotency: idempotency(row.idempotency_key.as_deref(), row.fingerprint.as_ref())?,
        })
    }
}

/// The status in which a reservation is stored; the one that is shown depends on the time too.
fn stored_status(state: &ReservationState) -> ReservationStatus {
    match state {
        ReservationState::Held { .. } => ReservationStatus::Held,
        ReservationState::Confirmed { .. } => ReservationStatus::Confirmed,
        ReservationState::Cancelled { .. } => ReservationStatus::Cancelled,
        ReservationState::Expired => ReservationStatus::Expired,
    }
}

/// What an account holds or owns of a concert.
#[derive(Debug, Queryable)]
pub(crate) struct HoldingRow {
    pub(crate) id: Vec<u8>,
    pub(crate) account_id: Vec<u8>,
    pub(crate) status: String,
    pub(crate) seats_count: i64,
    pub(crate) held_until: NaiveDateTime,
}

#[derive(Debug, Queryable)]
pub(crate) struct WalletRow {
    pub(crate) account_id: Vec<u8>,
    pub(crate) balance: i64,
    pub(crate) pending: i64,
    pub(crate) entries_count: i64,
    pub(crate) updated_at: NaiveDateTime,
}

impl WalletRow {
    pub(crate) fn bound(wallet: &Wallet) -> Vec<Bind> {
        vec![
            wallet.account_id.bound(),
            Bind::BigInt(wallet.balance.get()),
            Bind::BigInt(wallet.pending.get()),
            Bind::BigInt(sequence(wallet.entries_count)),
            Bind::Time(time(wallet.updated_at)),
        ]
    }
}

impl TryFrom<WalletRow> for Wallet {
    type Error = Damaged;

    fn try_from(row: WalletRow) -> Result<Self, Damaged> {
        Ok(Self {
            account_id: id(&row.account_id)?,
            balance: points(row.balance)?,
            pending: points(row.pending)?,
            entries_count: u64::try_from(row.entries_count).map_err(|_| damaged("count")())?,
            updated_at: row.updated_at.and_utc(),
        })
    }
}

#[derive(Debug, Queryable)]
pub(crate) struct WalletEntryRow {
    pub(crate) account_id: Vec<u8>,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) amount: i64,
    pub(crate) balance_after: i64,
    pub(crate) reservation_id: Option<Vec<u8>>,
    pub(crate) payment_id: Option<Vec<u8>>,
    pub(crate) charge_id: Option<Vec<u8>>,
    pub(crate) created_at: NaiveDateTime,
}

impl WalletEntryRow {
    pub(crate) fn bound(entry: &WalletEntry) -> Vec<Bind> {
        let payment_id = match entry.kind {
            EntryKind::Payment { payment_id, .. } => Some(payment_id),
            EntryKind::Charge { .. } | EntryKind::Refund { .. } => None,
        };
        vec![
            entry.account_id.bound(),
            Bind::BigInt(sequence(entry.sequence)),
            Bind::Word(entry.kind.as_str()),
            Bind::BigInt(entry.amount),
            Bind::BigInt(entry.balance_after.get()),
            optional_bound(entry.kind.reservation_id()),
            optional_bound(payment_id),
            optional_bound(entry.kind.charge_id()),
            Bind::Time(time(entry.created_at)),
        ]
    }
}

impl TryFrom<WalletEntryRow> for WalletEntry {
    type Error = Damaged;

    fn try_from(row: WalletEntryRow) -> Result<Self, Damaged> {
        let reservation_id = optional_id(row.reservation_id.as_ref())?;
        let payment_id = optional_id(row.payment_id.as_ref())?;
        let charge_id = optional_id(row.charge_id.as_ref())?;
        let kind = match (row.kind.as_str(), reservation_id, payment_id, charge_id) {
            ("charge", None, None, Some(charge_id)) => EntryKind::Charge { charge_id },
            ("payment", Some(reservation_id), Some(payment_id), None) => {
                EntryKind::Payment { reservation_id, payment_id }
            }
            ("refund", Some(reservation_id), None, None) => EntryKind::Refund { reservation_id },
            _ => return Err(damaged("wallet entry")()),
        };
        Ok(Self {
            account_id: id(&row.account_id)?,
            sequence: u64::try_from(row.sequence).map_err(|_| damaged("sequence")())?,
            kind,
            amount: row.amount,
            balance_after: points(row.balance_after)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

#[derive(Debug, Queryable)]
pub(crate) struct ChargeRow {
    pub(crate) id: Vec<u8>,
    pub(crate) account_id: Vec<u8>,
    pub(crate) amount: i64,
    pub(crate) status: String,
    pub(crate) balance_after: Option<i64>,
    pub(crate) ended_at: Option<NaiveDateTime>,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) idempotency_key: String,
    pub(crate) fingerprint: Vec<u8>,
}

impl ChargeRow {
    pub(crate) fn bound(charge: &Charge) -> Vec<Bind> {
        let (status, balance_after, ended_at) = match charge.state {
            ChargeState::Pending => ("pending", None, None),
            ChargeState::Completed { balance_after, completed_at } => {
                ("completed", Some(balance_after.get()), Some(time(completed_at)))
            }
            ChargeState::Declined { declined_at } => ("declined", None, Some(time(declined_at))),
        };
        vec![
            charge.id.bound(),
            charge.account_id.bound(),
            Bind::BigInt(charge.amount.get()),
            Bind::Word(status),
            Bind::OptionalBigInt(balance_after),
            Bind::OptionalTime(ended_at),
            Bind::Time(time(charge.created_at)),
            Bind::Text(charge.idempotency.key.as_str().to_owned()),
            Bind::Bytes16(charge.idempotency.fingerprint.0),
        ]
    }
}

impl TryFrom<ChargeRow> for Charge {
    type Error = Damaged;

    fn try_from(row: ChargeRow) -> Result<Self, Damaged> {
        let state = match (row.status.as_str(), row.balance_after, row.ended_at) {
            ("pending", None, None) => ChargeState::Pending,
            ("completed", Some(balance_after), Some(ended_at)) => {
                ChargeState::Completed { balance_after: points(balance_after)?, completed_at: ended_at.and_utc() }
            }
            ("declined", None, Some(ended_at)) => ChargeState::Declined { declined_at: ended_at.and_utc() },
            _ => return Err(damaged("charge")()),
        };
        let idempotency = idempotency(Some(&row.idempotency_key), Some(&row.fingerprint))?;
        Ok(Self {
            id: id(&row.id)?,
            account_id: id(&row.account_id)?,
            amount: points(row.amount)?,
            state,
            created_at: row.created_at.and_utc(),
            idempotency: idempotency.ok_or_else(damaged("charge"))?,
        })
    }
}

#[derive(Debug, Queryable)]
pub(crate) struct PaymentRow {
    pub(crate) id: Vec<u8>,
    pub(crate) account_id: Vec<u8>,
    pub(crate) concert_id: Vec<u8>,
    pub(crate) reservation_id: Vec<u8>,
    pub(crate) amount: i64,
    pub(crate) balance_after: Option<i64>,
    pub(crate) paid_at: NaiveDateTime,
    pub(crate) refunded_at: Option<NaiveDateTime>,
    pub(crate) queue_place: Option<i64>,
    pub(crate) idempotency_key: String,
    pub(crate) fingerprint: Vec<u8>,
}

/// A place as it is stored: the bits of the unsigned number.
pub(crate) fn place_number(place: PlaceNumber) -> i64 {
    place.0.cast_signed()
}

impl PaymentRow {
    pub(crate) fn bound(payment: &Payment) -> Vec<Bind> {
        vec![
            payment.id.bound(),
            payment.account_id.bound(),
            payment.concert_id.bound(),
            payment.reservation_id.bound(),
            Bind::BigInt(payment.amount.get()),
            Bind::OptionalBigInt(payment.balance_after().map(Points::get)),
            Bind::Time(time(payment.paid_at)),
            Bind::OptionalTime(payment.refunded_at().map(time)),
            Bind::OptionalBigInt(payment.queue_place.map(place_number)),
            Bind::Text(payment.idempotency.key.as_str().to_owned()),
            Bind::Bytes16(payment.idempotency.fingerprint.0),
        ]
    }
}

impl TryFrom<PaymentRow> for Payment {
    type Error = Damaged;

    fn try_from(row: PaymentRow) -> Result<Self, Damaged> {
        let state = match row.refunded_at {
            None => PaymentState::Completed,
            Some(refunded_at) => PaymentState::Refunded { refunded_at: refunded_at.and_utc() },
        };
        let source = match row.balance_after {
            Some(balance) => PaymentSource::Wallet { balance_after: points(balance)? },
            None => PaymentSource::Outside,
        };
        let idempotency = idempotency(Some(&row.idempotency_key), Some(&row.fingerprint))?;
        Ok(Self {
            id: id(&row.id)?,
            account_id: id(&row.account_id)?,
            concert_id: id(&row.concert_id)?,
            reservation_id: id(&row.reservation_id)?,
            amount: points(row.amount)?,
            source,
            paid_at: row.paid_at.and_utc(),
            state,
            queue_place: row.queue_place.map(|place| PlaceNumber(place.cast_unsigned())),
            idempotency: idempotency.ok_or_else(damaged("payment"))?,
        })
    }
}

/// The events of a batch as a row of the outbox.
pub(crate) fn events_bound(batch_id: Uuid, events: &[Event], now: Timestamp) -> Result<Vec<Bind>, StorageError> {
    Ok(vec![Bind::Bytes16(batch_id.into_bytes()), Bind::Text(json(events)?), Bind::Time(time(now))])
}
