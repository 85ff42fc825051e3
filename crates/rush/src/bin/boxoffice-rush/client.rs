//! The connections that all buyers share.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::bail;
use boxoffice_rush::{Pool, Prepared, Request, Response};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};

use super::tally::{Step, Tally, words};

/// How often a request is sent that the server has no time for, or whose response was lost.
const ATTEMPTS_MAX: u32 = 20;
/// The wait after a lost response, and the default if the server does not say how long to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest wait that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// One of so many connections may carry seat maps. A map is a thousand times as large as any other response: without
/// this bound maps would take every connection, and buyers in the queue could not poll in time.
const MAPS_SHARE: usize = 8;

pub(crate) struct Client {
    pool: Pool,
    map_permits: Semaphore,
    pub(crate) tally: Arc<Tally>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr, connections: usize, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let map_permits = Semaphore::new((connections / MAPS_SHARE).max(1));
        Ok(Self { pool: Pool::open(address, connections).await?, map_permits, tally })
    }

    /// Waits for a permit to ask for a seat map.
    pub(crate) async fn map_permit(&self) -> anyhow::Result<SemaphorePermit<'_>> {
        let asked = Instant::now();
        let permit = self.map_permits.acquire().await?;
        self.tally.lock().totals.map_waits.record(asked.elapsed());
        Ok(permit)
    }

    /// Sends a request until it is answered. Every request here may be repeated: it changes nothing, or has a key, or
    /// doing it twice is the same as once.
    pub(crate) async fn send(&self, step: Step, request: &Request) -> anyhow::Result<Response> {
        let request = request.prepare();
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let wait = match self.send_once(step, &request).await {
                Ok(response) => {
                    let Some(wait) = retry_after(step, &response) else { return Ok(response) };
                    last = format!("status {}", response.status);
                    wait
                }
                Err(error) => {
                    self.tally.lock().totals.connections_broken += 1;
                    last = error.to_string();
                    RETRY_AFTER
                }
            };
            sleep(wait).await;
        }
        bail!("`{}` was not answered in {ATTEMPTS_MAX} attempts: {last}", words(step))
    }

    async fn send_once(&self, step: Step, request: &Prepared) -> std::io::Result<Response> {
        let asked = Instant::now();
        let (response, waited) = self.pool.send(request).await?;
        let took = asked.elapsed().saturating_sub(waited);
        self.tally.lock().responded(step, &response, waited, took);
        Ok(response)
    }
}

/// How long to wait before sending again, if the response asks for that.
fn retry_after(step: Step, response: &Response) -> Option<Duration> {
    let retry = match response.status {
        503 => true,
        // The limit on signing in is per minute: thousands of buyers cannot wait for it.
        429 => step != Step::SignIn,
        // The response to an earlier attempt was lost, and the server is still working on it.
        409 => response.code().as_deref() == Some("idempotency_key_in_use"),
        _ => false,
    };
    let asked = || response.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
    retry.then(|| asked().unwrap_or(RETRY_AFTER).min(RETRY_AFTER_MAX))
}
