//! The mail that boxoffice sends: what it says, and how it is handed over.
//!
//! [`templates`] write a [`Mail`](boxoffice_domain::mail::Mail) about what happened. A [`MailRoute`] says which
//! [`Mailer`](boxoffice_domain::mail::Mailer) takes it: a [`FolderMailer`] or an [`SmtpMailer`]. Neither tries again:
//! the caller does, since only the caller keeps what is to be sent.

#![deny(missing_docs)]

mod folder;
mod message;
mod route;
mod sender;
mod smtp;
pub mod templates;

pub use folder::FolderMailer;
pub use message::{NAME_CHARACTERS_MAX, SUBJECT_CHARACTERS_MAX};
pub use route::{Encryption, InvalidRoute, MailRoute, SmtpLogin, SmtpServer};
pub use sender::{InvalidSender, Sender};
pub use smtp::{SmtpLimits, SmtpMailer};
