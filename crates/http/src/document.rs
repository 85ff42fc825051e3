//! The description of the API, and the page to browse it.

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY},
    },
    response::Response,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, PathItem, RefOr,
        path::{Operation, Parameter},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    api::Api,
    reply::{Members, ProblemDocument, Violation, header},
    routes::waiting_room::queue_stream::QueueStreamEndResponse,
};

const DESCRIPTION: &str = "boxoffice sells concert tickets when far more people want them than there are seats. \
    A buyer joins the queue of a concert, is admitted, sees dates and seats, holds seats for some minutes, pays \
    from a wallet of points, and owns them.\n\n\
    Times are RFC 3339 in UTC; points are whole numbers, 1 point being 1 won; ids are UUIDs. Unknown fields of a \
    request are refused. Errors are problem details (RFC 9457) whose `code` is stable. Every response has an \
    `X-Request-Id`, which a request may choose.\n\n\
    An `Idempotency-Key` is required for payments and charges and honoured when publishing, holding, cancelling \
    and signing up: a request repeated under its key gets the first response, with `Idempotency-Replayed: true`. \
    Joining a queue is idempotent by itself; sessions are not, since their tokens are not kept.";

const TAGS: &[(&str, &str)] = &[
    ("accounts", "Signing up and signing in"),
    ("catalog", "Venues, concerts, performances and seats"),
    ("waiting room", "The queue of a concert"),
    ("reservations", "Holding seats and cancelling reservations"),
    ("payments", "Paying for held seats"),
    ("wallet", "Points and their history"),
    ("history", "What the staff did"),
    ("operations", "For the operators of the server"),
];

/// Completes the description of these routes.
pub(crate) fn describe(routes: OpenApi, has_queues: bool) -> OpenApi {
    let mut document = OpenApiBuilder::new().info(info()).tags(Some(tags())).components(Some(components())).build();
    document.merge(routes);
    for operation in document.paths.paths.values_mut().flat_map(operations_of) {
        add_request_id(operation);
        if !has_queues {
            operation.parameters.iter_mut().for_each(|parameters| parameters.retain(is_not_queue_token));
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
        .schema(QueueStreamEndResponse::name(), QueueStreamEndResponse::schema())
        .build()
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn is_not_queue_token(parameter: &RefOr<Parameter>) -> bool {
    !matches!(parameter, RefOr::T(parameter) if parameter.name == "Queue-Token")
}

fn add_request_id(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let header = header("The id under which the server logged the request");
            response.headers.insert("X-Request-Id".to_owned(), header.into());
        }
    }
}

/// The page at `/docs`. It loads everything from this server, so it works without the internet.
pub(crate) fn pages() -> Router<Api> {
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    Router::from(SwaggerUi::new("/docs").config(config)).layer(axum::middleware::map_response(allow_page))
}

/// Allows the scripts and styles of the page; Swagger UI sets styles inline and has pictures in its code.
async fn allow_page(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
        img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
