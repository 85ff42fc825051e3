//! Resets of passwords.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    accounts::{
        Account, AccountChange, ChangedAccount, Credentials, NewPasswordReset, PASSWORD_RESET_MINUTES_VALID,
        PASSWORD_RESETS_MAX, PasswordReset, PasswordResets, ResetTokenHash,
    },
    events::Event,
    mail::NewMail,
};
use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{
        super::{Connection, LOCK_ROWS},
        Store,
        failure::Failure,
        insert::insert,
        mails,
        outbox::write_events,
    },
    AccountRow, email, lock_account, save_account, sessions,
};
use crate::{
    row::row,
    schema::{accounts, password_resets},
    statement::{Bind, Null, Statement},
    stored::{Stored, id, time},
};

row! {
    struct ResetRow in password_resets, from (reset: &NewPasswordReset, account_id: AccountId) {
        #[expect(dead_code, reason = "a row is asked for by its token")]
        token_hash: Vec<u8> = reset.token_hash.0.to_vec(),
        account_id: Vec<u8> = account_id,
        expires_at: NaiveDateTime = reset.expires_at,
        used_at: Option<NaiveDateTime> = Bind::Null(Null::Time),
    }
}

impl ResetRow {
    fn is_good(&self, account: &Credentials, now: NaiveDateTime) -> bool {
        self.used_at.is_none() && now < self.expires_at && account.standing.may_sign_in()
    }
}

#[async_trait]
impl PasswordResets for Store {
    async fn begin_reset(&self, reset: NewPasswordReset) -> Result<bool, StorageError> {
        let begun = self
            .writer
            .transaction((reset, self.now()), |connection, (reset, now)| Box::pin(begin(connection, reset, *now)));
        Ok(begun.await?)
    }

    async fn find_reset(&self, token_hash: ResetTokenHash) -> Result<Option<Account>, StorageError> {
        let query = password_resets::table.find(token_hash.0.to_vec()).select(ResetRow::as_select());
        let Some(reset) = self.read(query).await?.pop() else {
            return Ok(None);
        };
        let query = accounts::table.find(reset.account_id.clone()).select(AccountRow::as_select());
        let account: Option<Credentials> = self.find_one(query).await?;
        Ok(account.filter(|account| reset.is_good(account, time(self.now()))).map(|found| found.account))
    }

    async fn complete(&self, reset: PasswordReset) -> Result<Option<ChangedAccount>, StorageError> {
        let input = (reset, self.writer.entropy.uuid(), self.now());
        let completed = self.writer.transaction(input, |connection, (reset, batch_id, now)| {
            Box::pin(complete(connection, reset, *batch_id, *now))
        });
        Ok(completed.await?)
    }
}

async fn begin(connection: &mut Connection, reset: &NewPasswordReset, now: Timestamp) -> Result<bool, Failure> {
    let account = lock_account(connection, "login_id", reset.login_id.as_str().to_owned()).await?;
    let Some(account) = account.filter(|account| account.standing.may_sign_in()) else {
        return Ok(false);
    };
    let account_id = account.account.id;
    let Some(address) = email::verified_address(connection, account_id).await? else {
        return Ok(false);
    };
    let of_account = password_resets::table.filter(password_resets::account_id.eq(account_id.stored()));
    // They were begun more than an hour ago, and have expired.
    let counted = time(now - TimeDelta::minutes(60 - i64::from(PASSWORD_RESET_MINUTES_VALID)));
    diesel::delete(of_account.clone().filter(password_resets::expires_at.le(counted))).execute(connection).await?;
    let others: Vec<Vec<u8>> = of_account.select(password_resets::token_hash).load(connection).await?;
    // An earlier attempt, whose answer was lost, may have begun it.
    if others.iter().any(|hash| *hash == reset.token_hash.0) {
        return Ok(true);
    }
    if others.len() >= PASSWORD_RESETS_MAX as usize {
        return Ok(false);
    }
    email::touch_account(connection, account_id).await?;
    insert::<ResetRow>(connection, [ResetRow::bind(reset, account_id)]).await?;
    let (id, to, notice) = (reset.mail_id, Some(address), reset.notice.clone());
    mails::queue(connection, [&NewMail { id, account_id, to, notice, created_at: now }]).await?;
    Ok(true)
}

async fn complete(
    connection: &mut Connection,
    reset: &PasswordReset,
    batch_id: Uuid,
    now: Timestamp,
) -> Result<Option<ChangedAccount>, Failure> {
    let account_id = password_resets::table.find(reset.token_hash.0.to_vec()).select(password_resets::account_id);
    let account_id: Option<Vec<u8>> = account_id.first(connection).await.optional()?;
    let Some(account_id) = account_id.map(|bytes| id::<AccountId>(&bytes)).transpose()? else {
        return Ok(None);
    };
    let account = lock_account(connection, "id", account_id).await?;
    let lock = Statement::select::<ResetRow>().sql(" WHERE token_hash = ").bind(reset.token_hash.0.to_vec());
    let row: Option<ResetRow> = lock.sql(LOCK_ROWS).load(connection).await?.pop();
    let (Some(mut account), Some(row)) = (account, row) else {
        return Ok(None);
    };
    // An earlier attempt, whose answer was lost, may have completed it.
    let is_repeated = row.used_at == Some(time(now)) && account.password_hash == reset.next;
    if !is_repeated {
        if !row.is_good(&account, time(now)) {
            return Ok(None);
        }
        let change = AccountChange { password_hash: Some(reset.next.clone()), ..AccountChange::default() };
        change.apply(&mut account, now);
        save_account(connection, &account).await?;
        void_open(connection, account_id, time(now)).await?;
        write_events(connection, batch_id, &[Event::PasswordChanged { account_id }], now).await?;
    }
    let ended_sessions = sessions::end_of(connection, account_id, None, time(now)).await?;
    let Credentials { account, standing, .. } = account;
    let access_version = (standing.access_changed_at == Some(now)).then_some(standing.access_version);
    Ok(Some(ChangedAccount { account, ended_sessions, access_version }))
}

/// Makes the tokens of an account void that were not used.
pub(super) async fn void_open(
    connection: &mut Connection,
    account_id: AccountId,
    now: NaiveDateTime,
) -> Result<(), Failure> {
    let of_account = password_resets::table.filter(password_resets::account_id.eq(account_id.stored()));
    let open = of_account.filter(password_resets::used_at.is_null());
    diesel::update(open).set(password_resets::used_at.eq(now)).execute(connection).await?;
    Ok(())
}

/// Removes all resets of an account.
pub(super) async fn remove_all(connection: &mut Connection, account_id: AccountId) -> Result<(), Failure> {
    let of_account = password_resets::table.filter(password_resets::account_id.eq(account_id.stored()));
    diesel::delete(of_account).execute(connection).await?;
    Ok(())
}
