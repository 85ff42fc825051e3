//! Webhooks, and what became of events that were sent to them.

use boxoffice_domain::{
    AccountId, ActError, ConcertId, EntropySource, Timestamp, WebhookId,
    accounts::{AccountChange, Erasure, Role},
    event_delivery::PublishedEvent,
    fixtures::{TestEntropy, instant},
    page::PageRequest,
    webhooks::{
        Attempt, AttemptOutcome, Attempted, CreateWebhookRefusal, Delivery, DeliveryId, DeliveryState, DeliveryStatus,
        EventKinds, NewDelivery, OffReason, SentAgain, Webhook, WebhookChange, WebhookSecret, WebhookSecrets,
        WebhookState,
    },
};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{Stage, at_once, credentials, show::pages};

/// More deliveries than fit into one statement.
const MANY: u32 = 600;

fn webhook(owner_id: AccountId, now: Timestamp) -> Webhook {
    Webhook {
        id: WebhookId::new(TestEntropy.uuid()),
        owner_id,
        url: "https://shop.example/hooks?a=%20b".to_owned(),
        kinds: EventKinds::new(["reservation.*", "payment.completed"]).expect("patterns"),
        state: WebhookState::WORKING,
        secrets: WebhookSecrets::first(WebhookSecret::new(TestEntropy.secret())),
        created_at: now,
    }
}

async fn created(stage: &Stage, owner_id: AccountId) -> Webhook {
    let webhook = webhook(owner_id, stage.now());
    stage.storage.webhooks.create(webhook.clone()).await.expect("a webhook");
    webhook
}

async fn staff(stage: &Stage, role: Role) -> AccountId {
    let mut made = credentials(stage.now());
    made.account.role = role;
    stage.storage.accounts.create(made.clone()).await.expect("an account");
    made.account.id
}

fn event(number: u32) -> PublishedEvent {
    PublishedEvent {
        id: TestEntropy.uuid(),
        kind: "reservation.held".to_owned(),
        subject: TestEntropy.uuid(),
        concert_id: number.is_multiple_of(2).then(|| ConcertId::new(TestEntropy.uuid())),
        occurred_at: instant(0) + TimeDelta::milliseconds(i64::from(number)),
        document: format!("{{\"number\": {number}, \"name\": \"좌석\"}}"),
    }
}

fn new_delivery(webhook_id: WebhookId, number: u32) -> NewDelivery {
    let event = event(number);
    let mut digest = event.id.into_bytes();
    digest.rotate_left(8);
    NewDelivery { id: DeliveryId::of_digest(event.occurred_at, digest), webhook_id, event }
}

/// So many deliveries, the oldest event first.
async fn added(stage: &Stage, webhook_id: WebhookId, count: u32) -> Vec<NewDelivery> {
    let new: Vec<_> = (0..count).map(|number| new_delivery(webhook_id, number)).collect();
    stage.storage.webhook_deliveries.add(new.clone(), stage.now()).await.expect("they are added");
    new
}

fn attempted(id: DeliveryId, attempts_before: u32, at: Timestamp, outcome: AttemptOutcome) -> Attempted {
    let attempt = Attempt { at, outcome, milliseconds: 7 };
    let state = DeliveryState::after(&attempt, attempts_before + 1, 0);
    Attempted { id, attempts_before, attempt, state }
}

fn answered(status: u16) -> AttemptOutcome {
    AttemptOutcome::Answered { status, beginning: "좌석\nis taken".to_owned() }
}

async fn due(stage: &Stage, webhook_id: WebhookId, limit: u32) -> Vec<DeliveryId> {
    let due = stage.storage.webhook_deliveries.due(webhook_id, stage.now(), limit).await.expect("the storage works");
    due.into_iter().map(|delivery| delivery.id).collect()
}

async fn listed(stage: &Stage, webhook_id: WebhookId, status: Option<DeliveryStatus>) -> Vec<Delivery> {
    let list =
        async |page: PageRequest<DeliveryId>| stage.storage.webhook_deliveries.list(webhook_id, status, page).await;
    pages(3, list).await.into_iter().flatten().collect()
}

/// A webhook is found as it was made, is listed with those of its owner, and changes as far as is asked.
pub async fn a_webhook_is_kept_listed_changed_and_removed(stage: &Stage) {
    let webhooks = &stage.storage.webhooks;
    let [owner, other] = [stage.account().await, stage.account().await];
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(created(stage, owner).await);
    }
    let others = created(stage, other).await;
    webhooks.create(own[0].clone()).await.expect("a repeated request changes nothing");
    assert_eq!(webhooks.find(own[1].id).await.unwrap().as_ref(), Some(&own[1]));
    own.sort_by_key(|webhook| std::cmp::Reverse(webhook.id));
    let list = async |page| webhooks.list(Some(owner), page).await;
    assert_eq!(pages(2, list).await.concat(), own);
    let all = pages(2, async |page| webhooks.list(None, page).await).await.concat();
    assert_eq!(all.len(), 4);
    assert!(all.contains(&others));

    let secret = WebhookSecret::new(TestEntropy.secret());
    let change = WebhookChange {
        url: Some("http://other.example/".to_owned()),
        kinds: Some(EventKinds::new(["*"]).unwrap()),
        on: Some(false),
        secret: Some(secret),
    };
    let changed = webhooks.change(own[0].id, change.clone(), instant(5)).await.unwrap().expect("a webhook");
    assert_eq!(changed, change.apply(own[0].clone(), instant(5)));
    assert_eq!(changed.state, WebhookState::Off { since: instant(5), reason: OffReason::ByHand });
    assert_eq!(changed.secrets.former_at(instant(6)), Some(own[0].secrets.current));
    assert_eq!(webhooks.find(own[0].id).await.unwrap(), Some(changed.clone()));
    assert_eq!(webhooks.change(own[0].id, change.clone(), instant(9)).await.unwrap(), Some(changed));
    let nothing = WebhookChange::default();
    assert_eq!(webhooks.change(own[1].id, nothing, instant(9)).await.unwrap().as_ref(), Some(&own[1]));

    let unknown = WebhookId::new(TestEntropy.uuid());
    assert_eq!(webhooks.find(unknown).await.unwrap(), None);
    assert_eq!(webhooks.change(unknown, change, instant(9)).await.unwrap(), None);
    assert!(webhooks.remove(own[0].id).await.unwrap() && !webhooks.remove(own[0].id).await.unwrap());
    assert_eq!(pages(2, list).await.concat(), own[1..]);
}

/// However many come at once, an account has no more webhooks than it may; others have theirs.
pub async fn one_too_many_webhooks_of_an_account_are_refused(stage: &Stage) {
    let [owner, other] = [stage.account().await, stage.account().await];
    let made = at_once(0..24_u32, |_| {
        let (webhooks, webhook) = (stage.storage.webhooks.clone(), webhook(owner, stage.now()));
        async move { webhooks.create(webhook).await }
    })
    .await;
    let refused = made.iter().filter(|made| matches!(made, Err(ActError::Refused(CreateWebhookRefusal::TooMany))));
    assert_eq!((refused.count(), made.iter().filter(|made| made.is_ok()).count()), (4, 20));
    created(stage, other).await;
}

/// A webhook that is on is active as long as its owner is staff and not locked.
pub async fn webhooks_of_staff_in_good_standing_are_active(stage: &Stage) {
    let (storage, now) = (&stage.storage, stage.now());
    let [promoter, admin] = [staff(stage, Role::Promoter).await, staff(stage, Role::Admin).await];
    let customer = stage.account().await;
    let [of_promoter, of_admin] = [created(stage, promoter).await, created(stage, admin).await];
    let (of_customer, off) = (created(stage, customer).await, created(stage, admin).await);
    let turn = |on| WebhookChange { on: Some(on), ..WebhookChange::default() };
    storage.webhooks.change(off.id, turn(false), now).await.unwrap();
    for webhook in [&of_promoter, &of_admin, &of_customer, &off] {
        added(stage, webhook.id, 1).await;
    }
    let active = async || {
        let active = pages(1, async |page| storage.webhooks.active(page).await).await.concat();
        let due = storage.webhook_deliveries.webhooks_due(stage.now(), 10).await.unwrap();
        assert_eq!(due.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), ids(&active));
        active.into_iter().map(|active| (active.webhook.id, active.owner_role)).collect::<Vec<_>>()
    };
    let mut both = [(of_promoter.id, Role::Promoter), (of_admin.id, Role::Admin)];
    both.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(active().await, both);
    assert_eq!(storage.webhook_deliveries.webhooks_due(now, 1).await.unwrap().len(), 1);
    assert_eq!(storage.webhook_deliveries.webhooks_due(now - TimeDelta::seconds(1), 9).await.unwrap(), []);
    let login_id = storage.accounts.find(promoter).await.unwrap().expect("an account").login_id;
    let lock = AccountChange { locked: Some(true), ..AccountChange::default() };
    storage.accounts.change(&login_id, lock).await.unwrap();
    assert_eq!(active().await, [(of_admin.id, Role::Admin)]);
}

/// An account that is erased leaves no webhook, and those of others stay.
pub async fn an_erased_account_leaves_no_webhook(stage: &Stage) {
    let [owner, other] = [stage.account().await, stage.account().await];
    let (own, others) = (created(stage, owner).await, created(stage, other).await);
    let hash = credentials(stage.now()).password_hash;
    let erased = stage.storage.accounts.erase(owner, hash).await.unwrap();
    assert!(matches!(erased, Erasure::Erased { .. }), "{erased:?}");
    assert_eq!(stage.storage.webhooks.find(own.id).await.unwrap(), None);
    assert_eq!(stage.storage.webhooks.find(others.id).await.unwrap(), Some(others));
}

fn ids(active: &[boxoffice_domain::webhooks::ActiveWebhook]) -> Vec<WebhookId> {
    active.iter().map(|active| active.webhook.id).collect()
}

/// A delivery that is added again changes nothing, and what is recorded of an attempt counts once.
pub async fn a_delivery_is_added_once_and_due_until_it_is_recorded(stage: &Stage) {
    let deliveries = &stage.storage.webhook_deliveries;
    let webhook = created(stage, staff(stage, Role::Admin).await).await;
    let new = added(stage, webhook.id, MANY).await;
    deliveries.add(Vec::new(), stage.now()).await.unwrap();
    assert_eq!(due(stage, webhook.id, 3).await.len(), 3);
    let all = deliveries.due(webhook.id, stage.now(), 1_000).await.unwrap();
    assert_eq!(all.len(), MANY as usize);
    for (due, new) in all.iter().zip(&new) {
        assert_eq!((due.id, due.event_id, due.attempts_count), (new.id, new.event.id, 0));
        assert_eq!(due.document, new.event.document);
    }
    assert_eq!(deliveries.count_due(webhook.id, stage.now(), 1_000).await.unwrap(), MANY);
    assert_eq!(deliveries.count_due(webhook.id, stage.now(), 9).await.unwrap(), 9);

    let (first, second) = (new[0].id, new[1].id);
    let timed_out = AttemptOutcome::Failed { reason: "timed_out" };
    let attempts = vec![attempted(first, 0, instant(1), answered(204)), attempted(second, 0, instant(2), timed_out)];
    for _ in 0..2 {
        deliveries.record(webhook.id, attempts.clone()).await.unwrap();
        // The relay hands them over again.
        deliveries.add(new[..3].to_vec(), instant(9)).await.unwrap();
        let delivered = deliveries.find(webhook.id, first).await.unwrap().expect("a delivery");
        assert_eq!((delivered.state, delivered.attempts_count), (DeliveryState::Delivered, 1));
        assert_eq!(delivered.last_attempt.as_ref(), Some(&attempts[0].attempt));
        let event = &new[0].event;
        assert_eq!((delivered.event_id, delivered.subject, &delivered.kind), (event.id, event.subject, &event.kind));
        assert_eq!((delivered.concert_id, delivered.occurred_at), (event.concert_id, event.occurred_at));
        let failed = deliveries.find(webhook.id, second).await.unwrap().expect("a delivery");
        let again = DeliveryState::Pending { next_attempt_at: instant(7) };
        assert_eq!((failed.state, failed.attempts_count), (again, 1));
        assert_eq!(failed.last_attempt.as_ref(), Some(&attempts[1].attempt));
    }
    assert_eq!(deliveries.count_due(webhook.id, stage.now(), 1_000).await.unwrap(), MANY - 2);
    stage.clock.advance_seconds(7);
    assert_eq!(due(stage, webhook.id, 1_000).await.last(), Some(&second), "what has been due longest comes first");
    let other = WebhookId::new(TestEntropy.uuid());
    assert_eq!(deliveries.find(other, first).await.unwrap(), None);
    assert_eq!(deliveries.due(other, stage.now(), 9).await.unwrap(), []);
    assert_eq!(deliveries.record(other, Vec::new()).await.unwrap(), None);
}

/// A success clears a series of failures, and one of five days turns the webhook off.
pub async fn attempts_change_what_a_webhook_is(stage: &Stage) {
    let storage = &stage.storage;
    let webhook = created(stage, staff(stage, Role::Admin).await).await;
    let mut unsent = added(stage, webhook.id, 9).await.into_iter();
    let mut record = async |seconds, status| {
        let id = unsent.next().expect("a delivery").id;
        let attempts = vec![attempted(id, 0, instant(seconds), answered(status))];
        let state = storage.webhook_deliveries.record(webhook.id, attempts).await.unwrap().expect("a webhook");
        assert_eq!(storage.webhooks.find(webhook.id).await.unwrap().expect("a webhook").state, state);
        state
    };
    let failing = |seconds| WebhookState::On { failing_since: Some(instant(seconds)) };
    assert_eq!(record(1, 500).await, failing(1));
    assert_eq!(record(2, 503).await, failing(1));
    assert_eq!(record(3, 200).await, WebhookState::WORKING);
    assert_eq!(record(4, 500).await, failing(4));
    assert_eq!(storage.webhooks.turned_off().await.unwrap(), 0);
    let day = 86_400;
    assert_eq!(record(4 + 4 * day, 500).await, failing(4));
    let five_days_later = 4 + 5 * day;
    let off = WebhookState::Off { since: instant(five_days_later), reason: OffReason::Failing };
    assert_eq!(record(five_days_later, 500).await, off);
    assert_eq!(storage.webhooks.turned_off().await.unwrap(), 1);
    let turn_on = WebhookChange { on: Some(true), ..WebhookChange::default() };
    storage.webhooks.change(webhook.id, turn_on, instant(five_days_later + 1)).await.unwrap();
    let gone = WebhookState::Off { since: instant(five_days_later + 2), reason: OffReason::Gone };
    assert_eq!(record(five_days_later + 2, 410).await, gone);
    assert_eq!(storage.webhooks.turned_off().await.unwrap(), 1);
}

/// Between two failures there was nothing to send for months: nothing shows that the endpoint failed meanwhile.
pub async fn one_failure_turns_no_webhook_off_that_had_no_events_for_long(stage: &Stage) {
    let webhook = created(stage, staff(stage, Role::Admin).await).await;
    let added = added(stage, webhook.id, 3).await;
    let failed = async |index: usize, seconds| {
        let attempts = vec![attempted(added[index].id, 0, instant(seconds), answered(503))];
        stage.storage.webhook_deliveries.record(webhook.id, attempts).await.unwrap().expect("a webhook")
    };
    let (failing, day) = (|seconds| WebhookState::On { failing_since: Some(instant(seconds)) }, 86_400);
    assert_eq!(failed(0, 1).await, failing(1));
    assert_eq!(failed(1, 90 * day).await, failing(90 * day));
    assert_eq!(failed(2, 91 * day).await, failing(90 * day));
}

/// All deliveries of a webhook are listed page by page, and those of a status.
pub async fn deliveries_are_listed_newest_first_by_status(stage: &Stage) {
    let owner = staff(stage, Role::Admin).await;
    let [webhook, other] = [created(stage, owner).await, created(stage, owner).await];
    let mut ids: Vec<_> = added(stage, webhook.id, 8).await.iter().map(|new| new.id).collect();
    added(stage, other.id, 2).await;
    let attempts = [(0, 200), (3, 200), (4, 200), (6, 200)]
        .map(|(index, status)| attempted(ids[index], 0, instant(1), answered(status)));
    let given_up = Attempted { state: DeliveryState::GivenUp, ..attempted(ids[2], 0, instant(1), answered(404)) };
    let all = attempts.into_iter().chain([given_up]).collect();
    stage.storage.webhook_deliveries.record(webhook.id, all).await.unwrap();
    let of = async |status| listed(stage, webhook.id, status).await.iter().map(|found| found.id).collect::<Vec<_>>();
    assert_eq!(of(Some(DeliveryStatus::Delivered)).await, [ids[6], ids[4], ids[3], ids[0]]);
    assert_eq!(of(Some(DeliveryStatus::GivenUp)).await, [ids[2]]);
    assert_eq!(of(Some(DeliveryStatus::Pending)).await, [ids[7], ids[5], ids[1]]);
    ids.reverse();
    assert_eq!(of(None).await, ids);
}

/// Whatever became of them, deliveries are due again when they are sent again, and have all attempts before them.
pub async fn deliveries_are_sent_again_one_or_a_span(stage: &Stage) {
    let deliveries = &stage.storage.webhook_deliveries;
    let owner = staff(stage, Role::Admin).await;
    let [webhook, other] = [created(stage, owner).await, created(stage, owner).await];
    let ids: Vec<_> = added(stage, webhook.id, MANY).await.iter().map(|new| new.id).collect();
    let of_other = added(stage, other.id, 3).await;
    let all = ids.iter().map(|id| attempted(*id, 0, instant(1), answered(200))).collect();
    deliveries.record(webhook.id, all).await.unwrap();
    deliveries.record(other.id, vec![attempted(of_other[0].id, 0, instant(1), answered(200))]).await.unwrap();
    assert_eq!(due(stage, webhook.id, 1_000).await, []);

    stage.clock.advance_seconds(10);
    let again = deliveries.send_again(webhook.id, ids[5], stage.now()).await.unwrap().expect("a delivery");
    let is_due = DeliveryState::Pending { next_attempt_at: stage.now() };
    assert_eq!((again.state, again.attempts_count), (is_due, 0));
    assert!(again.last_attempt.is_some(), "what came of it before is still shown");
    assert_eq!(due(stage, webhook.id, 1_000).await, [ids[5]]);
    assert_eq!(deliveries.send_again(other.id, ids[6], stage.now()).await.unwrap(), None);

    let at = |number: u32| DeliveryId::first_at(instant(0) + TimeDelta::milliseconds(i64::from(number)));
    let span = async |from, until, limit| {
        deliveries.send_span_again(webhook.id, from, until, stage.now(), limit).await.unwrap()
    };
    assert_eq!(span(at(2), at(8), 4).await, SentAgain { count: 4, next: Some(ids[6]) });
    assert_eq!(due(stage, webhook.id, 1_000).await, ids[2..6]);
    assert_eq!(span(ids[6], at(8), 4).await, SentAgain { count: 2, next: None });
    assert_eq!(due(stage, webhook.id, 1_000).await, ids[2..8]);
    assert_eq!(span(at(8), at(2), 4).await, SentAgain { count: 0, next: None });
    assert_eq!(span(at(0), at(MANY), 1_000).await, SentAgain { count: MANY, next: None });
    assert_eq!(due(stage, webhook.id, 1_000).await.len(), MANY as usize);
    assert_eq!(due(stage, other.id, 9).await, [of_other[1].id, of_other[2].id]);
}

/// What is older than asked goes, no more than asked at once.
pub async fn old_deliveries_are_removed(stage: &Stage) {
    let deliveries = &stage.storage.webhook_deliveries;
    let webhook = created(stage, staff(stage, Role::Admin).await).await;
    let new = added(stage, webhook.id, 6).await;
    let until = DeliveryId::first_at(new[4].event.occurred_at);
    let removed = [(); 3].map(|()| deliveries.remove_old(until, 3));
    let mut counts = Vec::new();
    for removed in removed {
        counts.push(removed.await.unwrap());
    }
    assert_eq!(counts, [3, 1, 0]);
    assert_eq!(due(stage, webhook.id, 9).await, [new[4].id, new[5].id]);
    let unknown = DeliveryId::new(Uuid::nil());
    assert_eq!(deliveries.find(webhook.id, unknown).await.unwrap(), None);
}
