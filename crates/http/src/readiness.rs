//! Whether the storage serves, for any number of callers.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::{StorageError, audit::Readiness};
use boxoffice_peers::{SharedError, SingleFlight};
use tokio::time::Instant;

/// How long an answer is kept. Everybody may ask whether the server is ready, and must not keep the storage busy with it.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Asks the storage at most once a second whether it serves, whatever the number of callers.
pub struct ReadinessCheck {
    readiness: Arc<dyn Readiness>,
    flight: SingleFlight<Infallible>,
    latest: Mutex<Option<(Instant, Answer)>>,
}

type Answer = Result<(), SharedError>;

impl ReadinessCheck {
    /// A check that has not asked yet.
    pub fn new(readiness: Arc<dyn Readiness>) -> Self {
        Self { readiness, flight: SingleFlight::default(), latest: Mutex::default() }
    }

    /// The latest answer, unless it is older than a second; then asks. Fails if the storage does not serve.
    pub async fn ready(self: &Arc<Self>) -> Result<(), StorageError> {
        let answer = if let Some(answer) = self.kept() {
            answer
        } else {
            let check = Arc::clone(self);
            // By itself, so that a caller who leaves does not make the next one ask again.
            let asked = tokio::spawn(async move { check.ask().await }).await;
            asked.map_err(|panicked| StorageError::Failed(panicked.into()))?
        };
        Ok(answer?)
    }

    async fn ask(&self) -> Answer {
        let ask = async {
            let answer = self.readiness.ready().await.map_err(SharedError::from);
            let latest = Some((Instant::now(), answer.clone()));
            let before = std::mem::replace(&mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner), latest);
            let was_ready = before.is_none_or(|(_, answer)| answer.is_ok());
            match &answer {
                Err(error) if was_ready => {
                    let error = StorageError::from(error.clone());
                    tracing::warn!(error = &error as &dyn std::error::Error, "the storage is not ready");
                }
                Ok(()) if !was_ready => tracing::info!("the storage is ready again"),
                Ok(()) | Err(_) => {}
            }
            Ok(answer)
        };
        let Ok(answer) = self.flight.get(|| self.kept(), ask).await;
        answer
    }

    fn kept(&self) -> Option<Answer> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().filter(|(asked_at, _)| asked_at.elapsed() < KEPT_FOR).map(|(_, answer)| answer.clone())
    }
}

impl std::fmt::Debug for ReadinessCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadinessCheck").finish_non_exhaustive()
    }
}
