//! Mail to account holders: what events are worth one, and handing it over.

mod reader;
mod sender;

pub use reader::MailReader;
pub use sender::{Letter, MailSender, Posted, WriteMail};
