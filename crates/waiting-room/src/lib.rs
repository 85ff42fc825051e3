//! The waiting rooms of boxoffice: lines in front of concerts that admit in order.
//!
//! * [`MemoryWaitingRoom`] keeps the lines in this process. A server that restarts loses them; they re-form
//!   in the old order from the tokens of those who come back.
//! * [`RedisWaitingRoom`] keeps them in Redis, for any number of server processes.
//! * [`SignedTokens`] signs a place in a line, so that its holder can carry it.
//!
//! All implement ports of [`boxoffice_domain::waiting_room`], where the promises are written down. The
//! contract of the port, as functions over any implementor, is in the testkit.

mod admission_rate;
mod line;
mod line_order;
pub mod memory;
pub mod redis;
mod rules;
pub mod tokens;

pub use self::redis::{RedisSettings, RedisUrl, RedisWaitingRoom};
pub use memory::{MemoryWaitingRoom, Settings};
pub use tokens::SignedTokens;
