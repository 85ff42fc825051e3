//! What the waiting room says in every state of a queue.

use serde_json::{Value, json};

use super::session::Browser;
use crate::support::{
    client::Buyer,
    seconds_from_now,
    server::Server,
    show::{PRICE, Show, Terms, server_with_show, venue_of},
    until,
};

/// One row of seats, all of which one account may hold at once.
const ONE_ROW: [(&str, &str); 1] = [("SEATS_PER_RESERVATION", "10")];

fn small() -> Terms {
    Terms { max_active: 1, max_seats: 10, ..Terms::default() }
}

async fn server_with_one_row() -> (Server, Show) {
    let server = Server::start(&ONE_ROW).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish_in(&promoter, &venue_of(1), small()).await;
    (server, show)
}

async fn server_with_promoter(terms: Terms) -> (Server, Buyer, Show) {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, terms).await;
    (server, promoter, show)
}

/// Lets the sale begin or end in so many seconds: a state before that lasts for as long as the test looks at it.
async fn move_sale(promoter: &Buyer, show: &Show, limit: &str, in_seconds: i64) {
    let change = json!({limit: seconds_from_now(in_seconds)});
    promoter.patch(format!("/v1/concerts/{}", show.concert), &change).send().await.is(200);
}

async fn hold_all(buyer: &Buyer, show: &Show) -> String {
    let labels: Vec<_> = (1..=10).map(|number| format!("A-1-{number}")).collect();
    buyer.hold(&show.performance, &labels.iter().map(String::as_str).collect::<Vec<_>>()).await
}

fn queue_path(show: &Show) -> String {
    format!("/concerts/{}/queue", show.concert)
}

/// A buyer who is admitted, and the browser of the next one in line.
async fn next_in_line(server: &Server, show: &Show) -> (Buyer, Browser) {
    let first = Buyer::admitted(server.api(), &show.concert).await;
    let second = Buyer::new(server.api()).await;
    let browser = Browser::start(server).await;
    browser.open_as(&second, &queue_path(show)).await;
    browser.sees_ahead(0).await;
    (first, browser)
}

impl Browser {
    /// Waits until so many are said to be ahead.
    pub(super) async fn sees_ahead(&self, count: u64) {
        let text = self.words.say_with("queue.ahead_of_you", &[("count", json!(count))]);
        self.sees(&format!("{count} {text}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_sale_a_clock_counts_down_and_then_the_queue_opens() {
    let (server, promoter, show) = server_with_promoter(Terms { opens_in_seconds: 3_600, ..Terms::default() }).await;
    let browser = Browser::start(&server).await;
    let buyer = Buyer::new(server.api()).await;
    browser.open_as(&buyer, &queue_path(&show)).await;
    browser.sees_word("problem.sale_not_open").await;
    browser.look("queue before the sale").await;
    browser.press_word("queue.back").await;
    browser.sees_word("concert.opens").await;
    browser.look("concert before the sale").await;
    move_sale(&promoter, &show, "sales_open_at", 4).await;
    browser.web().refresh().await.expect("it is loaded again");
    browser.press_word("concert.to_queue").await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_shows_its_fingerprint_and_admits_when_the_sale_opens() {
    let terms = Terms { draw: true, opens_in_seconds: 3_600, ..Terms::default() };
    let (server, promoter, show) = server_with_promoter(terms).await;
    let browser = Browser::start(&server).await;
    let buyer = Buyer::new(server.api()).await;
    let concert = server.api().get(format!("/v1/concerts/{}", show.concert)).send().await.is(200).clone();
    browser.open_as(&buyer, &format!("/concerts/{}", show.concert)).await;
    browser.sees(&browser.words.beginning("concert.draw")).await;
    browser.look("concert before the draw").await;
    browser.press_word("concert.to_queue").await;
    browser.sees_word("queue.before_draw").await;
    browser.sees(concert["draw"]["seed_hash"].as_str().expect("a fingerprint")).await;
    browser.sees(&browser.words.beginning("queue.draw_at")).await;
    browser.look("queue before the draw").await;
    move_sale(&promoter, &show, "sales_open_at", 1).await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_says_that_all_is_held_and_then_sold() {
    let (server, show) = server_with_one_row().await;
    let (first, browser) = next_in_line(&server, &show).await;
    first.charge(10 * PRICE).await;
    browser.look("queue").await;

    let reservation = hold_all(&first, &show).await;
    browser.sees_word("queue.waits.all_held").await;
    browser.look("queue while all is held").await;
    first.pay(&reservation).await;
    browser.sees_word("queue.ended.sold_out").await;
    browser.look("queue after all is sold").await;

    browser.press_word("queue.back").await;
    browser.sees_word("availability.sold_out").await;
    browser.look("concert after all is sold").await;
    browser.open(&queue_path(&show)).await;
    browser.sees_word("problem.sold_out").await;
    browser.look("queue that cannot be joined").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_says_that_it_is_paused_and_goes_on() {
    let (server, promoter, show) = server_with_promoter(small()).await;
    let (first, browser) = next_in_line(&server, &show).await;
    let act = async |act: &str| {
        let path = format!("/v1/concerts/{}/queue/{act}", show.concert);
        promoter.post(path, &Value::Null).send().await.is(200);
    };
    act("pause").await;
    browser.sees_word("queue.waits.paused").await;
    browser.look("queue that is paused").await;
    first.leave().await;
    act("resume").await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_reads_so_and_joins_again() {
    let settings = [("NO_SHOW_SECONDS", "3"), ("POLL_SECONDS_MAX", "1")];
    let server = Server::start(&settings).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, small()).await;
    let first = Buyer::admitted(server.api(), &show.concert).await;
    // It is not absent while it holds a seat.
    let reservation = first.hold(&show.performance, &["A-1-1"]).await;
    let second = Buyer::new(server.api()).await;
    let browser = Browser::start(&server).await;
    browser.open_as(&second, &queue_path(&show)).await;
    browser.sees_ahead(0).await;
    browser.open("/").await;
    first.ask_cancel(&reservation).send().await.is(200);
    first.leave().await;
    until("the place is passed over", async || {
        let path = format!("/v1/concerts/{}/queue/stats", show.concert);
        promoter.get(path).send().await.is(200)["no_shows_total"] == 1
    })
    .await;
    browser.open(&queue_path(&show)).await;
    browser.sees_word("queue.ended.passed_over").await;
    browser.look("queue after the place was passed over").await;
    browser.press_word("queue.join_again").await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_given_up_and_lost_and_taken_again() {
    let (server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let first = Buyer::admitted(server.api(), &show.concert).await;
    let mut second = Buyer::new(server.api()).await;
    let browser = Browser::start(&server).await;
    browser.open_as(&second, &queue_path(&show)).await;
    browser.sees_ahead(0).await;

    browser.press_word("queue.leave").await;
    browser.sees_word("queue.leave_question").await;
    browser.look("question whether to leave").await;
    browser.press_word("queue.stay_here").await;
    browser.press_word("queue.leave").await;
    // The button of the dialog has the same name as the one behind it.
    browser.sees_word("queue.leave_said").await;
    browser.press_word("queue.leave").await;
    browser.sees_word("concert.to_queue").await;

    // Another device of the account gives the place up.
    browser.press_word("concert.to_queue").await;
    browser.sees_ahead(0).await;
    second.join(&show.concert).await;
    second.leave().await;
    browser.sees_word("queue.expired").await;
    browser.look("queue after the place is over").await;
    browser.press_word("queue.join_again").await;
    browser.sees_ahead(0).await;

    first.leave().await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_ends_with_its_sale() {
    let (server, promoter, show) = server_with_promoter(small()).await;
    let (first, browser) = next_in_line(&server, &show).await;
    move_sale(&promoter, &show, "sales_close_at", 1).await;
    browser.sees_word("queue.ended.sale_closed").await;
    browser.look("queue after the sale").await;
    browser.press_word("queue.back").await;
    browser.sees_word("availability.closed").await;
    browser.look("concert after the sale").await;
    assert_eq!(first.queue().await["reason"], Value::from("sale_closed"));
    browser.finish().await;
    server.finish().await;
}

/// Another device of the account gives the admission up, and the hall says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_admission_that_is_over_leads_back_into_the_queue() {
    let (server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let mut buyer = Buyer::new(server.api()).await;
    let mut browser = Browser::start(&server).await;
    browser.open_as(&buyer, &queue_path(&show)).await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    buyer.join(&show.concert).await;
    buyer.leave().await;
    browser.sees_word("problem.queue_token_expired").await;
    browser.look("hall after the admission").await;
    browser.press_word("queue.join_again").await;
    browser.sees_heading(&browser.words.say("hall.title")).await;

    browser.misses_files = true;
    browser.open("/concerts/nothing-here").await;
    browser.sees_word("error.title").await;
    browser.look("view that failed").await;
    browser.open("/nothing/here").await;
    browser.sees_word("nowhere.title").await;
    browser.look("nowhere").await;
    browser.finish().await;
    server.finish().await;
}
