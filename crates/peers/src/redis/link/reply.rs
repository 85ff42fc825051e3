//! What Redis replies.

use boxoffice_domain::{StorageError, Timestamp};
use chrono::DateTime;
use redis::Value;

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

    fn value_if_any(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| known == name.as_bytes())?;
        Some(self.0.swap_remove(index).1)
    }

    /// Whether there is a value of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name.as_bytes())
    }

    fn value(&mut self, name: &str) -> Result<Value, StorageError> {
        self.value_if_any(name).ok_or_else(damaged)
    }

    /// Takes a number out.
    pub fn number(&mut self, name: &str) -> Result<u64, StorageError> {
        number(&self.value(name)?)
    }

    pub fn flag(&mut self, name: &str) -> Result<bool, StorageError> {
        Ok(self.number(name)? == 1)
    }

    pub fn time(&mut self, name: &str) -> Result<Timestamp, StorageError> {
        time(self.number(name)?)
    }

    pub fn time_if_any(&mut self, name: &str) -> Result<Option<Timestamp>, StorageError> {
        self.value_if_any(name).map(|value| time(number(&value)?)).transpose()
    }

    pub fn text(&mut self, name: &str) -> Result<String, StorageError> {
        text(self.value(name)?)
    }

    pub fn text_if_any(&mut self, name: &str) -> Result<Option<String>, StorageError> {
        self.value_if_any(name).map(text).transpose()
    }

    /// Takes a number out that need not be whole, which Redis sends as text.
    pub fn float(&mut self, name: &str) -> Result<f64, StorageError> {
        self.text(name)?.parse().map_err(|_| damaged())
    }

    pub fn numbers(&mut self, name: &str) -> Result<Vec<u64>, StorageError> {
        list(self.value(name)?, |value| number(&value))
    }

    pub fn times(&mut self, name: &str) -> Result<Vec<Timestamp>, StorageError> {
        list(self.value(name)?, |value| time(number(&value)?))
    }

    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, StorageError> {
        list(self.value(name)?, text)
    }

    pub fn byte_strings(&mut self, name: &str) -> Result<Vec<Vec<u8>>, StorageError> {
        list(self.value(name)?, bytes)
    }
}

/// The texts that a command replied, as `ZRANGE` does.
pub fn texts(value: Value) -> Result<Vec<String>, StorageError> {
    list(value, text)
}

fn list<T>(value: Value, read: impl Fn(Value) -> Result<T, StorageError>) -> Result<Vec<T>, StorageError> {
    match value {
        Value::Array(values) => values.into_iter().map(read).collect(),
        _ => Err(damaged()),
    }
}

fn number(value: &Value) -> Result<u64, StorageError> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

fn bytes(value: Value) -> Result<Vec<u8>, StorageError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into()),
        _ => Err(damaged()),
    }
}

fn text(value: Value) -> Result<String, StorageError> {
    String::from_utf8(bytes(value)?).map_err(|_| damaged())
}

pub fn damaged() -> StorageError {
    StorageError::failed("Redis holds something that boxoffice did not write")
}

/// A time as Redis holds it: whole microseconds since 1970, as exact numbers go.
pub fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.timestamp_micros()).unwrap_or_default().clamp(1, MICROS_MAX)
}

fn time(micros: u64) -> Result<Timestamp, StorageError> {
    i64::try_from(micros).ok().and_then(DateTime::from_timestamp_micros).ok_or_else(damaged)
}

/// In the year 2255. Later times count as this one.
pub const MICROS_MAX: u64 = (1 << 53) - 1;
