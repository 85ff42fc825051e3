//! How values of the domain are stored, and how they are read back.

use boxoffice_domain::{
    AccountId, ChargeId, ChargeRefundId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, SessionId,
    StorageError, Timestamp, VenueId, WebhookId,
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
    seats::SeatLabel,
    text::{Description, Name},
    waiting_room::PlaceNumber,
    webhooks::DeliveryId,
};
use chrono::NaiveDateTime;
use serde::Serialize;
use uuid::Uuid;

use crate::statement::Bind;

/// The failure of a stored value that is no value of the domain: a defect, or damaged data.
pub(crate) fn damaged(what: &'static str) -> impl FnOnce() -> StorageError {
    move || StorageError::failed(format!("a stored {what} is damaged"))
}

pub(crate) fn id<T: From<Uuid>>(bytes: &[u8]) -> Result<T, StorageError> {
    Uuid::from_slice(bytes).map(T::from).map_err(|_| damaged("id")())
}

pub(crate) fn optional_id<T: From<Uuid>>(bytes: Option<&Vec<u8>>) -> Result<Option<T>, StorageError> {
    bytes.map(|bytes| id(bytes)).transpose()
}

pub(crate) fn points(number: i64) -> Result<Points, StorageError> {
    Points::new(number).map_err(|_| damaged("number of points")())
}

pub(crate) fn count<T: TryFrom<i64>>(number: i64) -> Result<T, StorageError> {
    T::try_from(number).map_err(|_| damaged("count")())
}

pub(crate) fn name(text: &str) -> Result<Name, StorageError> {
    Name::new(text).map_err(|_| damaged("name")())
}

pub(crate) fn optional_idempotency(
    key: Option<&str>,
    fingerprint: Option<&Vec<u8>>,
) -> Result<Option<Idempotency>, StorageError> {
    key.zip(fingerprint).map(|(key, fingerprint)| idempotency(key, fingerprint)).transpose()
}

pub(crate) fn idempotency(key: &str, fingerprint: &[u8]) -> Result<Idempotency, StorageError> {
    let key = IdempotencyKey::new(key).map_err(|_| damaged("idempotency key")())?;
    let fingerprint = fingerprint.try_into().map_err(|_| damaged("fingerprint")())?;
    Ok(Idempotency { key, fingerprint: Fingerprint(fingerprint) })
}

pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Failed(error.into()))
}

pub(crate) fn time(at: Timestamp) -> NaiveDateTime {
    at.naive_utc()
}

/// The bits of the unsigned number.
pub(crate) fn place_number(place: PlaceNumber) -> i64 {
    place.0.cast_signed()
}

/// The position of a seat in a plan, which has far fewer seats than the type has numbers.
pub(crate) fn ordinal_number(ordinal: u32) -> i32 {
    i32::try_from(ordinal).unwrap_or(i32::MAX)
}

/// An id as Diesel's query builder takes it.
pub(crate) trait Stored {
    fn stored(&self) -> Vec<u8>;
}

macro_rules! stored_ids {
    ($($name:ident),*) => {$(
        impl Stored for $name {
            fn stored(&self) -> Vec<u8> {
                self.uuid().as_bytes().to_vec()
            }
        }

        impl From<$name> for Bind {
            fn from(id: $name) -> Self {
                Self::Bytes16(id.uuid().into_bytes())
            }
        }
    )*};
}

stored_ids!(
    AccountId,
    ChargeId,
    ChargeRefundId,
    ConcertId,
    PaymentId,
    PerformanceId,
    ReservationId,
    SessionId,
    VenueId,
    WebhookId,
    DeliveryId
);

macro_rules! bound_values {
    ($($value:ident: $kind:ty => $bind:expr,)*) => {$(
        impl From<$kind> for Bind {
            fn from($value: $kind) -> Self {
                $bind
            }
        }
    )*};
}

bound_values! {
    id: Uuid => Self::Bytes16(id.into_bytes()),
    fingerprint: Fingerprint => Self::Bytes16(fingerprint.0),
    bytes: Vec<u8> => Self::Bytes(bytes),
    word: &'static str => Self::Word(word),
    text: String => Self::Text(text),
    text: &Name => Self::Text(text.as_str().to_owned()),
    text: &Description => Self::Text(text.as_str().to_owned()),
    label: &SeatLabel => Self::Text(label.as_str().to_owned()),
    key: &IdempotencyKey => Self::Text(key.as_str().to_owned()),
    flag: bool => Self::Bool(flag),
    number: i32 => Self::Integer(number),
    number: u32 => Self::BigInt(i64::from(number)),
    number: i64 => Self::BigInt(number),
    number: u64 => Self::BigInt(i64::try_from(number).unwrap_or(i64::MAX)),
    points: Points => Self::BigInt(points.get()),
    place: PlaceNumber => Self::BigInt(place_number(place)),
    at: Timestamp => Self::Time(time(at)),
}
