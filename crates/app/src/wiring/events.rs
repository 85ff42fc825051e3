//! Where events go.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use boxoffice_domain::event_delivery::EventSink;
use boxoffice_event_delivery::{
    amqp::{AmqpSettings, AmqpSink},
    redis_stream::RedisStreamSink,
    tls::TlsTrust,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

use super::open_link;
use crate::settings::{EventsUrl, Settings};

/// How long connecting to a broker may take, with signing in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a batch of events may take until the broker has all of it on its disks.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The broker or the stream that the settings name; `None` without one. It is connected to later.
pub(crate) fn broker(settings: &Settings) -> anyhow::Result<Option<Arc<dyn EventSink>>> {
    Ok(match &settings.events {
        None => None,
        Some(EventsUrl::Amqp(url)) => {
            let amqp = AmqpSettings {
                url: url.clone(),
                exchange: settings.events_name.clone(),
                require_queue: settings.events_require_queue,
                connect_timeout: CONNECT_TIMEOUT,
                batch_timeout: BATCH_TIMEOUT,
            };
            Some(Arc::new(AmqpSink::new(amqp, trust(settings)?)))
        }
        Some(EventsUrl::Redis(url)) => {
            let link = open_link(url, settings);
            Some(Arc::new(RedisStreamSink::new(link, settings.events_name.clone(), settings.events_stream_entries_max)))
        }
    })
}

/// The authorities of the system, and the one that the settings name.
fn trust(settings: &Settings) -> anyhow::Result<TlsTrust> {
    let further = match &settings.events_ca_file {
        None => Vec::new(),
        Some(path) => {
            let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
            let read = read().with_context(|| format!("`events_ca_file` cannot be read from {}", path.display()))?;
            read.into_iter().map(|certificate| certificate.to_vec()).collect()
        }
    };
    TlsTrust::of_system(further).context("`events_ca_file` names a certificate that cannot be used")
}
