//! Checks what the server said: every buyer looks again, and the audit reads the database.

use std::collections::{BTreeSet, HashMap};

use boxoffice_rush::{
    Buyer,
    buyer::{Identified, List, Payment, Reservation},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::process::Command;

use super::{account::login_id, rush::Rush, shopper::Shopper, tally::Step};

/// How many untrue statements are listed; the others are counted.
const UNTRUE_SHOWN_MAX: usize = 20;

/// What the buyers found when they looked again.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outside {
    pub(crate) purchases_checked: u64,
    pub(crate) wallets_checked: u64,
    pub(crate) seats_sold_twice: u64,
    /// How many statements of the server are untrue, those about seats sold twice among them.
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

/// The result of the audit of the server's database.
#[derive(Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Audit {
    Clean,
    Breached { breaches: Vec<String> },
    NotRun { reason: String },
}

/// Every buyer looks again at the purchase and at the wallet.
pub(crate) async fn from_outside(rush: &Rush, shoppers: &mut [Shopper]) -> anyhow::Result<Outside> {
    let mut outside = Outside::default();
    let mut owners = HashMap::<_, String>::new();
    for shopper in &*shoppers {
        outside.wallets_checked += 1;
        let Some(Payment { reservation, .. }) = &shopper.bought else { continue };
        outside.purchases_checked += 1;
        let (performance_id, login_id) = (reservation.performance.id, login_id(shopper.account.number));
        for seat in &reservation.seats {
            if let Some(other) = owners.insert((performance_id, seat), login_id.clone()) {
                let seat = &seat.label;
                outside.seats_sold_twice += 1;
                outside.is_untrue(format!("the seat {seat} of {performance_id} was sold to {other} and to {login_id}"));
            }
        }
    }
    let at_once = rush.options.connections as usize;
    let mut looks = stream::iter(shoppers.iter_mut().map(look_again)).buffer_unordered(at_once);
    while let Some(untrue) = looks.try_next().await? {
        for what in untrue {
            outside.is_untrue(what);
        }
    }
    Ok(outside)
}

/// What the server said to this buyer that is untrue.
async fn look_again(shopper: &mut Shopper) -> anyhow::Result<Vec<String>> {
    let (login_id, mut untrue) = (login_id(shopper.account.number), Vec::new());
    let balance = shopper.account.balance().await?;
    let spent = shopper.bought.as_ref().map_or(0, |payment| payment.amount);
    if balance + spent != shopper.points {
        untrue.push(format!("{login_id} had {} points, paid {spent}, and has {balance}", shopper.points));
    }
    if let Some(payment) = &shopper.bought {
        let confirmed = |buyer: &Buyer| buyer.get("/v1/reservations?status=confirmed&limit=100");
        let owned: List<Reservation> = shopper.account.ask(Step::Reservations, confirmed).await?;
        if !owned.items.iter().any(|owned| is_of(owned, payment)) {
            untrue.push(format!("{login_id} paid for {}, and does not own what was paid", payment.reservation_id));
        }
    }
    Ok(untrue)
}

fn is_of(owned: &Reservation, payment: &Payment) -> bool {
    let seats = |reservation: &Reservation| BTreeSet::from_iter(reservation.seats.clone());
    owned.id == payment.reservation_id
        && owned.status == "confirmed"
        && owned.total_amount == payment.amount
        && owned.performance.id == payment.reservation.performance.id
        && seats(owned) == seats(&payment.reservation)
}

/// Runs `boxoffice audit`, which checks the database if it has a reservation that the server has just made.
pub(crate) async fn from_inside(rush: &Rush, shoppers: &mut [Shopper]) -> anyhow::Result<Audit> {
    let not_run = |reason: String| Ok(Audit::NotRun { reason });
    let held = shoppers.iter_mut().find_map(|shopper| shopper.held.map(|held| (shopper, held)));
    let Some((shopper, reservation_id)) = held else {
        return not_run("nothing was held, so the database of the server cannot be recognised".to_owned());
    };
    let me = |buyer: &Buyer| buyer.get("/v1/me");
    let Identified { id: account_id } = shopper.account.ask(Step::Reservations, me).await?;
    let program = match &rush.options.boxoffice {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("boxoffice"),
    };
    let (account_id, reservation_id) = (account_id.to_string(), reservation_id.to_string());
    let mut command = Command::new(&program);
    command.args(["audit", "--account", &account_id, "--reservation", &reservation_id]);
    let output = match command.args(&rush.options.settings).kill_on_drop(true).output().await {
        Ok(output) => output,
        Err(error) => return not_run(format!("{} cannot be run: {error}", program.display())),
    };
    let lines = |bytes: &[u8]| -> Vec<String> { String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect() };
    match output.status.code() {
        Some(0) => Ok(Audit::Clean),
        Some(1) => Ok(Audit::Breached { breaches: lines(&output.stdout) }),
        _ => {
            // The log comes before the error.
            let error = lines(&output.stderr).pop().unwrap_or_default();
            not_run(error.strip_prefix("boxoffice: ").unwrap_or(&error).to_owned())
        }
    }
}
