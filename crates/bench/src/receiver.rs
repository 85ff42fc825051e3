//! An endpoint that takes every webhook.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// As many requests as come to one endpoint at once.
const THREADS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes requests on the loopback as long as the process lives. Returns where.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..THREADS {
        let listener = listener.try_clone()?;
        thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                // What fails here is sent again, and seen in the figures.
                stream.and_then(take).ok();
            }
        })?;
    }
    Ok(address)
}

/// Reads a request to its end, and accepts it.
fn take(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut body_bytes) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        let field = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if let Some((_, value)) = field {
            body_bytes = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    io::copy(&mut reader.by_ref().take(body_bytes), &mut io::sink())?;
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
}
