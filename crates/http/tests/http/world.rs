//! The router with a mock behind each port, and requests to it.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use boxoffice_application::{
    AccountService, CatalogService, PaymentService, ReservationService, WaitingRoomService, WalletService,
    accounts::{EndedSessions, SessionSettings},
};
use boxoffice_domain::{
    AccountId, Clock, ConcertId, EntropySource, MockEntropySource, PerformanceId, Points, SessionId, Timestamp,
    VenueId,
    accounts::{
        AccessClaims, AccessTokenError, Account, LoginId, MockAccessTokens, MockAccounts, MockPasswordHasher,
        MockSessions, Role,
    },
    audit::MockReadiness,
    catalog::{Concert, ConcertSummary, MockCatalog, PerformanceSummary, SalesWindow, VenueSummary},
    fixtures::instant,
    payments::{MockPaymentGateway, MockPayments, PaymentGateway},
    reservations::MockReservations,
    text::{Description, Name},
    waiting_room::{
        MockQueueTokens, MockWaitingRoom, PlaceNumber, QueuePlace, QueueStatus, QueueToken, Recall, Standing,
        WaitingRoom,
    },
    wallet::MockWallets,
};
use boxoffice_http::{Code, Draining, HttpSettings, Neighbours, Services};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) const CONCERT: Uuid = Uuid::from_u128(0xC0);
pub(crate) const OTHER_CONCERT: Uuid = Uuid::from_u128(0xC1);
pub(crate) const PERFORMANCE: Uuid = Uuid::from_u128(0xF0);
pub(crate) const VENUE: Uuid = Uuid::from_u128(0xE0);
pub(crate) const CUSTOMER: AccountId = AccountId::new(Uuid::from_u128(0xA0));
pub(crate) const PROMOTER: AccountId = AccountId::new(Uuid::from_u128(0xA1));

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        instant(0)
    }
}

/// The ports, with what every test needs expected of them, and the settings.
pub(crate) struct World {
    pub accounts: MockAccounts,
    pub sessions: MockSessions,
    pub passwords: MockPasswordHasher,
    pub access_tokens: MockAccessTokens,
    pub catalog: MockCatalog,
    pub waiting_room: MockWaitingRoom,
    /// Takes the place of the mock, for what a mock cannot do: wait.
    pub other_waiting_room: Option<Arc<dyn WaitingRoom>>,
    pub queue_tokens: MockQueueTokens,
    pub payments: MockPayments,
    pub reservations: MockReservations,
    pub wallets: MockWallets,
    pub gateway: MockPaymentGateway,
    pub other_gateway: Option<Arc<dyn PaymentGateway>>,
    pub readiness: MockReadiness,
    pub settings: HttpSettings,
    pub draining: Draining,
    pub neighbours: Option<Neighbours>,
}

impl World {
    /// Knows the access tokens `customer`, `promoter` and `expired`, and the customer's queue tokens `queue`
    /// for [`CONCERT`] and `elsewhere` for [`OTHER_CONCERT`]; `stranger` is another account's.
    pub(crate) fn new() -> Self {
        let mut access_tokens = MockAccessTokens::new();
        access_tokens.expect_verify().returning(|token, _| match token {
            "customer" => Ok(claims(CUSTOMER, Role::Customer)),
            "promoter" => Ok(claims(PROMOTER, Role::Promoter)),
            "expired" => Err(AccessTokenError::Expired),
            _ => Err(AccessTokenError::Invalid),
        });
        access_tokens.expect_issue().returning(|_, _| Ok("access".to_owned()));
        let mut queue_tokens = MockQueueTokens::new();
        queue_tokens.expect_seal().returning(|_| QueueToken("queue".to_owned()));
        queue_tokens.expect_open().returning(|token| match token {
            "queue" => Some(place()),
            "elsewhere" => Some(QueuePlace { concert_id: ConcertId::new(OTHER_CONCERT), ..place() }),
            "stranger" => Some(QueuePlace { account_id: PROMOTER, ..place() }),
            _ => None,
        });
        Self {
            accounts: MockAccounts::new(),
            sessions: MockSessions::new(),
            passwords: MockPasswordHasher::new(),
            access_tokens,
            catalog: MockCatalog::new(),
            waiting_room: MockWaitingRoom::new(),
            other_waiting_room: None,
            queue_tokens,
            payments: MockPayments::new(),
            reservations: MockReservations::new(),
            wallets: MockWallets::new(),
            gateway: MockPaymentGateway::new(),
            other_gateway: None,
            readiness: MockReadiness::new(),
            settings: HttpSettings { account_requests_per_minute: 0, ..HttpSettings::default() },
            draining: Draining::new(),
            neighbours: None,
        }
    }

    /// A world after this change.
    pub(crate) fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new();
        change(&mut world);
        world
    }

    /// As [`Self::with`], with the customer admitted to [`CONCERT`] and the performance known.
    pub(crate) fn admitted(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::standing(active());
        change(&mut world);
        world
    }

    /// A world in which the customer's place stands so.
    pub(crate) fn standing(standing: Standing) -> Self {
        let mut world = Self::new();
        let status = move |place: &QueuePlace| Ok(Recall::Known(QueueStatus { place: *place, standing }));
        world.waiting_room.expect_status().returning(status);
        world
            .catalog
            .expect_concert_of()
            .returning(|id| Ok((id == PerformanceId::new(PERFORMANCE)).then_some(ConcertId::new(CONCERT))));
        world
    }

    pub(crate) fn router(self) -> Router {
        let (clock, draining): (Arc<dyn Clock>, _) = (Arc::new(StandingClock), self.draining.clone());
        let settings = self.settings.clone();
        let neighbours = self.neighbours.clone().unwrap_or_else(|| Neighbours::none(settings.answers_kept_for));
        boxoffice_http::router(self.services(clock), settings, None, draining, neighbours)
    }

    fn services(self, clock: Arc<dyn Clock>) -> Services {
        let entropy = entropy();
        let (catalog, payments) = (Arc::new(self.catalog), Arc::new(self.payments));
        let waiting_room = self.other_waiting_room.unwrap_or_else(|| Arc::new(self.waiting_room));
        let reservations = Arc::new(self.reservations);
        let gate = Arc::new(WaitingRoomService {
            waiting_room: Arc::clone(&waiting_room),
            tokens: Arc::new(self.queue_tokens),
            catalog: catalog.clone(),
            payments: payments.clone(),
            reservations: reservations.clone(),
            terms: boxoffice_application::RememberedTerms::default(),
            clock: Arc::clone(&clock),
        });
        Services {
            accounts: Arc::new(AccountService {
                accounts: Arc::new(self.accounts),
                sessions: Arc::new(self.sessions),
                passwords: Arc::new(self.passwords),
                tokens: Arc::new(self.access_tokens),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                settings: SessionSettings::default(),
                ended: EndedSessions::default(),
                announcements: Arc::new(boxoffice_domain::announcements::Alone),
            }),
            catalog: Arc::new(CatalogService {
                catalog: catalog.clone(),
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
            }),
            reservations: Arc::new(ReservationService {
                reservations: reservations.clone(),
                catalog,
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                turns: Arc::default(),
                entropy: Arc::clone(&entropy),
                hold_seconds: 300,
            }),
            payments: Arc::new(PaymentService {
                payments,
                reservations,
                gate: Arc::clone(&gate),
                waiting_room,
                turns: Arc::default(),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
            }),
            wallet: Arc::new(WalletService {
                wallets: Arc::new(self.wallets),
                gateway: self.other_gateway.unwrap_or_else(|| Arc::new(self.gateway)),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                balance_max: boxoffice_domain::Points::new(boxoffice_domain::wallet::BALANCE_MAX).expect("positive"),
            }),
            waiting_room: gate,
            readiness: Arc::new(self.readiness),
            entropy,
            clock,
        }
    }

    /// The answer of a server in this state to one request.
    pub(crate) async fn answer(self, request: Ask) -> Answer {
        request.send(&self.router()).await
    }
}

pub(crate) fn entropy() -> Arc<dyn EntropySource> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut entropy = MockEntropySource::new();
    entropy.expect_uuid().returning(|| Uuid::from_u64_pair(7, LAST.fetch_add(1, Ordering::Relaxed)));
    entropy.expect_secret().returning(|| [7; 32]);
    Arc::new(entropy)
}

fn claims(account_id: AccountId, role: Role) -> AccessClaims {
    let session_id = SessionId::new(Uuid::from_u128(0x50));
    AccessClaims { account_id, session_id, role, expires_at: instant(900) }
}

pub(crate) fn place() -> QueuePlace {
    QueuePlace {
        concert_id: ConcertId::new(CONCERT),
        account_id: CUSTOMER,
        number: PlaceNumber(9),
        joined_at: instant(-60),
    }
}

pub(crate) fn active() -> Standing {
    Standing::Active { admitted_until: instant(600), active_until: instant(600) }
}

pub(crate) fn waiting(position: u64) -> Standing {
    Standing::Waiting { position: Some(position), estimated_wait_seconds: Some(12), poll_after_seconds: 2 }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn account(role: Role) -> Account {
    let login_id = LoginId::new("haneul").unwrap();
    Account { id: CUSTOMER, login_id, name: name("Haneul"), role, created_at: instant(-600) }
}

pub(crate) fn concert(version: u32) -> ConcertSummary {
    ConcertSummary {
        concert: Concert {
            id: ConcertId::new(CONCERT),
            promoter_id: Some(PROMOTER),
            title: name("Night of Songs"),
            artist: name("The Band"),
            description: Description::default(),
            sales: SalesWindow::new(instant(-60), instant(3_600)).unwrap(),
            max_seats_per_account: 4,
            max_active: 500,
            draw: None,
            paused: false,
            emptied_at: None,
            version,
            created_at: instant(-600),
        },
        performances_count: 1,
        first_performance_at: Some(instant(7_200)),
        last_performance_at: Some(instant(7_200)),
    }
}

pub(crate) fn performance() -> PerformanceSummary {
    PerformanceSummary {
        id: PerformanceId::new(PERFORMANCE),
        concert_id: ConcertId::new(CONCERT),
        venue: VenueSummary { id: VenueId::new(VENUE), name: name("Hall"), location: name("Seoul") },
        starts_at: instant(7_200),
        seats_total: 3,
        seats_available: 2,
        price_min: points(55_000),
        price_max: points(99_000),
    }
}

pub(crate) fn points(points: i64) -> Points {
    Points::new(points).unwrap()
}

/// A request.
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    Ask { method: Method::GET, path: path.into(), headers: Vec::new(), body: Vec::new() }
}

pub(crate) fn delete(path: impl Into<String>) -> Ask {
    get(path).method(Method::DELETE)
}

#[expect(clippy::needless_pass_by_value, reason = "a body is made where it is passed")]
pub(crate) fn post(path: impl Into<String>, body: Value) -> Ask {
    let ask = get(path).method(Method::POST);
    if body.is_null() { ask } else { ask.raw("application/json", body.to_string()) }
}

impl Ask {
    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn raw(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    /// With this access token.
    pub(crate) fn signed_in(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// As the customer, with this queue token.
    pub(crate) fn queued(self, token: &str) -> Self {
        self.signed_in("customer").header("queue-token", token)
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn into_request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).unwrap()
    }

    pub(crate) async fn send(self, router: &Router) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let response = router.clone().oneshot(self.into_request()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, body: body.to_vec() };
        answer.check(&method, path.split('?').next().unwrap());
        answer
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(boxoffice_http::openapi()).unwrap());

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of the problem that this is.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id").unwrap());
        problem["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn refuses(&self, code: Code) -> Value {
        assert_eq!(self.code(), code.as_str(), "{}", self.json());
        assert_eq!(self.status, code.status());
        let problem = self.json();
        assert_eq!(problem["title"], code.title());
        assert_eq!(problem["type"], format!("urn:boxoffice:problem:{}", code.as_str()));
        problem
    }

    /// The pointer and code of each violation.
    pub(crate) fn violations(&self) -> Vec<(String, String)> {
        let problem = self.refuses(Code::ValidationFailed);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }

    pub(crate) fn succeeds(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The document describes this answer.
    fn check(&self, method: &Method, path: &str) {
        let Some(operation) = operation_of(method, path) else {
            return;
        };
        let response = &operation["responses"][self.status.as_str()];
        assert!(response.is_object(), "{method} {path} gives {}, which is not described", self.status);
        let media_type = self.header("content-type").and_then(|text| text.split(';').next());
        let described = response["content"].as_object().and_then(|content| content.keys().next());
        assert_eq!(media_type, described.map(String::as_str), "{method} {path} {}", self.status);
        if media_type.is_some_and(|media_type| media_type.ends_with("json")) {
            let schema = &response["content"][media_type.unwrap()]["schema"];
            let schema = json!({"allOf": [schema], "components": DOCUMENT["components"]});
            let answer = self.json();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let errors: Vec<_> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{method} {path} {}: {errors:?} in {answer}", self.status);
        }
        for (name, _) in &self.headers {
            let everywhere = [
                "content-type",
                "connection",
                "content-encoding",
                "content-length",
                "cache-control",
                "content-security-policy",
                "vary",
                "allow",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
            ];
            let described = response["headers"].as_object().unwrap();
            let known = described.keys().any(|described| described.eq_ignore_ascii_case(name.as_str()));
            let known = known || everywhere.contains(&name.as_str()) || name.as_str().starts_with("access-control-");
            let limit = name.as_str().starts_with("ratelimit");
            assert!(known || limit, "{method} {path} {} has the field {name}, which is not described", self.status);
        }
    }
}

fn operation_of<'a>(method: &Method, path: &str) -> Option<&'a Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let matches = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        let same = |(step, text): (&&str, &&str)| step.starts_with('{') || step == text;
        template.len() == path.len() && template.iter().zip(&path).all(same)
    };
    let exact = paths.get(path).or_else(|| paths.iter().find(|(template, _)| matches(template)).map(|(_, item)| item));
    exact?.get(method.as_str().to_ascii_lowercase())
}
