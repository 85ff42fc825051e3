//! The description of the API, and the page to browse it.

mod events;
mod problems;
mod sharing;
mod text;

use std::collections::BTreeSet;

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY},
    },
    response::Response,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr,
    Response as DocumentedResponse, Schema,
    path::{Operation, Parameter},
    schema::ArrayItems,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    server::ServerBuilder,
    tag::TagBuilder,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{api::Api, reply::header};

const DESCRIPTION: &str = "boxoffice sells concert tickets when far more people want them than there are seats. \
    A buyer joins the queue of a concert, is admitted, sees dates and seats, holds seats for some minutes, pays \
    from a wallet of points, and owns them.\n\n\
    Times are RFC 3339 in UTC; points are whole numbers, 1 point being 1 won; ids are UUIDs. Unknown fields of a \
    request are refused. Errors are problem details (RFC 9457) whose `code` is stable; `x-codes` of an operation lists \
    those that it may answer with. Every response has an `X-Request-Id`, which a request may choose.\n\n\
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
    ("webhooks", "Events for other systems"),
    ("operations", "For the operators of the server"),
];

/// Completes the description of these routes.
pub(crate) fn describe(routes: OpenApi, has_queues: bool, has_webhooks: bool) -> OpenApi {
    // Where it is served from; a proxy may serve it under any address.
    let servers = [ServerBuilder::new().url("/").description(Some("This server")).build()];
    let document = OpenApiBuilder::new().info(info()).servers(Some(servers)).tags(Some(tags()));
    let mut document = document.components(Some(components())).build();
    document.merge(routes);
    problems::share(&mut document);
    for operation in document.paths.paths.values_mut().flat_map(operations_of) {
        operation.security.get_or_insert_default();
        add_request_id(operation.responses.responses.values_mut());
        if !has_queues {
            operation.parameters.iter_mut().for_each(|parameters| parameters.retain(is_not_queue_token));
        }
    }
    if let Some(components) = &mut document.components {
        refer_to_items(components);
        add_request_id(components.responses.values_mut());
    }
    sharing::share_not_modified(&mut document);
    sharing::share_parameters(&mut document);
    sharing::share_headers(&mut document);
    if has_webhooks {
        events::describe(&mut document);
    }
    document
}

/// The description of the whole API as a text for people.
pub fn openapi_text() -> serde_json::Result<String> {
    text::text(&crate::openapi())
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

fn components() -> Components {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let bearer = bearer.description(Some("The `access_token` of a session."));
    let mut components =
        ComponentsBuilder::new().security_scheme("bearer", SecurityScheme::Http(bearer.build())).build();
    problems::add_schemas(&mut components);
    components
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// The name of the schema of a list begins with this, and ends with that of its items.
const LIST: &str = "List_";

/// Lets each list refer to the schema of its items, which utoipa repeats in place.
fn refer_to_items(components: &mut Components) {
    let names: BTreeSet<_> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let item = name.strip_prefix(LIST).filter(|item| names.contains(*item));
        let (Some(item), RefOr::T(Schema::Object(list))) = (item, schema) else { continue };
        if let Some(RefOr::T(Schema::Array(items))) = list.properties.get_mut("items") {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

fn is_not_queue_token(parameter: &RefOr<Parameter>) -> bool {
    !matches!(parameter, RefOr::T(parameter) if parameter.name == "Queue-Token")
}

fn add_request_id<'r>(responses: impl Iterator<Item = &'r mut RefOr<DocumentedResponse>>) {
    for response in responses {
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
