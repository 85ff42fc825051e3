//! The contract of [`EventSink`].

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_domain::{
    ConcertId, EntropySource,
    event_delivery::{EventSink, PublishedEvent},
    fixtures::{TestEntropy, instant},
    uuid::Uuid,
};
use futures::future::join_all;

/// Makes a test of each function of the contract, in the module that calls it. The argument is an
/// `async fn() -> impl Subject`.
#[macro_export]
macro_rules! event_sink_contract {
    ($subject:expr) => {
        $crate::contract_tests! { event_sink, $subject;
            a_batch_arrives_in_its_order
            an_empty_batch_is_accepted_and_nothing_arrives
            a_repeated_batch_keeps_its_ids
            big_documents_arrive_whole
            hostile_text_arrives_unchanged
            many_batches_arrive_in_order
            batches_of_several_callers_keep_the_order_of_each_subject
        }
    };
}

/// A sink that is tested, with the eyes of a reader behind it.
pub trait Subject: Send + Sync {
    /// The sink.
    fn sink(&self) -> &dyn EventSink;

    /// Everything that has arrived since the sink was opened, in the order in which a reader gets it. What
    /// [`EventSink::deliver`] has accepted is among it.
    fn arrived(&self) -> impl Future<Output = Vec<Arrived>> + Send;
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The id of the event.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its subject.
    pub subject: Uuid,
    /// Its document.
    pub document: String,
}

impl From<&PublishedEvent> for Arrived {
    fn from(event: &PublishedEvent) -> Self {
        let (kind, document) = (event.kind.clone(), event.document.clone());
        Self { id: event.id, kind, subject: event.subject, document }
    }
}

/// An event that no other call gives.
pub fn event(subject: Uuid, kind: &str, document: impl Into<String>) -> PublishedEvent {
    PublishedEvent {
        id: TestEntropy.uuid(),
        kind: kind.to_owned(),
        subject,
        concert_id: Some(ConcertId::new(TestEntropy.uuid())),
        occurred_at: instant(7),
        document: document.into(),
    }
}

/// So many events, of three subjects by turns.
pub fn events(count: usize) -> Vec<PublishedEvent> {
    let subjects = [(); 3].map(|()| TestEntropy.uuid());
    let kinds = ["reservation.held", "reservation.confirmed"];
    (0..count)
        .map(|number| event(subjects[number % 3], kinds[number % 2], format!(r#"{{"data":{{"number":{number}}}}}"#)))
        .collect()
}

/// What arrived, without repeats: the first of each id.
pub fn first_arrivals(arrived: Vec<Arrived>) -> Vec<Arrived> {
    let mut seen = BTreeSet::new();
    arrived.into_iter().filter(|arrived| seen.insert(arrived.id)).collect()
}

/// What arrived of each subject, in order.
pub fn by_subject(arrived: impl IntoIterator<Item = Arrived>) -> BTreeMap<Uuid, Vec<Arrived>> {
    let mut subjects: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for arrived in arrived {
        subjects.entry(arrived.subject).or_default().push(arrived);
    }
    subjects
}

fn expected(events: &[PublishedEvent]) -> Vec<Arrived> {
    events.iter().map(Arrived::from).collect()
}

async fn deliver(subject: &impl Subject, events: &[PublishedEvent]) {
    subject.sink().deliver(events).await.expect("the events are accepted");
}

/// One accepted batch arrives once, whole and in its order.
pub async fn a_batch_arrives_in_its_order<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let events = events(50);
    deliver(&subject, &events).await;
    assert_eq!(subject.arrived().await, expected(&events));
    let single = [event(TestEntropy.uuid(), "charge.completed", "{}")];
    deliver(&subject, &single).await;
    assert_eq!(subject.arrived().await.len(), 51);
}

/// A caller need not look whether there is anything.
pub async fn an_empty_batch_is_accepted_and_nothing_arrives<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    deliver(&subject, &[]).await;
    assert_eq!(subject.arrived().await, []);
}

/// A caller that does not know whether a batch was accepted sends it again: a reader can tell repeats by their ids.
pub async fn a_repeated_batch_keeps_its_ids<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let events = events(20);
    for _ in 0..3 {
        deliver(&subject, &events).await;
    }
    let arrived = subject.arrived().await;
    assert!(arrived.len() <= 60, "{} arrived", arrived.len());
    assert_eq!(first_arrivals(arrived), expected(&events));
}

/// A document of a megabyte is no more than a long one, also among short ones.
pub async fn big_documents_arrive_whole<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let mut events = events(6);
    for (index, bytes) in [(1, 131_072), (2, 131_071), (4, 1_048_576)] {
        events[index].document = format!("\"{}\"", "좌석 ".repeat(bytes / 7));
    }
    deliver(&subject, &events).await;
    let arrived = subject.arrived().await;
    assert!(arrived == expected(&events), "the documents that arrived are others");
}

/// A sink does not read documents: what is in them does not matter to it.
pub async fn hostile_text_arrives_unchanged<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let texts = [
        "",
        "\0",
        "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "'; DROP TABLE seats; --",
        "\u{202e}\u{feff}🎫",
        "}{\"\\",
        "\u{10ffff}",
    ];
    let events: Vec<_> = texts.map(|text| event(TestEntropy.uuid(), "charge.declined", text)).into();
    deliver(&subject, &events).await;
    assert_eq!(subject.arrived().await, expected(&events));
}

/// Batches that one caller sends one after the other arrive one after the other.
pub async fn many_batches_arrive_in_order<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let events = events(2_000);
    for batch in events.chunk_by(|_, next| next.id.as_u128() % 7 != 0) {
        deliver(&subject, batch).await;
    }
    assert!(subject.arrived().await == expected(&events), "the events that arrived are others, or in another order");
}

/// Callers that send at once do not mix up the subjects of each other.
pub async fn batches_of_several_callers_keep_the_order_of_each_subject<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let callers: Vec<_> = (0..8).map(|_| events(90)).collect();
    let sending = callers.iter().map(async |events| {
        for batch in events.chunks(10) {
            deliver(&subject, batch).await;
        }
    });
    join_all(sending).await;
    let arrived = subject.arrived().await;
    assert_eq!(by_subject(arrived), by_subject(callers.iter().flatten().map(Arrived::from)));
}
