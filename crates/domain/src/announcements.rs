//! What the processes of one installation tell each other.
//!
//! Several processes may serve over one storage, and each keeps for a moment what it has read. An announcement lets the
//! others know that something is no longer so. It is a courtesy: it may be late, come twice or not at all, so whatever
//! is kept has a short life besides, and nothing that decides depends on it.

use std::sync::Arc;

use async_trait::async_trait;

/// What an announcement is about. What its text says is up to those who announce and hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Seats were taken or became free.
    Seats,
    /// Something was published or changed in the catalogue.
    Catalog,
    /// A session has ended.
    Sessions,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Seats, Self::Catalog, Self::Sessions];

    /// The name under which it travels: one word.
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

/// What is heard from the other processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Another process has announced this.
    Said {
        /// What it is about.
        topic: Topic,
        /// What was said.
        text: Arc<str>,
    },
    /// Nobody knows what was announced up to now: what is kept may be as old as its life allows.
    Missed,
}

/// Tells the other processes of this installation.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Announcements: Send + Sync {
    /// Whether there may be anybody else. Where not, there is no need to make up a text.
    fn has_listeners(&self) -> bool;

    /// Whether all that the others announced up to a moment ago has been heard. Then what is kept may be kept for
    /// longer. Where one of them has fallen silent, or nothing can be known of them, it may not.
    fn hears_all(&self) -> bool;

    /// How many others have announced something about this within the last second.
    fn others_busy_with(&self, topic: Topic) -> usize;

    /// Tells all others, but not the caller, as soon as may be. Never waits, and does not fail: what cannot be told is
    /// lost.
    fn announce(&self, topic: Topic, text: String);

    /// Tells the others that nothing more will come from here, so that nobody waits for it.
    async fn leave(&self);
}

/// One process that is known to be alone: there is nobody to tell, and nothing to hear.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

#[async_trait]
impl Announcements for Alone {
    fn has_listeners(&self) -> bool {
        false
    }

    /// There is nobody who could have said anything.
    fn hears_all(&self) -> bool {
        true
    }

    fn others_busy_with(&self, _topic: Topic) -> usize {
        0
    }

    fn announce(&self, _topic: Topic, _text: String) {}

    async fn leave(&self) {}
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
        assert!(!Alone.has_listeners() && Alone.hears_all());
    }
}
