//! The contract of [`Leases`](boxoffice_peers::leases::Leases).

use boxoffice_domain::{Timestamp, fixtures::instant};
use boxoffice_peers::leases::Claim;
use uuid::Uuid;

use super::{Stage, at_once};

const WORK: &str = "sweeping";

fn claim(holder: u128) -> Claim<'static> {
    Claim { job: WORK, holder: Uuid::from_u128(holder) }
}

async fn take(stage: &Stage, holder: u128, now: Timestamp, until: Timestamp) -> bool {
    stage.storage.leases.take(claim(holder), now, until).await.expect("the storage answers")
}

/// If fifty ask at once, one gets the lease, also after it lapsed; and the holder keeps it as long as it extends it.
pub async fn one_of_fifty_at_once_gets_a_lease(stage: &Stage) {
    let mut holder = None;
    for round in 0..4_i64 {
        let (now, until) = (instant(round * 10), instant(round * 10 + 10));
        let asked = (1..=50_u128).map(|number| (number, stage.clone()));
        let ask = |(number, stage)| async move { (number, take(&stage, number, now, until).await) };
        let taken = at_once(asked, ask).await;
        let holders: Vec<_> = taken.iter().filter(|(_, taken)| *taken).map(|(number, _)| *number).collect();
        assert_eq!(holders.len(), 1, "{holders:?}");
        for (number, _) in taken {
            let still = take(stage, number, instant(round * 10 + 5), until).await;
            assert_eq!(still, number == holders[0]);
        }
        holder = Some(holders[0]);
    }
    let holder = holder.expect("there were rounds");
    // The holder extends it in time, so no other one gets it.
    assert!(take(stage, holder, instant(39), instant(60)).await);
    assert!(!take(stage, holder + 50, instant(59), instant(99)).await);
    // The end itself is no longer within it.
    assert!(take(stage, holder + 50, instant(60), instant(99)).await);
    assert!(!take(stage, holder, instant(60), instant(99)).await);
}

/// A released lease can be taken at once, and only the holder releases it.
pub async fn a_lease_is_released_by_its_holder_alone(stage: &Stage) {
    let (leases, now) = (&stage.storage.leases, instant(0));
    let release = async |holder| leases.release(claim(holder)).await.expect("the storage answers");
    let others_of = async |holder, now| {
        let taken = leases.is_held_by_other(claim(holder), now).await;
        taken.expect("the storage answers")
    };
    release(1).await;
    assert!(!others_of(2, now).await);
    assert!(take(stage, 1, now, instant(100)).await);
    assert!(!others_of(1, now).await && others_of(2, now).await);
    assert!(others_of(2, instant(99)).await && !others_of(2, instant(100)).await);
    release(2).await;
    assert!(!take(stage, 2, now, instant(100)).await);
    release(1).await;
    assert!(take(stage, 2, now, instant(100)).await);
    let other = leases.take(Claim { job: "other work", ..claim(1) }, now, instant(100)).await;
    assert!(other.expect("the storage answers"), "each piece of work has its own holder");
}
