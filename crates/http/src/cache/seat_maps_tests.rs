use std::io::Read;

use axum::http::header::{ACCEPT_ENCODING, ETAG, IF_NONE_MATCH};
use boxoffice_domain::{
    Points, ReservationId,
    catalog::{MappedSeats, SeatLabels},
    fixtures::instant,
    seats::{SeatLabel, SeatState},
};
use flate2::read::GzDecoder;
use uuid::Uuid;

use super::*;
use crate::routes::catalog::seats::{SeatMapResponse, SeatQuery};

fn labels(count: u32) -> Arc<SeatLabels> {
    // Names may hold whatever a text may, also what JSON has to escape.
    let label = |number: u32| SeatLabel::new(&format!("발코니 \"{}\\-1열-{}", number % 7, number + 1)).unwrap();
    Arc::new((0..count).map(label).collect())
}

fn map(count: u32, price: i64, state: impl Fn(u32) -> SeatState) -> SeatMap {
    let prices = (0..count).map(|number| Points::new(price * i64::from(number)).unwrap()).collect();
    let states: Vec<_> = (0..count).map(state).collect();
    let performance_id = PerformanceId::new(Uuid::from_u128(7));
    SeatMap::at(instant(0), MappedSeats { performance_id, labels: labels(count), prices }, &states)
}

fn mixed(number: u32) -> SeatState {
    let reservation = ReservationId::new(Uuid::from_u128(1));
    match number % 3 {
        0 => SeatState::Free,
        1 => SeatState::Held { by: reservation, until: instant(300) },
        _ => SeatState::Sold { to: reservation },
    }
}

fn fields(accept: Option<&str>, tag: Option<&HeaderValue>) -> HeaderMap {
    let accept = accept.map(|accept| (ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap()));
    accept.into_iter().chain(tag.map(|tag| (IF_NONE_MATCH, tag.clone()))).collect()
}

#[tokio::test]
async fn a_map_is_rendered_as_it_would_be_serialised() {
    let mut former = None;
    let all_free = |_| SeatState::Free;
    for map in [map(0, 1, mixed), map(1, 55_000, mixed), map(500, 3, mixed), map(500, 3, all_free), map(500, 4, mixed)]
    {
        let expected = serde_json::to_string(&SeatMapResponse::new(&map, &SeatQuery::default())).unwrap();
        let rendered = Rendered::of(map, former).await.unwrap();
        assert_eq!(rendered.body, expected.as_bytes());
        former = Some(rendered);
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_rendered_again() {
    let first = Rendered::of(map(500, 3, mixed), None).await.unwrap();
    let same = Rendered::of(map(500, 3, mixed), Some(Arc::clone(&first))).await.unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let other = Rendered::of(map(500, 3, |_| SeatState::Free), Some(Arc::clone(&first))).await.unwrap();
    assert!(Arc::ptr_eq(&first.template, &other.template));
    assert_ne!(first.plain_tag, other.plain_tag);
    // Another process, which knows nothing of this one's renderings, has the same tag for the same content.
    let elsewhere = Rendered::of(map(500, 3, |_| SeatState::Free), None).await.unwrap();
    assert_eq!((&other.plain_tag, &other.gzip_tag), (&elsewhere.plain_tag, &elsewhere.gzip_tag));
    let dearer = Rendered::of(map(500, 4, mixed), Some(Arc::clone(&first))).await.unwrap();
    assert_ne!(first.plain_tag, dearer.plain_tag);
}

#[tokio::test]
async fn the_compressed_form_says_the_same_under_a_tag_of_its_own() {
    let rendered = Rendered::of(map(2_000, 3, mixed), None).await.unwrap();
    let plain = rendered.respond(&fields(None, None)).await.unwrap();
    assert!(!plain.headers().contains_key(CONTENT_ENCODING));
    let gzip = rendered.respond(&fields(Some("br, gzip"), None)).await.unwrap();
    assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(
        (&plain.headers()[VARY], &gzip.headers()[VARY]),
        (&"accept-encoding".parse().unwrap(), &"accept-encoding".parse().unwrap())
    );
    assert_ne!(plain.headers()[ETAG], gzip.headers()[ETAG]);
    let compressed = axum::body::to_bytes(gzip.into_body(), usize::MAX).await.unwrap();
    assert!(compressed.len() * 4 < rendered.body.len());
    let mut unpacked = Vec::new();
    GzDecoder::new(compressed.as_ref()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, rendered.body);
}

#[tokio::test]
async fn a_client_that_has_a_form_that_it_accepts_gets_304() {
    let rendered = Rendered::of(map(2_000, 3, mixed), None).await.unwrap();
    let (plain, gzip) = (&rendered.plain_tag, &rendered.gzip_tag);
    let cases = [
        (None, plain, StatusCode::NOT_MODIFIED),
        (Some("gzip"), plain, StatusCode::NOT_MODIFIED),
        (Some("gzip"), gzip, StatusCode::NOT_MODIFIED),
        // Its form is one that the client says it does not take.
        (Some("gzip, identity;q=0"), plain, StatusCode::OK),
        (None, gzip, StatusCode::OK),
        (Some("gzip;q=0"), gzip, StatusCode::OK),
    ];
    for (accept, tag, status) in cases {
        let response = rendered.respond(&fields(accept, Some(tag))).await.unwrap();
        assert_eq!(response.status(), status, "{accept:?} {tag:?}");
        if status == StatusCode::NOT_MODIFIED {
            assert_eq!((&response.headers()[ETAG], response.headers().contains_key(VARY)), (tag, true));
        }
    }
    // To tell that nothing has changed, nothing had to be compressed.
    let fresh = Rendered::of(map(2_000, 3, mixed), None).await.unwrap();
    fresh.respond(&fields(Some("gzip"), Some(gzip))).await.unwrap();
    assert!(!fresh.gzip.initialized());
}

#[tokio::test]
async fn a_small_map_is_not_compressed() {
    let rendered = Rendered::of(map(3, 3, mixed), None).await.unwrap();
    let response = rendered.respond(&fields(Some("gzip"), None)).await.unwrap();
    assert!(!response.headers().contains_key(CONTENT_ENCODING));
    assert_eq!(response.headers()[ETAG], rendered.plain_tag);
}
