//! Servers for the tests of boxoffice, each private to its test run.

mod folder;
pub mod galera;
pub mod load_balancer;
pub mod servers;
pub mod tcp_proxy;

pub use folder::TestFolder;
