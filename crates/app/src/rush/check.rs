//! Whether what the crowd was told is true: seen from outside by every buyer, and from inside by the audit.

use std::collections::HashMap;

use boxoffice_domain::{AccountId, ReservationId};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Rush,
    buyer::{Buyer, Purchase},
    tally::Step,
};
use crate::{commands, demo::buyer_login_id, settings::Settings, wiring::Adapters};

/// How many untrue things are told in words; the others are counted.
const UNTRUE_SHOWN_MAX: usize = 20;

/// What the buyers found when they looked again.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outside {
    /// How many purchases were read again.
    pub(crate) purchases_checked: u64,
    /// How many wallets were.
    pub(crate) wallets_checked: u64,
    /// How many seats are owned by two.
    pub(crate) seats_sold_twice: u64,
    /// How many things are not as they should be, these seats among them.
    pub(crate) untrue_count: u64,
    /// The first of them, in words.
    pub(crate) untrue: Vec<String>,
}

impl Outside {
    fn is_untrue(&mut self, what: String) {
        self.untrue_count += 1;
        if self.untrue.len() < UNTRUE_SHOWN_MAX {
            self.untrue.push(what);
        }
    }
}

/// What the audit of the server's database came to.
#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Audit {
    /// No breach.
    Clean,
    /// These.
    Breached { breaches: Vec<String> },
    /// Why it was not run.
    NotRun { reason: String },
}

#[derive(Deserialize)]
struct List {
    items: Vec<Owned>,
}

#[derive(Deserialize)]
struct Owned {
    id: Uuid,
    status: String,
    total_amount: u64,
    performance: OfPerformance,
    seats: Vec<Seat>,
}

#[derive(Deserialize)]
struct OfPerformance {
    id: Uuid,
}

#[derive(Deserialize)]
struct Seat {
    label: String,
}

#[derive(Deserialize)]
struct Me {
    id: Uuid,
}

/// Has every buyer look again at what was bought, and at the wallet.
pub(crate) async fn from_outside(rush: &Rush, buyers: &mut [Buyer]) -> anyhow::Result<Outside> {
    let mut outside = Outside::default();
    for (seat, numbers) in owners(buyers) {
        if let [first, second, ..] = numbers[..] {
            let (first, second) = (buyer_login_id(first), buyer_login_id(second));
            outside.seats_sold_twice += 1;
            outside.is_untrue(format!("the seat {} of {} was sold to {first} and to {second}", seat.1, seat.0));
        }
    }
    let mut looks = stream::iter(buyers.iter_mut().map(|buyer| look_again(rush, buyer)))
        .buffer_unordered(rush.options.connections as usize);
    while let Some((bought, untrue)) = looks.try_next().await? {
        outside.wallets_checked += 1;
        outside.purchases_checked += u64::from(bought);
        for what in untrue {
            outside.is_untrue(what);
        }
    }
    Ok(outside)
}

/// Who was told to own each seat.
fn owners(buyers: &[Buyer]) -> HashMap<(Uuid, &str), Vec<u32>> {
    let mut owners: HashMap<_, Vec<u32>> = HashMap::new();
    for (buyer, purchase) in buyers.iter().filter_map(|buyer| Some((buyer, buyer.bought.as_ref()?))) {
        for seat in &purchase.seats {
            owners.entry((purchase.performance_id, seat.as_str())).or_default().push(buyer.number);
        }
    }
    owners
}

/// Whether this buyer has bought something, and what is not as it should be.
async fn look_again(rush: &Rush, buyer: &mut Buyer) -> anyhow::Result<(bool, Vec<String>)> {
    let (who, mut untrue) = (buyer_login_id(buyer.number), Vec::new());
    let bought = buyer.bought.clone();
    let spent = bought.as_ref().map_or(0, |purchase| purchase.amount);
    let balance = buyer.balance(&rush.client).await?;
    if balance + spent != buyer.points {
        untrue.push(format!("{who} had {} points, paid {spent}, and has {balance}", buyer.points));
    }
    if let Some(purchase) = &bought {
        let path = "/v1/reservations?status=confirmed&limit=100";
        let owned: List = buyer.get(&rush.client, Step::Reservations, path).await?;
        if !owned.items.iter().any(|owned| is_of(owned, purchase)) {
            untrue.push(format!("{who} paid for {}, and does not own what was paid", purchase.reservation_id));
        }
    }
    Ok((bought.is_some(), untrue))
}

fn is_of(owned: &Owned, purchase: &Purchase) -> bool {
    let mut seats: Vec<_> = owned.seats.iter().map(|seat| seat.label.as_str()).collect();
    let mut paid: Vec<_> = purchase.seats.iter().map(String::as_str).collect();
    seats.sort_unstable();
    paid.sort_unstable();
    owned.id == purchase.reservation_id
        && owned.status == "confirmed"
        && owned.total_amount == purchase.amount
        && owned.performance.id == purchase.performance_id
        && seats == paid
}

/// Audits the database that the settings name, where it is the server's.
pub(crate) async fn from_inside(rush: &Rush, buyers: &mut [Buyer], settings: &Settings) -> anyhow::Result<Audit> {
    let not_run = |reason: String| Ok(Audit::NotRun { reason });
    let Some((buyer, reservation_id)) = buyers.iter_mut().find_map(|buyer| buyer.held.map(|held| (buyer, held))) else {
        return not_run("nothing was held, so it cannot be told which database is the server's".to_owned());
    };
    let Me { id } = buyer.get(&rush.client, Step::Reservations, "/v1/me").await?;
    let url = settings.database_url();
    match is_database_of(settings, AccountId::new(id), ReservationId::new(reservation_id)).await {
        Ok(true) => {}
        Ok(false) => return not_run(format!("{url} is not the server's database")),
        Err(error) => return not_run(format!("{url} cannot be read: {error:#}")),
    }
    match commands::breaches(settings).await {
        Ok(breaches) if breaches.is_empty() => Ok(Audit::Clean),
        Ok(breaches) => Ok(Audit::Breached {
            breaches: breaches.into_iter().map(|breach| format!("{}: {}", breach.invariant, breach.detail)).collect(),
        }),
        Err(error) => not_run(format!("{error:#}")),
    }
}

/// Whether a reservation that the server has just made is in this database.
async fn is_database_of(settings: &Settings, account_id: AccountId, id: ReservationId) -> anyhow::Result<bool> {
    commands::require_database(settings)?;
    let adapters = Adapters::connect(settings).await?;
    let found = adapters.database.reservations.find(account_id, id).await;
    adapters.database.shutdown().await;
    Ok(found?.is_some())
}
