//! The invariants: most are a query each that finds what breaks it, and [`halls`] reads what concerns the plans of venues.

mod halls;

use std::collections::BTreeMap;

use async_trait::async_trait;
use boxoffice_domain::{
    Clock, StorageError,
    audit::{Audit, Breach},
};
use diesel::sql_types::{Binary, Nullable, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{
    super::{Connection, EVENTS, READ_SNAPSHOT, RESERVED_SEATS},
    Store,
    failure::Failure,
};
use crate::statement::{Bind, Statement};

/// The most breaches of one invariant that are reported one by one.
const BREACHES_MAX: usize = 100;

/// The name of each invariant with its query.
fn invariants() -> impl Iterator<Item = (&'static str, &'static str)> {
    let texts = include_str!("audit.sql").split("-- invariant: ").skip(1);
    texts.filter_map(|text| text.trim_end().trim_end_matches(';').split_once('\n'))
}

#[async_trait]
impl Audit for Store {
    async fn breaches(&self) -> Result<Vec<Breach>, StorageError> {
        let mut session = self.reader().await?;
        let found = find_breaches(session.connection(), &*self.clock).await;
        Ok(session.ended(found)?)
    }
}

async fn find_breaches(connection: &mut Connection, clock: &dyn Clock) -> Result<Vec<Breach>, Failure> {
    for statement in READ_SNAPSHOT {
        connection.batch_execute(statement).await?;
    }
    // Later than all that is seen: a hold that had lapsed when another took its seats does not count as live.
    let now = Bind::from(clock.now());
    let mut found = Found::default();
    for (invariant, query) in invariants() {
        let mut statement = Statement::<(Binary, Nullable<Text>)>::new("WITH reservation_seats AS (")
            .sql(RESERVED_SEATS)
            .sql("), events AS (")
            .sql(EVENTS)
            .sql(") ");
        for (index, text) in query.split(":now").enumerate() {
            if index > 0 {
                statement = statement.bind(now.clone());
            }
            statement = statement.sql(text);
        }
        let rows: Vec<(Vec<u8>, Option<String>)> = statement.load(connection).await?;
        for (key, detail) in rows {
            found.add(invariant, describe(&key, detail.as_deref()));
        }
    }
    halls::find_breaches(connection, &mut found).await?;
    connection.batch_execute("COMMIT").await?;
    Ok(found.into_breaches())
}

/// The breaches that are reported, and how many there are of each invariant.
#[derive(Default)]
struct Found {
    breaches: Vec<Breach>,
    counts: BTreeMap<&'static str, usize>,
}

impl Found {
    fn add(&mut self, invariant: &'static str, detail: String) {
        let count = self.counts.entry(invariant).or_default();
        *count += 1;
        if *count <= BREACHES_MAX {
            self.breaches.push(Breach { invariant, detail });
        }
    }

    fn into_breaches(mut self) -> Vec<Breach> {
        for (invariant, count) in self.counts.into_iter().filter(|(_, count)| *count > BREACHES_MAX) {
            let detail = format!("{count} breaches, of which the first {BREACHES_MAX} are listed");
            self.breaches.push(Breach { invariant, detail });
        }
        self.breaches
    }
}

fn describe(key: &[u8], detail: Option<&str>) -> String {
    let key = uuid::Uuid::from_slice(key).map_or_else(|_| format!("{key:?}"), |key| key.to_string());
    format!("{key}: {}", detail.unwrap_or("no detail"))
}
