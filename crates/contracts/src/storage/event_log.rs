//! The contract of [`EventLog`].

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_domain::{
    events::{Event, EventLog, ReaderCursor, SequencedBatch},
    fixtures::TestEntropy,
    history::{Actor, StaffAct},
    page::PageRequest,
};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{PRICE_A, Stage, at_once, concert, plan, show::pages, venue};

/// How many batches a call looks at: more than there are.
const ALL: u32 = 4_000;

impl Stage {
    fn log(&self) -> &dyn EventLog {
        self.storage.event_log.as_ref()
    }

    async fn sequence(&self) -> u32 {
        self.log().sequence(ALL).await.expect("the storage works")
    }

    /// All that has a position, read by twos.
    async fn sequenced(&self) -> Vec<SequencedBatch> {
        let (mut all, mut after) = (Vec::<SequencedBatch>::new(), 0);
        loop {
            let some = self.log().batches_after(after, 2).await.expect("the storage works");
            let Some(last) = some.last() else { return all };
            after = last.position;
            all.extend(some);
        }
    }

    /// The ids of all batches.
    async fn batch_ids(&self) -> BTreeSet<Uuid> {
        let list = async |page: PageRequest<Uuid>| self.storage.outbox.batches(page).await;
        pages(50, list).await.into_iter().flatten().map(|batch| batch.id).collect()
    }
}

fn kinds(batches: &[SequencedBatch]) -> Vec<&'static str> {
    batches.iter().flat_map(|sequenced| &sequenced.batch.events).map(Event::kind).collect()
}

/// Each batch gets one position, after those that were given before.
pub async fn batches_get_positions_once_and_are_read_in_their_order(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(PRICE_A).await;
    assert_eq!(stage.sequenced().await, [], "nothing has a position by itself");
    let given = stage.sequence().await;
    assert_eq!(given as usize, stage.batch_ids().await.len());
    assert_eq!(stage.sequence().await, 0);
    let before = stage.sequenced().await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.pays(&held).await;
    stage.cancels(&held).await;
    assert_eq!(stage.sequenced().await, before);
    assert_eq!(stage.log().lag(before.last().unwrap().position).await.unwrap().batches, 3);
    assert_eq!(stage.sequence().await, 3);
    let after = stage.sequenced().await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(kinds(&after[before.len()..]), ["reservation_held", "reservation_confirmed", "reservation_cancelled"]);
    assert!(after.is_sorted_by(|one, other| one.position < other.position));
    let ids: BTreeSet<_> = after.iter().map(|sequenced| sequenced.batch.id).collect();
    assert_eq!((ids.len(), ids), (after.len(), stage.batch_ids().await));
    let lag = stage.log().lag(0).await.unwrap();
    assert_eq!((lag.batches, lag.oldest_at), (after.len() as u64, Some(after[0].batch.occurred_at)));
    let lag = stage.log().lag(after.last().unwrap().position).await.unwrap();
    assert_eq!((lag.batches, lag.oldest_at), (0, None));
}

/// What is published about a concert is said to other systems as it is in the history; what is published of a venue is not.
pub async fn acts_of_the_staff_are_events_of_their_concert(stage: &Stage) {
    let (promoter_id, now) = (stage.account().await, stage.now());
    let (hall, published) = (venue(plan(), now), concert(promoter_id, now));
    let (catalog, actor) = (&stage.storage.catalog, || Actor::from(promoter_id));
    let act = StaffAct::venue_published(&TestEntropy, now, actor(), &hall);
    catalog.publish_venue(promoter_id, hall, None, act).await.unwrap();
    let act = StaffAct::concert_published(&TestEntropy, now, actor(), &published);
    catalog.publish_concert(published.clone(), None, act.clone()).await.unwrap();
    stage.sequence().await;
    let batches = stage.sequenced().await;
    let events: Vec<_> = batches.iter().flat_map(|sequenced| &sequenced.batch.events).collect();
    assert_eq!(events, [&Event::StaffActed { act }]);
    assert_eq!(stage.storage.audit.breaches().await.unwrap(), []);
}

/// Positions are given while seats are sold: no batch has two or none, and none comes before what it follows from.
pub async fn one_of_many_gives_positions_at_a_time(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(6).await;
    let sales = at_once(accounts.into_iter().zip(show.labels()), |(account_id, label)| {
        let (stage, show) = (stage.clone(), show.clone());
        async move {
            for _ in 0..5 {
                let request = show.hold_request_for(account_id, vec![label.clone()]);
                let held = stage.hold(request).await.expect("nobody else wants the seat").value.reservation;
                stage.cancels(&held).await;
            }
        }
    });
    let sequencing = at_once(0..8, |_| {
        let stage = stage.clone();
        async move {
            let mut given = 0;
            for _ in 0..5 {
                // One that comes second may be refused, and is called again.
                given += stage.log().sequence(ALL).await.unwrap_or_default();
            }
            given
        }
    });
    let (_, given) = futures::join!(sales, sequencing);
    let given = given.into_iter().sum::<u32>() + stage.sequence().await;
    let sequenced = stage.sequenced().await;
    assert_eq!((sequenced.len(), given as usize), (stage.batch_ids().await.len(), sequenced.len()));
    let mut seen: BTreeMap<Uuid, &str> = BTreeMap::new();
    for event in sequenced.iter().flat_map(|sequenced| &sequenced.batch.events) {
        let before = seen.insert(event.subject(), event.kind());
        if event.kind() == "reservation_cancelled" {
            assert_eq!(before, Some("reservation_held"));
        }
    }
}

/// Each reader has its own place, which is kept and never goes back.
pub async fn a_reader_goes_on_where_it_was(stage: &Stage) {
    let (log, began) = (stage.log(), stage.now());
    stage.sequence().await;
    assert_eq!(log.reading_since().await.unwrap(), None);
    let cursor = |position| ReaderCursor { position, starts_at: began };
    assert_eq!(log.find_reader("broker").await.unwrap(), None);
    let registered = at_once(0..8, |_| {
        let stage = stage.clone();
        async move { stage.log().reader("broker", began).await.unwrap() }
    });
    assert_eq!(registered.await, [cursor(0); 8]);
    log.advance("broker", 7).await.unwrap();
    log.advance("broker", 3).await.unwrap();
    stage.clock.advance_seconds(60);
    assert_eq!(log.reader("broker", stage.now()).await.unwrap(), cursor(7));
    assert_eq!(log.find_reader("broker").await.unwrap(), Some(cursor(7)));
    let other = ReaderCursor { position: 0, starts_at: stage.now() };
    assert_eq!(log.reader("mail", stage.now()).await.unwrap(), other);
    assert_eq!(log.reading_since().await.unwrap(), Some(began));
    log.advance("nobody", 3).await.unwrap();
    assert_eq!(log.reader("nobody", stage.now()).await.unwrap(), other);
}

/// A sale that opens is said once, also if many look, and again if it opens another time.
pub async fn an_opening_is_noted_once(stage: &Stage) {
    let show = stage.show().await;
    let opened_at = show.concert.sales.open_at();
    assert_eq!(stage.log().note_openings(stage.now() + TimeDelta::seconds(1), 10).await.unwrap(), 0);
    stage.clock.set(opened_at + TimeDelta::seconds(1));
    let noted = at_once(0..8, |_| {
        let stage = stage.clone();
        // One that comes second may be refused.
        async move { stage.log().note_openings(opened_at, 10).await.unwrap_or_default() }
    });
    assert_eq!(noted.await.into_iter().sum::<u32>(), 1);
    assert_eq!(stage.log().note_openings(opened_at, 10).await.unwrap(), 0);
    stage.sequence().await;
    let batches = stage.sequenced().await;
    let opened = batches.iter().flat_map(|sequenced| &sequenced.batch.events);
    let opened: Vec<_> = opened.filter(|event| matches!(event, Event::QueueOpened { .. })).collect();
    assert_eq!(opened, [&Event::QueueOpened { concert_id: show.concert.id, opened_at }]);
}

/// What one reader has not had stays until it has, or until the bound.
pub async fn what_a_reader_has_not_had_is_kept_for_longer(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(PRICE_A).await;
    let (log, began) = (stage.log(), stage.now());
    for name in ["broker", "mail"] {
        log.reader(name, began).await.unwrap();
    }
    stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.sequence().await;
    let all = stage.sequenced().await;
    let last = all.last().unwrap().position;
    stage.holds(&show, account_id, &["A-1-2"]).await;
    let whole = stage.batch_ids().await.len();
    stage.clock.advance_seconds(60);
    let (until, before) = (stage.now(), began - TimeDelta::seconds(1));
    let remove = async |unread_until| {
        stage.storage.retention.remove_events(until, unread_until, None, 1_000).await.expect("the storage works").count
    };
    log.advance("broker", last).await.unwrap();
    assert_eq!(remove(before).await, 0, "one has had nothing");
    log.advance("mail", all[0].position).await.unwrap();
    assert_eq!(remove(before).await, 1);
    log.advance("mail", last).await.unwrap();
    assert_eq!(remove(before).await as usize, all.len() - 1, "and what has no position is unread");
    assert_eq!(stage.batch_ids().await.len(), whole - all.len());
    assert_eq!(remove(until).await, 1, "the bound");
    assert_eq!(stage.batch_ids().await.len(), 0);
}
