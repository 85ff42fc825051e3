//! Asking the server, as many at once as there are connections.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use boxoffice_load::{Answer, Connection, Request};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};

use super::tally::{Step, Tally};

/// How often something is asked that the server has no time for, or whose answer was lost.
const ATTEMPTS_MAX: u32 = 20;
/// How long to wait after a lost answer, and where the server does not say how long.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest wait that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// One of so many connections may be used for seat maps. A map is a thousand times as large as any other answer;
/// without a bound of their own they would take every connection, and those in line could not ask in time whether
/// it is their turn.
const MAPS_SHARE: usize = 8;

/// The connections that all buyers share.
pub(crate) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    map_places: Semaphore,
    pub(crate) tally: Arc<Tally>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, connections: usize, tally: Arc<Tally>) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            places: Semaphore::new(connections),
            map_places: Semaphore::new((connections / MAPS_SHARE).max(1)),
            tally,
        }
    }

    /// Waits until a seat map may be asked for, which it may as long as this is kept.
    pub(crate) async fn map_place(&self) -> anyhow::Result<SemaphorePermit<'_>> {
        let asked = Instant::now();
        let place = self.map_places.acquire().await?;
        self.tally.shared().map_waits.record(asked.elapsed());
        Ok(place)
    }

    /// Sends a request until it is answered. Everything that is asked here may be repeated: it changes nothing, or it
    /// has a key, or doing it twice is the same as once.
    pub(crate) async fn send(&self, step: Step, request: &Request) -> anyhow::Result<Answer> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let wait = match self.send_once(step, request).await {
                Ok(answer) => match Self::wait_of(step, &answer) {
                    None => return Ok(answer),
                    Some(wait) => {
                        last = format!("status {}", answer.status);
                        wait
                    }
                },
                Err(error) => {
                    self.tally.broken.add(1);
                    last = error.to_string();
                    RETRY_AFTER
                }
            };
            sleep(wait).await;
        }
        bail!("`{}` was not answered in {ATTEMPTS_MAX} attempts: {last}", step.name())
    }

    /// Sends a request once.
    pub(crate) async fn send_once(&self, step: Step, request: &Request) -> io::Result<Answer> {
        let asked = Instant::now();
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let waited = asked.elapsed();
        let answer = connection.send(request).await?;
        self.tally.answered(step, waited, asked.elapsed().saturating_sub(waited));
        // A connection that broke is dropped instead.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.count(&answer);
        Ok(answer)
    }

    fn count(&self, answer: &Answer) {
        match answer.status {
            ..400 => {}
            503 | 400..500 => self.tally.refused(answer.code(), answer.status),
            status => self.tally.failed(status),
        }
    }

    /// How long to wait before asking again, where the answer says to.
    fn wait_of(step: Step, answer: &Answer) -> Option<Duration> {
        let later = match answer.status {
            503 => true,
            // A limit on signing in is for whole minutes; there is no waiting for thousands of them.
            429 => step != Step::SignIn,
            // The answer to an earlier attempt was lost, and it is being worked on.
            409 => answer.code().as_deref() == Some("idempotency_key_in_use"),
            _ => false,
        };
        let told = || answer.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        later.then(|| told().unwrap_or(RETRY_AFTER).min(RETRY_AFTER_MAX))
    }
}
