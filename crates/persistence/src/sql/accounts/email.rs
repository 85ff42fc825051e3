//! The addresses of accounts, and the codes that verify them.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    accounts::{
        AccountEmail, AccountEmails, AddressHash, Credentials, EmailBegun, EmailCode, EmailCodeHash, EmailCodeTried,
        HourlyCount, NewEmail, PasswordHash, PendingEmail,
    },
    mail::{EmailAddress, MailLanguage},
};
use chrono::{NaiveDateTime, TimeDelta};
use diesel::{prelude::*, sql_types::Untyped};
use diesel_async::RunQueryDsl;

use super::{
    super::{
        super::{Connection, LOCK_ROWS},
        Store,
        failure::Failure,
        insert::upsert,
        mails,
    },
    lock_account, password_reset,
};
use crate::{
    row::row,
    schema::{account_emails, address_mails, email_codes, mails as mails_table},
    statement::{Row, Statement},
    stored::{Stored, count, damaged, id, time},
};

/// After how many hours what was counted for an address is removed.
const COUNTS_KEPT_HOURS: i64 = 24;
/// How many such rows a transaction removes.
const COUNTS_REMOVED_MAX: i64 = 10;

row! {
    struct AccountEmailRow in account_emails, from (account_id: AccountId, email: &AccountEmail, changed_at: Timestamp) {
        #[expect(dead_code, reason = "a row is asked for by its account")]
        account_id: Vec<u8> = account_id,
        address: Option<String> = email.address.as_ref().map(|address| address.as_str().to_owned()),
        verified_at: Option<NaiveDateTime> = email.verified_at,
        language: Option<String> = email.language.map(MailLanguage::as_str),
        #[expect(dead_code, reason = "it is for operators")]
        changed_at: NaiveDateTime = changed_at,
    }
}

row! {
    struct EmailCodeRow in email_codes, from (code: &EmailCode) {
        account_id: Vec<u8> = code.account_id,
        address: Option<String> = code.pending.as_ref().map(|pending| pending.address.as_str().to_owned()),
        code_hash: Option<Vec<u8>> = code.pending.as_ref().map(|pending| pending.code_hash.0.to_vec()),
        expires_at: Option<NaiveDateTime> = code.pending.as_ref().map(|pending| pending.expires_at),
        attempts_count: i64 = code.attempts.count,
        attempts_since: NaiveDateTime = code.attempts.since,
        mails_count: i64 = code.mails.count,
        mails_since: NaiveDateTime = code.mails.since,
    }
}

row! {
    struct AddressMailsRow in address_mails, from (address_hash: AddressHash, mails: HourlyCount) {
        #[expect(dead_code, reason = "a row is asked for by its address")]
        address_hash: Vec<u8> = address_hash.0.to_vec(),
        mails_count: i64 = mails.count,
        mails_since: NaiveDateTime = mails.since,
    }
}

fn address(text: &str) -> Result<EmailAddress, StorageError> {
    EmailAddress::new(text).map_err(|_| damaged("e-mail address")())
}

impl TryFrom<AccountEmailRow> for AccountEmail {
    type Error = StorageError;

    fn try_from(row: AccountEmailRow) -> Result<Self, StorageError> {
        let language = row.language.map(|tag| tag.parse().map_err(|_| damaged("language")()));
        Ok(Self {
            address: row.address.as_deref().map(address).transpose()?,
            verified_at: row.verified_at.map(|at| at.and_utc()),
            language: language.transpose()?,
            pending: None,
        })
    }
}

impl TryFrom<EmailCodeRow> for EmailCode {
    type Error = StorageError;

    fn try_from(row: EmailCodeRow) -> Result<Self, StorageError> {
        let pending = match (row.address, row.code_hash, row.expires_at) {
            (Some(text), Some(hash), Some(expires_at)) => {
                let hash = hash.try_into().map_err(|_| damaged("code")())?;
                let (address, expires_at) = (address(&text)?, expires_at.and_utc());
                Some(PendingEmail { address, code_hash: EmailCodeHash(hash), expires_at })
            }
            _ => None,
        };
        let counted = |number, since: NaiveDateTime| {
            Ok::<_, StorageError>(HourlyCount { count: count(number)?, since: since.and_utc() })
        };
        Ok(Self {
            account_id: id(&row.account_id)?,
            pending,
            attempts: counted(row.attempts_count, row.attempts_since)?,
            mails: counted(row.mails_count, row.mails_since)?,
        })
    }
}

#[async_trait]
impl AccountEmails for Store {
    async fn find_email(&self, account_id: AccountId) -> Result<AccountEmail, StorageError> {
        let query = account_emails::table.find(account_id.stored()).select(AccountEmailRow::as_select());
        let email: AccountEmail = self.find_one(query).await?.unwrap_or_default();
        let query = email_codes::table.find(account_id.stored()).select(EmailCodeRow::as_select());
        let code: Option<EmailCode> = self.find_one(query).await?;
        let pending = code.and_then(|code| code.pending).map(|pending| (pending.address, pending.expires_at));
        Ok(AccountEmail { pending, ..email })
    }

    async fn begin_email(&self, email: NewEmail) -> Result<EmailBegun, StorageError> {
        let begun = self
            .writer
            .transaction((email, self.now()), |connection, (email, now)| Box::pin(begin(connection, email, *now)));
        Ok(begun.await?)
    }

    async fn verify_email(
        &self,
        account_id: AccountId,
        code_hash: EmailCodeHash,
    ) -> Result<EmailCodeTried, StorageError> {
        let tried = self.writer.transaction((account_id, code_hash, self.now()), |connection, (id, hash, now)| {
            Box::pin(verify(connection, *id, *hash, *now))
        });
        Ok(tried.await?)
    }

    async fn remove_email(&self, account_id: AccountId, verified: PasswordHash) -> Result<bool, StorageError> {
        let removed = self.writer.transaction((account_id, verified, self.now()), |connection, (id, verified, now)| {
            Box::pin(async move {
                if lock_verified(connection, *id, verified).await?.is_none() {
                    return Ok(false);
                }
                if let Some(code) = lock_code(connection, *id).await? {
                    save_code(connection, &EmailCode { pending: None, ..code }).await?;
                }
                if let Some(known) = known_email(connection, *id).await? {
                    let without = AccountEmail { language: known.language, ..AccountEmail::default() };
                    save_email(connection, *id, &without, *now).await?;
                }
                password_reset::void_open(connection, *id, time(*now)).await?;
                Ok(true)
            })
        });
        Ok(removed.await?)
    }

    async fn set_language(&self, account_id: AccountId, language: MailLanguage) -> Result<(), StorageError> {
        let set = self.writer.transaction((account_id, language, self.now()), |connection, (id, language, now)| {
            Box::pin(async move {
                let account = lock_account(connection, "id", *id).await?;
                if account.is_none_or(|account| account.standing.erased_at.is_some()) {
                    return Ok(());
                }
                touch_account(connection, *id).await?;
                let known = known_email(connection, *id).await?.unwrap_or_default();
                save_email(connection, *id, &AccountEmail { language: Some(*language), ..known }, *now).await
            })
        });
        Ok(set.await?)
    }
}

async fn begin(connection: &mut Connection, email: &NewEmail, now: Timestamp) -> Result<EmailBegun, Failure> {
    let NewEmail { account_id, verified, pending, address_hash, mail } = email;
    if lock_verified(connection, *account_id, verified).await?.is_none() {
        return Ok(EmailBegun::Changed);
    }
    touch_account(connection, *account_id).await?;
    let code = lock_code(connection, *account_id).await?;
    let mut code = code.unwrap_or_else(|| EmailCode::new(*account_id, now));
    // An earlier attempt, whose answer was lost, may have stored it.
    if code.pending.as_ref() == Some(pending) {
        return Ok(EmailBegun::Begun { is_sent: true });
    }
    let mut to_address = lock_count(connection, *address_hash, now).await?;
    let is_sent = match code.begin(pending.clone(), &mut to_address, now) {
        Ok(is_sent) => is_sent,
        Err(seconds_left) => return Ok(EmailBegun::TooMany { seconds_left }),
    };
    save_code(connection, &code).await?;
    if is_sent {
        save_count(connection, *address_hash, to_address, &["mails_count", "mails_since"]).await?;
        mails::queue(connection, [mail]).await?;
    }
    remove_old_counts(connection, now).await?;
    Ok(EmailBegun::Begun { is_sent })
}

async fn verify(
    connection: &mut Connection,
    account_id: AccountId,
    code_hash: EmailCodeHash,
    now: Timestamp,
) -> Result<EmailCodeTried, Failure> {
    let account = lock_account(connection, "id", account_id).await?;
    if !account.is_some_and(|account| account.standing.may_sign_in()) {
        return Ok(EmailCodeTried::Wrong);
    }
    let Some(mut code) = lock_code(connection, account_id).await? else {
        return Ok(EmailCodeTried::Wrong);
    };
    let known = known_email(connection, account_id).await?.unwrap_or_default();
    // An earlier attempt, whose answer was lost, may have verified it.
    if let (None, Some(address), Some(at)) = (&code.pending, &known.address, known.verified_at)
        && at == now
    {
        return Ok(EmailCodeTried::Right(address.clone()));
    }
    let tried = code.attempt(code_hash, now);
    if let EmailCodeTried::TooMany { .. } = tried {
        return Ok(tried);
    }
    save_code(connection, &code).await?;
    if let EmailCodeTried::Right(address) = &tried {
        let email = AccountEmail { address: Some(address.clone()), verified_at: Some(now), ..known };
        save_email(connection, account_id, &email, now).await?;
        // Those went to the address before.
        password_reset::void_open(connection, account_id, time(now)).await?;
    }
    Ok(tried)
}

/// The account, if its holder may sign in with the password that was verified.
async fn lock_verified(
    connection: &mut Connection,
    account_id: AccountId,
    verified: &PasswordHash,
) -> Result<Option<Credentials>, Failure> {
    let account = lock_account(connection, "id", account_id).await?;
    Ok(account.filter(|account| account.standing.may_sign_in() && account.password_hash == *verified))
}

/// Changes the row of an account, which keeps the other nodes of a cluster from erasing it meanwhile.
pub(super) async fn touch_account(connection: &mut Connection, account_id: AccountId) -> Result<(), Failure> {
    let touch = Statement::<Untyped>::new("UPDATE accounts SET sessions_count = sessions_count + 1 WHERE id = ");
    touch.bind(account_id).execute(connection).await?;
    Ok(())
}

/// The code of an account, which nothing else changes until the transaction ends.
async fn lock_code(connection: &mut Connection, account_id: AccountId) -> Result<Option<EmailCode>, Failure> {
    let lock = Statement::select::<EmailCodeRow>().sql(" WHERE account_id = ").bind(account_id).sql(LOCK_ROWS);
    let rows: Vec<EmailCodeRow> = lock.load(connection).await?;
    Ok(rows.into_iter().next().map(EmailCode::try_from).transpose()?)
}

async fn save_code(connection: &mut Connection, code: &EmailCode) -> Result<(), Failure> {
    upsert::<EmailCodeRow>(connection, [EmailCodeRow::bind(code)], "account_id", &EmailCodeRow::COLUMNS[1..]).await
}

/// The e-mail of an account whose row is locked.
async fn known_email(connection: &mut Connection, account_id: AccountId) -> Result<Option<AccountEmail>, Failure> {
    let lock = Statement::select::<AccountEmailRow>().sql(" WHERE account_id = ").bind(account_id).sql(LOCK_ROWS);
    let rows: Vec<AccountEmailRow> = lock.load(connection).await?;
    Ok(rows.into_iter().next().map(AccountEmail::try_from).transpose()?)
}

/// The verified address of an account whose row is locked.
pub(super) async fn verified_address(
    connection: &mut Connection,
    account_id: AccountId,
) -> Result<Option<EmailAddress>, Failure> {
    Ok(known_email(connection, account_id).await?.and_then(|known| known.address))
}

async fn save_email(
    connection: &mut Connection,
    account_id: AccountId,
    email: &AccountEmail,
    now: Timestamp,
) -> Result<(), Failure> {
    let row = AccountEmailRow::bind(account_id, email, now);
    upsert::<AccountEmailRow>(connection, [row], "account_id", &AccountEmailRow::COLUMNS[1..]).await
}

/// How many mails went to an address, which nothing else changes until the transaction ends. The row is there first: none
/// could be locked that is not.
async fn lock_count(
    connection: &mut Connection,
    address_hash: AddressHash,
    now: Timestamp,
) -> Result<HourlyCount, Failure> {
    save_count(connection, address_hash, HourlyCount::new(now), &["address_hash"]).await?;
    let lock = Statement::select::<AddressMailsRow>().sql(" WHERE address_hash = ").bind(address_hash.0.to_vec());
    let rows: Vec<AddressMailsRow> = lock.sql(LOCK_ROWS).load(connection).await?;
    let row = rows.into_iter().next().ok_or_else(damaged("count of mails"))?;
    Ok(HourlyCount { count: count(row.mails_count)?, since: row.mails_since.and_utc() })
}

async fn save_count(
    connection: &mut Connection,
    address_hash: AddressHash,
    mails: HourlyCount,
    columns: &[&'static str],
) -> Result<(), Failure> {
    let row = AddressMailsRow::bind(address_hash, mails);
    upsert::<AddressMailsRow>(connection, [row], "address_hash", columns).await
}

/// Removes some of the rows that do not count any more.
async fn remove_old_counts(connection: &mut Connection, now: Timestamp) -> Result<(), Failure> {
    let latest = time(now - TimeDelta::hours(COUNTS_KEPT_HOURS));
    let old = address_mails::table.filter(address_mails::mails_since.lt(latest));
    let some = old.order(address_mails::mails_since).limit(COUNTS_REMOVED_MAX).select(address_mails::address_hash);
    let some: Vec<Vec<u8>> = some.load(connection).await?;
    let those = address_mails::table.filter(address_mails::address_hash.eq_any(some));
    diesel::delete(those.filter(address_mails::mails_since.lt(latest))).execute(connection).await?;
    Ok(())
}

/// Removes what is stored of the e-mail of an account, and the mail that waits for it.
pub(super) async fn remove_all(connection: &mut Connection, account_id: AccountId) -> Result<(), Failure> {
    diesel::delete(account_emails::table.find(account_id.stored())).execute(connection).await?;
    diesel::delete(email_codes::table.find(account_id.stored())).execute(connection).await?;
    let mails_of_account = mails_table::table.filter(mails_table::account_id.eq(account_id.stored()));
    diesel::delete(mails_of_account).execute(connection).await?;
    Ok(())
}
