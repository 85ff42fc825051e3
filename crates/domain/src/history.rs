//! What the staff does to a catalog and its queues, and the operator to accounts: each act is written down in the
//! transaction in which it happens, with what was before and after, and never changed.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AccountId, ConcertId, EntropySource, PerformanceId, StorageError, Timestamp, VenueId,
    accounts::{Credentials, Role},
    catalog::{Concert, Layout, NewPerformance, Venue},
    page::{Page, PageRequest},
    rfc3339,
};

/// Who acts, and by which request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Actor {
    /// The account; `None` for the operator at the command line.
    pub account_id: Option<AccountId>,
    /// The id of the request, by which its lines are found in the log; `None` if it was none.
    pub request_id: Option<String>,
}

impl From<AccountId> for Actor {
    fn from(account_id: AccountId) -> Self {
        Self { account_id: Some(account_id), request_id: None }
    }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident = $text:literal,)*) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        pub enum ActKind {
            $($(#[$meta])* $kind,)*
        }

        impl ActKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name of the kind, as stored and published.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }

            /// The kind of this name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
            }
        }
    };
}

kinds! {
    /// A venue is new.
    VenuePublished = "venue_published",
    /// An import changed a venue.
    VenueChanged = "venue_changed",
    /// A concert is new.
    ConcertPublished = "concert_published",
    /// A concert was changed.
    ConcertChanged = "concert_changed",
    /// A queue admits none until it is resumed.
    QueuePaused = "queue_paused",
    /// A queue admits again.
    QueueResumed = "queue_resumed",
    /// All places that waited in a queue were ended.
    QueueEmptied = "queue_emptied",
    /// A performance is new.
    PerformancePublished = "performance_published",
    /// An import changed a performance, or took it from sale.
    PerformanceChanged = "performance_changed",
    /// The operator changed an account, or ended its sessions.
    AccountChanged = "account_changed",
}

impl ActKind {
    /// Whether such an act makes its subject, so that all others follow it.
    pub fn publishes(self) -> bool {
        matches!(self, Self::VenuePublished | Self::ConcertPublished | Self::PerformancePublished)
    }

    /// What such an act is done to, by its id.
    pub fn subject(self, id: Uuid) -> ActSubject {
        match self {
            Self::VenuePublished | Self::VenueChanged => ActSubject::Venue(VenueId::new(id)),
            Self::ConcertPublished
            | Self::ConcertChanged
            | Self::QueuePaused
            | Self::QueueResumed
            | Self::QueueEmptied => ActSubject::Concert(ConcertId::new(id)),
            Self::PerformancePublished | Self::PerformanceChanged => ActSubject::Performance(PerformanceId::new(id)),
            Self::AccountChanged => ActSubject::Account(AccountId::new(id)),
        }
    }
}

/// What an act was done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(missing_docs, reason = "each variant is what its name says")]
pub enum ActSubject {
    Venue(VenueId),
    Concert(ConcertId),
    Performance(PerformanceId),
    Account(AccountId),
}

impl ActSubject {
    /// The id, whatever it is of.
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Venue(id) => id.uuid(),
            Self::Concert(id) => id.uuid(),
            Self::Performance(id) => id.uuid(),
            Self::Account(id) => id.uuid(),
        }
    }
}

/// A field that an act set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct FieldChange {
    /// The field, as the API and catalog files name it.
    pub field: String,
    /// What it was; `None` for what is new, and for what is not told, such as a password.
    pub before: Option<String>,
    /// What it is; `None` for what is gone or not told.
    pub after: Option<String>,
}

/// An act of the staff or of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct StaffAct {
    /// A `UUIDv7`, so acts of one process sort in the order in which they were decided.
    pub id: Uuid,
    /// When it was decided.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub kind: ActKind,
    /// To what.
    pub subject: ActSubject,
    /// The concert that it is about, if it is about one.
    pub concert_id: Option<ConcertId>,
    /// What it set, in the order of the fields.
    pub changes: Vec<FieldChange>,
}

impl StaffAct {
    /// An act at `at` that sets nothing yet.
    pub fn new(entropy: &dyn EntropySource, at: Timestamp, actor: Actor, kind: ActKind, subject: ActSubject) -> Self {
        let concert_id = match subject {
            ActSubject::Concert(id) => Some(id),
            ActSubject::Venue(_) | ActSubject::Performance(_) | ActSubject::Account(_) => None,
        };
        Self { id: entropy.uuid(), at, actor, kind, subject, concert_id, changes: Vec::new() }
    }

    /// With these changes.
    #[must_use]
    pub fn with(self, changes: Vec<FieldChange>) -> Self {
        Self { changes, ..self }
    }

    /// That a venue is published.
    pub fn venue_published(entropy: &dyn EntropySource, at: Timestamp, actor: Actor, venue: &Venue) -> Self {
        Self::new(entropy, at, actor, ActKind::VenuePublished, ActSubject::Venue(venue.id)).with(fields_of_venue(venue))
    }

    /// That a concert is published.
    pub fn concert_published(entropy: &dyn EntropySource, at: Timestamp, actor: Actor, concert: &Concert) -> Self {
        let fields = fields_of_concert(concert).map(|(field, after)| set(field, after));
        let draw = concert.draw.map(|_| set("draw", "true".to_owned()));
        Self::new(entropy, at, actor, ActKind::ConcertPublished, ActSubject::Concert(concert.id))
            .with(fields.into_iter().chain(draw).collect())
    }

    /// That a concert is changed: its queue, if nothing else is.
    pub fn concert_changed(
        entropy: &dyn EntropySource,
        at: Timestamp,
        actor: Actor,
        before: &Concert,
        after: &Concert,
    ) -> Self {
        let mut changes: Vec<_> = fields_of_concert(before)
            .into_iter()
            .zip(fields_of_concert(after))
            .filter(|(before, after)| before != after)
            .map(|((field, before), (_, after))| changed(field, before, after))
            .collect();
        let kind = match () {
            () if !changes.is_empty() => ActKind::ConcertChanged,
            () if after.emptied_at != before.emptied_at => ActKind::QueueEmptied,
            () if after.paused => ActKind::QueuePaused,
            () => ActKind::QueueResumed,
        };
        if after.paused != before.paused {
            changes.push(changed("paused", before.paused.to_string(), after.paused.to_string()));
        }
        if let Some(emptied_at) = after.emptied_at.filter(|_| after.emptied_at != before.emptied_at) {
            let before = before.emptied_at.map(rfc3339);
            changes.push(FieldChange { field: "emptied_at".to_owned(), before, after: Some(rfc3339(emptied_at)) });
        }
        Self::new(entropy, at, actor, kind, ActSubject::Concert(after.id)).with(changes)
    }

    /// That the operator made an account of staff: it has another role than one that signs up. `None` for a customer.
    pub fn staff_made(entropy: &dyn EntropySource, made: &Credentials) -> Option<Self> {
        let mut signed_up = made.clone();
        signed_up.account.role = Role::Customer;
        Self::account_changed(entropy, made.account.created_at, &signed_up, made)
    }

    /// That the operator changed an account. `None` if it is as it was.
    pub fn account_changed(
        entropy: &dyn EntropySource,
        at: Timestamp,
        before: &Credentials,
        after: &Credentials,
    ) -> Option<Self> {
        if before == after {
            return None;
        }
        let mut changes = Vec::new();
        let mut add = |field, before: String, after: String| {
            if before != after {
                changes.push(changed(field, before, after));
            }
        };
        let is_locked = |credentials: &Credentials| credentials.standing.locked_at.is_some().to_string();
        let has_factor = |credentials: &Credentials| credentials.standing.second_factor_at.is_some().to_string();
        add("role", before.account.role.as_str().to_owned(), after.account.role.as_str().to_owned());
        add("name", before.account.name.to_string(), after.account.name.to_string());
        add("locked", is_locked(before), is_locked(after));
        add("second_factor", has_factor(before), has_factor(after));
        if before.password_hash != after.password_hash {
            changes.push(FieldChange { field: "password".to_owned(), before: None, after: None });
        }
        let subject = ActSubject::Account(after.account.id);
        Some(Self::new(entropy, at, Actor::default(), ActKind::AccountChanged, subject).with(changes))
    }

    /// That a performance is published.
    pub fn performance_published(
        entropy: &dyn EntropySource,
        at: Timestamp,
        actor: Actor,
        performance: &NewPerformance,
    ) -> Self {
        let seats_count = performance.venue.plan.capacity();
        let changes = vec![
            set("venue_id", performance.venue.id.to_string()),
            set("starts_at", rfc3339(performance.starts_at)),
            set("duration_minutes", performance.duration_minutes.to_string()),
            set("seats_count", seats_count.to_string()),
        ];
        let subject = ActSubject::Performance(performance.id);
        let act = Self::new(entropy, at, actor, ActKind::PerformancePublished, subject).with(changes);
        Self { concert_id: Some(performance.concert_id), ..act }
    }
}

fn set(field: &str, after: String) -> FieldChange {
    FieldChange { field: field.to_owned(), before: None, after: Some(after) }
}

fn changed(field: &str, before: String, after: String) -> FieldChange {
    FieldChange { field: field.to_owned(), before: Some(before), after: Some(after) }
}

fn fields_of_venue(venue: &Venue) -> Vec<FieldChange> {
    let mut fields = vec![
        set("name", venue.name.to_string()),
        set("location", venue.location.to_string()),
        set("overlaps_allowed", venue.overlaps_allowed.to_string()),
        set("time_zone", venue.time_zone.to_string()),
        set("seats_count", venue.plan.capacity().to_string()),
    ];
    fields.extend(venue.layout.as_ref().map(|layout| set("layout", Layout::said(Some(layout)))));
    fields
}

/// The fields of a concert that its promoter sets, but for those of the queue.
fn fields_of_concert(concert: &Concert) -> [(&'static str, String); 9] {
    [
        ("title", concert.title.to_string()),
        ("artist", concert.artist.to_string()),
        ("description", concert.description.as_str().to_owned()),
        ("sales_open_at", rfc3339(concert.sales.open_at())),
        ("sales_close_at", rfc3339(concert.sales.close_at())),
        ("max_seats_per_account", concert.max_seats_per_account.to_string()),
        ("max_active", concert.max_active.to_string()),
        ("holds_need_balance", concert.holds_need_balance.to_string()),
        ("requires_verified_email", concert.requires_verified_email.to_string()),
    ]
}

/// Reads what the staff did. The acts themselves are written by the ports that do them.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait History: Send + Sync {
    /// The acts about a concert, or with `None` all acts; the newest first, by their ids.
    async fn acts(
        &self,
        concert_id: Option<ConcertId>,
        page: PageRequest<Uuid>,
    ) -> Result<Page<StaffAct, Uuid>, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Row, SeatingPlan, Section, VenueSummary},
        fixtures::{TestEntropy, concert, instant, terms},
        seats::PartName,
    };

    /// What a change of the concert says, and how the concert was before.
    fn change(change: impl FnOnce(&mut Concert)) -> (StaffAct, Concert) {
        let before = concert();
        let mut after = before.clone();
        change(&mut after);
        (StaffAct::concert_changed(&TestEntropy, instant(0), Actor::default(), &before, &after), before)
    }

    #[test]
    fn a_change_of_a_concert_says_what_was_and_what_is() {
        let (act, before) = change(|concert| concert.max_active = 7);
        assert_eq!((act.kind, act.concert_id), (ActKind::ConcertChanged, Some(before.id)));
        assert_eq!(act.changes, [changed("max_active", before.max_active.to_string(), "7".to_owned())]);
    }

    #[test]
    fn an_act_on_a_queue_has_its_own_name() {
        let (paused, _) = change(|concert| concert.paused = true);
        assert_eq!(paused.kind, ActKind::QueuePaused);
        assert_eq!(paused.changes, [changed("paused", "false".to_owned(), "true".to_owned())]);
        let (emptied, _) = change(|concert| concert.emptied_at = Some(instant(9)));
        assert_eq!(emptied.kind, ActKind::QueueEmptied);
        let after = Some(rfc3339(instant(9)));
        assert_eq!(emptied.changes, [FieldChange { field: "emptied_at".to_owned(), before: None, after }]);
        let open = concert();
        let before = Concert { paused: true, ..open.clone() };
        let resumed = StaffAct::concert_changed(&TestEntropy, instant(0), Actor::default(), &before, &open);
        assert_eq!(resumed.kind, ActKind::QueueResumed);
        let (both, _) = change(|concert| (concert.paused, concert.max_active) = (true, 7));
        assert_eq!((both.kind, both.changes.len()), (ActKind::ConcertChanged, 2));
    }

    #[test]
    fn what_makes_its_subject_is_its_publication() {
        let publishing: Vec<_> =
            ActKind::ALL.iter().filter(|kind| kind.publishes()).map(|kind| kind.as_str()).collect();
        assert_eq!(publishing, ["venue_published", "concert_published", "performance_published"]);
    }

    #[test]
    fn the_publication_of_a_venue_says_what_it_is() {
        let row = Row { name: PartName::new("1").unwrap(), seats: 3 };
        let VenueSummary { id, name, location, time_zone } = terms().venue;
        let plan = SeatingPlan::new(vec![Section { name: PartName::new("A").unwrap(), rows: vec![row] }]).unwrap();
        let created_at = instant(0);
        let venue = Venue { id, name, location, plan, layout: None, overlaps_allowed: true, time_zone, created_at };
        let act = StaffAct::venue_published(&TestEntropy, created_at, Actor::default(), &venue);
        assert_eq!((act.kind, act.subject), (ActKind::VenuePublished, ActSubject::Venue(id)));
        let expected = [
            ("name", "Rolling Hall"),
            ("location", "Seoul"),
            ("overlaps_allowed", "true"),
            ("time_zone", "Asia/Seoul"),
            ("seats_count", "3"),
        ];
        assert_eq!(act.changes, expected.map(|(field, after)| set(field, after.to_owned())));
    }

    #[test]
    fn a_kind_is_read_back_from_its_name_with_its_subject() {
        for kind in ActKind::ALL {
            assert_eq!(ActKind::parse(kind.as_str()), Some(*kind));
            assert_eq!(kind.subject(Uuid::from_u128(7)).uuid(), Uuid::from_u128(7));
        }
        assert_eq!(ActKind::parse("nothing"), None);
    }
}
