//! Mail that waits to be sent. The rows are inserted by what they are about.

use boxoffice_domain::{StorageError, Timestamp, mail::NewMail};
use chrono::NaiveDateTime;

use super::{super::Connection, failure::Failure, insert::upsert};
use crate::{row::row, stored::json};

row! {
    pub(super) struct MailRow in mails, from (mail: &NewMail, notice: String, next_attempt_at: Option<Timestamp>) {
        id: Vec<u8> = mail.id,
        account_id: Vec<u8> = mail.account_id,
        address: Option<String> = mail.to.as_ref().map(|to| to.as_str().to_owned()),
        // JSON.
        notice: Option<String> = Some(notice),
        created_at: NaiveDateTime = mail.created_at,
        next_attempt_at: Option<NaiveDateTime> = next_attempt_at,
    }
}

/// Queues mail, in the transaction of its cause. A mail that was queued before stays as it is.
pub(super) async fn queue(
    connection: &mut Connection,
    mails: impl IntoIterator<Item = &NewMail>,
) -> Result<(), Failure> {
    let rows = mails.into_iter().map(|mail| Ok(MailRow::bind(mail, json(&mail.notice)?, Some(mail.created_at))));
    upsert::<MailRow>(connection, rows.collect::<Result<Vec<_>, StorageError>>()?, "id", &["id"]).await
}
