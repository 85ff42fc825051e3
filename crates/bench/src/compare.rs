//! Several servers in turns, within one run: two binaries, or accounts with fewer and with more live holds.

use std::collections::BTreeMap;

use anyhow::bail;

use crate::{
    Bench, Part,
    drive::Measured,
    report::{Row, Section, Spread},
    rows::{holds, instances, money},
    server::{Backend, Store},
    world::{Shape, World},
};

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

pub(crate) fn can_compare(part: Part) -> bool {
    matches!(part, Part::Holds(_) | Part::Money(_) | Part::Purchase(_))
}

/// Measures each side once in each round; the side that begins changes with the round.
pub(crate) async fn run(bench: &Bench, part: Part) -> anyhow::Result<Section> {
    let (Part::Holds(backend) | Part::Money(backend) | Part::Purchase(backend)) = part else {
        bail!("{} cannot be compared", part.key());
    };
    let store = Store::start(backend, bench).await?;
    let mut sides = prepare(bench, &store).await?;
    // The first round warms everything up, and is not counted.
    for round in 0..=bench.rounds {
        for index in 0..sides.len() {
            let side = (round + index) % sides.len();
            measure(bench, part, &mut sides[side], round).await?;
        }
    }
    let section = section_of(backend, &store, &sides);
    for side in sides {
        side.world.server.stop().await?;
    }
    Ok(section)
}

async fn prepare(bench: &Bench, store: &Store) -> anyhow::Result<Vec<Side>> {
    let mut sides = Vec::new();
    let (live_holds, performances) = match &bench.live_holds[..] {
        [] => (&[0][..], PERFORMANCES),
        live_holds => (live_holds, PERFORMANCES_WITH_LIVE_HOLDS),
    };
    for (name, binary) in &bench.compared {
        for live_holds in live_holds.iter().copied() {
            let bench = Bench { binary: binary.clone(), ..bench.clone() };
            let shape = Shape { live_holds, ..bench.shape(performances) };
            let mut world = World::prepare(&bench, store, &format!("{name}_{live_holds}"), shape, &[]).await?;
            world.admit(0..world.buyers.len()).await?;
            world.charge_all().await?;
            let name = format!("{name}, {live_holds} live holds");
            eprintln!("{name}: {:?}", world.processes);
            sides.push(Side { name, world, rounds: BTreeMap::new() });
        }
    }
    Ok(sides)
}

async fn measure(bench: &Bench, part: Part, side: &mut Side, round: usize) -> anyhow::Result<()> {
    let world = &mut side.world;
    let measured = match part {
        Part::Money(_) => money::round(world, round, bench.time).await?.into(),
        Part::Purchase(_) => {
            let addresses = [world.server.address];
            vec![("whole purchase", instances::buy(world, &addresses, &world.processes, bench.time).await?)]
        }
        _ => {
            let connections = bench.steady.unwrap_or(holds::CROWD_CONNECTIONS);
            vec![("hold", holds::round(world, connections, bench.time).await?)]
        }
    };
    for (what, measured) in measured {
        let rounds = side.rounds.entry(what).or_default();
        if round > 0 {
            rounds.push(measured);
        }
    }
    Ok(())
}

fn section_of(backend: Backend, store: &Store, sides: &[Side]) -> Section {
    let setting = format!("{}; a server for each side, measured in turns", store.described);
    let mut section = Section::new("compare", format!("Compared, {}", backend.name()), setting);
    let Some((first, others)) = sides.split_first() else { return section };
    for (what, of_first) in &first.rounds {
        section.rows.push(Row::of(*what, &first.name, of_first));
        for side in others {
            let rounds = &side.rounds[what];
            section.rows.push(Row::of(*what, &side.name, rounds));
            let ratios = rounds.iter().zip(of_first).map(|(side, first)| side.per_second() / first.per_second());
            let Spread { median, least, most } = Spread::of(ratios);
            section.fact(
                format!("{what} a second: {} ÷ {}", side.name, first.name),
                format!("{median:.3} ({least:.3}–{most:.3})"),
            );
        }
    }
    section
}
