//! The contract of [`Retention`](boxoffice_domain::retention::Retention).

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, EntropySource, ReservationId, SessionId, StorageError, Timestamp,
    accounts::{ChainKey, RefreshHash, RotateRequest, Session},
    fixtures::{TestEntropy, instant},
    page::PageRequest,
    reservations::{HoldRefusal, HoldRequest, Reservation},
    retention::{Removed, UnpaidEnd},
};
use chrono::TimeDelta;

use super::{PRICE_A, Show, Stage, at_once, audit::Corruption, show::credentials};

const DAY_SECONDS: i64 = 86_400;

fn day(number: i64) -> Timestamp {
    instant(number * DAY_SECONDS)
}

/// Steps until the end, each of two rows, and returns how many rows were removed.
async fn all<K>(step: impl AsyncFn(Option<K>) -> Result<Removed<K>, StorageError>) -> u32 {
    let (mut count, mut after) = (0, None);
    loop {
        let removed = step(after).await.expect("the storage works");
        count += removed.count;
        match removed.next {
            Some(next) => after = Some(next),
            None => return count,
        }
    }
}

impl Stage {
    async fn remove_sessions(&self, until: Timestamp) -> u32 {
        let port = &self.storage.retention;
        all(async |after| port.remove_sessions(until, after, 2).await).await
    }

    async fn remove_events(&self, until: Timestamp) -> u32 {
        let port = &self.storage.retention;
        all(async |after| port.remove_events(until, until, after, 2).await).await
    }

    /// Removes what was cancelled and what lapsed.
    fn remove_unpaid(&self, until: Timestamp) -> impl Future<Output = u32> + Send + use<> {
        let port = Arc::clone(&self.storage.retention);
        async move {
            let mut count = 0;
            for end in [UnpaidEnd::Cancelled, UnpaidEnd::Lapsed] {
                let mut after = None;
                loop {
                    let removed = port.remove_unpaid(end, until, after, 2).await.expect("the storage works");
                    count += removed.count;
                    match removed.next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
            }
            count
        }
    }

    async fn assert_audit_is_clean(&self) {
        assert_eq!(self.storage.audit.breaches().await.expect("the audit runs"), vec![]);
    }

    async fn is_there(&self, account_id: AccountId, id: ReservationId) -> bool {
        self.storage.reservations.find(account_id, id).await.expect("the storage works").is_some()
    }
}

/// Ended and lapsed sessions go when their time is over, and the others stay.
pub async fn sessions_are_removed_some_time_after_their_end(stage: &Stage) {
    let credentials = credentials(stage.now());
    let account_id = credentials.account.id;
    stage.storage.accounts.create(credentials.clone()).await.expect("an account");
    let mut opened = Vec::new();
    for expires_on in [30, 30, 30, 60, 60, 60, 60] {
        let session = Session {
            id: SessionId::new(TestEntropy.uuid()),
            account_id,
            chain_key: None,
            refresh_hash: RefreshHash([1; 32]),
            former_hash: None,
            created_at: stage.now(),
            last_used_at: stage.now(),
            expires_at: day(expires_on),
            ended_at: None,
            client: None,
            network: None,
        };
        let verified = credentials.password_hash.clone();
        let ended = stage.storage.sessions.open(session.clone(), verified, 20).await.expect("the storage works");
        assert_eq!(ended, Some(Vec::new()));
        opened.push(session.id);
    }
    // Two of them end before they lapse, on the first and on the fortieth day, and one is refreshed.
    stage.clock.set(day(1));
    stage.storage.sessions.end(opened[3]).await.expect("the storage works");
    let (presented, next) = (RefreshHash([1; 32]), RefreshHash([2; 32]));
    let (session_id, chain_key, expires_at) = (opened[0], ChainKey([3; 32]), day(70));
    let request = RotateRequest { session_id, chain_key, presented, next, expires_at };
    assert!(stage.storage.sessions.rotate(request).await.expect("the storage works").is_some());
    stage.clock.set(day(40));
    stage.storage.sessions.end(opened[4]).await.expect("the storage works");

    assert_eq!(stage.remove_sessions(day(1) - TimeDelta::seconds(1)).await, 0);
    assert_eq!(stage.remove_sessions(day(1)).await, 1);
    assert_eq!(stage.remove_sessions(day(30)).await, 2);
    assert_eq!(stage.remove_sessions(day(39)).await, 0);
    assert_eq!(stage.remove_sessions(day(40)).await, 1);
    for (index, is_left) in [true, false, false, false, false, true, true].into_iter().enumerate() {
        let found = stage.storage.sessions.find(opened[index]).await.expect("the storage works");
        assert_eq!(found.is_some(), is_left, "{index}: {found:?}");
    }
    assert_eq!(stage.remove_sessions(day(40)).await, 0);
    stage.assert_audit_is_clean().await;
}

/// A show with performances on the tenth and on the hundredth day.
async fn shows(stage: &Stage) -> (Show, Show) {
    let show = stage.show().await;
    (stage.another_performance(&show, day(10)).await, stage.another_performance(&show, day(100)).await)
}

/// Reservations of one performance: cancelled, lapsed, owned and refunded.
async fn reserved(stage: &Stage, show: &Show) -> [Reservation; 4] {
    let mut held = Vec::new();
    for label in ["A-1-1", "A-1-2", "A-1-3", "A-1-4"] {
        let account_id = stage.account_with(PRICE_A).await;
        held.push(stage.holds(show, account_id, &[label]).await);
    }
    stage.cancels(&held[0]).await;
    stage.pays(&held[2]).await;
    stage.pays(&held[3]).await;
    stage.cancels(&held[3]).await;
    stage.clock.set(held[1].held_until);
    assert_eq!(stage.expire_due(10).await, 1);
    held.try_into().expect("four")
}

/// Holds a seat, and leaves it at that.
async fn forget(stage: &Stage, show: &Show) -> Reservation {
    stage.holds(show, stage.account().await, &["A-1-5"]).await
}

/// Cancelled and lapsed reservations that were never paid go when they are old and their performance has been, and nothing
/// else does.
pub async fn what_was_never_paid_is_removed_after_its_performance_and_the_rest_stays(stage: &Stage) {
    let (early, late) = shows(stage).await;
    let (of_early, of_late) = (reserved(stage, &early).await, reserved(stage, &late).await);
    let (forgotten, _) = (forget(stage, &early).await, forget(stage, &late).await);
    let left = async |reservations: &[Reservation; 4]| {
        let mut left = Vec::new();
        for reservation in reservations {
            left.push(stage.is_there(reservation.account_id, reservation.id).await);
        }
        left
    };
    stage.clock.set(day(9));
    assert_eq!(stage.remove_unpaid(day(5)).await, 0, "the performance is to come");
    stage.clock.set(day(11));
    assert_eq!(stage.remove_unpaid(day(0)).await, 0, "they are not old enough");
    assert_eq!(stage.remove_unpaid(day(5)).await, 2);
    assert_eq!(left(&of_early).await, [false, false, true, true]);
    assert_eq!(left(&of_late).await, [true; 4]);
    stage.assert_audit_is_clean().await;
    // The worker marks the last lapsed hold now, and the retention removes it after that.
    assert_eq!(stage.expire_due(10).await, 2);
    assert_eq!(stage.remove_unpaid(day(5)).await, 1);
    assert!(!stage.is_there(forgotten.account_id, forgotten.id).await);
    stage.clock.set(day(101));
    assert_eq!(stage.remove_unpaid(day(90)).await, 3);
    for reservations in [&of_early, &of_late] {
        assert_eq!(left(reservations).await, [false, false, true, true]);
    }
    assert_eq!(stage.remove_unpaid(day(90)).await, 0);
    stage.assert_audit_is_clean().await;
}

/// A hold that was removed does not make its account wait any longer; the others still do.
pub async fn what_is_removed_is_not_counted_any_more(stage: &Stage) {
    let (early, late) = shows(stage).await;
    let (account_id, payer) = (stage.account_with(PRICE_A).await, stage.account_with(2 * PRICE_A).await);
    let end_unpaid = async |show: &Show, account_id| {
        let held = stage.holds(show, account_id, &["A-1-1"]).await;
        stage.cancels(&held).await;
        stage.clock.advance_seconds(1);
    };
    for show in [&early, &late, &early, &early] {
        end_unpaid(show, account_id).await;
    }
    // This account has nothing counted since it paid.
    end_unpaid(&early, payer).await;
    stage.pays(&stage.holds(&early, payer, &["A-1-2"]).await).await;
    stage.clock.set(day(20));
    assert_eq!(stage.remove_unpaid(day(11)).await, 4);
    stage.assert_audit_is_clean().await;
    end_unpaid(&late, account_id).await;
    // One hold is left of each day.
    let strict = |account_id| HoldRequest { unpaid_holds_free: 1, ..late.hold_request(account_id, &["A-1-3"]) };
    assert_eq!(stage.hold(strict(account_id)).await, Err(HoldRefusal::Cooldown { seconds_left: 59 }));
    end_unpaid(&late, payer).await;
    let held = stage.hold(strict(payer)).await.expect("one is free").value.reservation;
    stage.pays(&held).await;
    stage.clock.set(day(200));
    assert_eq!(stage.remove_unpaid(day(110)).await, 3);
    stage.assert_audit_is_clean().await;
}

/// Old batches go, the oldest first, and the audit does not miss them.
pub async fn events_are_removed_and_what_they_were_about_is_sound(stage: &Stage) {
    let (_, late) = shows(stage).await;
    let of_day_0 = reserved(stage, &late).await;
    forget(stage, &late).await;
    stage.clock.set(day(40));
    let recent = stage.holds(&late, stage.account_with(PRICE_A).await, &["B-1-1"]).await;
    stage.pays(&recent).await;
    let batches =
        async || stage.storage.outbox.batches(PageRequest::first(100)).await.expect("the storage works").items;
    let before = batches().await;
    let old = before.iter().filter(|batch| batch.occurred_at < day(1)).count();
    assert!(old > 10 && before.len() > old);
    assert_eq!(stage.remove_events(day(0) - TimeDelta::seconds(1)).await, 0);
    assert_eq!(stage.remove_events(day(10)).await as usize, old);
    assert_eq!(batches().await, before[old..]);
    assert_eq!(stage.remove_events(day(10)).await, 0);
    stage.assert_audit_is_clean().await;
    // What was sold before is sold on: it is cancelled, and the hold that lapsed meanwhile is marked.
    stage.cancels(&of_day_0[2]).await;
    assert_eq!(stage.expire_due(10).await, 1);
    stage.assert_audit_is_clean().await;
    // Rows were kept for a shorter time before.
    assert_eq!(stage.remove_events(day(5)).await, 0);
    stage.assert_audit_is_clean().await;
}

/// Events may be kept for longer than what they are about, and a lapsed hold may be marked long after its end.
pub async fn a_reservation_is_removed_before_its_events(stage: &Stage) {
    let (early, _) = shows(stage).await;
    reserved(stage, &early).await;
    forget(stage, &early).await;
    stage.clock.set(day(20));
    assert_eq!(stage.expire_due(10).await, 1);
    assert_eq!(stage.remove_unpaid(day(15)).await, 3);
    stage.assert_audit_is_clean().await;
    stage.remove_events(day(15)).await;
    stage.assert_audit_is_clean().await;
}

/// Something that was removed hides nothing else.
pub async fn an_audit_still_finds_what_was_not_removed(stage: &Stage) {
    let (early, late) = shows(stage).await;
    let old = reserved(stage, &early).await;
    stage.clock.set(day(20));
    assert_eq!(stage.remove_unpaid(day(15)).await, 2);
    let account_id = stage.account_with(PRICE_A).await;
    let recent = stage.holds(&late, account_id, &["A-1-1"]).await;
    let paid = stage.pays(&recent).await.payment.payment.id;
    stage.assert_audit_is_clean().await;
    let corrupter = stage.corrupter.as_ref().expect("the stage has a corrupter");
    let mut known = Vec::new();
    for corruption in [
        // The events of day 0 are still there, so they have to be right.
        Corruption::EventAccountChanged { reservation_id: old[2].id, account_id: old[2].account_id },
        Corruption::EventRemoved { subject: old[3].id.uuid(), kind: "reservation_cancelled" },
        Corruption::EventsRemoved { reservation_id: recent.id },
        Corruption::PaymentRemoved { payment_id: paid },
    ] {
        if corrupter.corrupt(corruption.clone()).await {
            let found = stage.storage.audit.breaches().await.expect("the audit runs");
            assert!(found.iter().any(|breach| !known.contains(breach)), "{corruption:?} is not found: {found:?}");
            known = found;
        }
    }
}

/// Sellers and the removal meet at the same accounts, and both come to their end.
pub async fn removing_and_selling_at_once_breaks_nothing(stage: &Stage) {
    let (early, late) = shows(stage).await;
    let accounts = stage.accounts(10).await;
    for (account_id, label) in accounts.iter().zip(early.labels()) {
        let held = stage.hold(early.hold_request_for(*account_id, vec![label])).await.expect("the seat");
        stage.cancels(&held.value.reservation).await;
    }
    stage.clock.set(day(20));
    let buys = at_once(accounts.into_iter().zip(late.labels()), |(account_id, label)| {
        let (stage, late) = (stage.clone(), late.clone());
        async move {
            for _ in 0..3 {
                let request = late.hold_request_for(account_id, vec![label.clone()]);
                let held = stage.hold(request).await.expect("nobody else wants the seat").value.reservation;
                stage.cancels(&held).await;
            }
        }
    });
    let removals = at_once(0..3, |_| stage.remove_unpaid(day(15)));
    let (_, removed) = futures::join!(buys, removals);
    assert_eq!(removed.into_iter().sum::<u32>() + stage.remove_unpaid(day(15)).await, 10);
    stage.assert_audit_is_clean().await;
}
