//! What requests are read with: each extractor refuses with a [`Problem`](crate::reply::Problem).

mod accepted_input;
mod auth;
mod body;
mod browser;
mod idempotency_key;
mod limits;
mod origin;
mod parameter_form;
mod passage;
mod path;
mod query;
mod service;
pub(crate) mod validation;

pub(crate) use accepted_input::{AcceptedInput, operations_of, refuse_unknown_input};
pub(crate) use auth::{AccessToken, AtGate, Joining, LookingIn, Publisher, QUEUE_TOKEN, Queued, SettingUp, SignedIn};
pub(crate) use body::{Body, BodyReader};
pub(crate) use browser::Browser;
pub(crate) use idempotency_key::{IDEMPOTENCY_KEY, OptionalKey, RequiredKey, UnneededKey};
pub(crate) use limits::{Limits, too_many_at_once, wrong_too_often};
pub(crate) use origin::{ClientAddress, ClientNetwork, Origin, RequestId};
pub(crate) use passage::Passage;
pub(crate) use path::{Id, Ids};
pub(crate) use query::{PageQuery, Query, page};
pub(crate) use service::Service;

use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

/// Describes a header field of a request.
pub(crate) fn header_parameter(name: &str, required: Required, description: &str) -> Parameter {
    described_parameter(name, required, description, ObjectBuilder::new().schema_type(Type::String))
}

fn described_parameter(name: &str, required: Required, description: &str, schema: ObjectBuilder) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(required);
    parameter.description(Some(description)).schema(Some(schema.build())).build()
}

/// Documents the field, which [`versions_allowed`](crate::reply::etag::versions_allowed) reads.
pub(crate) struct IfMatch;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header_parameter("If-Match", Required::False, "The tag of the concert that the change is for")]
    }
}

/// Documents the field, which [`Tagged::respond`](crate::reply::Tagged::respond) reads.
pub(crate) struct IfNoneMatch;

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header_parameter("If-None-Match", Required::False, "The tag of the response that the client has")]
    }
}
