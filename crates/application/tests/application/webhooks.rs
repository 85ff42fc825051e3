//! Which webhooks get which events, and what is sent.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use boxoffice_application::{Identity, WebhookFanOut, WebhookService, webhooks::WebhookError};
use boxoffice_contracts::storage::credentials;
use boxoffice_domain::{
    AccountId, ConcertId, EntropySource, SessionId, StorageError, Timestamp, WebhookId,
    accounts::{AccountChange, Role},
    catalog::MockCatalog,
    event_delivery::{EventSink, EventSinkError, PublishedEvent},
    fixtures::{TestEntropy, instant},
    page::PageRequest,
    webhooks::{
        AttemptOutcome, DeliveryState, DeliveryToSend, EventKinds, MockWebhookDeliveries, OffReason, Webhook,
        WebhookState, WebhookTransport, WebhookUrlRefusal,
    },
};
use uuid::Uuid;

use crate::support::{World, assert_refused};

/// Answers with a status, and keeps what it was sent.
struct Answers(Mutex<u16>, Mutex<Vec<(Webhook, DeliveryToSend)>>);

#[async_trait]
impl WebhookTransport for Answers {
    fn check(&self, url: &str) -> Result<String, WebhookUrlRefusal> {
        if url.starts_with("https://") { Ok(format!("{url}/")) } else { Err(WebhookUrlRefusal::Malformed) }
    }

    async fn send(&self, webhook: &Webhook, delivery: &DeliveryToSend, _: Timestamp) -> AttemptOutcome {
        self.1.lock().unwrap().push((webhook.clone(), delivery.clone()));
        AttemptOutcome::Answered { status: *self.0.lock().unwrap(), beginning: "answer".to_owned() }
    }
}

fn answers() -> Arc<Answers> {
    Arc::new(Answers(Mutex::new(200), Mutex::default()))
}

fn service(world: &World, transport: &Arc<Answers>) -> WebhookService {
    WebhookService {
        webhooks: world.stage.storage.webhooks.clone(),
        deliveries: world.stage.storage.webhook_deliveries.clone(),
        transport: transport.clone(),
        clock: world.stage.clock.clone(),
        entropy: Arc::new(TestEntropy),
    }
}

fn fan_out(world: &World) -> WebhookFanOut {
    WebhookFanOut {
        webhooks: world.stage.storage.webhooks.clone(),
        deliveries: world.stage.storage.webhook_deliveries.clone(),
        catalog: world.stage.storage.catalog.clone(),
        clock: world.stage.clock.clone(),
    }
}

fn identity(account_id: AccountId, role: Role) -> Identity {
    Identity { account_id, session_id: SessionId::new(Uuid::nil()), role }
}

async fn change(world: &World, id: AccountId, change: AccountChange) {
    let accounts = &world.stage.storage.accounts;
    let login_id = accounts.find(id).await.unwrap().expect("an account").login_id;
    accounts.change(&login_id, change).await.unwrap();
}

/// The promoter of the concert on sale, another promoter, and an admin.
async fn staff(world: &World) -> [Identity; 3] {
    let promoter_id = world.show.promoter_id;
    change(world, promoter_id, AccountChange { role: Some(Role::Promoter), ..AccountChange::default() }).await;
    let mut made = vec![identity(promoter_id, Role::Promoter)];
    for role in [Role::Promoter, Role::Admin] {
        let mut credentials = credentials(instant(0));
        credentials.account.role = role;
        made.push(identity(credentials.account.id, role));
        world.stage.storage.accounts.create(credentials).await.unwrap();
    }
    made.try_into().expect("three")
}

fn event(kind: &str, concert_id: Option<ConcertId>) -> PublishedEvent {
    PublishedEvent {
        id: TestEntropy.uuid(),
        kind: kind.to_owned(),
        subject: TestEntropy.uuid(),
        concert_id,
        occurred_at: instant(0),
        document: format!("{{ \"kind\":\"{kind}\" }}"),
    }
}

async fn create(service: &WebhookService, owner: Identity, kind: &str) -> WebhookId {
    let kinds = EventKinds::new([kind]).unwrap();
    service.create(owner, "https://shop.example", kinds).await.unwrap().webhook.id
}

/// The documents that a webhook is to be sent.
async fn due(service: &WebhookService, id: WebhookId) -> Vec<String> {
    let mut due: Vec<_> = service.due(id, 10).await.unwrap().into_iter().map(|delivery| delivery.document).collect();
    due.sort_unstable();
    due
}

#[tokio::test]
async fn a_webhook_gets_the_events_that_its_owner_may_see_and_that_it_wants_once() {
    let world = World::new().await;
    let (service, [promoter, other, admin]) = (service(&world, &answers()), staff(&world).await);
    let own = create(&service, promoter, "*").await;
    let (of_other, of_admin) = (create(&service, other, "*").await, create(&service, admin, "*").await);
    let charges = create(&service, admin, "charge.*").await;
    let concert_id = Some(world.show.concert.id);
    let events = [event("reservation.held", concert_id), event("charge.completed", None)];
    for _ in 0..2 {
        fan_out(&world).deliver(&events).await.unwrap();
    }
    fan_out(&world).deliver(&[]).await.unwrap();
    let [held, charged] = events.map(|event| event.document);
    assert_eq!(due(&service, own).await, std::slice::from_ref(&held));
    assert_eq!(due(&service, of_other).await, [""; 0]);
    assert_eq!(due(&service, of_admin).await, [charged.clone(), held]);
    assert_eq!(due(&service, charges).await, [charged]);

    // Who is locked gets nothing more, and neither does who is no longer staff.
    change(&world, promoter.account_id, AccountChange { locked: Some(true), ..AccountChange::default() }).await;
    change(&world, admin.account_id, AccountChange { role: Some(Role::Customer), ..AccountChange::default() }).await;
    fan_out(&world).deliver(&[event("reservation.held", concert_id)]).await.unwrap();
    assert_eq!((due(&service, own).await.len(), due(&service, of_admin).await.len()), (1, 2));
    assert_eq!(service.webhooks_due(10).await.unwrap(), []);
}

#[tokio::test]
async fn events_that_cannot_be_kept_are_not_accepted_and_without_webhooks_nothing_is_asked() {
    let mut world = World::new().await;
    world.stage.storage.catalog = Arc::new(MockCatalog::new());
    let events = [event("reservation.held", Some(world.show.concert.id))];
    fan_out(&world).deliver(&events).await.unwrap();

    let [_, _, admin] = staff(&world).await;
    create(&service(&world, &answers()), admin, "*").await;
    let mut deliveries = MockWebhookDeliveries::new();
    deliveries.expect_add().returning(|_, _| Err(StorageError::Busy));
    world.stage.storage.webhook_deliveries = Arc::new(deliveries);
    // An admin's webhook needs no promoter.
    let refused = fan_out(&world).deliver(&events).await;
    assert!(matches!(refused, Err(EventSinkError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn what_is_due_is_sent_as_it_is_and_again_after_a_failure() {
    let world = World::new().await;
    let (transport, [_, _, admin]) = (answers(), staff(&world).await);
    let service = service(&world, &transport);
    let id = create(&service, admin, "*").await;
    let sent = event("reservation.held", None);
    fan_out(&world).deliver(std::slice::from_ref(&sent)).await.unwrap();
    let send = async || {
        let webhook = service.webhooks_due(10).await.unwrap().pop()?;
        let delivery = service.due(id, 1).await.unwrap().remove(0);
        let attempted = service.attempt(&webhook, &delivery).await;
        service.record(id, vec![attempted.clone()]).await.unwrap();
        Some(attempted.state)
    };
    *transport.0.lock().unwrap() = 503;
    let Some(DeliveryState::Pending { next_attempt_at }) = send().await else { panic!("it is sent again") };
    assert!((instant(5)..=instant(6)).contains(&next_attempt_at), "{next_attempt_at}");
    assert_eq!(send().await, None, "not before then");
    world.stage.clock.advance_seconds(6);
    *transport.0.lock().unwrap() = 200;
    assert_eq!(send().await, Some(DeliveryState::Delivered));
    assert_eq!(service.find(admin, id).await.unwrap().state, WebhookState::WORKING);
    let requests = transport.1.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    for (webhook, delivery) in requests {
        assert_eq!((webhook.id, delivery.event_id, &delivery.document), (id, sent.id, &sent.document));
    }

    service.send_test(admin, id).await.unwrap();
    *transport.0.lock().unwrap() = 410;
    send().await.expect("it is due");
    let off = WebhookState::Off { since: instant(6), reason: OffReason::Gone };
    assert_eq!((service.find(admin, id).await.unwrap().state, service.turned_off().await.unwrap()), (off, 1));
    assert_refused!(service.send_test(admin, id).await, WebhookError::Off);
    world.stage.clock.advance_seconds(40 * 86_400);
    assert_eq!((service.remove_old(30, 1).await.unwrap(), service.remove_old(30, 9).await.unwrap()), (1, 1));
    let left = service.deliveries(admin, id, None, PageRequest::first(9)).await.unwrap();
    assert_eq!(left.items, []);
}

#[tokio::test]
async fn a_secret_is_shown_when_it_is_made_and_a_bad_url_changes_nothing() {
    let world = World::new().await;
    let (service, [promoter, other, admin]) = (service(&world, &answers()), staff(&world).await);
    let kinds = || EventKinds::new(["*"]).unwrap();
    let made = service.create(promoter, "https://shop.example", kinds()).await.unwrap();
    assert_eq!((made.webhook.url.as_str(), made.secret.0.len()), ("https://shop.example/", 50));
    assert!(!format!("{made:?}").contains("whsec_"));
    let id = made.webhook.id;
    let rotated = service.rotate_secret(admin, id).await.unwrap();
    assert_ne!(rotated.secret, made.secret);
    assert_refused!(service.rotate_secret(other, id).await, WebhookError::NotFound);
    assert_refused!(service.create(world.buyer(), "https://a", kinds()).await, WebhookError::Forbidden);
    assert_refused!(service.create(promoter, "http://a", kinds()).await, WebhookError::Url(_));
    assert_refused!(service.send_span_again(promoter, id, instant(5), instant(5)).await, WebhookError::Span);
}
