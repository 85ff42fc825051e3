//! What every adapter of boxoffice's ports must do, as tests to run against it.
//!
//! A contract is a set of functions over any implementor of a port, written once. A macro makes a test of each, in the
//! module that calls it; it needs nothing but this crate. An adapter is done when it passes the contract that its siblings
//! pass.
//!
//! | Port | Macro | Argument |
//! | --- | --- | --- |
//! | the storing ports | [`storage_contract!`] | an `async fn()` that gives a [`storage::Stage`] over an empty storage |
//! | `WaitingRoom` | [`waiting_room_contract!`] | an `async fn(Rules)` that gives a [`waiting_room::Stage`] |
//! | `PaymentGateway` | [`payment_gateway_contract!`] | an `async fn()` that gives a [`payment_gateway::Subject`] |
//! | `Mailer` | [`mailer_contract!`] | an `async fn()` that gives a [`mailer::Subject`] |
//! | `EventSink` | [`event_sink_contract!`] | an `async fn()` that gives an [`event_sink::Subject`] |
//! | `PasswordHasher` | [`password_hasher_contract!`] | a `fn()` that gives a hasher |
//! | `AccessTokens` | [`access_tokens_contract!`] | a `fn()` that gives two signers that do not share a key |
//! | `QueueTokens` | [`queue_tokens_contract!`] | a `fn()` that gives two signers that do not share a key |
//! | `Clock` | [`clock_contract!`] | a `fn()` that gives a clock |
//!
//! [`memory::MemoryStore`] is the reference implementation of the storing ports, and a fake for tests about outcomes;
//! [`memory::MemoryEventSink`] is that of a sink of events.

pub mod access_tokens;
pub mod clock;
mod crowd;
pub mod event_sink;
pub mod mailer;
pub mod memory;
pub mod password_hasher;
pub mod payment_gateway;
pub mod queue_tokens;
pub mod storage;
pub mod waiting_room;

/// Runs a test on a runtime with so many threads besides its own.
#[doc(hidden)]
pub fn run<T>(threads: usize, test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads).enable_all().build().expect("a runtime").block_on(test)
}

/// Makes a test of each function of a module, which takes what `$subject` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($module:ident, $subject:expr; $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::run(4, async { $crate::$module::$name($subject).await });
        }
    )*};
}
