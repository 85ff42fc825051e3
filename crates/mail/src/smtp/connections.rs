//! A bounded number of connections, which are used again.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, TlsParameters},
    extension::ClientId,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::failure::Stage;
use crate::{Encryption, SmtpServer};

/// How to sign in, the best first. With TLS both are as safe; without it there is no password that leaves the machine.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// A server, and what makes a connection to it.
pub(super) struct Endpoint {
    server: SmtpServer,
    tls: Option<TlsParameters>,
    /// How the client calls itself.
    client: ClientId,
    credentials: Option<Credentials>,
    connect_max: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(super) fn new(
        server: SmtpServer,
        tls: Option<TlsParameters>,
        client_host: &str,
        connect_max: Duration,
    ) -> Self {
        let credentials =
            server.login.as_ref().map(|login| Credentials::new(login.user.clone(), login.password.clone()));
        Self { server, tls, client: ClientId::Domain(client_host.to_owned()), credentials, connect_max }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, (Stage, Error)> {
        let at = |stage| move |error| (stage, error);
        let Self { server, client, connect_max, .. } = self;
        let tls_at_once = self.tls.clone().filter(|_| server.encryption == Encryption::Tls);
        let place = (server.host.as_str(), server.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(place, Some(*connect_max), client, tls_at_once, None)
            .await
            .map_err(at(Stage::Connection))?;
        if server.encryption == Encryption::StartTls
            && let Some(tls) = self.tls.clone()
        {
            connection.starttls(tls, client).await.map_err(at(Stage::Encryption))?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&MECHANISMS, credentials).await.map_err(at(Stage::Login))?;
        }
        Ok(connection)
    }
}

/// The connections to a server.
#[derive(Debug)]
pub(super) struct Connections {
    endpoint: Endpoint,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    idle_max: Duration,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("since", &self.since).finish_non_exhaustive()
    }
}

/// A connection that one mail has to itself. It is closed when this is dropped, unless it was given back.
pub(super) struct Lease<'a> {
    connections: &'a Connections,
    connection: AsyncSmtpConnection,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    pub(super) fn new(endpoint: Endpoint, connections_max: usize, idle_max: Duration) -> Self {
        let permits = Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { endpoint, permits, idle: Mutex::default(), idle_max }
    }

    /// A connection that answers: one that was used before, or a new one. Waits while as many as are allowed are in use.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, (Stage, Error)> {
        // The semaphore is never closed, so there always is a permit.
        let permit = self.permits.acquire().await.expect("the semaphore is open");
        while let Some(mut connection) = self.take_idle() {
            // A server closes connections when it likes.
            if connection.test_connected().await {
                return Ok(Lease { connections: self, connection, _permit: permit });
            }
        }
        let connection = self.endpoint.connect().await?;
        Ok(Lease { connections: self, connection, _permit: permit })
    }

    /// The connection that was used last; those that were not used for too long are closed.
    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < self.idle_max);
        idle.pop().map(|idle| idle.connection)
    }
}

impl Lease<'_> {
    pub(super) fn connection(&mut self) -> &mut AsyncSmtpConnection {
        &mut self.connection
    }

    /// Keeps the connection for another mail. There are never more than there are permits.
    pub(super) fn give_back(self) {
        let mut idle = self.connections.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { connection: self.connection, since: Instant::now() });
    }
}
