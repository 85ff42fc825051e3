//! Thirty visitors in line for a small hall, each with a window and a session of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::WindowHandle;
use tokio::time::{Instant, sleep};

use super::session::Browser;
use crate::support::{
    client::Buyer,
    server::Server,
    show::{PRICE, Show, Terms},
    until,
};

const VISITORS: usize = 30;
const MAX_ACTIVE: usize = 3;
/// How soon a seat that another has taken must look taken. The pages promise half a second; the machine of a test may be busy.
const SOON: Duration = Duration::from_secs(5);

/// Notes each number of people ahead that the page shows, and the end of waiting.
const NOTE_PLACES: &str = r#"
const places = window.places = [];
const note = () => {
  const shown = document.querySelector(".place strong")?.textContent;
  if (shown !== undefined && Number(shown) !== places.at(-1)) places.push(Number(shown));
};
note();
new MutationObserver(note).observe(document.getElementById("main"), { childList: true, subtree: true, characterData: true });
"#;

struct Visitor {
    buyer: Buyer,
    window: WindowHandle,
}

/// Watches how many are admitted at once, all the time.
struct Watch {
    is_over: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    /// How often it has looked.
    looks: Arc<AtomicU64>,
}

impl Watch {
    fn begin(promoter: &Buyer, show: &Show) -> Self {
        let watch = Self { is_over: Arc::default(), most: Arc::default(), looks: Arc::default() };
        let (is_over, most, looks) = (watch.is_over.clone(), watch.most.clone(), watch.looks.clone());
        let promoter = promoter.clone();
        let path = format!("/v1/concerts/{}/queue/stats", show.concert);
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let stats = promoter.get(&path).send().await;
                let active = stats.is(200)["active"].as_u64().expect("a number");
                most.fetch_max(active, Ordering::Relaxed);
                looks.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(25)).await;
            }
        });
        watch
    }

    fn end(&self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let looks = self.looks.load(Ordering::Relaxed);
        assert!(looks > 100, "it has looked {looks} times only");
        self.most.load(Ordering::Relaxed)
    }
}

/// Lets visitors come one after the other. A name of their own for the same host keeps the storage and the cookies of
/// their windows apart, which costs less than a browser for each.
async fn line_up(browser: &Browser, server: &Server, show: &Show) -> Vec<Visitor> {
    let port = server.address().port();
    let mut visitors: Vec<Visitor> = Vec::new();
    for (index, buyer) in Buyer::many(server.api(), VISITORS).await.into_iter().enumerate() {
        let window = match index {
            0 => browser.window().await,
            1..MAX_ACTIVE => browser.open_window().await,
            _ => browser.open_tab_behind().await,
        };
        let origin = format!("http://visitor-{index}.localhost:{port}");
        browser.open_at_as(&origin, &buyer, &format!("/concerts/{}/queue", show.concert)).await;
        if index < MAX_ACTIVE {
            browser.sees_heading(&browser.words.say("hall.title")).await;
        } else {
            browser.sees_ahead(u64::try_from(index - MAX_ACTIVE).expect("small")).await;
            browser.run(NOTE_PLACES, &[]).await;
        }
        visitors.push(Visitor { buyer, window });
    }
    visitors
}

fn seat(browser: &Browser, label: &str, state: &str) -> String {
    let price = browser.words.say_with("points", &[("count", json!(PRICE))]);
    format!("{label}, {price}, {}", browser.words.say(&format!("hall.{state}")))
}

async fn choose(browser: &Browser, label: &str) {
    browser.press(&seat(browser, label, "free")).await;
    browser.sees(&format!("{label} ✕")).await;
}

async fn hold(browser: &Browser, count: i64) {
    browser.press(&browser.words.say_with("hall.hold", &[("count", json!(count))])).await;
}

/// Two want the same seat: the slower one sees that it is gone, keeps the rest, and takes the nearest instead.
async fn race(browser: &Browser, visitors: &[Visitor], show: &Show) {
    let words = &browser.words;
    let [first, second, third] = &visitors[..MAX_ACTIVE] else { panic!("three are admitted") };
    browser.show(&second.window).await;
    choose(browser, "A-1-2").await;
    choose(browser, "A-4-9").await;
    browser.show(&first.window).await;
    choose(browser, "A-1-1").await;
    choose(browser, "A-1-2").await;
    hold(browser, 2).await;
    browser.sees_heading(&words.say("checkout.title")).await;

    browser.show(&second.window).await;
    browser.sees(&words.say_with("hall.lost", &[("seats", json!("A-1-2"))])).await;
    browser.sees("A-4-9 ✕").await;
    browser.look("hall after a lost race").await;
    browser.press(&words.say_with("hall.take_nearest", &[("seats", json!("A-1-3"))])).await;
    browser.sees("A-4-9 ✕ A-1-3 ✕").await;

    // This time the page does not know it before the server says so.
    let mut third = third.buyer.clone();
    third.join(&show.concert).await;
    browser.pretend_hidden(true).await;
    third.hold(&show.performance, &["A-1-3"]).await;
    hold(browser, 2).await;
    browser.sees(&words.say_with("hall.lost", &[("seats", json!("A-1-3"))])).await;
    browser.press(&words.say_with("hall.take_nearest", &[("seats", json!("A-1-4"))])).await;
    browser.pretend_hidden(false).await;
    hold(browser, 2).await;
    browser.sees_heading(&words.say("checkout.title")).await;
    browser.sees("A-1-4").await;
    browser.sees("A-4-9").await;
}

/// A seat that one takes looks taken to the others within a moment.
async fn see_taken(browser: &Browser, visitor: &Visitor, buyer: &Buyer, show: &Show) {
    browser.show(&visitor.window).await;
    assert!(browser.has_control(&seat(browser, "A-5-5", "free")).await);
    buyer.hold(&show.performance, &["A-5-5"]).await;
    let began = Instant::now();
    until("the seat looks taken", async || browser.has_control(&seat(browser, "A-5-5", "taken")).await).await;
    let took = began.elapsed();
    println!("a seat looked taken to another visitor after {} ms", took.as_millis());
    assert!(took < SOON, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_visitors_in_line_move_up_in_order_and_never_more_than_the_cap_are_admitted() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(MAX_ACTIVE)).await;
    let watch = Watch::begin(&promoter, &show);
    let browser = Browser::start_shared(&server).await;
    let mut visitors = line_up(&browser, &server, &show).await;
    browser.look("queue with many ahead").await;
    race(&browser, &visitors, &show).await;
    let mut second = visitors[1].buyer.clone();
    second.join(&show.concert).await;
    see_taken(&browser, &visitors[2], &second, &show).await;

    // Each one who is admitted leaves, so all who wait move up, one place at a time.
    for (index, Visitor { buyer, window }) in visitors.iter_mut().enumerate() {
        if index >= MAX_ACTIVE {
            browser.show(window).await;
            browser.sees_heading(&browser.words.say("hall.title")).await;
            let places = browser.run("return window.places", &[]).await;
            let places: Vec<_> = places.as_array().expect("places").iter().filter_map(Value::as_u64).collect();
            assert_eq!(places.first().copied(), u64::try_from(index - MAX_ACTIVE).ok(), "visitor {index}");
            assert!(places.is_sorted_by(|before, after| before > after), "visitor {index} moved so: {places:?}");
        }
        buyer.join(&show.concert).await;
        buyer.leave().await;
    }
    assert_eq!(watch.end(), u64::try_from(MAX_ACTIVE).expect("small"), "the most who were admitted at once");
    browser.finish().await;
    server.finish().await;
}
