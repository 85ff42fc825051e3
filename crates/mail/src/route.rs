//! Where mail goes, as the operator says it: a folder, or a server of SMTP.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use boxoffice_domain::{Clock, mail::Mailer};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::{FolderMailer, Sender, SmtpLimits, SmtpMailer};

/// The port of submission with STARTTLS (RFC 6409, section 3.1).
const SUBMISSION_PORT: u16 = 587;
/// The port of submission over TLS (RFC 8314, section 3.3).
const SUBMISSIONS_PORT: u16 = 465;

/// Where mail goes.
///
/// | Text | Meaning |
/// | --- | --- |
/// | `folder:/var/lib/boxoffice/mail` | each mail is a file in the folder |
/// | `smtp://user:password@mail.example.org` | port 587, and STARTTLS, without which nothing is sent |
/// | `smtps://user:password@mail.example.org` | port 465, TLS from the first byte |
/// | `smtp://127.0.0.1:25` | no TLS, since nothing leaves the machine; `?tls=starttls` asks for it |
/// | `smtp://relay.internal:25?tls=none` | no TLS, and no password either |
///
/// User and password are percent-encoded. `Debug` does not show the password.
///
/// ```
/// use boxoffice_mail::{Encryption, MailRoute};
/// let route: MailRoute = "smtp://shop:p%40ss@mail.example.org".parse()?;
/// let MailRoute::Smtp(server) = route else { panic!("it is a server") };
/// assert_eq!((server.host.as_str(), server.port, server.encryption), ("mail.example.org", 587, Encryption::StartTls));
/// assert_eq!(server.login.as_ref().map(|login| login.password.as_str()), Some("p@ss"));
/// assert!(!format!("{server:?}").contains("p@ss"));
/// # Ok::<(), boxoffice_mail::InvalidRoute>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailRoute {
    /// Each mail is a file in this folder.
    Folder(PathBuf),
    /// A server takes the mail.
    Smtp(SmtpServer),
}

impl MailRoute {
    /// The mailer that hands mail over there, within the default [`SmtpLimits`]. `authorities` is the content of a PEM file
    /// with authorities that are trusted besides those of browsers; a folder has no use for it.
    pub fn mailer(
        self,
        authorities: Option<&[u8]>,
        sender: Sender,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Arc<dyn Mailer>> {
        Ok(match self {
            Self::Folder(path) => Arc::new(FolderMailer::open(&path, sender, clock)?),
            Self::Smtp(server) => Arc::new(SmtpMailer::new(server, authorities, sender, clock, SmtpLimits::default())?),
        })
    }
}

/// A server that takes mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// Its name, or its address without brackets. Its certificate has to be for it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub encryption: Encryption,
    /// Who signs in, if anyone does.
    pub login: Option<SmtpLogin>,
}

/// How the connection to a server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS. A server that does not offer it gets nothing.
    StartTls,
    /// None.
    None,
}

/// Who signs in to a server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why a text does not say where mail goes. None of them repeats the text, which may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoute {
    /// It begins with none of the three words.
    #[error("must be folder:/path, smtp://user:password@host:port or smtps://user:password@host:port")]
    Scheme,
    /// The folder has no path, or one that depends on where the program was started.
    #[error("the folder must be an absolute path, such as folder:/var/lib/boxoffice/mail")]
    Folder,
    /// It is no URL.
    #[error(
        "is no URL; characters of the user and the password other than letters and digits are written as %40 for @"
    )]
    Url,
    /// It names no host.
    #[error("names no host, such as smtp://mail.example.org")]
    Host,
    /// It has a path or a fragment.
    #[error("has something behind the port that has no meaning there; a / in the password is written as %2F")]
    Path,
    /// The user or the password is not text, or only one of them is there.
    #[error("the user and the password belong together, and are percent-encoded UTF-8 without control characters")]
    Login,
    /// The part behind `?` is unknown, or does not fit.
    #[error("may end with ?tls=starttls or ?tls=none, behind smtp:// only")]
    Option,
    /// The password would leave the machine unprotected.
    #[error("sends no password without TLS to another machine: leave out ?tls=none, or the user and the password")]
    UnprotectedLogin,
}

impl FromStr for MailRoute {
    type Err = InvalidRoute;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("folder:") {
            let path = Path::new(path);
            return if path.is_absolute() { Ok(Self::Folder(path.to_owned())) } else { Err(InvalidRoute::Folder) };
        }
        if !text.starts_with("smtp://") && !text.starts_with("smtps://") {
            return Err(InvalidRoute::Scheme);
        }
        let url = Url::parse(text).map_err(|_| InvalidRoute::Url)?;
        SmtpServer::of(&url).map(Self::Smtp)
    }
}

impl SmtpServer {
    fn of(url: &Url) -> Result<Self, InvalidRoute> {
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(InvalidRoute::Path);
        }
        let (host, is_local) = host_of(url)?;
        let login = login_of(url)?;
        let (default_port, encryption) = match (url.scheme(), url.query()) {
            ("smtps", None) => (SUBMISSIONS_PORT, Encryption::Tls),
            ("smtp", None) if is_local => (SUBMISSION_PORT, Encryption::None),
            ("smtp", None | Some("tls=starttls")) => (SUBMISSION_PORT, Encryption::StartTls),
            ("smtp", Some("tls=none")) => (SUBMISSION_PORT, Encryption::None),
            _ => return Err(InvalidRoute::Option),
        };
        if login.is_some() && encryption == Encryption::None && !is_local {
            return Err(InvalidRoute::UnprotectedLogin);
        }
        Ok(Self { host, port: url.port().unwrap_or(default_port), encryption, login })
    }
}

/// The host, and whether it is this machine.
fn host_of(url: &Url) -> Result<(String, bool), InvalidRoute> {
    let address = match url.host() {
        Some(Host::Domain(name)) => match name.parse::<Ipv4Addr>() {
            Ok(address) => IpAddr::V4(address),
            Err(_) => return name_of_host(name),
        },
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        None => return Err(InvalidRoute::Host),
    };
    let is_mapped_local = |address: Ipv6Addr| address.to_ipv4_mapped().is_some_and(|address| address.is_loopback());
    let is_local = address.is_loopback() || matches!(address, IpAddr::V6(address) if is_mapped_local(address));
    Ok((address.to_string(), is_local))
}

fn name_of_host(name: &str) -> Result<(String, bool), InvalidRoute> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(InvalidRoute::Host);
    }
    let name = name.to_ascii_lowercase();
    let is_local = name == "localhost";
    Ok((name, is_local))
}

fn login_of(url: &Url) -> Result<Option<SmtpLogin>, InvalidRoute> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map_err(|_| InvalidRoute::Login)?;
        let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
        if is_plain { Ok(text.into_owned()) } else { Err(InvalidRoute::Login) }
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) => Ok(Some(SmtpLogin { user: decoded(user)?, password: decoded(password)? })),
        (_, None) => Err(InvalidRoute::Login),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> SmtpServer {
        match text.parse() {
            Ok(MailRoute::Smtp(server)) => server,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_server_is_read_with_its_usual_port_and_protection() {
        let read = |text: &str| {
            let server = server(text);
            (server.host, server.port, server.encryption)
        };
        let of = |host: &str, port, encryption| (host.to_owned(), port, encryption);
        assert_eq!(read("smtp://Mail.Example.org"), of("mail.example.org", 587, Encryption::StartTls));
        assert_eq!(read("smtp://mail.example.org:2525/"), of("mail.example.org", 2525, Encryption::StartTls));
        assert_eq!(read("smtps://mail.example.org"), of("mail.example.org", 465, Encryption::Tls));
        assert_eq!(read("smtps://127.0.0.1:4650"), of("127.0.0.1", 4650, Encryption::Tls));
        assert_eq!(read("smtp://localhost:25"), of("localhost", 25, Encryption::None));
        assert_eq!(read("smtp://127.1.2.3:25"), of("127.1.2.3", 25, Encryption::None));
        assert_eq!(read("smtp://[::1]:25"), of("::1", 25, Encryption::None));
        assert_eq!(read("smtp://127.0.0.1:25?tls=starttls"), of("127.0.0.1", 25, Encryption::StartTls));
        assert_eq!(read("smtp://relay:25?tls=none"), of("relay", 25, Encryption::None));
        assert_eq!(read("smtp://10.0.0.1:25"), of("10.0.0.1", 25, Encryption::StartTls));
        assert_eq!(read("smtp://localhost.example.org"), of("localhost.example.org", 587, Encryption::StartTls));
    }

    #[test]
    fn a_login_is_decoded_and_its_password_never_printed() {
        let server = server("smtp://shop%40example.org:%EB%B9%84%3A%2F@mail.example.org");
        let login = server.login.clone().unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("shop@example.org", "비:/"));
        let printed = format!("{server:?} {:?}", MailRoute::Smtp(server.clone()));
        assert!(printed.contains("shop@example.org") && !printed.contains("비"), "{printed}");
        assert!(matches!("smtp://a:b@localhost".parse(), Ok(MailRoute::Smtp(_))), "nothing leaves the machine");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, error) in [
            ("", InvalidRoute::Scheme),
            ("secret", InvalidRoute::Scheme),
            ("http://a:secret@mail.example.org", InvalidRoute::Scheme),
            ("smtp:a:secret@mail.example.org", InvalidRoute::Scheme),
            ("folder:", InvalidRoute::Folder),
            ("folder:mail", InvalidRoute::Folder),
            ("smtp://", InvalidRoute::Host),
            ("smtp://a:sec/ret@mail.example.org", InvalidRoute::Url),
            ("smtp://mail.example.org:99999", InvalidRoute::Url),
            ("smtp://mail.example.org/path", InvalidRoute::Path),
            ("smtp://a:12/secret@mail.example.org", InvalidRoute::Path),
            ("smtp://a:secret@mail.example.org#x", InvalidRoute::Path),
            ("smtp://mail$host", InvalidRoute::Host),
            ("smtp://secret@mail.example.org", InvalidRoute::Login),
            ("smtp://:secret@mail.example.org", InvalidRoute::Login),
            ("smtp://a:@mail.example.org", InvalidRoute::Login),
            ("smtp://a:secret%0D%0A@mail.example.org", InvalidRoute::Login),
            ("smtp://a:secret%FF@mail.example.org", InvalidRoute::Login),
            ("smtp://mail.example.org?tls=off", InvalidRoute::Option),
            ("smtp://mail.example.org?tls=none&x", InvalidRoute::Option),
            ("smtps://mail.example.org?tls=none", InvalidRoute::Option),
            ("smtp://a:secret@mail.example.org?tls=none", InvalidRoute::UnprotectedLogin),
        ] {
            assert_eq!(text.parse::<MailRoute>(), Err(error), "{text}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        assert_eq!("folder:/a b/c".parse(), Ok(MailRoute::Folder("/a b/c".into())));
    }
}
