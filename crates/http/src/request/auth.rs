//! Who sends a request: the bearer of an access token, and of a queue token.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header::AUTHORIZATION, request::Parts},
};
use boxoffice_application::{Identity, Visitor, WaitingRoomService};
use boxoffice_domain::{accounts::AccessTokenError, waiting_room::QueuePlace};
use utoipa::{
    IntoParams,
    openapi::{
        Required,
        path::{Parameter, ParameterIn},
    },
};

use super::{Passage, header_parameter, service::Service};
use crate::{
    api::Api,
    reply::{Code, Problem},
};

/// The header field that carries a queue token.
pub(crate) const QUEUE_TOKEN: HeaderName = HeaderName::from_static("queue-token");

/// How long it is looked up whether an account exists. The time of a request with a body does not run yet.
const EXISTS_TIME_MAX: Duration = Duration::from_secs(1);

/// The bearer of a valid access token, whose account exists.
#[derive(Clone, Copy)]
pub(crate) struct SignedIn(pub Identity);

impl FromRequestParts<Api> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let identity = authenticate(parts, api)?;
        refuse_gone(api, identity).await?;
        Ok(Self(identity))
    }
}

/// The bearer of a valid access token, who joins a queue. Many do so at once, so it is not looked up whether their accounts
/// exist until they are admitted.
#[derive(Clone, Copy)]
pub(crate) struct Joining(pub Identity);

impl FromRequestParts<Api> for Joining {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        authenticate(parts, api).map(Self)
    }
}

/// Whose access token a request bears. A route that also takes a queue token asks twice; the signature is checked once.
fn authenticate(parts: &mut Parts, api: &Api) -> Result<Identity, Problem> {
    if let Some(identity) = parts.extensions.get::<Identity>() {
        return Ok(*identity);
    }
    let identity = api.services.accounts.authenticate(bearer(&parts.headers)?).map_err(Problem::from)?;
    enter(parts, identity)?;
    parts.extensions.insert(identity);
    Ok(identity)
}

/// Refuses a caller whose account does not exist any more, as after a restored backup.
async fn refuse_gone(api: &Api, identity: Identity) -> Result<(), Problem> {
    let exists = tokio::time::timeout(EXISTS_TIME_MAX, api.services.accounts.known.exists(identity.account_id)).await;
    // If the storage stands still, what is asked of it fails by itself.
    if exists.unwrap_or(Ok(true))? { Ok(()) } else { Err(Problem::invalid_access_token(Code::Unauthenticated)) }
}

/// Takes what the account of a request may have at once.
fn enter(parts: &Parts, identity: Identity) -> Result<(), Problem> {
    match parts.extensions.get::<Arc<Passage>>() {
        Some(passage) => passage.enter(identity, &parts.method),
        None => Ok(()),
    }
}

/// The bearer of a valid access token, including staff that may only set up a second factor.
#[derive(Clone, Copy)]
pub(crate) struct SettingUp(pub Identity);

impl FromRequestParts<Api> for SettingUp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let accounts = &api.services.accounts;
        let identity = accounts.authenticate_for_setup(bearer(&parts.headers)?).map_err(Problem::from)?;
        enter(parts, identity)?;
        refuse_gone(api, identity).await?;
        Ok(Self(identity))
    }
}

/// The text of the access token, valid or not.
pub(crate) struct AccessToken(pub String);

impl FromRequestParts<Api> for AccessToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        bearer(&parts.headers).map(|token| Self(token.to_owned()))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let Some(field) = headers.get(AUTHORIZATION) else {
        return Err(Problem::new(Code::Unauthenticated));
    };
    let (scheme, token) = field.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(AccessTokenError::Invalid)?;
    if scheme.eq_ignore_ascii_case("Bearer") { Ok(token.trim()) } else { Err(AccessTokenError::Invalid.into()) }
}

impl From<AccessTokenError> for Problem {
    fn from(error: AccessTokenError) -> Self {
        match error {
            AccessTokenError::Invalid => Self::invalid_access_token(Code::Unauthenticated),
            AccessTokenError::Expired => Self::invalid_access_token(Code::AccessTokenExpired),
            AccessTokenError::SecondFactorMissing => Self::new(Code::SecondFactorSetupRequired),
        }
    }
}

/// [`SignedIn`], with a role that may publish. A route with long bodies extracts this, so that no other account can have
/// them read.
#[derive(Clone, Copy)]
pub(crate) struct Publisher(pub Identity);

impl FromRequestParts<Api> for Publisher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let SignedIn(identity) = SignedIn::from_request_parts(parts, api).await?;
        if identity.role.may_publish() { Ok(Self(identity)) } else { Err(Problem::new(Code::Forbidden)) }
    }
}

/// The holder of a queue token of the same account, active or not: the use case decides whether it is active.
#[derive(Clone, Copy)]
pub(crate) struct Queued(pub QueuePlace);

impl FromRequestParts<Api> for Queued {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Service(waiting_room) = Service::<WaitingRoomService>::from_request_parts(parts, api).await?;
        // All who wait ask, so it is not looked up whether their accounts exist until they are admitted.
        let identity = authenticate(parts, api)?;
        let Some(field) = parts.headers.get(QUEUE_TOKEN) else {
            return Err(Problem::new(Code::QueueTokenMissing));
        };
        let token = field.to_str().map_err(|_| Problem::new(Code::QueueTokenInvalid))?;
        Ok(Self(waiting_room.place(identity, token)?))
    }
}

impl IntoParams for Queued {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header_parameter("Queue-Token", Required::True, "The token that joining the queue gave")]
    }
}

/// An account before the gate: [`Queued`], unless the door is open.
pub(crate) struct AtGate(pub Visitor);

impl FromRequestParts<Api> for AtGate {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if api.services.waiting_room().is_none() {
            let SignedIn(identity) = SignedIn::from_request_parts(parts, api).await?;
            return Ok(Self(identity.into()));
        }
        let Queued(place) = Queued::from_request_parts(parts, api).await?;
        let SignedIn(identity) = SignedIn::from_request_parts(parts, api).await?;
        Ok(Self(Visitor::in_queue(identity, place)))
    }
}

/// An account that looks at what is behind the gate: [`AtGate`], and those that may be staff of the concert also without a
/// queue token.
pub(crate) struct LookingIn(pub Visitor);

impl FromRequestParts<Api> for LookingIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if !parts.headers.contains_key(QUEUE_TOKEN) {
            let SignedIn(identity) = SignedIn::from_request_parts(parts, api).await?;
            if identity.role.may_publish() {
                return Ok(Self(identity.into()));
            }
        }
        let AtGate(visitor) = AtGate::from_request_parts(parts, api).await?;
        Ok(Self(visitor))
    }
}

impl IntoParams for LookingIn {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The token that joining the queue gave; not needed by the concert's promoter and by admins";
        vec![header_parameter("Queue-Token", Required::False, description)]
    }
}
