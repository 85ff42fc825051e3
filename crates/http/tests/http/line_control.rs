//! Running a line, and the draw before it opens.

use axum::http::{Method, StatusCode};
use boxoffice_domain::{
    ConcertId, StorageError,
    catalog::{Concert, ConcertSummary, SalesWindow},
    fixtures::instant,
    idempotency::Made,
    waiting_room::{Draw, Joined, QueueStats, QueueStatus, Standing},
};
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{Answer, Ask, CONCERT, World, concert, delete, get, place, post};

const SEED: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const SEED_HASH: &str = "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0";

/// [`concert`] with a draw, whose sale opens so many seconds after the present.
fn drawn(opens_in_seconds: i64) -> ConcertSummary {
    let summary = concert(3);
    let sales = SalesWindow::new(instant(opens_in_seconds), instant(3_600)).unwrap();
    let concert = Concert { draw: Some(Draw::new([7; 32])), sales, ..summary.concert };
    ConcertSummary { concert, ..summary }
}

/// A world that knows a concert, which may be changed.
fn knowing(summary: ConcertSummary) -> World {
    World::with(|world| {
        world.catalog.expect_concert().returning(move |_| Ok(Some(summary.clone())));
        world.catalog.expect_update_concert().returning(|_| Ok(()));
    })
}

fn counted(world: &mut World) {
    world.waiting_room.expect_stats().returning(|_| {
        Ok(Some(QueueStats {
            waiting: 900,
            active: 500,
            admitted_total: 1_200,
            admitted_last_minute: 60,
            no_shows_total: 12,
            oldest_joined_at: Some(instant(-61)),
        }))
    });
}

fn path(tail: &str) -> String {
    format!("/v1/concerts/{CONCERT}/queue{tail}")
}

fn stats_expected(paused: bool) -> Value {
    json!({
        "concert_id": CONCERT, "waiting": 900, "active": 500, "max_active": 500, "paused": paused,
        "admitted_total": 1_200, "admitted_per_minute": 60, "no_shows_total": 12, "oldest_wait_seconds": 61,
    })
}

#[tokio::test]
async fn the_promoter_sees_how_the_line_is_doing() {
    let mut world = knowing(concert(3));
    counted(&mut world);
    let stats = world.answer(get(path("/stats")).signed_in("promoter")).await.succeeds(StatusCode::OK);
    assert_eq!(stats, stats_expected(false));

    let mut world = knowing(concert(3));
    world.waiting_room.expect_stats().returning(|_| Ok(None));
    let stats = world.answer(get(path("/stats")).signed_in("promoter")).await.succeeds(StatusCode::OK);
    assert_eq!((&stats["waiting"], &stats["oldest_wait_seconds"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn pausing_and_resuming_tell_the_line_and_how_it_is_doing() {
    for (act, paused) in [("/pause", true), ("/resume", false)] {
        let mut summary = concert(3);
        summary.concert.paused = !paused;
        let mut world = knowing(summary);
        counted(&mut world);
        world.waiting_room.expect_set_terms().times(1).returning(move |id, terms| {
            assert_eq!((id, terms.paused, terms.version), (ConcertId::new(CONCERT), paused, 4));
            Ok(())
        });
        let answer = world.answer(post(path(act), Value::Null).signed_in("promoter")).await;
        assert_eq!(answer.succeeds(StatusCode::OK), stats_expected(paused));
    }
}

#[tokio::test]
async fn emptying_tells_how_many_had_to_go() {
    let mut world = knowing(concert(3));
    world.waiting_room.expect_empty().times(1).returning(|_| Ok(41));
    let answer = world.answer(delete(path("")).signed_in("promoter")).await;
    assert_eq!(answer.succeeds(StatusCode::OK), json!({"removed": 41}));
}

#[tokio::test]
async fn a_line_is_run_by_its_promoter_alone() {
    let acts: [fn() -> Ask; 4] = [
        || get(path("/stats")),
        || post(path("/pause"), Value::Null),
        || post(path("/resume"), Value::Null),
        || delete(path("")),
    ];
    for act in acts {
        World::new().answer(act()).await.refuses(Code::Unauthenticated);
        World::new().answer(act().signed_in("customer")).await.refuses(Code::Forbidden);
        let mut of_the_house = concert(3);
        of_the_house.concert.promoter_id = None;
        knowing(of_the_house).answer(act().signed_in("promoter")).await.refuses(Code::Forbidden);
        let unknown = World::with(|world| {
            world.catalog.expect_concert().returning(|_| Ok(None));
        });
        unknown.answer(act().signed_in("promoter")).await.refuses(Code::ConcertNotFound);
        let mut world = knowing(concert(3));
        world.waiting_room.expect_stats().returning(move |_| Err(StorageError::Busy.into()));
        world.waiting_room.expect_set_terms().returning(move |_, _| Err(StorageError::Busy.into()));
        world.waiting_room.expect_empty().returning(move |_| Err(StorageError::Busy.into()));
        world.answer(act().signed_in("promoter")).await.refuses(Code::Unavailable);
    }
}

#[tokio::test]
async fn the_seed_is_published_by_its_hash_and_itself_when_the_sale_opens() {
    for (opens_in_seconds, seed) in [(1, Value::Null), (0, json!(SEED)), (-1, json!(SEED))] {
        let answer = knowing(drawn(opens_in_seconds)).answer(get(format!("/v1/concerts/{CONCERT}"))).await;
        assert_eq!(answer.succeeds(StatusCode::OK)["draw"], json!({"seed_hash": SEED_HASH, "seed": seed}));
    }
    let plain = knowing(concert(3)).answer(get(format!("/v1/concerts/{CONCERT}"))).await;
    assert_eq!(plain.succeeds(StatusCode::OK)["draw"], Value::Null);
}

#[tokio::test]
async fn a_concert_is_published_with_a_draw_where_that_is_said() {
    for (said, seed_hash) in [(json!(true), json!(SEED_HASH)), (json!(false), Value::Null)] {
        let world = World::with(|world| {
            world.catalog.expect_publish_concert().returning(|concert, _| Ok(Made::now(concert)));
        });
        let body = json!({
            "title": "Night", "artist": "Band", "sales_open_at": "2027-02-01T00:00:00Z",
            "sales_close_at": "2027-03-01T00:00:00Z", "draw": said,
        });
        let answer = world.answer(post("/v1/concerts", body).signed_in("promoter")).await;
        let concert = answer.succeeds(StatusCode::CREATED);
        assert_eq!(concert["draw"].get("seed_hash").unwrap_or(&Value::Null), &seed_hash);
        assert!(!concert.to_string().contains(SEED), "the seed is a secret yet");
    }
}

async fn opens_at(summary: ConcertSummary, at: &str) -> Answer {
    let mut world = knowing(summary);
    world.waiting_room.expect_set_terms().returning(|_, _| Ok(()));
    let body = json!({ "sales_open_at": at });
    let change = post(format!("/v1/concerts/{CONCERT}"), body).method(Method::PATCH).signed_in("promoter");
    world.answer(change).await
}

#[tokio::test]
async fn a_draw_is_moved_only_before_it_is_held() {
    let (later, past) = ("2027-01-15T08:30:00Z", "2027-01-15T08:00:00Z");
    opens_at(drawn(60), later).await.succeeds(StatusCode::OK);
    opens_at(concert(3), later).await.succeeds(StatusCode::OK);
    let pointer = "/sales_open_at".to_owned();
    assert_eq!(opens_at(drawn(60), past).await.violations(), [(pointer.clone(), "draw_past".to_owned())]);
    assert_eq!(opens_at(drawn(0), later).await.violations(), [(pointer, "draw_held".to_owned())]);
}

fn undrawn() -> Standing {
    Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds: 20 }
}

#[tokio::test]
async fn before_the_draw_one_joins_and_has_no_position() {
    let mut world = knowing(drawn(60));
    let status = QueueStatus { place: place(), standing: undrawn() };
    world.waiting_room.expect_join().returning(move |request| {
        assert!(request.draw.is_some());
        Ok(Joined { status, newly: true })
    });
    let join = post(path(""), Value::Null).signed_in("customer");
    let joined = world.answer(join).await.succeeds(StatusCode::CREATED);
    assert_eq!((&joined["status"], joined.get("position")), (&json!("waiting"), Some(&Value::Null)));
    assert_eq!((&joined["estimated_wait_seconds"], &joined["poll_after_seconds"]), (&Value::Null, &json!(20)));

    let without_draw = {
        let mut summary = drawn(60);
        summary.concert.draw = None;
        knowing(summary)
    };
    let join = post(path(""), Value::Null).signed_in("customer");
    without_draw.answer(join).await.refuses(Code::SaleNotOpen);

    let guarded = get(format!("/v1/concerts/{CONCERT}/performances")).queued("queue");
    let refused = World::standing(undrawn()).answer(guarded).await.refuses(Code::QueueTokenNotActive);
    assert_eq!(refused.get("position"), Some(&Value::Null));
}
