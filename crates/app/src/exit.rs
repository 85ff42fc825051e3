//! How the process ends.

use std::process::ExitCode;

/// What a command came to, as far as a script wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was told.
    Success,
    /// It ran, and the answer is no: a wrong file, or a breach found.
    Refused,
    /// It could not run.
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
