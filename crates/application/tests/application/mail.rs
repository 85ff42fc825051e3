//! Mail that is made of events, and its way to the mail server.

mod sender_tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use boxoffice_application::{
    MailReader, MailSender,
    mail::{Letter, Posted},
    published,
};
use boxoffice_contracts::{
    memory::MemoryStore,
    storage::{PRICE_A, PRICE_B, Stage, Storage, audit::Corrupt, points},
};
use boxoffice_domain::{
    AccountId, Clock, EntropySource, PerformanceId, ReservationId, SessionId, StorageError,
    accounts::ClientName,
    async_trait,
    event_delivery::{EventSink, EventSinkError, PublishedEvent},
    events::{Event, EventBatch},
    fixtures::{TestClock, TestEntropy, instant},
    history::{ActKind, ActSubject, Actor, FieldChange, StaffAct},
    mail::{
        DueMail, EmailAddress, Mail, MailError, MailLanguage, MailOutcome, MailQueue, Mailer, MockMailQueue, NewMail,
        Notice,
    },
    page::PageRequest,
    rfc3339,
};
use chrono::TimeDelta;
use uuid::Uuid;

const ADDRESS: &str = "haneul@example.org";

/// A storage in memory.
struct Post {
    stage: Stage,
    store: Arc<MemoryStore>,
    clock: Arc<TestClock>,
}

impl Post {
    fn new() -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone(), Arc::new(TestEntropy)));
        let stage = Stage::new(Storage::of(store.clone()), clock.clone()).with_corrupter(store.clone());
        Self { stage, store, clock }
    }

    async fn account(&self, address: Option<&str>) -> AccountId {
        let account_id = self.stage.account_with(10 * PRICE_A).await;
        self.store.set_address(account_id, address, Some(MailLanguage::English)).await;
        account_id
    }

    fn reader(&self) -> MailReader {
        MailReader { mails: self.store.clone(), clock: self.clock.clone() }
    }

    /// All events of the outbox.
    async fn events(&self) -> Vec<PublishedEvent> {
        let batches = self.store_batches().await;
        batches.iter().flat_map(|batch| published(batch, |_| None)).collect()
    }

    async fn store_batches(&self) -> Vec<EventBatch> {
        self.stage.storage.outbox.batches(PageRequest::first(1_000)).await.unwrap().items
    }

    async fn read(&self) {
        self.reader().deliver(&self.events().await).await.unwrap();
    }

    async fn due(&self) -> Vec<DueMail> {
        self.stage.storage.mails.due(1_000).await.unwrap()
    }

    async fn notices(&self) -> Vec<Notice> {
        self.due().await.into_iter().filter_map(|due| due.notice).collect()
    }

    /// Queues so many mails of an account with an address.
    async fn queue(&self, count: usize) -> Vec<NewMail> {
        let account_id = self.account(Some(ADDRESS)).await;
        let mail = |_| NewMail {
            id: TestEntropy.uuid(),
            account_id,
            to: None,
            notice: Notice::PasswordChanged { at: instant(0) },
            created_at: self.clock.now(),
        };
        let mails: Vec<_> = (0..count).map(mail).collect();
        self.store.queue(mails.clone()).await.unwrap();
        mails
    }

    fn sender(&self, server: &Arc<Server>) -> MailSender {
        sender(self.store.clone(), server, &self.clock)
    }
}

fn sender(mails: Arc<dyn MailQueue>, server: &Arc<Server>, clock: &Arc<TestClock>) -> MailSender {
    let write = |letter: &Letter<'_>| Mail {
        id: letter.id,
        to: letter.to.clone(),
        to_name: Some(letter.name.to_string()),
        language: letter.language.unwrap_or_default(),
        subject: letter.notice.kind().to_owned(),
        text: String::new(),
        html: String::new(),
    };
    MailSender { mails, mailer: server.clone(), write: Box::new(write), clock: clock.clone() }
}

/// A mail server that answers as its test wants.
#[derive(Default)]
struct Server {
    sent: Mutex<Vec<Mail>>,
    attempts: Mutex<usize>,
    answers: Mutex<Answers>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Answers {
    #[default]
    Accepts,
    NotNow,
    Never,
}

impl Server {
    fn answers(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    fn sent(&self) -> Vec<Mail> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    fn attempts(&self) -> usize {
        std::mem::take(&mut self.attempts.lock().unwrap())
    }
}

#[async_trait]
impl Mailer for Server {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        *self.attempts.lock().unwrap() += 1;
        tokio::task::yield_now().await;
        match *self.answers.lock().unwrap() {
            Answers::Accepts => self.sent.lock().unwrap().push(mail.clone()),
            Answers::NotNow => return Err(MailError::Temporary("421 not now".into())),
            Answers::Never => return Err(MailError::Permanent("550 no such user".into())),
        }
        Ok(())
    }
}

fn outcomes(posted: &Posted) -> BTreeMap<MailOutcome, usize> {
    let mut counts = BTreeMap::new();
    for outcome in &posted.ended {
        *counts.entry(*outcome).or_default() += 1;
    }
    counts
}

// The reader

#[tokio::test]
async fn a_purchase_and_its_refund_have_one_mail_each_for_those_with_an_address() {
    let post = Post::new();
    let show = post.stage.show().await;
    let (reader, other) = (post.account(Some(ADDRESS)).await, post.account(None).await);
    for (account_id, labels) in [(reader, ["A-1-1", "B-1-1"]), (other, ["A-1-2", "B-1-2"])] {
        let held = post.stage.holds(&show, account_id, &labels).await;
        post.stage.pays(&held).await;
        post.clock.advance_seconds(1);
        post.stage.cancels(&held).await;
    }
    // What is only held is no purchase.
    post.stage.holds(&show, reader, &["A-1-3"]).await;
    for _ in 0..2 {
        post.read().await;
    }
    let due = post.due().await;
    assert!(due.iter().all(|mail| mail.account_id == reader && mail.to.is_none()));
    assert!(due.iter().all(|mail| mail.id.get_version_num() == 8) && due[0].id != due[1].id);
    assert_eq!(due.iter().map(|mail| mail.created_at).collect::<Vec<_>>(), [instant(0), instant(1)]);
    match &post.notices().await[..] {
        [
            Notice::PurchaseConfirmed { reservation_id, show: bought, seats, amount },
            Notice::ReservationRefunded { reservation_id: refunded_id, refunded, seats: same, .. },
        ] => {
            assert_eq!((reservation_id, amount), (refunded_id, refunded));
            assert_eq!((*amount, seats.len(), seats), (points(PRICE_A + PRICE_B), 2, same));
            assert_eq!((&bought.title, &bought.venue), (&show.concert.title, &show.venue.name));
            assert_eq!((bought.starts_at, bought.time_zone), (show.starts_at, show.venue.time_zone));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_happened_days_ago_has_no_mail() {
    let post = Post::new();
    let show = post.stage.show().await;
    let reader = post.account(Some(ADDRESS)).await;
    let held = post.stage.holds(&show, reader, &["A-1-1"]).await;
    post.stage.pays(&held).await;
    post.clock.advance_seconds(72 * 3_600 + 1);
    post.read().await;
    assert_eq!(post.notices().await, []);
    let held = post.stage.holds(&show, reader, &["A-1-2"]).await;
    post.stage.pays(&held).await;
    post.clock.advance_seconds(72 * 3_600);
    post.read().await;
    assert_eq!(post.notices().await.len(), 1);
}

/// An event of an import, about one performance.
fn changed(performance_id: PerformanceId, at_seconds: i64, changes: &[(&str, String, String)]) -> PublishedEvent {
    let change = |(field, before, after): &(&str, String, String)| FieldChange {
        field: (*field).to_owned(),
        before: Some(before.clone()),
        after: Some(after.clone()),
    };
    let (subject, actor) = (ActSubject::Performance(performance_id), Actor::default());
    let act = StaffAct::new(&TestEntropy, instant(at_seconds), actor, ActKind::PerformanceChanged, subject);
    let events = vec![Event::StaffActed { act: act.with(changes.iter().map(change).collect()) }];
    let batch = EventBatch { id: TestEntropy.uuid(), events, occurred_at: instant(at_seconds) };
    published(&batch, |_| None).remove(0)
}

#[tokio::test]
async fn all_who_have_tickets_get_mail_when_a_performance_is_moved_or_withdrawn() {
    let post = Post::new();
    let show = post.stage.show().await;
    let buy = async |account_id: AccountId, labels: &[&str]| -> ReservationId {
        let held = post.stage.holds(&show, account_id, labels).await;
        post.stage.pays(&held).await;
        held.id
    };
    let readers = [post.account(Some(ADDRESS)).await, post.account(Some(ADDRESS)).await];
    let nobody = post.account(None).await;
    let mut expected = vec![
        buy(readers[0], &["A-1-1"]).await,
        buy(readers[0], &["A-1-3", "B-1-1"]).await,
        buy(readers[1], &["A-1-2"]).await,
    ];
    buy(nobody, &["A-1-4"]).await;
    expected.sort_unstable();
    post.clock.advance_seconds(100);
    let late = post.account(Some(ADDRESS)).await;
    buy(late, &["A-1-5"]).await;

    let moved_to = show.starts_at + TimeDelta::hours(2);
    let price = ("price of A", "1000".to_owned(), "1200".to_owned());
    let start = ("starts_at", rfc3339(show.starts_at), rfc3339(moved_to));
    let withdrawn = |to: bool| ("withdrawn", (!to).to_string(), to.to_string());
    let moved = changed(show.performance_id, 50, &[start, price.clone()]);
    let gone = changed(show.performance_id, 60, &[withdrawn(true)]);
    let unimportant = [
        changed(show.performance_id, 50, &[price]),
        changed(show.performance_id, 70, &[withdrawn(false)]),
        changed(PerformanceId::new(Uuid::from_u128(9)), 50, &[withdrawn(true)]),
    ];
    post.reader().deliver(&unimportant).await.unwrap();
    assert_eq!(post.notices().await, []);
    for _ in 0..2 {
        post.reader().deliver(std::slice::from_ref(&moved)).await.unwrap();
    }
    let mut told = Vec::new();
    for notice in post.notices().await {
        let Notice::PerformanceChanged { reservation_id, before, after } = notice else { panic!("{notice:?}") };
        assert_eq!((before.starts_at, after.starts_at), (show.starts_at, moved_to));
        assert_eq!(before.title, after.title);
        told.push(reservation_id);
    }
    told.sort_unstable();
    assert_eq!(told, expected);
    post.reader().deliver(&[moved, gone]).await.unwrap();
    let notices = post.notices().await;
    let cancelled = notices.iter().filter_map(|notice| match notice {
        Notice::PerformanceCancelled { reservation_id, seats, .. } => Some((*reservation_id, seats.len())),
        _ => None,
    });
    let mut told: Vec<_> = cancelled.collect();
    told.sort_unstable();
    assert_eq!((notices.len(), told.iter().map(|(id, _)| *id).collect::<Vec<_>>()), (6, expected));
    assert_eq!(told.iter().map(|(_, seats)| seats).sum::<usize>(), 4);
}

#[tokio::test]
async fn an_account_in_danger_has_mail_about_it() {
    let post = Post::new();
    let account_id = post.account(Some(ADDRESS)).await;
    let (session_id, client) = (SessionId::new(TestEntropy.uuid()), ClientName::new("curl/8"));
    let events = vec![
        Event::PasswordChanged { account_id },
        Event::SignedInElsewhere { account_id, session_id, client: client.clone() },
        Event::PasswordChanged { account_id: AccountId::new(Uuid::from_u128(1)) },
    ];
    let batch = EventBatch { id: TestEntropy.uuid(), events, occurred_at: instant(-5) };
    post.reader().deliver(&published(&batch, |_| None)).await.unwrap();
    let notices = post.notices().await;
    let expected =
        [Notice::PasswordChanged { at: instant(-5) }, Notice::NewSignIn { at: instant(-5), client: client.clone() }];
    assert_eq!(notices.len(), 2);
    assert!(expected.iter().all(|notice| notices.contains(notice)), "{notices:?}");
}

#[tokio::test]
async fn a_batch_of_accounts_without_an_address_costs_one_look() {
    let account_id = AccountId::new(Uuid::from_u128(1));
    let confirmed = |number: u128| Event::ReservationConfirmed {
        reservation_id: ReservationId::new(Uuid::from_u128(number)),
        account_id,
        performance_id: PerformanceId::new(Uuid::from_u128(2)),
        seats: Vec::new(),
        payment_id: boxoffice_domain::PaymentId::new(Uuid::from_u128(3)),
        amount: points(5),
    };
    let events = (0..500).map(confirmed).collect();
    let batch = EventBatch { id: TestEntropy.uuid(), events, occurred_at: instant(0) };
    let mut mails = MockMailQueue::new();
    mails.expect_reachable().times(1).returning(|asked| {
        assert_eq!(asked.len(), 1);
        Ok(Vec::new())
    });
    let reader = MailReader { mails: Arc::new(mails), clock: Arc::new(TestClock::new()) };
    reader.deliver(&published(&batch, |_| None)).await.unwrap();
    // Nothing of these is for mail.
    let reader = MailReader { mails: Arc::new(MockMailQueue::new()), clock: Arc::new(TestClock::new()) };
    let held = Event::ReservationExpired {
        reservation_id: ReservationId::new(Uuid::from_u128(1)),
        account_id,
        performance_id: PerformanceId::new(Uuid::from_u128(2)),
        seats: Vec::new(),
    };
    let batch = EventBatch { id: TestEntropy.uuid(), events: vec![held], occurred_at: instant(0) };
    reader.deliver(&published(&batch, |_| None)).await.unwrap();
    reader.deliver(&[]).await.unwrap();
}

#[tokio::test]
async fn events_come_again_while_the_storage_fails() {
    let mut mails = MockMailQueue::new();
    mails.expect_reachable().returning(|_| Err(StorageError::Busy));
    let reader = MailReader { mails: Arc::new(mails), clock: Arc::new(TestClock::new()) };
    let events = vec![Event::PasswordChanged { account_id: AccountId::new(Uuid::from_u128(1)) }];
    let batch = EventBatch { id: TestEntropy.uuid(), events, occurred_at: instant(0) };
    let failed = reader.deliver(&published(&batch, |_| None)).await;
    assert!(matches!(failed, Err(EventSinkError::Unavailable(_))), "{failed:?}");
}
