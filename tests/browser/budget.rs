//! What the pages cost a visitor. Bytes are the same everywhere, so they have a limit; times depend on the machine, so they
//! are only printed.

use std::collections::BTreeMap;

use boxoffice_tests::workspace;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::session::{Browser, PHONE};
use crate::support::{
    client::Buyer,
    list,
    server::Server,
    show::{Terms, server_with_show},
    text, until,
};

/// The most that the first view may transfer.
const FIRST_VIEW_BYTES_MAX: f64 = 60.0 * 1_024.0;
/// A network as developer tools call it "fast 3G", in bytes a second.
const FAST_3G: i64 = 1_600_000 / 8;
const FAST_3G_LATENCY_MILLISECONDS: u32 = 150;
const SLOW_PROCESSOR: u32 = 4;
/// Moves the hall under a finger for a while, and gives the times between frames in milliseconds.
const PAN: &str = r#"
const canvas = document.querySelector("canvas");
const { left, top, width, height } = canvas.getBoundingClientRect();
const send = (type, x) => canvas.dispatchEvent(new PointerEvent(type,
  { pointerId: 1, clientX: left + x, clientY: top + height / 2, bubbles: true, isPrimary: true }));
canvas.setPointerCapture = () => {};
const frame = () => new Promise(requestAnimationFrame);
const times = [];
let before = await frame();
send("pointerdown", width / 2);
for (let step = 0; step < 90; step += 1) {
  send("pointermove", width / 2 + (width / 4) * Math.sin(step / 8));
  const now = await frame();
  times.push(now - before);
  before = now;
}
send("pointerup", width / 2);
return times;
"#;

/// What was transferred, by address.
fn transferred(log: &[Value]) -> BTreeMap<String, f64> {
    let mut addresses = BTreeMap::new();
    let mut sizes = BTreeMap::new();
    for entry in log {
        let parameters = &entry["params"];
        let Some(request) = parameters["requestId"].as_str() else { continue };
        match entry["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                addresses.insert(request.to_owned(), text(&parameters["request"], "url").to_owned());
            }
            Some("Network.loadingFinished") => {
                sizes.insert(request.to_owned(), parameters["encodedDataLength"].as_f64().unwrap_or_default());
            }
            _ => {}
        }
    }
    sizes.into_iter().filter_map(|(request, size)| Some((addresses.remove(&request)?, size))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_view_of_the_shop_is_small_and_soon_usable() {
    let (server, _) = server_with_show(&[], Terms::default()).await;
    let browser = Browser::start_as(&server, "en", PHONE).await;
    browser.open("/").await;
    browser.sees("겨울밤 어쿠스틱").await;
    let sizes = transferred(&browser.network_log().await);
    let total: f64 = sizes.values().sum();
    for (address, size) in &sizes {
        println!("{size:>8} bytes  {}", address.trim_start_matches(browser.origin()));
    }
    println!("{total:>8} bytes  in all for the first view");
    assert!(total > 10_000.0, "only {total} bytes were seen");
    assert!(total <= FIRST_VIEW_BYTES_MAX, "the first view takes {total} bytes: {sizes:#?}");

    browser.command("Network.clearBrowserCache", json!({})).await;
    browser.set_network(false, FAST_3G_LATENCY_MILLISECONDS, FAST_3G).await;
    browser.slow_down(SLOW_PROCESSOR).await;
    let began = Instant::now();
    browser.open("/").await;
    browser.sees("겨울밤 어쿠스틱").await;
    println!("usable after {} ms on fast 3G with a slow processor", began.elapsed().as_millis());
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hall_of_15_002_seats_moves_under_a_finger() {
    let server = Server::start(&[]).await;
    let file = workspace().join("tests/catalog/arena.json");
    let (status, _, error) = server.run(&["import", file.to_str().expect("a path")], &[]).await;
    assert_eq!(status, 0, "{error}");
    let concerts = server.api().get("/v1/concerts?q=ORBIT").send().await.is(200).clone();
    let concert = text(&list(&concerts, "items")[0], "id").to_owned();
    let buyer = Buyer::new(server.api()).await;
    let browser = Browser::start_as(&server, "en", PHONE).await;
    browser.open_as(&buyer, &format!("/concerts/{concert}/queue")).await;
    // There are several dates, so the concert is shown again.
    browser.press_word("concert.choose_seats").await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    until("the hall is drawn", async || {
        browser.run("return document.querySelector('canvas')?.width > 300", &[]).await == true
    })
    .await;
    browser.look("large hall").await;
    browser.slow_down(SLOW_PROCESSOR).await;
    let times = browser.run_async(PAN, &[]).await;
    let mut times: Vec<f64> = times.as_array().expect("times").iter().filter_map(Value::as_f64).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 90);
    println!("frames while the hall moves: half within {:.0} ms, 95 of 100 within {:.0} ms", times[45], times[85]);
    browser.slow_down(1).await;
    browser.finish().await;
    server.finish().await;
}
