//! The input that each route takes: its query parameters, and whether it has a body.
//!
//! All of it comes from the description of the routes, so a route cannot forget to refuse what it has no use for. The
//! unknown members of a body that a route takes are refused where [`Body`](super::Body) reads it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{Method, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::IgnoredAny;
use utoipa::openapi::{
    OpenApi, PathItem, RefOr,
    path::{Operation, Parameter, ParameterIn},
};

use super::{BodyReader, parameter_form::ParameterForm};
use crate::{
    json::{JsonError, UNKNOWN_FIELD, pointer},
    reply::{Problem, Violation},
};

/// The most violations of one response.
const VIOLATIONS_MAX: usize = 100;

/// The input that the operations of some routes take.
#[derive(Debug)]
pub(crate) struct AcceptedInput {
    /// By the pattern of the path.
    operations: HashMap<String, Vec<(Method, OperationInput)>>,
    /// The longest body, in bytes, of an operation that promises to take no more.
    body_bytes_max: usize,
}

/// The input that one operation takes.
#[derive(Debug, Default)]
struct OperationInput {
    parameters: Vec<(String, ParameterForm)>,
    /// The longest body in bytes; `None` if it takes no body.
    body_bytes_max: Option<usize>,
}

/// The operation of a route that the description does not have.
static NOTHING: OperationInput = OperationInput { parameters: Vec::new(), body_bytes_max: None };

impl AcceptedInput {
    /// What the routes of these descriptions take. `promised_bytes` is the longest body that an operation, given by its
    /// name, promises to take; it may have no more than `body_bytes_max` if it promises less.
    pub(crate) fn of(documents: &[&OpenApi], body_bytes_max: usize, promised_bytes: impl Fn(&str) -> usize) -> Self {
        let mut operations: HashMap<String, Vec<(Method, OperationInput)>> = HashMap::new();
        for (path, item) in documents.iter().flat_map(|document| &document.paths.paths) {
            for (method, operation) in operations_of(item) {
                let promised = promised_bytes(operation.operation_id.as_deref().unwrap_or_default());
                let body_bytes_max = operation.request_body.is_some().then_some(body_bytes_max.max(promised));
                let input = OperationInput { parameters: parameters_of(operation), body_bytes_max };
                operations.entry(path.clone()).or_default().push((method, input));
            }
        }
        Self { operations, body_bytes_max }
    }

    /// Refuses the input of a request that its route has no use for. Gives the longest body that the route takes, if there
    /// is a body and it is one for the route to read. A request without a query and a body costs nothing.
    pub(crate) async fn check(&self, request: &mut Request, bodies: &BodyReader) -> Result<Option<usize>, Problem> {
        let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
        let has_body = !request.body().is_end_stream();
        if !has_query && !has_body {
            return Ok(None);
        }
        let Some(operation) = self.operation_of(request) else {
            return Ok(None);
        };
        if has_query {
            operation.check_query(request.uri())?;
        }
        if has_body && operation.body_bytes_max.is_none() {
            let body = std::mem::take(request.body_mut());
            Box::pin(check_no_body(body, self.body_bytes_max, bodies)).await?;
            return Ok(None);
        }
        Ok(operation.body_bytes_max.filter(|_| has_body))
    }

    /// The operation that a request asks for; `None` if it is answered without one, as not found or a wrong method.
    fn operation_of(&self, request: &Request) -> Option<&OperationInput> {
        let path = request.extensions().get::<MatchedPath>()?;
        let Some(operations) = self.operations.get(path.as_str()) else {
            return Some(&NOTHING);
        };
        let of = |method: &Method| operations.iter().find(|(known, _)| known == method).map(|(_, input)| input);
        let method = request.method();
        of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None })
    }
}

impl OperationInput {
    fn check_query(&self, uri: &Uri) -> Result<(), Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Ok(axum::extract::Query(pairs)) = pairs else {
            return Err(Problem::malformed("The query cannot be read."));
        };
        let mut seen = HashSet::new();
        let wrong = pairs.iter().filter_map(|(name, value)| {
            let (code, message) = self.wrong_with(name, value, !seen.insert(name))?;
            let mut pointer = String::new();
            pointer::push(&mut pointer, name);
            Some(Violation { pointer, code: code.into(), message: message.into() })
        });
        let wrong: Vec<_> = wrong.take(VIOLATIONS_MAX).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Problem::parameters(wrong)) }
    }

    /// The broken rule, and the rule in words.
    fn wrong_with(&self, name: &str, value: &str, is_repeated: bool) -> Option<(&'static str, String)> {
        let Some((_, form)) = self.parameters.iter().find(|(known, _)| known == name) else {
            return Some(("unknown_parameter", "is not a parameter of this route".to_owned()));
        };
        if is_repeated {
            return Some(("repeated_parameter", "is given twice".to_owned()));
        }
        form.check(value).err()
    }
}

/// Refuses a body that has anything to say.
async fn check_no_body(body: Body, bytes_max: usize, bodies: &BodyReader) -> Result<(), Problem> {
    let (bytes, _room) = bodies.read(body, bytes_max).await?;
    let text = bytes.trim_ascii();
    // Some clients write `null` if they have nothing to send.
    if text.is_empty() || text == b"null" {
        return Ok(());
    }
    serde_json::from_slice::<IgnoredAny>(text).map_err(|error| JsonError::of_syntax(&error))?;
    #[expect(clippy::zero_sized_map_values, reason = "a set is not read from an object")]
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text) else {
        return Err(Problem::violation("", "wrong_type", "must be absent: this route takes no body"));
    };
    let unknown = members.keys().take(VIOLATIONS_MAX).map(|name| {
        let mut pointer = String::new();
        pointer::push(&mut pointer, name);
        Violation { pointer, code: "unknown_field".into(), message: UNKNOWN_FIELD.into() }
    });
    let unknown: Vec<_> = unknown.collect();
    if unknown.is_empty() { Ok(()) } else { Err(Problem::violations(unknown)) }
}

/// The operations of a path.
pub(crate) fn operations_of(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let by_method = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::OPTIONS, &item.options),
        (Method::HEAD, &item.head),
        (Method::PATCH, &item.patch),
        (Method::TRACE, &item.trace),
    ];
    by_method.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn parameters_of(operation: &Operation) -> Vec<(String, ParameterForm)> {
    let inline = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
            Some((parameter.name.clone(), ParameterForm::of(parameter.schema.as_ref())))
        }
        _ => None,
    };
    operation.parameters.iter().flatten().filter_map(inline).collect()
}

/// The layer of the routes for operators; those of the API have [`guard`](crate::layers::guard).
pub(crate) async fn refuse_unknown_input(
    State((input, bodies)): State<(Arc<AcceptedInput>, BodyReader)>,
    mut request: Request,
    next: Next,
) -> Response {
    match input.check(&mut request, &bodies).await {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
