//! The description of the API, and the page to browse it.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, HeaderBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem,
        RefOr, Type,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    api::Api,
    limited_routes, operations,
    problem::{Members, ProblemDocument, Violation},
};

const DESCRIPTION: &str = "boxoffice sells concert tickets when far more people want them than there are seats. \
    A buyer joins the line of a concert, is admitted, sees dates and seats, holds seats for some minutes, pays \
    from a wallet of points, and owns them.\n\n\
    Times are RFC 3339 in UTC; points are whole numbers, 1 point being 1 won; ids are UUIDs. Unknown fields of a \
    request are refused. Errors are problem details (RFC 9457) whose `code` is stable. Every answer has an \
    `X-Request-Id`, which a request may choose.\n\n\
    An `Idempotency-Key` is required for payments and charges and honoured when publishing, holding, cancelling \
    and signing up: a request repeated under its key gets the first answer, with `Idempotency-Replayed: true`. \
    Joining a line is idempotent by itself; sessions are not, since their tokens are not kept.";

const TAGS: &[(&str, &str)] = &[
    ("accounts", "Signing up and signing in"),
    ("catalog", "Venues, concerts, performances and seats"),
    ("waiting room", "The line in front of a concert"),
    ("reservations", "Holding seats, and giving them up"),
    ("payments", "Paying for held seats"),
    ("wallet", "Points and their history"),
    ("operations", "For whoever runs the server"),
];

/// The description of the API: `OpenAPI` 3.1, generated from the code.
pub fn openapi() -> OpenApi {
    let routes = limited_routes().merge(crate::routes()).merge(operations::routes::<Api>()).merge(routes());
    let mut document = OpenApiBuilder::new().info(info()).tags(Some(tags())).components(Some(components())).build();
    document.merge(routes.into_openapi());
    for item in document.paths.paths.values_mut() {
        for operation in operations_of(item) {
            name_after_tag(operation);
            add_request_id(operation);
        }
    }
    document
}

fn info() -> utoipa::openapi::Info {
    let mut license = License::new("MIT OR Apache-2.0");
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    let info = InfoBuilder::new().title("boxoffice").version(env!("CARGO_PKG_VERSION"));
    info.description(Some(DESCRIPTION)).license(Some(license)).build()
}

fn tags() -> Vec<utoipa::openapi::Tag> {
    TAGS.iter().map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build()).collect()
}

fn components() -> utoipa::openapi::Components {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let bearer = bearer.description(Some("The `access_token` of a session."));
    ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer.build()))
        .schema("Problem", ProblemDocument::schema())
        .schema(Members::name(), Members::schema())
        .schema(Violation::name(), Violation::schema())
        .build()
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Handlers are named within their file, and operations within the whole document.
fn name_after_tag(operation: &mut Operation) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first()).map(|tag| tag.replace(' ', "_"));
    if let (Some(tag), Some(name)) = (tag, operation.operation_id.as_mut()) {
        *name = format!("{tag}_{name}");
    }
}

fn add_request_id(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let schema = ObjectBuilder::new().schema_type(Type::String).build();
            let text = "The id under which the server logged the request";
            let header = HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build();
            response.headers.insert("X-Request-Id".to_owned(), header.into());
        }
    }
}

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(openapi_json))
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "The document.", body = Object)),
)]
async fn openapi_json() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| openapi().to_json().unwrap_or_default());
    let fields = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (fields, TEXT.as_str()).into_response()
}

/// The page at `/docs`. All it loads comes from here, so it works without the internet.
pub(crate) fn pages() -> Router<Api> {
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    Router::from(SwaggerUi::new("/docs").config(config)).layer(axum::middleware::map_response(allow_page))
}

/// The page's scripts and styles may load; Swagger UI sets styles in place and shows pictures from its code.
async fn allow_page(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
        img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
