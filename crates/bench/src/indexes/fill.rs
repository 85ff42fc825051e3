//! A database of the size at which an index matters.

use mysql_async::{Conn, prelude::Queryable};

use crate::{rows::growth, server::fill_numbers, world::World};

/// Statements that end with a semicolon at the end of a line.
const STATEMENTS: &str = include_str!("fill.sql");

/// The most rows that the statements make of a kind, other than accounts.
const NUMBERS_MIN: usize = 2_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) seats: usize,
    pub(super) accounts: usize,
    /// Concerts that have performances and no seats.
    pub(super) concerts: usize,
}

/// The tables that grow with what is sold and shown.
pub(super) const TABLES: [&str; 12] = [
    "accounts",
    "sessions",
    "venues",
    "concerts",
    "performances",
    "seats",
    "reservations",
    "wallets",
    "wallet_entries",
    "charges",
    "payments",
    "outbox_batches",
];

/// Fills the database. The audit finds no breach in it.
pub(super) async fn fill(connection: &mut Conn, world: &World, size: Size) -> anyhow::Result<()> {
    growth::grow(connection, size.seats).await?;
    fill_numbers(connection, size.accounts.max(NUMBERS_MIN)).await?;
    let (buyer, place) = (world.account_ids[0].uuid(), &world.places[0]);
    let set = format!(
        "SET @accounts = {}, @concerts = {}, @busy_account = X'{}', @busy_concert = X'{}', @busy_performance = X'{}', \
         @busy_label = '{}'",
        size.accounts,
        size.concerts,
        buyer.simple(),
        world.concert_id.simple(),
        place.performance_id.simple(),
        place.label
    );
    connection.query_drop(set).await?;
    for statement in STATEMENTS.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        connection.query_drop(statement).await?;
    }
    connection.query_drop(format!("ANALYZE TABLE {}", TABLES.join(", "))).await?;
    Ok(())
}
