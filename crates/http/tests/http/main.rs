//! The router over use cases whose ports are mocked. Every response is also checked against the `OpenAPI` document, see
//! [`world`].

mod detached;
mod document;
mod layers;
mod limits;
mod neighbours;
mod reads;
mod refusals;
mod request {
    mod body;
    mod idempotency_key;
    mod query;
}
mod routes {
    mod accounts;
    mod catalog;
    mod operations;
    mod payments;
    mod queue_control;
    mod queue_stream;
    mod reservations;
    mod waiting_room;
    mod wallet;
}
mod world;
