//! The audit log: a line for each sign-in, each change of an account or its sessions, and each act of staff.
//!
//! Its lines have the target `audit`. The event is the operation of the document.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{Method, request::Parts},
    response::Response,
};
use boxoffice_domain::{AccountId, SessionId};
use governor::{DefaultDirectRateLimiter, Quota};
use utoipa::openapi::OpenApi;

use crate::{
    api::Api,
    reply::Problem,
    request::{ClientAddress, Passage, RequestId, operations_of},
};

/// What is audited, by the operation.
const AUDITED: [&str; 32] = [
    "accounts_sign_up",
    "accounts_sign_in",
    "accounts_refresh",
    "accounts_sign_out",
    "accounts_change_password",
    "accounts_end_session",
    "accounts_end_other_sessions",
    "accounts_export",
    "accounts_erase",
    "accounts_begin_second_factor",
    "accounts_confirm_second_factor",
    "accounts_remove_second_factor",
    "accounts_change",
    "accounts_begin_email",
    "accounts_verify_email",
    "accounts_remove_email",
    "accounts_begin_password_reset",
    "accounts_complete_password_reset",
    "catalog_publish_venue",
    "catalog_publish_concert",
    "catalog_update_concert",
    "catalog_publish_performance",
    "waiting_room_empty",
    "waiting_room_pause",
    "waiting_room_resume",
    "webhooks_create",
    "webhooks_change",
    "webhooks_remove",
    "webhooks_rotate_secret",
    "webhooks_test",
    "webhooks_resend",
    "webhooks_resend_span",
];
/// Sessions are refreshed all the time: only a token that was spent is a line.
const REFRESH: &str = "accounts_refresh";
/// The outcome of an act that was done.
const DONE: &str = "done";
/// How many refusals are written a second. How many more there were is in the next line.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// What becomes known of who sends a request, while it is worked on.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    account_id: OnceLock<AccountId>,
    session_id: OnceLock<SessionId>,
    /// In place of the code of the problem.
    outcome: OnceLock<&'static str>,
}

impl Sender {
    pub(crate) fn set_account(&self, id: AccountId) {
        self.account_id.set(id).ok();
    }

    pub(crate) fn set_session(&self, id: SessionId) {
        self.session_id.set(id).ok();
    }

    /// Names what the caller is not to learn.
    pub(crate) fn set_outcome(&self, outcome: &'static str) {
        self.outcome.set(outcome).ok();
    }
}

/// The sender of a request, for a route that finds out who it is.
pub(crate) struct Unknown(Option<Arc<Passage>>);

impl Unknown {
    /// Takes note of what is found out.
    pub(crate) fn note(&self, note: impl FnOnce(&Sender)) {
        if let Some(passage) = &self.0 {
            note(&passage.sender);
        }
    }
}

impl FromRequestParts<Api> for Unknown {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

/// A request that is audited.
pub(crate) struct Audited {
    event: &'static str,
    client: Option<IpAddr>,
    request_id: RequestId,
}

/// Writes the lines.
#[derive(Debug)]
pub(crate) struct AuditLog {
    /// By the pattern of the path.
    events: HashMap<String, Vec<(Method, &'static str)>>,
    refusals: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl AuditLog {
    /// A log of the requests to these routes.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let mut events: HashMap<String, Vec<(Method, &'static str)>> = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations_of(item) {
                let name = operation.operation_id.as_deref().unwrap_or_default();
                if let Some(event) = AUDITED.into_iter().find(|audited| *audited == name) {
                    events.entry(path.clone()).or_default().push((method, event));
                }
            }
        }
        let refusals = DefaultDirectRateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND));
        Self { events, refusals, left_out: AtomicU64::new(0) }
    }

    /// The request, if it is audited.
    pub(crate) fn audited(&self, request: &Request) -> Option<Audited> {
        let path = request.extensions().get::<MatchedPath>()?;
        let events = self.events.get(path.as_str())?;
        let (_, event) = events.iter().find(|(method, _)| method == request.method())?;
        let extensions = request.extensions();
        Some(Audited { event, client: ClientAddress::of(extensions).0, request_id: RequestId::of(extensions) })
    }

    /// Writes the line of a request that was answered.
    pub(crate) fn write(&self, audited: &Audited, sender: &Sender, response: &Response) {
        let hidden = sender.outcome.get().copied();
        if audited.event == REFRESH && hidden.is_none() {
            return;
        }
        let code = response.extensions().get::<Problem>().map(|problem| problem.code().as_str());
        let outcome = hidden.or(code).unwrap_or(DONE);
        if outcome != DONE && self.refusals.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = Some(self.left_out.swap(0, Ordering::Relaxed)).filter(|count| *count > 0);
        tracing::info!(
            target: "audit",
            event = audited.event,
            outcome,
            account = sender.account_id.get().map(display),
            session = sender.session_id.get().map(display),
            client = audited.client.map(display),
            request_id = &*audited.request_id.0,
            left_out,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::response::IntoResponse;

    use super::*;
    use crate::{reply::Code, router};

    /// Acts of buyers on queues, seats and points, which are not audited: the storage has their reservations, payments and charges.
    const OF_BUYERS: [&str; 7] = [
        "payments_pay",
        "reservations_cancel",
        "reservations_hold",
        "waiting_room_join",
        "waiting_room_leave",
        "wallet_charge",
        "wallet_refund_charge",
    ];

    #[test]
    fn every_operation_that_changes_something_is_audited_or_is_an_act_of_a_buyer() {
        let document = router::openapi();
        let operations = document.paths.paths.values().flat_map(operations_of);
        let changing: BTreeSet<&str> = operations
            .filter(|(method, operation)| {
                *method != Method::GET || operation.operation_id.as_deref() == Some("accounts_export")
            })
            .filter_map(|(_, operation)| operation.operation_id.as_deref())
            .collect();
        assert_eq!(changing, AUDITED.into_iter().chain(OF_BUYERS).collect());
        let log = AuditLog::of(&document);
        assert_eq!(log.events.values().map(Vec::len).sum::<usize>(), AUDITED.len());
    }

    #[test]
    fn refusals_without_end_are_counted_and_acts_are_all_written() {
        let log = AuditLog::of(&router::openapi());
        let audited = Audited { event: "accounts_sign_in", client: None, request_id: RequestId("".into()) };
        let (refused, done) = (Problem::new(Code::InvalidCredentials).into_response(), "".into_response());
        for _ in 0..1_000 {
            log.write(&audited, &Sender::default(), &refused);
        }
        // Some were written a moment later, too.
        let left_out = log.left_out.load(Ordering::Relaxed);
        assert!((1..=900).contains(&left_out), "{left_out}");
        log.write(&audited, &Sender::default(), &done);
        assert_eq!(log.left_out.load(Ordering::Relaxed), 0, "the next line says how many there were");
    }
}
