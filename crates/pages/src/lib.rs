//! The pages that buyers and organisers look at, as static files in the program.
//!
//! They are one more client of the public API, and know nothing that its `OpenAPI` document does not say. Native modules, custom
//! elements and style sheets run as they are written, in `static/`: there is no build step, no framework, and no request to any
//! other host. `docs/pages.md` says how they are put together.
//!
//! Files have the digest of all files in their address, so that a browser keeps each for ever and none with others of another
//! version.

mod files;
mod language;

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    extract::{Path as PathOf, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{
            ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
            IF_NONE_MATCH, LINK, VARY,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

pub use files::BrandError;
use files::{Coding, File, Files};

/// The addresses of views beside the first: each is the same page, in which the view of the address is shown.
const VIEWS: [&str; 13] = [
    "/concerts/{concert}",
    "/concerts/{concert}/queue",
    "/performances/{performance}",
    "/checkout/{reservation}",
    "/tickets",
    "/wallet",
    "/account",
    "/sign-in",
    "/sign-up",
    "/reset-password",
    "/organiser",
    "/organiser/publish",
    "/organiser/concerts/{concert}",
];

/// What a page may do: load and ask from this host alone, and make no text into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// What the addresses of the API begin with.
const API: &str = "/v1/";
/// A file never changes under its address.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The routes of the pages, which also answer where there is no route. A folder with a brand replaces files by files of the same
/// names, and texts by those of the same keys in its `texts.json`.
pub fn router<S: Clone + Send + Sync + 'static>(brand: Option<&Path>) -> Result<Router<S>, BrandError> {
    let files = Arc::new(Files::load(brand)?);
    let views = VIEWS.iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    let views = views.route("/", get(home));
    let routes = views.route("/assets/{version}/{*path}", get(asset)).fallback(nowhere);
    Ok(routes.with_state(files))
}

/// At an address that is none, the page says so to who wants a page. Others, and who asks the API, get a bare 404.
async fn nowhere(State(files): State<Arc<Files>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    let wants_page = method == Method::GET && accepts.contains("text/html") && !uri.path().starts_with(API);
    if !wants_page {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut response = page(State(files), headers).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// The page of the first view, whose module browsers load with the page itself, not after it.
async fn home(State(files): State<Arc<Files>>, headers: HeaderMap) -> Response {
    let link = format!("<{}>; rel=modulepreload", files.address("views/home.js"));
    let mut response = page(State(files), headers).await;
    response.headers_mut().extend(HeaderValue::from_str(&link).ok().map(|link| (LINK, link)));
    response
}

async fn page(State(files): State<Arc<Files>>, headers: HeaderMap) -> Response {
    let page = files.page(language::preferred(&headers));
    let mut response = answer(page, &headers, "no-cache");
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding, accept-language"));
    response
}

async fn asset(
    State(files): State<Arc<Files>>,
    PathOf((version, path)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match files.asset(&version, &path) {
        Some(file) => answer(file, &headers, FOR_EVER),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file in the best coding that the client accepts, unless it has it already.
fn answer(file: &File, headers: &HeaderMap, caching: &'static str) -> Response {
    let coding = Coding::accepted(headers.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok()));
    let (bytes, coding) = file.coded(coding);
    let tag = file.tag(coding);
    let has_it = headers
        .get(IF_NONE_MATCH)
        .and_then(|field| field.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag));
    let mut response = if has_it { StatusCode::NOT_MODIFIED.into_response() } else { bytes.into_response() };
    let answered = response.headers_mut();
    answered.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    answered.insert(VARY, HeaderValue::from_static("accept-encoding"));
    answered.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type()));
    answered.extend(coding.name().map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
    response
}
