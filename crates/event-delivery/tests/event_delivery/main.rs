//! Delivery of events: the contract of sinks over a broker and over Redis, what breaks on the way, and webhooks.

mod addresses;
mod broker;
mod contract;
mod receiver;
mod reference;
mod support;
mod webhooks;
