//! The waiting rooms of boxoffice: lines in front of concerts that admit in order.
//!
//! * [`MemoryWaitingRoom`] keeps the lines in this process. A server that restarts loses them; they re-form
//!   in the old order from the tokens of those who come back.
//! * [`SignedTokens`] signs a place in a line, so that its holder can carry it.
//!
//! Both implement ports of [`boxoffice_domain::waiting_room`], where the promises are written down. The
//! contract of the port, as functions over any implementor, is in the testkit.

mod admission_rate;
mod line;
mod line_order;
pub mod memory;
mod rules;
pub mod tokens;

pub use memory::{MemoryWaitingRoom, Settings};
pub use tokens::SignedTokens;
