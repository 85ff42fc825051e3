//! Taking over another certificate.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::Worker;
use crate::tls::Tls;

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(2);

/// Takes over changes of the certificate and its key. Connections that are open keep theirs.
#[derive(Debug)]
pub(crate) struct CertificateWatch {
    pub(crate) tls: Arc<Tls>,
}

#[async_trait]
impl Worker for CertificateWatch {
    const NAME: &'static str = "certificate";

    /// Files that cannot be used change nothing: the previous certificate stays.
    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let tls = Arc::clone(&self.tls);
        if tokio::task::spawn_blocking(move || tls.reload()).await?? {
            tracing::info!("the certificate of the server was changed");
        }
        Ok(INTERVAL)
    }
}
