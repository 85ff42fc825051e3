//! `/v1/concerts/{id}/queue` and `/v1/queue`.

pub(crate) mod join;
pub(crate) mod leave;
pub(crate) mod queue_stream;
pub(crate) mod status;

use boxoffice_application::waiting_room::QueueView;
use boxoffice_domain::waiting_room::{QueueReason, SaleEnd, Standing};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::HttpSettings;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QueueTokenStatus)]
enum StatusResponse {
    /// In the queue.
    Waiting,
    /// Admitted.
    Active,
    /// Over: spent by a payment, left, lapsed, passed over because the holder was absent, or the queue has ended.
    Expired,
}

/// A queue token and the standing of its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = QueueStatus)]
pub(crate) struct QueueResponse {
    /// Goes into the `Queue-Token` field. Its text never changes.
    token: String,
    concert_id: Uuid,
    status: StatusResponse,
    /// 1 for the next to be admitted, 0 when active or expired; `null` before the draw.
    #[schema(required)]
    position: Option<u64>,
    /// The estimated wait at the measured rate of admission; `null` before there is a measure, while admission is
    /// paused or all seats are held, before the draw, and when not waiting.
    #[schema(required)]
    estimated_wait_seconds: Option<u64>,
    /// When to ask again, also when active: an account that holds no seats and stays away is passed over; `null` when
    /// expired.
    #[schema(required)]
    poll_after_seconds: Option<u32>,
    joined_at: DateTime<Utc>,
    /// Until when the holder is admitted; `null` when not active.
    #[schema(required)]
    active_until: Option<DateTime<Utc>>,
    /// Why it is `waiting` and not admitted, or `expired`, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<ReasonResponse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QueueReason)]
enum ReasonResponse {
    /// Waiting: every seat that is not sold is held. Accounts are admitted when a seat becomes free.
    AllHeld,
    /// Waiting: the sale has yet to open, since its opening was moved. Accounts are admitted from then on.
    SaleNotOpen,
    /// Waiting: the promoter has paused admission. All keep their places.
    Paused,
    /// Expired: the holder was away when its turn came, or did not use the admission.
    PassedOver,
    /// Expired: the sale has closed.
    SaleClosed,
    /// Expired: every seat is sold.
    SoldOut,
    /// Expired: every performance has started.
    PerformanceStarted,
}

impl From<QueueReason> for ReasonResponse {
    fn from(reason: QueueReason) -> Self {
        match reason {
            QueueReason::AllHeld => Self::AllHeld,
            QueueReason::NotOpen => Self::SaleNotOpen,
            QueueReason::Paused => Self::Paused,
            QueueReason::PassedOver => Self::PassedOver,
            QueueReason::Ended(SaleEnd::Closed) => Self::SaleClosed,
            QueueReason::Ended(SaleEnd::SoldOut) => Self::SoldOut,
            QueueReason::Ended(SaleEnd::Started) => Self::PerformanceStarted,
        }
    }
}

impl QueueResponse {
    fn new(view: QueueView, settings: &HttpSettings) -> Self {
        let place = view.status.place;
        let expired = Self {
            token: view.token.0,
            concert_id: place.concert_id.uuid(),
            status: StatusResponse::Expired,
            position: Some(0),
            estimated_wait_seconds: None,
            poll_after_seconds: None,
            joined_at: place.joined_at,
            active_until: None,
            reason: view.status.reason.map(ReasonResponse::from),
        };
        match view.status.standing {
            Standing::Waiting { position, estimated_wait_seconds, poll_after_seconds } => Self {
                status: StatusResponse::Waiting,
                position,
                estimated_wait_seconds,
                poll_after_seconds: Some(poll_after_seconds),
                ..expired
            },
            Standing::Active { active_until, .. } => Self {
                status: StatusResponse::Active,
                poll_after_seconds: Some(settings.active_poll_seconds),
                active_until: Some(active_until),
                ..expired
            },
            Standing::Expired => expired,
        }
    }
}
