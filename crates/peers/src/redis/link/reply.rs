//! What Redis replies.

use boxoffice_domain::{
    AccountId, ConcertId, StorageError, Timestamp,
    waiting_room::{PlaceNumber, QueueReason, SaleEnd},
};
use chrono::DateTime;
use redis::Value;
use uuid::Uuid;

/// What a script replied: values, each under its name. A value that is not there is absent.
#[derive(Debug)]
pub struct Reply(Vec<(Vec<u8>, Value)>);

impl Reply {
    /// Reads a reply; `None` if the script replied with nothing.
    pub(super) fn read(value: Value) -> Result<Option<Self>, StorageError> {
        let mut values = match value {
            Value::Array(values) if values.is_empty() => return Ok(None),
            // What a script returns that ends without a value.
            Value::Nil => return Ok(None),
            Value::Array(values) => values.into_iter(),
            _ => return Err(damaged()),
        };
        let mut named = Vec::with_capacity(values.len() / 2);
        while let Some(name) = values.next() {
            named.push((bytes(name)?, values.next().ok_or_else(damaged)?));
        }
        Ok(Some(Self(named)))
    }

    /// Takes the value of a name out.
    pub fn take<T: FromReply>(&mut self, name: &str) -> Result<T, StorageError> {
        match self.0.iter().position(|(known, _)| known == name.as_bytes()) {
            Some(index) => T::from_value(self.0.swap_remove(index).1),
            None => T::from_absence(),
        }
    }
}

/// A type that values in a reply are read as.
pub trait FromReply: Sized {
    /// Reads a value.
    fn from_value(value: Value) -> Result<Self, StorageError>;

    /// What there is without a value: a failure, unless the type says that it may be absent.
    fn from_absence() -> Result<Self, StorageError> {
        Err(damaged())
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_value(value: Value) -> Result<Self, StorageError> {
        T::from_value(value).map(Some)
    }

    fn from_absence() -> Result<Self, StorageError> {
        Ok(None)
    }
}

impl<T: FromReply> FromReply for Vec<T> {
    fn from_value(value: Value) -> Result<Self, StorageError> {
        match value {
            Value::Array(values) => values.into_iter().map(T::from_value).collect(),
            _ => Err(damaged()),
        }
    }
}

/// Types that are one value, each with how it is read; `None` is a damaged value.
macro_rules! from_reply {
    ($($type:ty = $read:expr;)*) => {$(
        impl FromReply for $type {
            fn from_value(value: Value) -> Result<Self, StorageError> {
                let read: fn(Value) -> Option<$type> = $read;
                read(value).ok_or_else(damaged)
            }
        }
    )*};
}

from_reply! {
    u64 = |value| match value {
        Value::Int(number) => number.try_into().ok(),
        _ => None,
    };
    bool = |value| Some(u64::from_value(value).ok()? == 1);
    // Redis sends a number that need not be whole as text.
    f64 = |value| String::from_value(value).ok()?.parse().ok();
    String = |value| String::from_utf8(bytes(value).ok()?).ok();
    Timestamp = |value| DateTime::from_timestamp_micros(u64::from_value(value).ok()?.try_into().ok()?);
    PlaceNumber = |value| Some(PlaceNumber(u64::from_value(value).ok()?));
    SaleEnd = |value| match u64::from_value(value).ok()? {
        1 => Some(SaleEnd::Closed),
        2 => Some(SaleEnd::SoldOut),
        3 => Some(SaleEnd::Started),
        _ => None,
    };
    QueueReason = |value| match u64::from_value(value).ok()? {
        8 => Some(QueueReason::NotOpen),
        9 => Some(QueueReason::AllHeld),
        _ => None,
    };
    AccountId = |value| Some(AccountId::new(Uuid::from_slice(&bytes(value).ok()?).ok()?));
    ConcertId = |value| String::from_value(value).ok()?.parse().ok();
}

fn bytes(value: Value) -> Result<Vec<u8>, StorageError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into()),
        _ => Err(damaged()),
    }
}

pub fn damaged() -> StorageError {
    StorageError::failed("Redis holds something that boxoffice did not write")
}

/// A time as Redis holds it: whole microseconds since 1970, as exact numbers go.
pub fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.timestamp_micros()).unwrap_or_default().clamp(1, MICROS_MAX)
}

/// In the year 2255. Later times count as this one.
pub const MICROS_MAX: u64 = (1 << 53) - 1;
