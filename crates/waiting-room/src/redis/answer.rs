//! What the scripts answer.

use std::vec;

use boxoffice_domain::{StorageError, Timestamp};
use chrono::DateTime;
use redis::Value;

/// The values of an answer, taken one after the other.
pub(super) struct Fields(vec::IntoIter<Value>);

impl Fields {
    pub(super) fn of(value: Value) -> Result<Self, StorageError> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(damaged()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn value(&mut self) -> Result<Value, StorageError> {
        self.0.next().ok_or_else(damaged)
    }

    pub(super) fn number(&mut self) -> Result<u64, StorageError> {
        match self.value()? {
            Value::Int(number) => u64::try_from(number).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StorageError> {
        self.number().and_then(time)
    }

    /// A time that may be missing, which is written as 0.
    pub(super) fn time_if_any(&mut self) -> Result<Option<Timestamp>, StorageError> {
        match self.number()? {
            0 => Ok(None),
            micros => time(micros).map(Some),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StorageError> {
        match self.value()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into()),
            _ => Err(damaged()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StorageError> {
        String::from_utf8(self.bytes()?).map_err(|_| damaged())
    }

    pub(super) fn measure(&mut self) -> Result<f64, StorageError> {
        self.text()?.parse().map_err(|_| damaged())
    }

    pub(super) fn list(&mut self) -> Result<Self, StorageError> {
        self.value().and_then(Self::of)
    }

    /// A list, or nothing where there is a number instead.
    pub(super) fn list_if_any(&mut self) -> Result<Option<Self>, StorageError> {
        match self.value()? {
            Value::Int(_) => Ok(None),
            value => Self::of(value).map(Some),
        }
    }

    /// All that are left, each read by `read`.
    pub(super) fn all<T>(
        mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let mut found = Vec::with_capacity(self.0.len());
        while !self.is_empty() {
            found.push(read(&mut self)?);
        }
        Ok(found)
    }
}

/// What every step on a line answers.
pub(super) struct Answer {
    /// When the line began, in microseconds. Tells it from an earlier one of the same concert.
    pub(super) opened: u64,
    /// Counts how often somebody's standing has changed.
    pub(super) version: u64,
    /// When something happens next by itself.
    pub(super) due: Option<Timestamp>,
    /// The time that the line has.
    pub(super) now: Timestamp,
    pub(super) admitted: u64,
    pub(super) no_shows: u64,
    pub(super) expired: u64,
    /// What this step says, beginning with a word.
    pub(super) said: Fields,
}

impl Answer {
    /// Reads an answer; nothing where there is no line.
    pub(super) fn read(value: Value) -> Result<Option<Self>, StorageError> {
        let mut fields = Fields::of(value)?;
        if fields.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            opened: fields.number()?,
            version: fields.number()?,
            due: fields.time_if_any()?,
            now: fields.time()?,
            admitted: fields.number()?,
            no_shows: fields.number()?,
            expired: fields.number()?,
            said: fields.list()?,
        }))
    }
}

pub(super) fn damaged() -> StorageError {
    StorageError::failed("Redis holds something that is not of the waiting room")
}

/// A time as Redis holds it: whole microseconds since 1970, as exact numbers go.
pub(super) fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.timestamp_micros()).unwrap_or_default().clamp(1, MICROS_MAX)
}

pub(super) fn time(micros: u64) -> Result<Timestamp, StorageError> {
    i64::try_from(micros).ok().and_then(DateTime::from_timestamp_micros).ok_or_else(damaged)
}

/// In the year 2255. Later times count as this one.
pub(super) const MICROS_MAX: u64 = (1 << 53) - 1;
