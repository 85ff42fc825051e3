//! Flags of settings that a command has no use for. Variables and files hold the settings of a whole installation; a flag
//! is meant for the command, and must not be ignored.

use crate::{
    cli::Command,
    settings::{Settings, WaitingRoomUrl},
};

const LOGGING: &[&str] = &["log", "log_format"];
const DATABASE: &[&str] = &[
    "cache_milliseconds",
    "clock_skew_max_milliseconds",
    "data_dir",
    "database",
    "database_ca_file",
    "database_connect_seconds",
    "database_connections",
    "database_file",
    "write_batch_max",
    "write_lanes",
    "write_retry_max",
    "write_waiting_max",
];
/// How the payment gateway is reached.
const GATEWAY: &[&str] = &["gateway", "gateway_timeout_milliseconds", "stripe_api_base", "stripe_secret_key_file"];
const KEYS: &[&str] = &["data_dir", "keys_file"];
/// How a command reaches the servers.
const PEERS: &[&str] =
    &["redis_connect_milliseconds", "redis_prefix", "redis_timeout_milliseconds", "waiting_room", "waiting_room_file"];
/// What only queues in Redis have.
const REDIS: &[&str] =
    &["redis_connect_milliseconds", "redis_poll_milliseconds", "redis_prefix", "redis_timeout_milliseconds"];
/// What new concerts get.
const CONCERTS: &[&str] = &["max_active", "max_seats_per_account"];
const PASSWORDS: &[&str] = &["hashing_parallel", "hashing_waiting_max", "password_iterations", "password_memory_kib"];

/// The settings that a command uses; `None` if it uses all.
pub(crate) fn used_by(command: &str) -> Option<Vec<&'static [&'static str]>> {
    match command {
        "serve" | "check" => None,
        "show" => Some(vec![LOGGING, DATABASE, PEERS]),
        "reconcile" => Some(vec![LOGGING, DATABASE, GATEWAY]),
        "migrate" | "audit" | "maintenance" | "copy" => Some(vec![LOGGING, DATABASE]),
        "import" => Some(vec![LOGGING, DATABASE, PEERS, CONCERTS]),
        "account" => Some(vec![LOGGING, DATABASE, PEERS, KEYS, PASSWORDS]),
        "keys" => Some(vec![LOGGING, KEYS]),
        // The others read no settings.
        _ => Some(Vec::new()),
    }
}

/// Refuses a flag of a setting that the command does not use.
pub(crate) fn refuse(command: &Command, flags: &[(&'static str, String)]) -> anyhow::Result<()> {
    let Some(used) = used_by(command.name()) else { return Ok(()) };
    let unused = |key: &str| !used.iter().any(|keys| keys.contains(&key));
    match flags.iter().find(|(key, _)| unused(key)) {
        Some((key, _)) => anyhow::bail!("`boxoffice {}` has no use for --{}", command.name(), flag(key)),
        None => Ok(()),
    }
}

/// Refuses a flag whose setting has a meaning only together with another one.
pub(crate) fn refuse_alone(settings: &Settings, flags: &[(&'static str, String)]) -> anyhow::Result<()> {
    for (key, _) in flags {
        if matches!(*key, "demo_anywhere" | "demo_buyers") && !settings.demo {
            anyhow::bail!("--{} needs --demo", flag(key));
        }
        if REDIS.contains(key) && !matches!(settings.waiting_room, WaitingRoomUrl::Redis(_)) {
            anyhow::bail!("--{} needs a --waiting-room in Redis", flag(key));
        }
    }
    Ok(())
}

fn flag(key: &str) -> String {
    key.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::named;

    #[test]
    fn every_name_is_that_of_a_setting() {
        for key in [LOGGING, DATABASE, KEYS, PEERS, REDIS, CONCERTS, PASSWORDS].concat() {
            assert!(named().any(|setting| setting.key == key && setting.flag() == flag(key)), "{key}");
        }
    }
}
