//! Applies what the peers publish.

use std::sync::Arc;

use boxoffice_application::{AccountService, CatalogGeneration};
use boxoffice_http::FreshnessMarks;
use boxoffice_peers::{Announcement, Subscription, Topic};
use boxoffice_persistence::Database;

/// What caches something that a peer may change.
pub(crate) struct Subscriber {
    pub(crate) database: Database,
    pub(crate) accounts: Arc<AccountService>,
    pub(crate) generation: Arc<CatalogGeneration>,
    pub(crate) marks: Arc<FreshnessMarks>,
}

impl Subscriber {
    /// Applies one announcement after the other, without end.
    pub(crate) async fn run(self, mut subscription: Subscription) {
        loop {
            self.apply(subscription.next().await);
        }
    }

    fn apply(&self, announcement: Announcement) {
        match announcement {
            Announcement::Published { topic: Topic::Seats, text } => {
                for account_id in self.database.apply_seats(&text) {
                    self.marks.set(account_id);
                }
            }
            Announcement::Published { topic: Topic::Sessions, text } => self.accounts.apply_revocation(&text),
            Announcement::Published { topic: Topic::Catalog, text } => self.apply_catalog(&text),
            Announcement::Missed => {
                self.accounts.revocations.mark_missed();
                self.apply_catalog("");
            }
        }
    }

    /// Applies the change of the concert with this id, or else of any.
    fn apply_catalog(&self, text: &str) {
        // An import may have changed the prices of seats.
        self.database.forget_seats();
        self.database.apply_catalog(text);
        self.generation.begin();
    }
}
