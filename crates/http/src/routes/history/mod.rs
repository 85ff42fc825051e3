//! `/v1/history` and `/v1/concerts/{id}/history`.

pub(crate) mod all;
pub(crate) mod of_concert;

use boxoffice_domain::history::{ActKind, ActSubject, FieldChange, StaffAct};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::reply::mirror;

/// An act of the staff, or of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StaffAct)]
pub(crate) struct StaffActResponse {
    id: Uuid,
    done_at: DateTime<Utc>,
    /// Who did it; `null` for the operator at the command line.
    #[schema(required)]
    account_id: Option<Uuid>,
    /// The `X-Request-Id` of the request; `null` if it was none.
    #[schema(required)]
    request_id: Option<String>,
    kind: KindResponse,
    subject: SubjectResponse,
    /// The venue, concert, performance or account.
    subject_id: Uuid,
    /// The concert that it is about, if it is about one.
    #[schema(required)]
    concert_id: Option<Uuid>,
    /// What was set.
    changes: Vec<ChangeResponse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StaffActKind)]
enum KindResponse {
    VenuePublished,
    VenueChanged,
    ConcertPublished,
    ConcertChanged,
    QueuePaused,
    QueueResumed,
    QueueEmptied,
    PerformancePublished,
    PerformanceChanged,
    AccountChanged,
}

mirror!(ActKind => KindResponse: VenuePublished, VenueChanged, ConcertPublished, ConcertChanged, QueuePaused,
    QueueResumed, QueueEmptied, PerformancePublished, PerformanceChanged, AccountChanged);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StaffActSubject)]
enum SubjectResponse {
    Venue,
    Concert,
    Performance,
    Account,
}

impl From<ActSubject> for SubjectResponse {
    fn from(subject: ActSubject) -> Self {
        match subject {
            ActSubject::Venue(_) => Self::Venue,
            ActSubject::Concert(_) => Self::Concert,
            ActSubject::Performance(_) => Self::Performance,
            ActSubject::Account(_) => Self::Account,
        }
    }
}

/// A field that an act set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StaffActChange)]
struct ChangeResponse {
    /// The field, as requests and catalog files name it.
    field: String,
    /// What it was, as text; `null` for what is new or not told.
    #[schema(required)]
    before: Option<String>,
    /// What it is, as text; `null` for what is gone or not told.
    #[schema(required)]
    after: Option<String>,
}

impl From<FieldChange> for ChangeResponse {
    fn from(FieldChange { field, before, after }: FieldChange) -> Self {
        Self { field, before, after }
    }
}

impl From<StaffAct> for StaffActResponse {
    fn from(act: StaffAct) -> Self {
        Self {
            id: act.id,
            done_at: act.at,
            account_id: act.actor.account_id.map(boxoffice_domain::AccountId::uuid),
            request_id: act.actor.request_id,
            kind: act.kind.into(),
            subject: act.subject.into(),
            subject_id: act.subject.uuid(),
            concert_id: act.concert_id.map(boxoffice_domain::ConcertId::uuid),
            changes: act.changes.into_iter().map(ChangeResponse::from).collect(),
        }
    }
}
