//! What the tests of boxoffice share: a clock to set, the contracts of the ports, private servers.
//!
//! A contract is a set of functions, written once, that every adapter of a port must pass.

pub mod clock;
pub mod contracts;
pub mod galera;
pub mod load_balancer;
pub mod memory;
pub mod servers;
pub mod tcp_proxy;

pub use clock::{TestClock, TestEntropy};
