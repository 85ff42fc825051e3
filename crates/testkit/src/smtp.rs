//! An SMTP server that writes down what it takes, as the parser of another language reads it.

use std::{
    fs,
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    Authority, TestFolder,
    servers::{attempts, free_port, until},
};

/// How the server protects its connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SmtpTls {
    /// Not at all.
    #[default]
    None,
    /// It offers STARTTLS, and takes no mail without it.
    StartTls,
    /// With TLS from the first byte.
    Implicit,
}

/// What the server asks of its clients.
#[derive(Clone, Debug, Default)]
pub struct SmtpOptions {
    pub tls: SmtpTls,
    /// The name and the password of the user who may send. Everybody may if it is `None`.
    pub user: Option<(String, String)>,
    /// Mechanisms of AUTH that it does not offer.
    pub without: Vec<&'static str>,
}

/// An SMTP server on a port of the loopback interface. It ends when it is dropped, and when this process ends.
///
/// What happens to a mail depends on the recipient: `tests/mail/server.py` lists the names.
#[derive(Debug)]
pub struct SmtpServer {
    port: u16,
    authority: Authority,
    folder: TestFolder,
    process: Child,
}

impl SmtpServer {
    pub async fn start(options: SmtpOptions) -> io::Result<Self> {
        let options = &options;
        attempts(|| Self::start_at(free_port(), options)).await
    }

    async fn start_at(port: io::Result<u16>, options: &SmtpOptions) -> io::Result<Self> {
        let (port, authority, folder) = (port?, Authority::create(), TestFolder::create());
        let mut command = Command::new(scripts().join("serve"));
        command.arg(folder.path()).arg("--port").arg(port.to_string());
        if options.tls != SmtpTls::None {
            let files = authority.issue("mail", &["127.0.0.1", "localhost"]);
            command.arg("--certificate").arg(files.certificate).arg("--key").arg(files.key);
        }
        if options.tls == SmtpTls::Implicit {
            command.arg("--implicit");
        }
        if let Some((name, password)) = &options.user {
            command.arg("--user").arg(format!("{name}:{password}"));
        }
        if !options.without.is_empty() {
            command.arg("--without").arg(options.without.join(","));
        }
        let process = command.stdin(Stdio::piped()).spawn()?;
        let mut server = Self { port, authority, folder, process };
        server.until_ready().await.map_err(|error| io::Error::other(format!("{error}:\n{}", server.log())))?;
        Ok(server)
    }

    async fn until_ready(&mut self) -> io::Result<()> {
        let (port, process) = (self.port, std::cell::RefCell::new(&mut self.process));
        let is_ready = || async {
            if process.borrow_mut().try_wait()?.is_some() {
                return Err(io::Error::other("the SMTP server ended while it started"));
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok())
        };
        until("the SMTP server listens", is_ready).await
    }

    /// Kills it. What it took stays.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.say("kill")?;
        let port = self.port;
        let is_gone = async || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
        until("the SMTP server is gone", is_gone).await
    }

    /// Starts it again on its port.
    pub async fn start_again(&mut self) -> io::Result<()> {
        self.say("start")?;
        self.until_ready().await
    }

    fn say(&mut self, command: &str) -> io::Result<()> {
        let stdin = self.process.stdin.as_mut().ok_or_else(|| io::Error::other("the SMTP server has no input"))?;
        stdin.write_all(format!("{command}\n").as_bytes())
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that issued its certificate, for 127.0.0.1 and `localhost`.
    pub fn authority_file(&self) -> PathBuf {
        self.authority.file()
    }

    /// What it took, in order.
    pub fn received(&self) -> Vec<ReceivedMail> {
        let mails = (0..).map(|number| fs::read(self.folder.join(&format!("{number}.json"))));
        mails.map_while(Result::ok).map(|json| ReceivedMail::read(&json)).collect()
    }

    /// What it took for a recipient, in order.
    pub fn received_for(&self, recipient: &str) -> Vec<ReceivedMail> {
        self.received().into_iter().filter(|mail| mail.recipients == [recipient]).collect()
    }

    /// What it says about its own failures.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// A mail that a server took.
#[derive(Clone, Debug)]
pub struct ReceivedMail {
    /// The sender that the client named, beside the header fields.
    pub sender: String,
    /// The recipients that the client named, beside the header fields.
    pub recipients: Vec<String>,
    pub is_encrypted: bool,
    /// Who was signed in.
    pub user: Option<String>,
    /// The port of the client, which is another one for each connection.
    pub peer_port: u64,
    /// How its content is read.
    pub content: ParsedMail,
}

/// A mail as the parser of Python reads it.
#[derive(Clone, Debug)]
pub struct ParsedMail {
    /// Names and decoded values, in order.
    pub headers: Vec<(String, String)>,
    /// The names and addresses of the field `To`.
    pub to: Vec<(String, String)>,
    /// The type of the whole.
    pub media_type: String,
    pub parts: Vec<MailPart>,
    /// What the parser does not like.
    pub defects: Vec<String>,
    pub line_bytes_max: u64,
    pub is_ascii: bool,
    pub raw: String,
}

/// A part of a mail, decoded.
#[derive(Clone, Debug)]
pub struct MailPart {
    pub media_type: String,
    pub charset: String,
    pub encoding: String,
    pub text: String,
}

impl ReceivedMail {
    fn read(json: &[u8]) -> Self {
        let mail: Value = serde_json::from_slice(json).expect("a mail in JSON");
        Self {
            sender: text(&mail["sender"]),
            recipients: list(&mail["recipients"]).map(text).collect(),
            is_encrypted: mail["is_encrypted"] == true,
            user: mail["user"].as_str().map(str::to_owned),
            peer_port: mail["peer_port"].as_u64().expect("a port"),
            content: ParsedMail::read(&mail),
        }
    }
}

impl ParsedMail {
    /// Reads a mail that was kept as a file.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut command = Command::new(scripts().join("parse"));
        let output = command.arg(path).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(Self::read(&serde_json::from_slice(&output.stdout)?))
    }

    fn read(mail: &Value) -> Self {
        let pairs = |value: &Value| list(value).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        let part = |part: &Value| MailPart {
            media_type: text(&part["type"]),
            charset: text(&part["charset"]),
            encoding: text(&part["encoding"]),
            text: text(&part["text"]).replace("\r\n", "\n"),
        };
        Self {
            headers: pairs(&mail["headers"]),
            to: pairs(&mail["to"]),
            media_type: text(&mail["type"]),
            parts: list(&mail["parts"]).map(part).collect(),
            defects: list(&mail["defects"]).map(text).collect(),
            line_bytes_max: mail["line_bytes_max"].as_u64().expect("a number"),
            is_ascii: mail["is_ascii"] == true,
            raw: text(&mail["raw"]),
        }
    }

    /// The value of the only field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The content of the part of this type.
    pub fn part(&self, media_type: &str) -> Option<&MailPart> {
        self.parts.iter().find(|part| part.media_type == media_type)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// The folder of the scripts that install and run the server.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/mail")
}
