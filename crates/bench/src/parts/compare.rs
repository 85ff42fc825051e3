//! Several servers in turns, within one run: two binaries, or accounts with fewer and with more live holds.

use std::collections::BTreeMap;

use super::{Part, holds, money, purchase};
use crate::{
    drive::Measured,
    options::Bench,
    report::{Row, Section, Spread},
    server::Store,
    world::{Shape, World},
};

const CONNECTIONS: usize = 256;
const PERFORMANCES: usize = 7;
/// Accounts that hold many seats leave fewer for the measurement.
const PERFORMANCES_WITH_LIVE_HOLDS: usize = 14;

/// One of the servers that are compared.
struct Side {
    name: String,
    world: World,
    /// By what is measured.
    rounds: BTreeMap<&'static str, Vec<Measured>>,
}

pub(super) fn can_compare(bench: &Bench, part: Part) -> bool {
    match part {
        Part::Holds(_) => true,
        Part::Money(_) | Part::Purchase(_) => bench.steady.is_none(),
        _ => false,
    }
}

/// Measures each side once in each round. The side that begins changes with the round.
pub(super) async fn run(bench: &Bench, part: Part) -> anyhow::Result<Section> {
    let (Part::Holds(backend) | Part::Money(backend) | Part::Purchase(backend)) = part else {
        anyhow::bail!("{} cannot be compared", part.key());
    };
    let store = Store::start(backend, bench).await?;
    let mut sides = prepare(bench, &store).await?;
    // The first round warms everything up, and is not counted.
    for round in 0..=bench.rounds {
        for index in 0..sides.len() {
            let side = (round as usize + index) % sides.len();
            measure(bench, part, &mut sides[side], round).await?;
        }
    }
    let setting = format!("{}; a server for each side, measured in turns", store.described);
    let section = section_of(Section::new(format!("Compared, {}", backend.name()), setting), &sides);
    for side in sides {
        side.world.server.stop().await?;
    }
    Ok(section)
}

async fn prepare(bench: &Bench, store: &Store) -> anyhow::Result<Vec<Side>> {
    let (live_holds, performances) = match &bench.live_holds[..] {
        [] => (&[0][..], PERFORMANCES),
        live_holds => (live_holds, PERFORMANCES_WITH_LIVE_HOLDS),
    };
    let against = bench.against.as_ref().map(|binary| ("against", binary));
    let mut sides = Vec::new();
    for (name, binary) in [("this", &bench.binary)].into_iter().chain(against) {
        for live_holds in live_holds.iter().copied() {
            let bench = Bench { binary: binary.clone(), ..bench.clone() };
            let shape = Shape::new(&bench, performances).with_live_holds(live_holds);
            let mut world = World::prepare(&bench, store, &format!("{name}_{live_holds}"), shape, &[]).await?;
            world.admit_all().await?;
            world.charge_all().await?;
            let name = format!("{name}, {live_holds} live holds");
            eprintln!("{name}: {:?}", world.processes);
            sides.push(Side { name, world, rounds: BTreeMap::new() });
        }
    }
    Ok(sides)
}

async fn measure(bench: &Bench, part: Part, side: &mut Side, round: u32) -> anyhow::Result<()> {
    let world = &mut side.world;
    let measured = match part {
        Part::Money(_) => money::round(world, round, bench.time).await?.into(),
        Part::Purchase(_) => {
            let addresses = [world.server.address];
            vec![("purchase", purchase::buy(world, &addresses, &world.processes, bench.time).await?)]
        }
        _ => {
            let connections = bench.steady.unwrap_or(CONNECTIONS);
            vec![("hold", holds::usual_round(world, connections, bench.time).await?)]
        }
    };
    if round > 0 {
        for (what, measured) in measured {
            side.rounds.entry(what).or_default().push(measured);
        }
    }
    Ok(())
}

/// Adds the rows of all sides, and the difference of each to the first, of each pair of rounds.
fn section_of(mut section: Section, sides: &[Side]) -> Section {
    let Some((first, others)) = sides.split_first() else { return section };
    for (what, of_first) in &first.rounds {
        section.rows.push(Row::of(*what, &first.name, of_first));
        for side in others {
            let rounds = &side.rounds[what];
            section.rows.push(Row::of(*what, &side.name, rounds));
            let ratios = rounds.iter().zip(of_first).map(|(side, first)| side.per_second() / first.per_second());
            let percent = Spread::of(ratios.map(|ratio| (ratio - 1.0) * 100.0));
            section.figure(format!("{what}: {} compared with {}", side.name, first.name), percent, "%");
        }
    }
    section
}
