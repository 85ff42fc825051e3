//! What the other instances announce, and what becomes of it here.

use std::sync::Arc;

use boxoffice_application::{AccountService, WaitingRoomService};
use boxoffice_domain::{
    Clock,
    announcements::{Heard, Topic},
};
use boxoffice_http::Neighbours;
use boxoffice_persistence::Database;
use boxoffice_waiting_room::Announced;

/// Who keeps something that may be no longer so.
pub(crate) struct Heeding {
    pub(crate) database: Database,
    pub(crate) accounts: Arc<AccountService>,
    pub(crate) waiting_room: Arc<WaitingRoomService>,
    pub(crate) neighbours: Neighbours,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Heeding {
    /// Heeds one announcement after the other. Never ends.
    pub(crate) async fn of(self, mut announced: Announced) {
        loop {
            self.heed(announced.next().await);
        }
    }

    fn heed(&self, heard: Heard) {
        match heard {
            Heard::Said { topic: Topic::Seats, text } => {
                for account_id in self.database.hear_of_seats(&text) {
                    self.neighbours.has_answered(account_id);
                }
            }
            Heard::Said { topic: Topic::Catalog, .. } => self.forget_catalog(),
            Heard::Said { topic: Topic::Sessions, text } => self.accounts.hear_of_session(&text),
            Heard::Missed => {
                self.database.forget_seats();
                self.forget_catalog();
            }
        }
    }

    fn forget_catalog(&self) {
        self.neighbours.catalog_has_changed();
        self.waiting_room.terms.doubt_all(self.clock.now());
    }
}
