//! The adapters that need only this process: time, randomness, passwords, tokens, keys, and a simulated payment gateway.

pub(crate) mod access_tokens;
pub(crate) mod clock;
#[cfg(test)]
mod contracts_tests;
pub(crate) mod entropy;
pub(crate) mod gateway;
pub(crate) mod keys;
pub(crate) mod passwords;
pub(crate) mod rotation;
pub(crate) mod tokens;

pub(crate) use access_tokens::JwtAccessTokens;
pub(crate) use clock::SystemClock;
pub(crate) use entropy::SystemEntropy;
pub(crate) use gateway::{SimulatedGateway, SimulatorMode, SimulatorSettings};
pub(crate) use keys::Keys;
pub(crate) use passwords::{Argon2Passwords, PasswordSettings};
pub(crate) use tokens::CurrentTokens;
