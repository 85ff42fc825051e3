//! What the mail says, and how it reaches a folder and a server. `tests/mail/install` fetches the server.

mod folder;
mod smtp;
mod support;
mod templates;
