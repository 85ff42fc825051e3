//! The invariants about the plans of venues. A plan is one large value, and is read once for each venue.

use std::collections::HashMap;

use boxoffice_domain::{
    audit::{StoredHall, StoredSeat},
    catalog::SeatingPlan,
};
use diesel::sql_types::{BigInt, Binary, Integer, Text};
use diesel_async::RunQueryDsl;

use super::{
    super::{super::Connection, failure::Failure},
    Found, describe,
};
use crate::{
    statement::{Bind, Statement},
    stored::id,
};

/// The key of a performance, its venue, `seats_total`, `price_min` and `price_max`.
type Performance = (Vec<u8>, Vec<u8>, i64, i64, i64);

/// Compares the seats of each performance with the plan of its venue, one performance at a time.
pub(super) async fn find_breaches(connection: &mut Connection, found: &mut Found) -> Result<(), Failure> {
    let performances = Statement::<(Binary, Binary, BigInt, BigInt, BigInt)>::new(
        "SELECT id, venue_id, seats_total, price_min, price_max FROM performances ORDER BY id",
    );
    let performances: Vec<Performance> = performances.load(connection).await?;
    let mut by_venue: HashMap<Vec<u8>, Vec<Performance>> = HashMap::new();
    for performance in performances {
        by_venue.entry(performance.1.clone()).or_default().push(performance);
    }
    let venues = Statement::<Binary>::new("SELECT id FROM venues ORDER BY id");
    let venues: Vec<Vec<u8>> = venues.load(connection).await?;
    for venue_id in venues {
        let performances = by_venue.remove(&venue_id).unwrap_or_default();
        find_breaches_of_venue(connection, &venue_id, &performances, found).await?;
    }
    for (performance_id, ..) in by_venue.values().flatten() {
        found.add("performance_has_all_its_seats", describe(performance_id, Some("its venue does not exist")));
    }
    Ok(())
}

async fn find_breaches_of_venue(
    connection: &mut Connection,
    venue_id: &[u8],
    performances: &[Performance],
    found: &mut Found,
) -> Result<(), Failure> {
    let plans = Statement::<(BigInt, Text)>::new("SELECT capacity, sections FROM venues WHERE id = ")
        .bind(Bind::Bytes(venue_id.to_vec()));
    let plans: Vec<(i64, String)> = plans.load(connection).await?;
    for (capacity, sections) in plans {
        let plan = serde_json::from_str::<SeatingPlan>(&sections);
        if !plan.as_ref().is_ok_and(|plan| i64::from(plan.capacity()) == capacity) {
            let detail = format!("capacity {capacity}");
            found.add("venue_has_the_seats_of_its_plan", describe(venue_id, Some(&detail)));
        }
        for performance in performances {
            match &plan {
                Ok(plan) => find_breaches_of_performance(connection, plan, performance, found).await?,
                Err(_) => found.add(
                    "performance_has_all_its_seats",
                    describe(&performance.0, Some("the plan of its venue cannot be read")),
                ),
            }
        }
    }
    Ok(())
}

async fn find_breaches_of_performance(
    connection: &mut Connection,
    plan: &SeatingPlan,
    (performance_id, _, seats_total, price_min, price_max): &Performance,
    found: &mut Found,
) -> Result<(), Failure> {
    let seats = Statement::<(Integer, Text, BigInt)>::new("SELECT ordinal, label, price FROM seats")
        .sql(" WHERE performance_id = ")
        .bind(Bind::Bytes(performance_id.clone()));
    let seats: Vec<(i32, String, i64)> = seats.load(connection).await?;
    let hall = StoredHall {
        performance_id: id(performance_id)?,
        seats_total: *seats_total,
        price_min: *price_min,
        price_max: *price_max,
    };
    let seats =
        seats.iter().map(|(ordinal, label, price)| StoredSeat { ordinal: (*ordinal).into(), label, price: *price });
    for breach in hall.breaches(plan, seats.collect()) {
        found.add(breach.invariant, breach.detail);
    }
    Ok(())
}
