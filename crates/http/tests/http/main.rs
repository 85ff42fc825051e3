//! The router over use cases whose ports are mocked. Every answer that a test gets is also checked against
//! the `OpenAPI` document, see [`world`].

mod document;
mod events;
mod framework;
mod idempotency;
mod limits;
mod line_control;
mod reads;
mod refusals;
mod routes;
mod world;
