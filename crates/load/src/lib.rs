//! What it takes to put a server under load and to tell how it took it: connections that cost little, the
//! latencies of what they did, and pictures of them.
//!
//! Two programs share it: `boxoffice rush`, the stampede to be watched, and `boxoffice-bench`, the benchmark.
//! It knows HTTP and nothing of tickets.

pub mod connection;
pub mod latencies;
pub mod plot;

pub use connection::{Answer, Connection, Request};
pub use latencies::Latencies;
