//! The adapter against servers that stand in for Stripe: the contract of the port, what the servers do wrong, and what is
//! Stripe's alone.

mod contract;
mod faults;
mod payments;
mod support;
