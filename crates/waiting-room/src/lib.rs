//! The waiting room of boxoffice: queues in front of concerts that admit in order.
//!
//! * [`MemoryWaitingRoom`] keeps the queues in this process. A server that restarts loses them; they re-form in the old
//!   order from the tokens of those who come back.
//! * [`RedisWaitingRoom`] keeps them in Redis, for any number of server processes.
//! * [`SignedTokens`] signs a place in a queue, so that its holder can carry it.
//!
//! All implement ports of [`boxoffice_domain::waiting_room`], where the promises are written down. The contract of the
//! port, as functions over any implementor, is in the testkit.

mod admission_rate;
pub mod memory;
mod queue;
mod queue_order;
pub mod redis;
mod rules;
mod settings;
pub mod tokens;

pub use self::redis::RedisWaitingRoom;
pub use memory::MemoryWaitingRoom;
pub use settings::Settings;
pub use tokens::SignedTokens;
