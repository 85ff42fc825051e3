//! What the tests share: the server as a process, and a client that checks every answer against the `OpenAPI` document.

pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod fleet;
pub(crate) mod queue_log;
pub(crate) mod queue_stream;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod show;
pub(crate) mod timeline;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use tokio::{
    sync::Barrier,
    task::JoinHandle,
    time::{Instant, sleep},
};

use client::{Answer, Ask, Buyer};

/// How long anything that must happen may take. Nothing takes that long; a machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Probes again and again until there is a result.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "this did not happen within {PATIENCE:?}: {what}");
        sleep(POLL).await;
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    eventually(what, async || condition().await.then_some(())).await;
}

/// Starts `count` tasks at the same instant and gives their results, in their order.
pub(crate) async fn together<T, F>(count: usize, act: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let start = |act: F| {
        let barrier = Arc::clone(&barrier);
        tokio::spawn(async move {
            barrier.wait().await;
            act.await
        })
    };
    all((0..count).map(act).map(start).collect()).await
}

/// Sends `count` requests at the same instant and gives their answers, in their order.
pub(crate) async fn send_together(count: usize, mut ask: impl FnMut(usize) -> Ask) -> Vec<Answer> {
    together(count, |index| ask(index).send()).await
}

/// The results of tasks; a panic in one of them is this test's.
pub(crate) async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
    }
    results
}

/// The text under this name.
#[track_caller]
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}"))
}

/// The list under this name.
#[track_caller]
pub(crate) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no list `{name}` in {value}"))
}

/// The instant that lies so many seconds from now, as the API writes it.
pub(crate) fn seconds_from_now(seconds: i64) -> String {
    (now() + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[expect(clippy::disallowed_methods, reason = "the server under test has the real time, so sales must open in it")]
pub(crate) fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Repeats a request until the server is there.
pub(crate) async fn answered(ask: impl Fn() -> Ask) -> Answer {
    loop {
        match ask().try_send().await {
            Some(answer) if answer.status != 503 => return answer,
            _ => sleep(POLL).await,
        }
    }
}

/// As [`answered`], for a request behind the queue. Joins again if the queue token does not count any more. Gives the id of
/// what was made.
pub(crate) async fn answered_in_queue(buyer: &mut Buyer, concert: &str, ask: impl Fn(&Buyer) -> Ask) -> String {
    loop {
        let answer = answered(|| ask(buyer)).await;
        if !matches!(answer.status, 401 | 403) {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
            return answer.id();
        }
        let joined = answered(|| buyer.ask_join(concert)).await;
        assert!(matches!(joined.status, 200 | 201), "{}", joined.text);
        buyer.keep_token(&joined);
    }
}
