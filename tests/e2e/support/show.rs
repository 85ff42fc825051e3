//! Something to sell.

use serde_json::{Value, json};

use super::{client::Buyer, seconds_from_now, server::Server};

pub(crate) const PRICE: i64 = 1_000;
pub(crate) const SEATS_PER_ROW: usize = 10;

/// A concert of one performance.
pub(crate) struct Show {
    pub(crate) concert: String,
    pub(crate) performance: String,
    pub(crate) venue: String,
}

pub(crate) struct Terms {
    pub(crate) max_active: usize,
    pub(crate) max_seats: u32,
    pub(crate) opens_in_seconds: i64,
    pub(crate) closes_in_seconds: i64,
    pub(crate) starts_in_seconds: i64,
    pub(crate) draw: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            max_active: 1_000,
            max_seats: 4,
            opens_in_seconds: -3_600,
            closes_in_seconds: 86_400,
            starts_in_seconds: 2 * 86_400,
            draw: false,
        }
    }
}

impl Terms {
    pub(crate) fn max_active(max_active: usize) -> Self {
        Self { max_active, ..Self::default() }
    }

    pub(crate) fn max_seats(max_seats: u32) -> Self {
        Self { max_seats, ..Self::default() }
    }
}

/// A server over `SQLite` with a show.
pub(crate) async fn server_with_show(settings: &[(&str, &str)], terms: Terms) -> (Server, Show) {
    let server = Server::start(settings).await;
    let show = Show::on(&server, terms).await;
    (server, show)
}

/// A server over `SQLite` with a show, and a buyer who is admitted to it.
pub(crate) async fn server_with_buyer(settings: &[(&str, &str)], terms: Terms) -> (Server, Show, Buyer) {
    let (server, show) = server_with_show(settings, terms).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    (server, show, buyer)
}

impl Show {
    /// Publishes it in a club of 50 seats, as a promoter.
    pub(crate) async fn publish(promoter: &Buyer, terms: Terms) -> Self {
        Self::publish_in(promoter, &club(), terms).await
    }

    pub(crate) async fn publish_in(promoter: &Buyer, venue: &Value, terms: Terms) -> Self {
        let venue = promoter.post("/v1/venues", venue).send().await;
        venue.is(201);
        let concert = promoter.post("/v1/concerts", &concert(&terms)).send().await;
        concert.is(201);
        let (venue, concert) = (venue.id(), concert.id());
        let performance = add_performance(promoter, &concert, &venue, terms.starts_in_seconds).await;
        Self { concert, performance, venue }
    }

    pub(crate) async fn on(server: &Server, terms: Terms) -> Self {
        let promoter = server.promoter("promoter").await;
        Self::publish(&promoter, terms).await
    }
}

/// Publishes a performance, and gives its id.
pub(crate) async fn add_performance(promoter: &Buyer, concert: &str, venue: &str, starts_in_seconds: i64) -> String {
    let body = performance(venue, starts_in_seconds);
    let performance = promoter.post(format!("/v1/concerts/{concert}/performances"), &body).send().await;
    performance.is(201);
    performance.id()
}

/// A venue of 50 seats in 5 rows.
pub(crate) fn club() -> Value {
    venue_of(5)
}

/// A venue of one section with so many rows.
pub(crate) fn venue_of(rows: usize) -> Value {
    let rows: Vec<_> = (1..=rows).map(|row| json!({"name": row.to_string(), "seats": SEATS_PER_ROW})).collect();
    json!({"name": "Rolling Hall", "location": "서울 마포구", "sections": [{"name": "A", "rows": rows}]})
}

pub(crate) fn concert(terms: &Terms) -> Value {
    json!({
        "title": "겨울밤 어쿠스틱", "artist": "한여름 밴드", "description": "One night\nonly.",
        "sales_open_at": seconds_from_now(terms.opens_in_seconds),
        "sales_close_at": seconds_from_now(terms.closes_in_seconds),
        "max_seats_per_account": terms.max_seats, "max_active": terms.max_active,
        "draw": terms.draw,
    })
}

pub(crate) fn performance(venue: &str, starts_in_seconds: i64) -> Value {
    let prices = json!([{"section": "A", "price": PRICE}]);
    json!({"venue_id": venue, "starts_at": seconds_from_now(starts_in_seconds), "prices": prices})
}

/// The labels of the club, in the order of the hall.
pub(crate) fn labels() -> Vec<String> {
    (1..=5).flat_map(|row| (1..=10).map(move |number| format!("A-{row}-{number}"))).collect()
}

/// A catalog file of a concert, in the folder of the server: with one performance of four seats, or without any.
pub(crate) fn night_file(server: &Server, starts_in_seconds: Option<i64>, price: i64) -> String {
    let performance = |seconds: i64| {
        json!({"key": "night-1", "venue": "hall", "starts_at": seconds_from_now(seconds),
               "prices": [{"section": "A", "price": price}]})
    };
    let catalog = json!({
        "venues": [{"key": "hall", "name": "Hall", "location": "Seoul",
            "sections": [{"name": "A", "rows": [{"name": "1", "seats": 4}]}]}],
        "concerts": [{"key": "night", "title": "Night", "artist": "Band", "sales_open_at": seconds_from_now(-3_600),
            "sales_close_at": seconds_from_now(9 * 86_400),
            "performances": starts_in_seconds.map(performance).into_iter().collect::<Vec<_>>()}],
    });
    let file = server.folder().join("night.json");
    std::fs::write(&file, catalog.to_string()).expect("it is written");
    file.to_str().expect("a path").to_owned()
}
