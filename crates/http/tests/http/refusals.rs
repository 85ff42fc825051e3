//! Every row of the error table is produced at least once.

use std::collections::BTreeSet;

use axum::http::Method;
use boxoffice_domain::{
    StorageError,
    accounts::{CreateAccountError, Credentials, PasswordHash, Role},
    catalog::{NotOnSale, SalesWindow},
    fixtures::{self, instant},
    gateway::GatewayError,
    idempotency::KeyReused,
    payments::{PayError, PayRefusal},
    reservations::{CancelError, CancelRefusal, HoldError, HoldRefusal},
    seats::SeatLabel,
    waiting_room::{Standing, WaitingRoomError},
    wallet::{ChargeError, ChargeRefusal, ChargeState},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{
    Answer, Ask, CONCERT, OTHER_CONCERT, PERFORMANCE, SlowGateway, VENUE, World, account, active, charge_of, concert,
    delete, get, points, post, slow_world, waiting,
};

type Case = (Code, World, Ask);

fn hold() -> Ask {
    post("/v1/reservations", json!({"performance_id": PERFORMANCE, "seats": ["A-1-1", "A-1-2"]})).queued("queue")
}

fn pay() -> Ask {
    post("/v1/payments", json!({"reservation_id": Uuid::nil()})).queued("queue").key("k")
}

fn cancel() -> Ask {
    post(format!("/v1/reservations/{}/cancel", Uuid::nil()), Value::Null).signed_in("customer")
}

fn charge() -> Ask {
    post("/v1/wallet/charges", json!({"amount": 5})).signed_in("customer").key("k")
}

fn join() -> Ask {
    post(format!("/v1/concerts/{CONCERT}/queue"), Value::Null).signed_in("customer")
}

fn sign_up() -> Ask {
    post("/v1/accounts", json!({"login_id": "haneul", "password": "long enough", "name": "Haneul"}))
}

fn seats() -> Ask {
    get(format!("/v1/performances/{PERFORMANCE}/seats"))
}

fn held_back(refusal: impl Fn() -> HoldRefusal + Send + 'static) -> World {
    World::admitted(|world| {
        world.reservations.expect_hold().returning(move |_| Err(HoldError::Refused(refusal())));
    })
}

fn unpaid(refusal: PayRefusal) -> World {
    World::admitted(|world| {
        world.payments.expect_pay().returning(move |_| Err(PayError::Refused(refusal)));
    })
}

fn kept(refusal: CancelRefusal) -> World {
    World::with(|world| {
        world.reservations.expect_cancel().returning(move |_| Err(CancelError::Refused(refusal)));
    })
}

fn on_sale(sales: SalesWindow) -> World {
    World::with(|world| {
        world.catalog.expect_concert().returning(move |_| {
            let mut summary = concert(1);
            summary.concert.sales = sales;
            Ok(Some(summary))
        });
    })
}

fn label(text: &str) -> SeatLabel {
    SeatLabel::new(text).unwrap()
}

/// What is refused before a use case decides.
fn reading() -> Vec<Case> {
    let body = |media_type: &str, body: &str| get("/v1/accounts").method(Method::POST).raw(media_type, body);
    vec![
        (Code::MalformedRequest, World::new(), body("application/json", "{")),
        (Code::IdempotencyKeyRequired, World::new(), post("/v1/payments", json!({})).queued("queue")),
        (Code::NotFound, World::new(), get("/v2")),
        (Code::MethodNotAllowed, World::new(), delete("/v1/me")),
        (Code::NotAcceptable, World::new(), get("/v1/me").header("accept", "text/html")),
        (Code::PayloadTooLarge, World::new(), body("application/json", &" ".repeat(70_000))),
        (Code::UnsupportedMediaType, World::new(), body("text/plain", "{}")),
        (Code::ValidationFailed, World::new(), body("application/json", "{}")),
        (Code::Unauthenticated, World::new(), get("/v1/me")),
        (Code::Unauthenticated, World::new(), get("/v1/me").signed_in("forged")),
        (Code::Unauthenticated, World::new(), get("/v1/me").header("authorization", "Basic customer")),
        (Code::Unauthenticated, World::new(), get("/v1/me").header("authorization", "customer")),
        (Code::AccessTokenExpired, World::new(), get("/v1/me").signed_in("expired")),
        (Code::QueueTokenMissing, World::new(), seats().signed_in("customer")),
        (Code::QueueTokenInvalid, World::new(), seats().queued("forged")),
        (Code::QueueTokenInvalid, World::new(), seats().queued("stranger")),
        (Code::QueueTokenInvalid, World::admitted(|_| {}), seats().queued("elsewhere")),
        (Code::QueueTokenNotActive, World::standing(waiting(7)), seats().queued("queue")),
        (Code::QueueTokenExpired, World::standing(Standing::Expired), seats().queued("queue")),
    ]
}

fn accounts() -> Vec<Case> {
    let taken = World::with(|world| {
        world.passwords.expect_hash().returning(|_| Ok(PasswordHash(String::new())));
        world.accounts.expect_create().returning(|_| {
            let account = account(Role::Customer);
            let credentials = Credentials { account, password_hash: PasswordHash(String::new()), idempotency: None };
            Err(CreateAccountError::LoginIdTaken(Box::new(credentials)))
        });
    });
    let wrong = World::with(|world| {
        world.accounts.expect_credentials().returning(|_| Ok(None));
        world.passwords.expect_verify().returning(|_, _| Ok(false));
    });
    let sign_in = post("/v1/sessions", json!({"login_id": "haneul", "password": "long enough"}));
    let refresh = post("/v1/sessions/refresh", json!({"refresh_token": "forged"}));
    let nobody = World::with(|world| {
        world.accounts.expect_find().returning(|_| Ok(None));
    });
    vec![
        (Code::LoginIdTaken, taken, sign_up()),
        (Code::InvalidCredentials, wrong, sign_in),
        (Code::Unauthenticated, World::new(), refresh),
        (Code::Unauthenticated, nobody, get("/v1/me").signed_in("customer")),
    ]
}

fn catalog() -> Vec<Case> {
    let no_concert = || {
        World::with(|world| {
            world.catalog.expect_concert().returning(|_| Ok(None));
        })
    };
    let managed = |change: fn(&mut World)| {
        let mut world = World::with(|world| {
            world.catalog.expect_concert().returning(|_| Ok(Some(concert(3))));
        });
        change(&mut world);
        world
    };
    let performance = json!({"venue_id": VENUE, "starts_at": "2030-01-01T10:00:00Z", "prices": []});
    let performance = || post(format!("/v1/concerts/{CONCERT}/performances"), performance.clone());
    let change = || post(format!("/v1/concerts/{CONCERT}"), json!({"title": "New"})).method(Method::PATCH);
    let venue = json!({"name": "H", "location": "S", "sections": [{"name": "A", "rows": [{"name": "1", "seats": 1}]}]});
    let elsewhere = format!("/v1/performances/{OTHER_CONCERT}");
    vec![
        (Code::ConcertNotFound, no_concert(), get(format!("/v1/concerts/{CONCERT}"))),
        (Code::ConcertNotFound, no_concert(), join()),
        (Code::ConcertNotFound, no_concert(), change().signed_in("promoter")),
        (
            Code::ConcertNotFound,
            no_concert(),
            get(format!("/v1/concerts/{OTHER_CONCERT}/performances")).queued("queue"),
        ),
        (Code::Forbidden, World::new(), post("/v1/venues", venue).signed_in("customer")),
        (Code::Forbidden, World::new(), change().signed_in("customer")),
        (Code::PreconditionFailed, managed(|_| {}), change().signed_in("promoter").header("if-match", "\"2-x\"")),
        (
            Code::VenueNotFound,
            managed(|world| {
                world.catalog.expect_venue().returning(|_| Ok(None));
            }),
            performance().signed_in("promoter"),
        ),
        (Code::PerformanceNotFound, World::admitted(|_| {}), get(elsewhere.clone()).queued("queue")),
        (
            Code::PerformanceNotFound,
            World::with(|world| {
                world.catalog.expect_concert_of().returning(|_| Ok(None));
            }),
            get(format!("{elsewhere}/sales")).signed_in("promoter"),
        ),
    ]
}

fn line() -> Vec<Case> {
    let window = |open, close| SalesWindow::new(instant(open), instant(close)).unwrap();
    let mut full = on_sale(window(-1, 1));
    full.waiting_room.expect_join().returning(|_| Err(WaitingRoomError::Full));
    let gone = World::with(|world| {
        world.waiting_room.expect_status().returning(|_| Err(StorageError::Busy.into()));
    });
    vec![
        (Code::SaleNotOpen, on_sale(window(1, 2)), join()),
        (Code::SaleClosed, on_sale(window(-2, -1)), join()),
        (Code::Unavailable, full, join()),
        (Code::Unavailable, gone, get("/v1/queue").queued("queue")),
        (Code::QueueTokenInvalid, World::new(), get("/v1/queue").queued("forged")),
        (Code::QueueTokenInvalid, World::new(), get("/v1/queue/events").queued("forged")),
    ]
}

fn reservations() -> Vec<Case> {
    let five = json!({"performance_id": PERFORMANCE, "seats": ["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5"]});
    let unknown = World::with(|world| {
        world.reservations.expect_find().returning(|_, _| Ok(None));
    });
    vec![
        (Code::PerformanceNotFound, held_back(|| HoldRefusal::PerformanceNotFound), hold()),
        (Code::QueueTokenInvalid, held_back(|| HoldRefusal::WrongConcert), hold()),
        (Code::PerformanceStarted, held_back(|| HoldRefusal::PerformanceStarted), hold()),
        (Code::SaleNotOpen, held_back(|| NotOnSale::NotOpen.into()), hold()),
        (Code::SaleClosed, held_back(|| NotOnSale::Closed.into()), hold()),
        (Code::SeatNotFound, held_back(|| HoldRefusal::SeatNotFound(vec![label("A-1-2")])), hold()),
        (Code::SeatLimitReached, held_back(|| HoldRefusal::SeatLimitReached { limit: 4 }), hold()),
        (Code::SeatUnavailable, held_back(|| HoldRefusal::SeatUnavailable(fixtures::seats(&["A-1-1"]))), hold()),
        (Code::IdempotencyKeyReused, held_back(|| KeyReused.into()), hold().key("k")),
        (Code::TooManySeats, World::new(), post("/v1/reservations", five).queued("queue")),
        (Code::ReservationNotFound, unknown, get(format!("/v1/reservations/{CONCERT}")).signed_in("customer")),
        (Code::ReservationNotFound, kept(CancelRefusal::NotFound), cancel()),
        (Code::ReservationCancelled, kept(CancelRefusal::AlreadyCancelled), cancel()),
        (Code::HoldExpired, kept(CancelRefusal::HoldExpired), cancel()),
        (Code::CancellationClosed, kept(CancelRefusal::Closed), cancel()),
        (Code::IdempotencyKeyReused, kept(KeyReused.into()), cancel().key("k")),
    ]
}

fn money() -> Vec<Case> {
    let poor = PayRefusal::InsufficientPoints { balance: points(1), required: points(9) };
    let no_payment = World::with(|world| {
        world.payments.expect_find().returning(|_, _| Ok(None));
    });
    let no_charge = World::with(|world| {
        world.wallets.expect_find_charge().returning(|_, _| Ok(None));
    });
    let refused = |refusal: ChargeRefusal| {
        World::with(|world| {
            world.wallets.expect_begin_charge().returning(move |_| Err(ChargeError::Refused(refusal)));
        })
    };
    let begun = |state: ChargeState| {
        World::with(|world| {
            world.wallets.expect_begin_charge().returning(move |request| Ok(charge_of(&request, state)));
        })
    };
    let mut silent = begun(ChargeState::Pending);
    silent.gateway.expect_charge().returning(|_| Err(GatewayError::TimedOut));
    let failed = World::with(|world| {
        world.wallets.expect_begin_charge().returning(|_| Err(StorageError::failed("secret").into()));
    });
    vec![
        (Code::ReservationNotFound, unpaid(PayRefusal::ReservationNotFound), pay()),
        (Code::QueueTokenInvalid, unpaid(PayRefusal::WrongConcert), pay()),
        (Code::ReservationAlreadyPaid, unpaid(PayRefusal::AlreadyPaid), pay()),
        (Code::ReservationCancelled, unpaid(PayRefusal::Cancelled), pay()),
        (Code::HoldExpired, unpaid(PayRefusal::HoldExpired), pay()),
        (Code::PerformanceStarted, unpaid(PayRefusal::PerformanceStarted), pay()),
        (Code::InsufficientPoints, unpaid(poor), pay()),
        (Code::IdempotencyKeyReused, unpaid(KeyReused.into()), pay()),
        (Code::PaymentNotFound, no_payment, get(format!("/v1/payments/{CONCERT}")).signed_in("customer")),
        (Code::ChargeNotFound, no_charge, get(format!("/v1/wallet/charges/{CONCERT}")).signed_in("customer")),
        (Code::BalanceLimitReached, refused(ChargeRefusal::BalanceLimitReached), charge()),
        (Code::ChargeDeclined, begun(ChargeState::Declined { declined_at: instant(0) }), charge()),
        (Code::GatewayFailed, silent, charge()),
        (Code::Internal, failed, charge()),
    ]
}

/// The members that a code tells beside its name.
fn check_members(code: Code, problem: &Value) {
    match code {
        Code::SeatNotFound => assert_eq!(problem["seats"], json!(["A-1-2"])),
        Code::SeatUnavailable => assert_eq!(problem["seats"], json!(["A-1-1"])),
        Code::SeatLimitReached | Code::TooManySeats => assert_eq!(problem["limit"], 4),
        Code::QueueTokenNotActive => assert_eq!(problem["position"], 7),
        Code::InsufficientPoints => assert_eq!((&problem["balance"], &problem["required"]), (&json!(1), &json!(9))),
        Code::ChargeDeclined | Code::GatewayFailed => assert!(problem["charge_id"].is_string()),
        Code::ValidationFailed => assert!(problem["errors"].is_array()),
        _ => {
            let names: Vec<_> = problem.as_object().unwrap().keys().collect();
            assert_eq!(names, ["code", "detail", "request_id", "status", "title", "type"], "{problem}");
        }
    }
}

fn check_headers(code: Code, answer: &Answer) {
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some(), code.status() == 401, "{code:?}");
    if code == Code::AccessTokenExpired {
        assert!(challenge.unwrap().contains("invalid_token"));
    }
    let waits = matches!(code, Code::Unavailable | Code::RateLimited);
    assert_eq!(answer.header("retry-after").is_some(), waits, "{code:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

async fn rate_limited() -> Answer {
    let mut world = World::new();
    world.settings.account_requests_per_minute = 1;
    let router = world.router();
    post("/v1/accounts", json!({})).send(&router).await.refuses(Code::ValidationFailed);
    sign_up().send(&router).await
}

async fn key_in_use() -> Answer {
    let gateway = SlowGateway::new();
    let router = slow_world(&gateway).router();
    let busy = router.clone();
    let first = tokio::spawn(async move { charge().send(&busy).await });
    gateway.asked.notified().await;
    let answer = pay().send(&router).await;
    first.abort();
    answer
}

#[tokio::test]
async fn every_code_of_the_error_table_is_produced() {
    let mut produced = BTreeSet::new();
    let cases = [reading(), accounts(), catalog(), line(), reservations(), money()];
    for (code, world, ask) in cases.into_iter().flatten() {
        let answer = world.answer(ask).await;
        check_members(code, &answer.refuses(code));
        check_headers(code, &answer);
        produced.insert(code);
    }
    for (code, answer) in [(Code::RateLimited, rate_limited().await), (Code::IdempotencyKeyInUse, key_in_use().await)] {
        check_members(code, &answer.refuses(code));
        check_headers(code, &answer);
        produced.insert(code);
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !produced.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_guarded_route_refuses_each_wrong_queue_token_with_its_own_code() {
    let routes: [fn() -> Ask; 6] = [
        || get(format!("/v1/concerts/{CONCERT}/performances")),
        || get(format!("/v1/performances/{PERFORMANCE}")),
        seats,
        || post("/v1/reservations", json!({"performance_id": PERFORMANCE, "seats": ["A-1-1"]})),
        || post("/v1/payments", json!({"reservation_id": Uuid::nil()})).key("k"),
        || delete("/v1/queue"),
    ];
    for route in routes {
        World::new().answer(route()).await.refuses(Code::Unauthenticated);
        World::new().answer(route().signed_in("customer")).await.refuses(Code::QueueTokenMissing);
        for token in ["forged", "stranger"] {
            World::new().answer(route().queued(token)).await.refuses(Code::QueueTokenInvalid);
        }
    }
    for route in &routes[..4] {
        World::standing(waiting(7)).answer(route().queued("queue")).await.refuses(Code::QueueTokenNotActive);
        World::standing(Standing::Expired).answer(route().queued("queue")).await.refuses(Code::QueueTokenExpired);
        let elsewhere = World::with(|world| {
            let standing = World::standing(active());
            world.catalog = standing.catalog;
            world.catalog.expect_concert().returning(|_| Ok(Some(concert(1))));
        });
        elsewhere.answer(route().queued("elsewhere")).await.refuses(Code::QueueTokenInvalid);
    }
}
