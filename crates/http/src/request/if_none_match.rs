//! The `If-None-Match` field.

use utoipa::{
    IntoParams,
    openapi::{
        Required,
        path::{Parameter, ParameterIn},
    },
};

use super::header_parameter;

/// Documents the field, which [`Tagged::respond`](crate::reply::Tagged::respond) reads.
pub(crate) struct IfNoneMatch;

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The tag of the response that the client has";
        vec![header_parameter("If-None-Match", Required::False, description)]
    }
}
