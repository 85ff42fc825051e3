//! How the process ends.

use std::process::ExitCode;

/// The result of a command, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// The command ran, and found something wrong: in a file, or a breach.
    Refused,
    /// The command could not run.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Refused => 1,
            Exit::Failed => 2,
        })
    }
}
