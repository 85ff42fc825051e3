use axum::{Json, extract::State, http::StatusCode};
use boxoffice_application::{WaitingRoomService, waiting_room::JoinError};
use boxoffice_domain::ConcertId;

use super::QueueResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::{ClientNetwork, Id, Joining, Service, UnneededKey},
};

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::ConcertNotFound => Self::new(Code::ConcertNotFound),
            JoinError::NoPerformance => Self::new(Code::SaleNotOpen),
            JoinError::NoAccount => Self::invalid_access_token(Code::Unauthenticated),
            JoinError::EmailNotVerified => Self::new(Code::EmailNotVerified),
            JoinError::AccountTooNew { seconds_left } => Self::new(Code::AccountTooNew).retry_after(seconds_left),
            JoinError::NetworkFull { seconds_left } => Self::new(Code::QueueJoinsLimited).retry_after(seconds_left),
            JoinError::NotOnSale(not_on_sale) => not_on_sale.into(),
            JoinError::Ended(end) => end.into(),
            JoinError::WaitingRoom(error) => error.into(),
            JoinError::Storage(error) => error.into(),
        }
    }
}

refusals!(
    [SIGNED_IN, PATH],
    [
        ConcertNotFound,
        SaleNotOpen,
        SaleClosed,
        SoldOut,
        PerformanceStarted,
        AccountTooNew,
        EmailNotVerified,
        QueueJoinsLimited
    ]
);

/// Join the queue
///
/// A concert without a performance, and one of which everything is sold or has started, cannot be queued for. While every
/// seat that is not sold is held, accounts can join, and wait. Joining again gives the same place. Before the sale opens, an
/// account may join only if the concert has a draw. The draw takes place when the sale opens, and decides the order of all
/// accounts that have joined by then. An operator may want accounts to be of some age to join, and bound how many join from
/// one network.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue", tag = "waiting room", operation_id = "waiting_room_join",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        UnneededKey,
    ),
    responses(
        (status = 201, description = "A new place at the end of the queue.", body = QueueResponse),
        (status = 200, description = "The place that the account has already.", body = QueueResponse),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.join", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(waiting_room): Service<WaitingRoomService>,
    Joining(identity): Joining,
    Id(concert_id): Id<ConcertId>,
    ClientNetwork(network): ClientNetwork,
    _: UnneededKey,
) -> Result<(StatusCode, Json<QueueResponse>), Problem> {
    let act = async move { waiting_room.join(identity, concert_id, network).await };
    let (view, newly) = api.run_detached(act).await??;
    let status = if newly { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(QueueResponse::new(view, &api.settings))))
}
