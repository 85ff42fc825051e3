//! The steps that are atomic: each a script that Redis runs.

use std::sync::LazyLock;

use redis::Cmd;

const PRELUDE: &str = include_str!("scripts/prelude.lua");

/// A script, and the hash that it is called by.
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(text: String) -> Self {
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    pub(super) fn by_hash(&self, keys: &[String], args: &[Vec<u8>]) -> Cmd {
        call("EVALSHA", &self.hash, keys, args)
    }

    /// This also makes Redis know the script.
    pub(super) fn by_text(&self, keys: &[String], args: &[Vec<u8>]) -> Cmd {
        call("EVAL", &self.text, keys, args)
    }
}

fn call(command: &str, script: &str, keys: &[String], args: &[Vec<u8>]) -> Cmd {
    let mut cmd = redis::cmd(command);
    cmd.arg(script).arg(keys.len());
    for key in keys {
        cmd.arg(key);
    }
    for arg in args {
        cmd.arg(arg.as_slice());
    }
    cmd
}

/// The scripts on one line, each after what they share.
macro_rules! line_scripts {
    ($($name:ident = $file:literal)*) => {$(
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(format!("{PRELUDE}\n{}", include_str!($file))));
    )*};
}

line_scripts! {
    OPEN = "scripts/open.lua"
    JOIN = "scripts/join.lua"
    STATUS = "scripts/status.lua"
    RESTORE = "scripts/restore.lua"
    LEAVE = "scripts/leave.lua"
    KEEP_UNTIL = "scripts/keep_until.lua"
    SPEND = "scripts/spend.lua"
    SET_TERMS = "scripts/set_terms.lua"
    EMPTY = "scripts/empty.lua"
    VISIT = "scripts/visit.lua"
    STATS = "scripts/stats.lua"
    SNAPSHOT = "scripts/snapshot.lua"
}

/// The scripts on the list of lines.
macro_rules! list_scripts {
    ($($name:ident = $file:literal)*) => {$(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file).to_owned()));
    )*};
}

list_scripts! {
    REGISTER = "scripts/register.lua"
    CLAIM = "scripts/claim.lua"
    SETTLED = "scripts/settled.lua"
}
