//! What requests are read with: each extractor refuses with a [`Problem`](crate::reply::problem::Problem).

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod cursor;
pub(crate) mod idempotency_key;
pub(crate) mod path;
pub(crate) mod pointer;
pub(crate) mod query;
pub(crate) mod validation;

use utoipa::openapi::{
    ObjectBuilder, Required, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::SchemaType,
};

/// Describes a header field of a request.
pub(crate) fn header_parameter(name: &str, required: Required, description: &str) -> Parameter {
    let text = match required {
        Required::True => Type::String.into(),
        Required::False => SchemaType::from_iter([Type::String, Type::Null]),
    };
    let schema = ObjectBuilder::new().schema_type(text).build();
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(required);
    parameter.description(Some(description)).schema(Some(schema)).build()
}
