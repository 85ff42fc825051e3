//! Mail that waits to be sent, and the events that only mail is made of.

use std::net::Ipv4Addr;

use boxoffice_domain::{
    AccountId, EntropySource, Network, SessionId,
    accounts::{Account, AccountChange, ClientName, Credentials, PasswordChange, PasswordHash, RefreshHash, Session},
    events::Event,
    fixtures::{TestEntropy, instant},
    mail::{
        Addressee, DueMail, EmailAddress, EndedMail, MailLanguage, MailOutcome, NewMail, Notice, PostponedMail, Ticket,
    },
    page::{Page, PageRequest},
    seats::SeatLabel,
};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{PRICE_A, PRICE_B, Show, Stage, credentials, label, points};

const ADDRESS: &str = "haneul@example.org";

impl Stage {
    /// Gives an account a verified address and a language.
    async fn set_address(&self, account_id: AccountId, address: Option<&str>, language: Option<MailLanguage>) {
        let corrupter = self.corrupter.as_ref().expect("a way to give an account an address");
        corrupter.set_address(account_id, address, language).await;
    }

    async fn queue(&self, mails: &[NewMail]) {
        self.storage.mails.queue(mails.to_vec()).await.expect("the storage works");
    }

    async fn due(&self, limit: u32) -> Vec<DueMail> {
        self.storage.mails.due(limit).await.expect("the storage works")
    }

    async fn ids_due(&self, limit: u32) -> Vec<Uuid> {
        self.due(limit).await.into_iter().map(|mail| mail.id).collect()
    }

    async fn count_waiting(&self) -> u64 {
        self.storage.mails.count_waiting().await.expect("the storage works")
    }

    async fn end(&self, id: Uuid, outcome: MailOutcome) {
        self.storage.mails.end(vec![EndedMail { id, outcome }]).await.expect("the storage works");
    }

    async fn tickets_of(&self, show: &Show, page: PageRequest<SeatLabel>) -> Page<Ticket, SeatLabel> {
        self.storage.mails.tickets_of(show.performance_id, page).await.expect("the storage works")
    }
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::new(text).expect("an address")
}

/// A mail that waits from now on.
fn mail(stage: &Stage, account_id: AccountId) -> NewMail {
    NewMail {
        id: TestEntropy.uuid(),
        account_id,
        to: None,
        notice: Notice::PasswordChanged { at: stage.now() },
        created_at: stage.now(),
    }
}

/// A mail that is queued twice waits once; when it has ended, it never waits again, and nothing is left of what it said.
pub async fn a_mail_waits_once_until_it_has_ended(stage: &Stage) {
    let account_id = stage.account().await;
    let mails: Vec<_> = (0..5).map(|_| mail(stage, account_id)).collect();
    stage.queue(&[]).await;
    stage.queue(&mails).await;
    let other = NewMail { to: Some(address(ADDRESS)), created_at: instant(5), ..mails[0].clone() };
    stage.queue(&[other]).await;
    assert_eq!(stage.count_waiting().await, 5);
    let due = stage.due(10).await;
    assert_eq!(due.len(), 5);
    let first = due.iter().find(|due| due.id == mails[0].id).expect("it is due");
    assert_eq!((first.account_id, first.created_at, first.attempts), (account_id, instant(0), 0));
    assert_eq!((&first.to, &first.notice), (&None, &Some(mails[0].notice.clone())));
    assert_eq!(stage.due(3).await.len(), 3);

    for (mail, outcome) in mails.iter().zip(MailOutcome::ALL) {
        stage.end(mail.id, outcome).await;
        stage.end(mail.id, MailOutcome::Sent).await;
    }
    stage.end(TestEntropy.uuid(), MailOutcome::Sent).await;
    stage.queue(&mails).await;
    let again = PostponedMail { id: mails[0].id, attempts: 1, next_attempt_at: stage.now() };
    stage.storage.mails.postpone(vec![again]).await.expect("the storage works");
    assert_eq!(stage.ids_due(10).await, [mails[4].id]);
    assert_eq!(stage.count_waiting().await, 1);
    stage.storage.mails.end(vec![]).await.expect("the storage works");
}

/// However much waits, a code is sent first.
pub async fn a_code_comes_before_everything_else(stage: &Stage) {
    let account_id = stage.account().await;
    let mails: Vec<_> = (0..3).map(|_| mail(stage, account_id)).collect();
    stage.queue(&mails).await;
    stage.clock.advance_seconds(60);
    let notice = Notice::EmailVerification { code: "123456".to_owned(), minutes_valid: 10 };
    let code = NewMail { to: Some(address(ADDRESS)), notice, ..mail(stage, account_id) };
    stage.queue(std::slice::from_ref(&code)).await;
    let due = stage.due(1).await.pop().expect("it is due");
    assert_eq!((due.id, due.created_at), (code.id, instant(60)));
    assert_eq!((due.to, due.notice), (code.to, Some(code.notice)));
}

/// A mail that is postponed is due at that time, with the number of attempts; the mail that waits for longest is first.
pub async fn a_mail_is_postponed_until_it_is_due_again(stage: &Stage) {
    let account_id = stage.account().await;
    let (first, second) = (mail(stage, account_id), mail(stage, account_id));
    stage.queue(std::slice::from_ref(&first)).await;
    stage.clock.advance_seconds(1);
    stage.queue(&[NewMail { created_at: stage.now(), ..second.clone() }]).await;
    assert_eq!(stage.ids_due(10).await, [first.id, second.id]);
    let again = PostponedMail { id: first.id, attempts: 3, next_attempt_at: instant(61) };
    for _ in 0..2 {
        stage.storage.mails.postpone(vec![again]).await.expect("the storage works");
    }
    stage.clock.set(instant(61) - TimeDelta::microseconds(1));
    assert_eq!(stage.ids_due(10).await, [second.id]);
    stage.clock.set(instant(61));
    let due = stage.due(10).await;
    assert_eq!(due.iter().map(|mail| (mail.id, mail.attempts)).collect::<Vec<_>>(), [(second.id, 0), (first.id, 3)]);
    assert_eq!(due[1].created_at, instant(0), "it waits since then");
    assert_eq!(stage.count_waiting().await, 2);
}

/// A mail that is due says how its account is then: its name, and its address if it has a verified one; an erased account
/// is none, and its mail is removed.
pub async fn a_mail_knows_its_account_as_it_is_when_it_is_due(stage: &Stage) {
    let made = credentials(stage.now());
    let (account_id, name) = (made.account.id, made.account.name.clone());
    stage.storage.accounts.create(made.clone()).await.expect("an account");
    stage.queue(&[mail(stage, account_id)]).await;
    let addressee = async || stage.due(1).await.pop().expect("it is due").addressee;
    let known = |address: Option<&str>, language| {
        let address = address.map(self::address);
        Some(Addressee { name: name.clone(), address, language })
    };
    assert_eq!(addressee().await, known(None, None));
    for language in [None, Some(MailLanguage::English), Some(MailLanguage::Korean)] {
        stage.set_address(account_id, Some(ADDRESS), language).await;
        assert_eq!(addressee().await, known(Some(ADDRESS), language));
    }
    stage.set_address(account_id, None, None).await;
    assert_eq!(addressee().await, known(None, None));
    stage.storage.accounts.erase(account_id, made.password_hash).await.expect("the storage works");
    assert_eq!(stage.due(1).await, [], "its mail is gone with it");
    stage.queue(&[mail(stage, account_id)]).await;
    assert_eq!(addressee().await, None);
}

/// Of many accounts those with a verified address are found.
pub async fn accounts_with_a_verified_address_are_reachable(stage: &Stage) {
    let accounts = stage.accounts(6).await;
    for (number, account_id) in accounts.iter().enumerate().take(3) {
        stage.set_address(*account_id, Some(&format!("a{number}@example.org")), None).await;
    }
    stage.set_address(accounts[3], None, Some(MailLanguage::English)).await;
    // More than one statement takes.
    let others = (0..600).map(|_| AccountId::new(TestEntropy.uuid()));
    let asked: Vec<_> = accounts[..1].iter().copied().chain(others).chain(accounts[1..].iter().copied()).collect();
    let mut found = stage.storage.mails.reachable(asked).await.expect("the storage works");
    found.sort_unstable();
    let mut expected = accounts[..3].to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(stage.storage.mails.reachable(vec![]).await.expect("the storage works"), []);
}

/// What a mail says of a reservation is what was reserved, also after it was cancelled.
pub async fn a_ticket_is_what_was_reserved(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(2 * PRICE_A + PRICE_B).await;
    let held = stage.holds(&show, account_id, &["B-1-1", "A-1-2"]).await;
    let tickets = async || {
        let asked = vec![boxoffice_domain::ReservationId::new(TestEntropy.uuid()), held.id];
        stage.storage.mails.tickets(asked).await.expect("the storage works")
    };
    stage.pays(&held).await;
    let expected = Ticket {
        reservation_id: held.id,
        account_id,
        seats: held.seats.iter().map(|seat| seat.label.clone()).collect(),
        amount: points(PRICE_A + PRICE_B),
        show: boxoffice_domain::mail::Show {
            title: show.concert.title.clone(),
            artist: show.concert.artist.clone(),
            venue: show.venue.name.clone(),
            location: show.venue.location.clone(),
            starts_at: show.starts_at,
            time_zone: show.venue.time_zone,
        },
        held_at: held.created_at,
    };
    assert_eq!(expected.seats.len(), 2);
    assert_eq!(tickets().await, std::slice::from_ref(&expected));
    stage.cancels(&held).await;
    assert_eq!(tickets().await, [expected]);
    assert_eq!(stage.storage.mails.tickets(vec![]).await.expect("the storage works"), []);
}

/// The tickets of a performance are those whose owners can be reached, page by page of its owned seats.
pub async fn the_tickets_of_a_performance_are_paged(stage: &Stage) {
    let show = stage.show().await;
    let other = stage.another_performance(&show, show.starts_at + TimeDelta::days(1)).await;
    let accounts = [(); 4].map(|()| stage.account_with(3 * PRICE_A));
    let accounts = futures::future::join_all(accounts).await;
    for account_id in &accounts[..3] {
        stage.set_address(*account_id, Some(ADDRESS), None).await;
    }
    let (two, one) =
        (stage.holds(&show, accounts[0], &["A-1-1", "A-1-3"]).await, stage.holds(&show, accounts[1], &["A-1-2"]).await);
    let (elsewhere, cancelled) =
        (stage.holds(&other, accounts[1], &["A-1-1"]).await, stage.holds(&show, accounts[2], &["A-1-4"]).await);
    let unreachable = stage.holds(&show, accounts[3], &["A-1-5"]).await;
    for reservation in [&two, &one, &elsewhere, &cancelled, &unreachable] {
        stage.pays(reservation).await;
    }
    stage.cancels(&cancelled).await;
    stage.holds(&show, accounts[2], &["A-1-4"]).await;

    let found = |page: Page<Ticket, SeatLabel>| {
        let mut ids: Vec<_> = page.items.into_iter().map(|ticket| ticket.reservation_id).collect();
        ids.sort_unstable();
        (ids, page.next)
    };
    let mut both = vec![two.id, one.id];
    both.sort_unstable();
    assert_eq!(found(stage.tickets_of(&show, PageRequest::first(10)).await), (both.clone(), None));
    let (first, next) = found(stage.tickets_of(&show, PageRequest::first(2)).await);
    assert_eq!((first, next.clone()), (both, Some(label("A-1-2"))));
    let (second, next) = found(stage.tickets_of(&show, PageRequest { limit: 2, after: next }).await);
    assert_eq!((second, next), (vec![two.id], None), "one account has no address");
    assert_eq!(found(stage.tickets_of(&other, PageRequest::first(10)).await).0, [elsewhere.id]);
}

/// Mail that was queued long ago goes, whether it has ended or not.
pub async fn old_mail_is_removed(stage: &Stage) {
    let account_id = stage.account().await;
    let old: Vec<_> = (0..5).map(|_| mail(stage, account_id)).collect();
    stage.queue(&old).await;
    for mail in &old[..3] {
        stage.end(mail.id, MailOutcome::Sent).await;
    }
    stage.clock.advance_seconds(86_400);
    let recent = mail(stage, account_id);
    stage.queue(std::slice::from_ref(&recent)).await;
    let remove = async |until| {
        let (mut count, mut after) = (0, None);
        loop {
            let removed = stage.storage.retention.remove_mails(until, after, 2).await.expect("the storage works");
            (count, after) = (count + removed.count, removed.next);
            if after.is_none() {
                return count;
            }
        }
    };
    assert_eq!(remove(instant(-1)).await, 0);
    assert_eq!(remove(instant(0)).await, 5);
    assert_eq!(remove(instant(0)).await, 0);
    assert_eq!(stage.ids_due(10).await, [recent.id]);
}

/// The events about an account that are no sale, in order.
async fn events_of(stage: &Stage, account_id: AccountId) -> Vec<Event> {
    let batches = stage.storage.outbox.batches(PageRequest::first(100)).await.expect("the storage works").items;
    let mut batches: Vec<_> = batches.into_iter().collect();
    batches.sort_by_key(|batch| (batch.occurred_at, batch.id));
    let is_meant = |event: &Event| match event {
        Event::PasswordChanged { account_id: of } | Event::SignedInElsewhere { account_id: of, .. } => {
            *of == account_id
        }
        _ => false,
    };
    batches.into_iter().flat_map(|batch| batch.events).filter(is_meant).collect()
}

async fn member(stage: &Stage) -> (Account, PasswordHash) {
    let Credentials { account, password_hash, .. } = {
        let made = credentials(stage.now());
        stage.storage.accounts.create(made.clone()).await.expect("an account");
        made
    };
    (account, password_hash)
}

/// Whether the holder or the operator changes a password, it is an event; what changes nothing is none.
pub async fn another_password_is_an_event(stage: &Stage) {
    let ((account, hash), next) = (member(stage).await, PasswordHash("$argon2id$next".to_owned()));
    let accounts = &stage.storage.accounts;
    let kept = SessionId::new(TestEntropy.uuid());
    let change = |verified, next| PasswordChange { account_id: account.id, verified, next, kept };
    let refused = accounts.change_password(change(PasswordHash("$other".to_owned()), next.clone())).await;
    assert_eq!(refused.expect("the storage works"), None);
    assert_eq!(events_of(stage, account.id).await, []);
    accounts.change_password(change(hash, next.clone())).await.expect("the storage works").expect("it is changed");
    let changed = Event::PasswordChanged { account_id: account.id };
    assert_eq!(events_of(stage, account.id).await, std::slice::from_ref(&changed));

    stage.clock.advance_seconds(1);
    accounts.renew_hash(account.id, next, PasswordHash("$renewed".to_owned())).await.expect("the storage works");
    let by_operator = |change| accounts.change(&account.login_id, change);
    by_operator(AccountChange { locked: Some(true), ..AccountChange::default() }).await.expect("the storage works");
    assert_eq!(events_of(stage, account.id).await.len(), 1);
    let password_hash = Some(PasswordHash("$argon2id$third".to_owned()));
    by_operator(AccountChange { password_hash, ..AccountChange::default() }).await.expect("the storage works");
    assert_eq!(events_of(stage, account.id).await, [changed.clone(), changed]);
}

/// The first sign-in of an account is none from elsewhere, and neither is one by a client that is like one that it has
/// signed in with before.
pub async fn a_sign_in_from_elsewhere_is_an_event(stage: &Stage) {
    let (account, hash) = member(stage).await;
    let network = |third| Some(Network::of(Ipv4Addr::new(192, 0, third, 7).into()));
    let sign_in = async |client: &str, network| {
        stage.clock.advance_seconds(1);
        let session = Session {
            id: SessionId::new(TestEntropy.uuid()),
            account_id: account.id,
            chain_key: None,
            refresh_hash: RefreshHash([0; 32]),
            former_hash: None,
            created_at: stage.now(),
            last_used_at: stage.now(),
            expires_at: stage.now() + TimeDelta::days(1),
            ended_at: None,
            client: ClientName::new(client),
            network,
        };
        let opened = stage.storage.sessions.open(session.clone(), hash.clone(), 3).await.expect("the storage works");
        opened.expect("it is opened");
        session
    };
    let event = |session: &Session| Event::SignedInElsewhere {
        account_id: account.id,
        session_id: session.id,
        client: session.client.clone(),
    };
    let first = sign_in("Firefox", network(2)).await;
    stage.storage.sessions.end(first.id).await.expect("the storage works");
    sign_in("Firefox", network(2)).await;
    sign_in("Firefox", None).await;
    assert_eq!(events_of(stage, account.id).await, []);
    let other_client = sign_in("curl/8.5", network(2)).await;
    sign_in("curl/8.5", network(2)).await;
    let unnamed = sign_in("", network(2)).await;
    sign_in("", network(2)).await;
    assert_eq!(events_of(stage, account.id).await, [event(&other_client), event(&unnamed)]);
    // A client whose network is not known is not held against one whose is.
    sign_in("Firefox", network(3)).await;
    let other_network = sign_in("curl/8.5", network(3)).await;
    assert_eq!(events_of(stage, account.id).await[2..], [event(&other_network)]);
    let wrong = Session { id: SessionId::new(TestEntropy.uuid()), client: ClientName::new("x"), ..other_network };
    let refused = stage.storage.sessions.open(wrong, PasswordHash("$other".to_owned()), 3).await;
    assert_eq!(refused.expect("the storage works"), None);
    assert_eq!(events_of(stage, account.id).await.len(), 3);
}
