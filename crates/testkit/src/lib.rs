//! What the tests of boxoffice share: servers, each private to its test run, and the check against the `OpenAPI` document.

mod authority;
pub mod faulty_stripe;
mod folder;
pub mod galera;
pub mod load_balancer;
pub mod localstripe;
pub mod message_sink;
pub mod nginx;
pub mod openapi;
pub mod prometheus;
pub mod rabbitmq;
pub mod servers;
pub mod smtp;
pub mod tcp_proxy;

pub use authority::{Authority, CertificateFiles};
pub use folder::TestFolder;
