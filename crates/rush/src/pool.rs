//! Connections that many tasks share.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use crate::{Connection, Prepared, Response};

/// A bounded number of connections to one server.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Pool {
    pub async fn open(address: SocketAddr, count: usize) -> io::Result<Self> {
        let idle = Mutex::new(Connection::open_many(address, count).await?);
        Ok(Self { address, idle, permits: Semaphore::new(count) })
    }

    /// Sends a request over the next free connection. Gives the response, and how long the request waited for the
    /// connection.
    pub async fn send(&self, request: &Prepared) -> io::Result<(Response, Duration)> {
        let asked = Instant::now();
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        // A task that was aborted has taken its connection with it.
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let waited = asked.elapsed();
        let response = connection.send(request).await;
        self.idle().push(connection);
        Ok((response?, waited))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
