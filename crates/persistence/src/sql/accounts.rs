//! Accounts and their sessions.

mod email;
mod password_reset;
mod records;
mod second_factor;
mod sessions;

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, EntropySource, SessionId, StorageError, Timestamp,
    accounts::{
        Account, AccountChange, Accounts, Belongings, ChangedAccount, CreateAccountError, Credentials, Erasure,
        LoginId, Member, PasswordChange, PasswordHash, SessionsToEnd, Standing,
    },
    events::Event,
    history::StaffAct,
    wallet::Wallet,
};
use chrono::NaiveDateTime;
use diesel::{
    prelude::*,
    sql_types::{Text, Untyped},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    super::{Connection, LOCK_ROWS},
    Store,
    failure::{Failure, Kind},
    history::write_down,
    insert::insert,
    outbox::write_events,
    wallet::WalletRow,
};
use crate::{
    row::row,
    schema::{accounts, charge_refunds, performances, reservations, wallets, webhooks},
    statement::{Bind, Row, Statement},
    stored::{Stored, count, damaged, id, name, optional_idempotency, points, time},
};

row! {
    struct AccountRow in accounts, from (credentials: &Credentials) {
        id: Vec<u8> = credentials.account.id,
        login_id: String = credentials.account.login_id.as_str().to_owned(),
        name: String = &credentials.account.name,
        role: String = credentials.account.role.as_str(),
        password_hash: String = credentials.password_hash.0.clone(),
        created_at: NaiveDateTime = credentials.account.created_at,
        idempotency_key: Option<String> = credentials.idempotency.as_ref().map(|first| &first.key),
        fingerprint: Option<Vec<u8>> = credentials.idempotency.as_ref().map(|first| first.fingerprint),
        access_version: i64 = credentials.standing.access_version,
        access_changed_at: Option<NaiveDateTime> = credentials.standing.access_changed_at,
        locked_at: Option<NaiveDateTime> = credentials.standing.locked_at,
        erased_at: Option<NaiveDateTime> = credentials.standing.erased_at,
        second_factor_at: Option<NaiveDateTime> = credentials.standing.second_factor_at,
        is_demo: bool = credentials.standing.is_demo,
    }
}

impl TryFrom<AccountRow> for Credentials {
    type Error = StorageError;

    fn try_from(row: AccountRow) -> Result<Self, StorageError> {
        let account = Account {
            id: id(&row.id)?,
            login_id: LoginId::new(&row.login_id).map_err(|_| damaged("login id")())?,
            name: name(&row.name)?,
            role: row.role.parse().map_err(|_| damaged("role")())?,
            created_at: row.created_at.and_utc(),
        };
        let idempotency = optional_idempotency(row.idempotency_key.as_deref(), row.fingerprint.as_ref())?;
        let standing = Standing {
            access_version: count(row.access_version)?,
            access_changed_at: row.access_changed_at.map(|at| at.and_utc()),
            locked_at: row.locked_at.map(|at| at.and_utc()),
            erased_at: row.erased_at.map(|at| at.and_utc()),
            second_factor_at: row.second_factor_at.map(|at| at.and_utc()),
            is_demo: row.is_demo,
        };
        Ok(Self { account, standing, password_hash: PasswordHash(row.password_hash), idempotency })
    }
}

#[async_trait]
impl Accounts for Store {
    async fn create(&self, credentials: Credentials) -> Result<(), CreateAccountError> {
        let input = (&credentials, Arc::clone(&self.writer.entropy));
        let created = self.writer.transaction(input, |connection, (credentials, entropy)| {
            Box::pin(async move {
                insert::<AccountRow>(connection, [AccountRow::bind(credentials)]).await?;
                let wallet = Wallet::new(credentials.account.id, credentials.account.created_at);
                insert::<WalletRow>(connection, [WalletRow::bind(&wallet)]).await?;
                write_down(connection, &StaffAct::staff_made(entropy.as_ref(), credentials)).await
            })
        });
        match created.await {
            Ok(()) => Ok(()),
            Err(failure) if failure.kind == Kind::Duplicate => {
                match self.credentials(&credentials.account.login_id).await? {
                    // An earlier attempt, whose answer was lost, had made it.
                    Some(existing) if existing.account.id == credentials.account.id => Ok(()),
                    Some(existing) => Err(CreateAccountError::LoginIdTaken(Box::new(existing))),
                    None => Err(StorageError::from(failure).into()),
                }
            }
            Err(failure) => Err(StorageError::from(failure).into()),
        }
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, StorageError> {
        let query = accounts::table.find(id.stored()).select(AccountRow::as_select());
        Ok(self.find_one(query).await?.map(|credentials: Credentials| credentials.account))
    }

    async fn credentials(&self, login_id: &LoginId) -> Result<Option<Credentials>, StorageError> {
        let query = accounts::table.filter(accounts::login_id.eq(login_id.as_str())).select(AccountRow::as_select());
        self.find_one(query).await
    }

    async fn change(&self, login_id: &LoginId, change: AccountChange) -> Result<Option<ChangedAccount>, StorageError> {
        let entropy = Arc::clone(&self.writer.entropy);
        let input = (login_id, change, self.now(), entropy);
        let changed = self.writer.transaction(input, |connection, (login_id, change, now, entropy)| {
            Box::pin(change_account(connection, login_id, change, *now, entropy.as_ref()))
        });
        Ok(changed.await?)
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StorageError> {
        let input = (change, self.writer.entropy.uuid(), self.now());
        let changed = self.writer.transaction(input, |connection, (change, event_id, now)| {
            Box::pin(change_password(connection, change, *event_id, *now))
        });
        Ok(changed.await?)
    }

    async fn renew_hash(
        &self,
        id: AccountId,
        verified: PasswordHash,
        renewed: PasswordHash,
    ) -> Result<(), StorageError> {
        let written = self.writer.transaction((id, verified, renewed), |connection, (id, verified, renewed)| {
            Box::pin(async move {
                let account = accounts::table.find(id.stored()).filter(accounts::password_hash.eq(&verified.0));
                diesel::update(account).set(accounts::password_hash.eq(&renewed.0)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(written.await?)
    }

    async fn erase(&self, id: AccountId, verified: PasswordHash) -> Result<Erasure, StorageError> {
        let erased = self.writer.transaction((id, verified, self.now()), |connection, (id, verified, now)| {
            Box::pin(erase(connection, *id, verified, *now))
        });
        Ok(erased.await?)
    }

    async fn mark_demo(&self, login_id: &LoginId) -> Result<(), StorageError> {
        let marked = self.writer.transaction(login_id, |connection, login_id| {
            Box::pin(async move {
                let account = accounts::table.filter(accounts::login_id.eq(login_id.as_str()));
                diesel::update(account).set(accounts::is_demo.eq(true)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(marked.await?)
    }

    async fn count_demo(&self) -> Result<u64, StorageError> {
        let query = accounts::table.filter(accounts::is_demo.eq(true)).count();
        let counted: Vec<i64> = self.read(query).await?;
        count(counted.into_iter().sum())
    }
}

async fn change_account(
    connection: &mut Connection,
    login_id: &LoginId,
    change: &AccountChange,
    now: Timestamp,
    entropy: &dyn EntropySource,
) -> Result<Option<ChangedAccount>, Failure> {
    let found = lock_account(connection, "login_id", login_id.as_str().to_owned()).await?;
    let Some(mut credentials) = found.filter(|found| found.standing.erased_at.is_none()) else {
        return Ok(None);
    };
    let before = credentials.clone();
    change.apply(&mut credentials, now);
    // An earlier attempt, whose answer was lost, may have changed it and written that down.
    if let Some(act) = StaffAct::account_changed(entropy, now, &before, &credentials) {
        save_account(connection, &credentials).await?;
        write_down(connection, [&act]).await?;
        if before.password_hash != credentials.password_hash {
            // The act is about no concert, so nothing else is written under its id.
            let event = Event::PasswordChanged { account_id: credentials.account.id };
            write_events(connection, act.id, &[event], now).await?;
        }
    }
    let Credentials { account, standing, .. } = credentials;
    if change.remove_second_factor {
        second_factor::remove(connection, account.id).await?;
    }
    if change.password_hash.is_some() {
        password_reset::void_open(connection, account.id, time(now)).await?;
    }
    let ended_sessions = if change.ends_sessions() {
        sessions::end_of(connection, account.id, None, time(now)).await?
    } else {
        Vec::new()
    };
    let access_version = (standing.access_changed_at == Some(now)).then_some(standing.access_version);
    Ok(Some(ChangedAccount { account, ended_sessions, access_version }))
}

async fn change_password(
    connection: &mut Connection,
    change: &PasswordChange,
    event_id: Uuid,
    now: Timestamp,
) -> Result<Option<Vec<SessionId>>, Failure> {
    let lock = Statement::<Text>::new("SELECT password_hash FROM accounts WHERE id = ").bind(change.account_id);
    let hash: Option<String> = lock.sql(LOCK_ROWS).load(connection).await?.pop();
    // An earlier attempt, whose answer was lost, may have changed it.
    if hash.as_ref() != Some(&change.verified.0) && hash.as_ref() != Some(&change.next.0) {
        return Ok(None);
    }
    let account = accounts::table.find(change.account_id.stored());
    diesel::update(account).set(accounts::password_hash.eq(&change.next.0)).execute(connection).await?;
    password_reset::void_open(connection, change.account_id, time(now)).await?;
    if hash.as_ref() == Some(&change.verified.0) {
        let event = Event::PasswordChanged { account_id: change.account_id };
        write_events(connection, event_id, &[event], now).await?;
    }
    let others = SessionsToEnd::AllBut(change.kept);
    Ok(Some(sessions::end_of(connection, change.account_id, Some(others), time(now)).await?))
}

async fn erase(
    connection: &mut Connection,
    id: AccountId,
    verified: &PasswordHash,
    now: Timestamp,
) -> Result<Erasure, Failure> {
    let Some(mut credentials) = lock_account(connection, "id", id).await? else {
        return Ok(Erasure::Changed);
    };
    // An earlier attempt, whose answer was lost, may have erased it.
    if credentials.standing.erased_at == Some(now) {
        return Ok(Erasure::Erased { access_version: credentials.standing.access_version });
    }
    if !credentials.standing.may_sign_in() || credentials.password_hash != *verified {
        return Ok(Erasure::Changed);
    }
    if belongings(connection, id, time(now)).await?.are_there() {
        return Ok(Erasure::InUse);
    }
    credentials.erase(now);
    save_account(connection, &credentials).await?;
    sessions::remove_all(connection, id).await?;
    second_factor::remove(connection, id).await?;
    email::remove_all(connection, id).await?;
    password_reset::remove_all(connection, id).await?;
    let webhooks_of_account = webhooks::table.filter(webhooks::owner_id.eq(id.stored()));
    diesel::delete(webhooks_of_account).execute(connection).await?;
    Ok(Erasure::Erased { access_version: credentials.standing.access_version })
}

/// What an account has, which does not change until the transaction ends: all writes of an account wait for its wallet.
async fn belongings(connection: &mut Connection, id: AccountId, now: NaiveDateTime) -> Result<Belongings, Failure> {
    // Changing the row keeps the other nodes of a cluster away too.
    let lock = Statement::<Untyped>::new("UPDATE wallets SET changes_count = changes_count + 1 WHERE account_id = ");
    lock.bind(id).execute(connection).await?;
    let wallet = wallets::table.find(id.stored()).select((wallets::balance, wallets::pending));
    let wallet: Option<(i64, i64)> = wallet.first(connection).await.optional()?;
    let (balance, pending) = wallet.unwrap_or_default();
    let of_account = reservations::table.filter(reservations::account_id.eq(id.stored()));
    let holds = of_account.clone().filter(reservations::status.eq("held")).filter(reservations::held_until.gt(now));
    let live_holds_count: i64 = holds.count().get_result(connection).await?;
    let to_come = performances::table.filter(performances::starts_at.gt(now)).select(performances::id);
    let tickets = of_account.filter(reservations::status.eq("confirmed"));
    let tickets = tickets.filter(reservations::performance_id.eq_any(to_come));
    let tickets_count: i64 = tickets.count().get_result(connection).await?;
    let refunds = charge_refunds::table.filter(charge_refunds::account_id.eq(id.stored()));
    let refunds = refunds.filter(charge_refunds::status.eq("pending"));
    let refunds_pending_count: i64 = refunds.count().get_result(connection).await?;
    Ok(Belongings {
        points: points(balance.saturating_add(pending))?,
        live_holds_count: count(live_holds_count)?,
        tickets_count: count(tickets_count)?,
        refunds_pending_count: count(refunds_pending_count)?,
    })
}

/// The account whose `column`, which is unique, has this value; nothing else changes it until the transaction ends.
async fn lock_account(
    connection: &mut Connection,
    column: &'static str,
    value: impl Into<Bind>,
) -> Result<Option<Credentials>, Failure> {
    let lock = Statement::select::<AccountRow>().sql(" WHERE ").sql(column).sql(" = ").bind(value);
    let rows: Vec<AccountRow> = lock.sql(LOCK_ROWS).load(connection).await?;
    Ok(rows.into_iter().next().map(Credentials::try_from).transpose()?)
}

/// Saves what can change of an account.
async fn save_account(connection: &mut Connection, credentials: &Credentials) -> Result<(), Failure> {
    const FIXED: [&str; 2] = ["id", "created_at"];
    let changing: Vec<_> = AccountRow::COLUMNS.iter().copied().filter(|column| !FIXED.contains(column)).collect();
    let update = Statement::update::<AccountRow>(AccountRow::bind(credentials), &changing);
    update.sql(" WHERE id = ").bind(credentials.account.id).execute(connection).await?;
    Ok(())
}

/// What decides whether the account gets access, beside its password.
fn member_of(credentials: Credentials) -> Member {
    let Credentials { account, standing, .. } = credentials;
    Member { account, standing }
}
