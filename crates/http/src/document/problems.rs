//! The description of problems: one schema for all, and one response for each status that routes share.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, Header, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema, extensions::Extensions,
        path::Operation,
    },
};

use super::operations_of;
use crate::reply::{CODES, Code, Members, OWN_CODES, PROBLEM_JSON, ProblemDocument, Violation, header};

/// A response that routes share: its status, and the header fields that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    status: u16,
    retry_after: bool,
    rate_limit: bool,
}

impl Group {
    fn of(status: StatusCode, codes: &[Code]) -> Self {
        let ends_at_a_time = |code: &Code| matches!(code, Code::SaleNotOpen | Code::AccountTooNew);
        Self {
            status: status.as_u16(),
            retry_after: comes_later(status) || codes.iter().any(ends_at_a_time),
            rate_limit: codes.contains(&Code::RateLimited),
        }
    }

    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or_default()
    }

    /// Its name among the responses of the document.
    fn name(self) -> String {
        let status = self.status().canonical_reason().unwrap_or_default().replace(' ', "");
        match self {
            Self { rate_limit: true, .. } => format!("{status}WithRateLimit"),
            Self { retry_after: true, .. } if !comes_later(self.status()) => format!("{status}WithRetryAfter"),
            _ => status,
        }
    }

    fn headers(self) -> Vec<(&'static str, Header)> {
        let mut headers = Vec::new();
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.push(("WWW-Authenticate", header("The scheme to sign in with")));
        }
        if self.rate_limit {
            headers.push(("RateLimit-Policy", header("The limit of this client")));
            headers.push(("RateLimit", header("How much of it is left")));
        }
        if self.retry_after {
            headers.push(("Retry-After", header("After how many seconds to try again")));
        }
        headers
    }

    /// The response, with the codes that some route answers with.
    fn response(self, codes: &BTreeSet<Code>) -> Response {
        let texts: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
        let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
        let content = Content::new(Some(Ref::from_schema_name(ProblemDocument::name())));
        let mut response = ResponseBuilder::new().description(texts.join(" ")).content(PROBLEM_JSON, content);
        for (name, header) in self.headers() {
            response = response.header(name, header);
        }
        response.extensions(Some(Extensions::from_iter([(CODES, names)]))).build()
    }
}

/// Whether every refusal with this status says when to try again, unless it never makes sense.
fn comes_later(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Adds the schemas of problems.
pub(super) fn add_schemas(components: &mut Components) {
    let mut add = |name, schema| components.schemas.insert(name, schema);
    add(Code::name().into(), Code::schema());
    add(Violation::name().into(), Violation::schema());
    add(ProblemDocument::name().into(), problem());
}

/// A problem with its members, in one object.
fn problem() -> RefOr<Schema> {
    let (mut problem, members) = (ProblemDocument::schema(), Members::schema());
    if let (RefOr::T(Schema::Object(problem)), RefOr::T(Schema::Object(members))) = (&mut problem, members) {
        problem.properties.extend(members.properties);
    }
    problem
}

/// Replaces the problems that each route declares by the responses that they share, and tells each operation's codes.
pub(super) fn share(document: &mut OpenApi) {
    let mut groups: BTreeMap<Group, BTreeSet<Code>> = BTreeMap::new();
    for operation in document.paths.paths.values_mut().flat_map(operations_of) {
        let (mut all, mut own) = (BTreeSet::new(), BTreeSet::new());
        for response in operation.responses.responses.values_mut() {
            let RefOr::T(declared) = response else { continue };
            let Some(codes) = declared.extensions.as_ref().map(|extensions| codes_of(extensions, CODES)) else {
                continue;
            };
            own.extend(declared.extensions.iter().flat_map(|extensions| codes_of(extensions, OWN_CODES)));
            let Some(status) = codes.first().map(|code| code.status()) else { continue };
            let group = Group::of(status, &codes);
            groups.entry(group).or_default().extend(&codes);
            all.extend(codes);
            *response = Ref::from_response_name(group.name()).into();
        }
        tell(operation, &all, &own);
    }
    let components = document.components.get_or_insert_default();
    components.responses.extend(groups.iter().map(|(group, codes)| (group.name(), group.response(codes).into())));
}

fn codes_of(extensions: &Extensions, name: &str) -> Vec<Code> {
    let names = extensions.get(name).and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names.filter_map(|name| Code::ALL.iter().find(|code| code.as_str() == name).copied()).collect()
}

/// Lists all codes of an operation, and has its description name its own.
fn tell(operation: &mut Operation, all: &BTreeSet<Code>, own: &BTreeSet<Code>) {
    let names: Vec<_> = all.iter().map(|code| code.as_str()).collect();
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in own {
        by_status.entry(code.status().as_u16()).or_default().push(format!("`{}`", code.as_str()));
    }
    let own: Vec<_> = by_status.iter().map(|(status, names)| format!("{status} {}", names.join(", "))).collect();
    let refusals = if own.is_empty() {
        "Only shared refusals.".to_owned()
    } else {
        format!("Its own refusals: {}.", own.join("; "))
    };
    let description = operation.description.take().filter(|text| !text.trim().is_empty());
    operation.description = Some(description.map_or(refusals.clone(), |text| format!("{}\n\n{refusals}", text.trim())));
    operation.extensions.get_or_insert_default().merge(Extensions::from_iter([(CODES, names)]));
}
