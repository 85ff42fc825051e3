//! Requests during maintenance: reading goes on, and nothing new is begun.

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
};
use boxoffice_application::MaintenanceMode;

use crate::reply::Problem;

/// When a client may try again. An operator says in the message when it is over.
const RETRY_SECONDS: u64 = 30;
/// The routes that also change something during maintenance: those who read have to be signed in.
const SESSIONS: [&str; 3] = ["/v1/sessions", "/v1/sessions/refresh", "/v1/sessions/current"];

/// Refuses a request that would change something during maintenance.
pub(crate) fn refuse(mode: &MaintenanceMode, request: &Request) -> Result<(), Problem> {
    if !mode.is_on() || matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    match mode.notice() {
        // What is no route is answered as ever.
        Some(notice) if path.is_some_and(|path| !SESSIONS.contains(&path)) => {
            Err(Problem::unavailable(notice.message.to_string()).retry_after(RETRY_SECONDS))
        }
        _ => Ok(()),
    }
}
