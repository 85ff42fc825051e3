//! The connection to a broker.

use std::{fmt, time::Duration};

use boxoffice_domain::event_delivery::EventSinkError;
use lapin::{
    Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{ConfirmSelectOptions, ExchangeDeclareOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{AmqpSettings, failure, short, transport};
use crate::tls::TlsTrust;

/// How long to wait after the first failure to connect; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A broker, and the connection to it while there is one.
pub(super) struct Broker {
    settings: AmqpSettings,
    trust: TlsTrust,
    connected: Option<(Connection, Channel)>,
    /// How often connecting has failed since it succeeded.
    failures: u32,
    /// When to try again.
    next_attempt: Option<Instant>,
}

impl Broker {
    pub(super) fn new(settings: AmqpSettings, trust: TlsTrust) -> Self {
        Self { settings, trust, connected: None, failures: 0, next_attempt: None }
    }

    /// A channel with the exchange declared and confirms on. Connects if there is none, when it is time to try again.
    pub(super) async fn channel(&mut self) -> Result<Channel, EventSinkError> {
        if let Some((connection, channel)) = &self.connected
            && connection.status().connected()
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        self.disconnect();
        if let Some(next_attempt) = self.next_attempt {
            sleep_until(next_attempt).await;
        }
        // Counted before the attempt, which the caller may give up waiting for.
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.failures - 1)).min(PAUSE_MAX);
        self.next_attempt = Some(Instant::now() + pause);
        let connected = timeout(self.settings.connect_timeout, self.connect()).await;
        let (connection, channel) = connected.map_err(|_| EventSinkError::TimedOut)??;
        (self.failures, self.next_attempt) = (0, None);
        self.connected = Some((connection, channel.clone()));
        Ok(channel)
    }

    /// Gives the connection up, if there is one.
    pub(super) fn disconnect(&mut self) {
        self.connected = None;
    }

    async fn connect(&self) -> Result<(Connection, Channel), EventSinkError> {
        let properties = ConnectionProperties::default().with_connection_name("boxoffice events".into());
        let connection =
            transport::connect(self.settings.url.uri(), self.trust.clone(), properties).await.map_err(failure)?;
        let channel = connection.create_channel().await.map_err(failure)?;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = short(&self.settings.exchange)?;
        let declared = channel.exchange_declare(exchange, ExchangeKind::Topic, options, FieldTable::default());
        declared.await.map_err(failure)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failure)?;
        Ok((connection, channel))
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("url", &self.settings.url)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
