//! A client that puts boxoffice under load: the requests of a buyer, connections that cost little, latencies, and
//! pictures of measurements.
//!
//! It serves the program of this package (`boxoffice-rush`), the benchmark (`boxoffice-bench`) and the end-to-end tests.

pub mod buyer;
pub mod connection;
pub mod latencies;
pub mod plot;
pub mod pool;
pub mod request;
pub mod signing;

pub use buyer::Buyer;
pub use connection::{Connection, Response};
pub use latencies::Latencies;
pub use pool::Pool;
pub use request::{Prepared, Request};
pub use signing::TokenSigner;
