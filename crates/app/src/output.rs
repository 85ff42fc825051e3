//! Writing to whoever started the process.

use std::io::{self, ErrorKind, Write};

/// Prints a line. A reader that has gone away, as `head` does, is no failure.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{line}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line of an error. Where that fails, there is nobody left to be told.
pub(crate) fn print_error(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}
