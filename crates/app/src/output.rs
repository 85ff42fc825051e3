//! The standard output and the standard error.

use std::io::{self, ErrorKind, Write};

/// Prints a line. It is not a failure if the reader has left, as `head` does.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{line}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line of an error. A failure to print it is ignored.
pub(crate) fn print_error(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}
