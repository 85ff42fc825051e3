//! Every use case against mocks of its ports: each success, each refusal, and that nothing is called after
//! a refusal. A mock that is called without being told to expect it panics, so what a test does not
//! mention must not happen.

mod accounts;
mod catalog;
mod payments;
mod queue_control;
mod reservations;
mod support;
mod waiting_room;
mod wallet;
