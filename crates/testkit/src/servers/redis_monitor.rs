//! What a Redis server does, by its own report: every command, also those within scripts, in order.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use boxoffice_domain::{EntropySource, fixtures::TestEntropy};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinHandle,
};

use super::{
    redis::{RedisServer, command_at},
    until,
};

/// One command that Redis ran.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisStep {
    /// When, in microseconds since 1970, by the clock of the machine of Redis.
    pub at_micros: u64,
    pub words: Vec<Vec<u8>>,
}

/// Records the commands that contain certain texts, until it is dropped or the server ends.
#[derive(Debug)]
pub struct RedisMonitor {
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
    server: SocketAddr,
}

#[derive(Debug, Default)]
struct Heard {
    steps: Vec<RedisStep>,
    /// The argument of the last `ECHO`, which marks a place among the commands.
    mark: String,
}

impl RedisServer {
    /// From now on, records every command of which an argument contains one of these texts.
    pub async fn monitor(&self, texts: &[&str]) -> io::Result<RedisMonitor> {
        let mut stream = TcpStream::connect(self.address()).await?;
        stream.write_all(b"MONITOR\r\n").await?;
        let mut lines = BufReader::new(stream).lines();
        match lines.next_line().await? {
            Some(line) if line == "+OK" => {}
            other => return Err(io::Error::other(format!("Redis does not report its commands: {other:?}"))),
        }
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (hearing, texts) = (Arc::clone(&heard), texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let listening = tokio::spawn(async move {
            // It ends with the server.
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(mark) = line.split_once(" \"ECHO\" \"").and_then(|(_, rest)| rest.strip_suffix('"')) {
                    mark.clone_into(&mut lock(&hearing).mark);
                } else if texts.iter().any(|text| line.contains(text.as_str()))
                    && let Some(step) = parse(&line)
                {
                    lock(&hearing).steps.push(step);
                }
            }
        });
        Ok(RedisMonitor { heard, listening, server: self.address() })
    }
}

impl RedisMonitor {
    /// Every step so far. No step is missing that was done before this call.
    pub async fn steps(&self) -> io::Result<Vec<RedisStep>> {
        let mark = TestEntropy.uuid().simple().to_string();
        command_at(self.server, format!("ECHO {mark}")).await?;
        let is_heard = || async {
            let heard = lock(&self.heard).mark == mark;
            if heard || !self.listening.is_finished() {
                return Ok(heard);
            }
            Err(io::Error::other("Redis no longer reports its commands"))
        };
        until("Redis reports its commands", is_heard).await?;
        Ok(lock(&self.heard).steps.clone())
    }
}

impl Drop for RedisMonitor {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `+1700000000.000001 [0 lua] "ZADD" "key" "1" "\x00"`.
fn parse(line: &str) -> Option<RedisStep> {
    let (at, rest) = line.strip_prefix('+')?.split_once(' ')?;
    let (seconds, micros) = at.split_once('.')?;
    let at_micros = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    let mut rest = rest.split_once("] ")?.1.bytes();
    let mut words = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => words.push(word(&mut rest)?),
            b' ' => {}
            _ => return None,
        }
    }
    Some(RedisStep { at_micros, words })
}

/// Reads up to the closing quotation mark.
fn word(rest: &mut impl Iterator<Item = u8>) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    loop {
        word.push(match rest.next()? {
            b'"' => return Some(word),
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'a' => 0x07,
                b'b' => 0x08,
                b'x' => {
                    let mut digit = || u8::try_from(char::from(rest.next()?).to_digit(16)?).ok();
                    digit()? * 16 + digit()?
                }
                same => same,
            },
            byte => byte,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_with_bytes_that_are_no_text() {
        let step = parse(r#"+1700000000.000012 [0 lua] "ZADD" "a:{b}:c" "1" "\x00\xffx\n\"\\\a""#).unwrap();
        assert_eq!(step.at_micros, 1_700_000_000_000_012);
        assert_eq!(step.words, [b"ZADD".to_vec(), b"a:{b}:c".to_vec(), b"1".to_vec(), b"\x00\xffx\n\"\\\x07".to_vec()]);
        assert_eq!(parse("+OK"), None);
    }

    #[tokio::test]
    async fn no_step_is_missing_and_scripts_are_looked_into() {
        let server = RedisServer::start().await.unwrap();
        let monitor = server.monitor(&["key"]).await.unwrap();
        server.command("SET key 1").await.unwrap();
        server.command("SET other 1").await.unwrap();
        server.command("EVAL \"redis.call('INCR','key')\" 0").await.unwrap();
        let steps = monitor.steps().await.unwrap();
        let texts: Vec<_> = steps.iter().map(|step| String::from_utf8(step.words.join(&b' ')).unwrap()).collect();
        assert_eq!(texts, ["SET key 1", "EVAL redis.call('INCR','key') 0", "INCR key"]);
        server.kill().await.unwrap();
        assert!(monitor.steps().await.is_err());
    }
}
