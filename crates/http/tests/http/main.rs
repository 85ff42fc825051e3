//! The router over a storage and queues in memory. Every response is also checked against the `OpenAPI` document, see
//! [`world`].

mod cache;
mod declared_codes;
mod detached;
mod document;
mod layers;
mod refusals;
mod seats_only;
mod request {
    mod accepted_input;
    mod body;
    mod idempotency_key;
    mod limits;
    mod promised_input;
    mod query;
    mod text;
}
mod routes {
    mod accounts;
    mod catalog;
    mod catalog_search;
    mod emails;
    mod history;
    mod operations;
    mod payments;
    mod queue_control;
    mod queue_stream;
    mod reservations;
    mod waiting_room;
    mod wallet;
    mod webhooks;
}
mod world;
