//! What processes publish to each other.

use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

/// What an announcement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Seats were taken or became free.
    Seats,
    /// Something was published or changed in the catalog.
    Catalog,
    /// A session has ended.
    Sessions,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Seats, Self::Catalog, Self::Sessions];

    /// The name of the topic on the wire: one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seats => "seats",
            Self::Catalog => "catalog",
            Self::Sessions => "sessions",
        }
    }

    /// The topic of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// What a process receives from its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// A peer has published this.
    Published {
        /// What it is about.
        topic: Topic,
        /// What it says.
        text: Arc<str>,
    },
    /// Announcements may have been lost: what a cache has kept up to now may be as old as its rule allows.
    Missed,
}

/// What peers publish from the time of the subscription on.
#[derive(Debug)]
pub struct Subscription(pub(crate) broadcast::Receiver<Announcement>);

impl Subscription {
    /// Waits for the next announcement. Dropping this future loses nothing.
    pub async fn next(&mut self) -> Announcement {
        match self.0.recv().await {
            Ok(announcement) => announcement,
            Err(RecvError::Lagged(_)) => Announcement::Missed,
            // The sender is gone, so nothing can come.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next announcement, if one has arrived.
    pub fn try_next(&mut self) -> Option<Announcement> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_travel_by_name() {
        for topic in Topic::ALL {
            assert_eq!(Topic::named(topic.name()), Some(topic));
            assert!(!topic.name().contains(' '));
        }
        assert_eq!(Topic::named("weather"), None);
    }
}
