//! What it takes to put boxoffice under load as its buyers do: what a buyer asks, connections that cost little, how
//! long everything took, and pictures of that.
//!
//! It serves the stampede to watch (`boxoffice-rush`, the program of this package), the benchmark (`boxoffice-bench`)
//! and the end-to-end tests.

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
