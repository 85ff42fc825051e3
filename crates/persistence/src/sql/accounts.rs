//! Accounts and their sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        Account, Accounts, CreateAccountError, Credentials, LoginId, PasswordHash, RefreshHash, Role, RotateRequest,
        Rotation, Session, Sessions,
    },
    wallet::Wallet,
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Store,
    insert::insert,
    retry::{Failure, Kind},
    wallet::WalletRow,
};
use crate::{
    schema::{accounts, sessions},
    stored::{Stored, damaged, fingerprint_bytes, id, key_text, name, optional_idempotency, time},
};

#[derive(Debug, Insertable, Queryable)]
#[diesel(table_name = accounts)]
struct AccountRow {
    id: Vec<u8>,
    login_id: String,
    name: String,
    role: String,
    password_hash: String,
    created_at: NaiveDateTime,
    idempotency_key: Option<String>,
    fingerprint: Option<Vec<u8>>,
}

impl From<&Credentials> for AccountRow {
    fn from(credentials: &Credentials) -> Self {
        let account = &credentials.account;
        Self {
            id: account.id.stored(),
            login_id: account.login_id.as_str().to_owned(),
            name: account.name.as_str().to_owned(),
            role: account.role.as_str().to_owned(),
            password_hash: credentials.password_hash.0.clone(),
            created_at: time(account.created_at),
            idempotency_key: key_text(credentials.idempotency.as_ref()),
            fingerprint: fingerprint_bytes(credentials.idempotency.as_ref()),
        }
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
        Ok(Self { account, password_hash: PasswordHash(row.password_hash), idempotency })
    }
}

#[derive(Debug, Insertable, Queryable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    id: Vec<u8>,
    account_id: Vec<u8>,
    refresh_hash: Vec<u8>,
    created_at: NaiveDateTime,
    expires_at: NaiveDateTime,
    ended_at: Option<NaiveDateTime>,
}

#[async_trait]
impl Accounts for Store {
    async fn create(&self, credentials: Credentials) -> Result<(), CreateAccountError> {
        let asked = credentials.clone();
        let created = self
            .writer
            .transaction(&move |connection| {
                let row = AccountRow::from(&asked);
                let account = asked.account.clone();
                Box::pin(async move {
                    diesel::insert_into(accounts::table).values(row).execute(connection).await?;
                    let wallet = Wallet::new(account.id, account.created_at);
                    insert::<WalletRow>(connection, [WalletRow::bind(&wallet)]).await
                })
            })
            .await;
        match created {
            Ok(()) => Ok(()),
            Err(failure) if failure.kind == Kind::Duplicate => {
                let existing = self.credentials(&credentials.account.login_id).await?;
                match existing {
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
        let mut session = self.reader().await?;
        let row = accounts::table.find(id.stored()).first::<AccountRow>(session.connection()).await.optional();
        let row = session.finished(row)?;
        Ok(row.map(Credentials::try_from).transpose()?.map(|credentials| credentials.account))
    }

    async fn credentials(&self, login_id: &LoginId) -> Result<Option<Credentials>, StorageError> {
        let mut session = self.reader().await?;
        let row = accounts::table
            .filter(accounts::login_id.eq(login_id.as_str()))
            .first::<AccountRow>(session.connection())
            .await
            .optional();
        session.finished(row)?.map(Credentials::try_from).transpose()
    }

    async fn set_role(&self, login_id: &LoginId, role: Role) -> Result<Option<Account>, StorageError> {
        let text = login_id.as_str().to_owned();
        self.writer
            .transaction(&move |connection| {
                let text = text.clone();
                Box::pin(async move {
                    diesel::update(accounts::table.filter(accounts::login_id.eq(text)))
                        .set(accounts::role.eq(role.as_str()))
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(self.credentials(login_id).await?.map(|credentials| credentials.account))
    }
}

#[async_trait]
impl Sessions for Store {
    async fn open(&self, session: Session) -> Result<(), StorageError> {
        let opened = self
            .writer
            .transaction(&move |connection| {
                let row = SessionRow {
                    id: session.id.stored(),
                    account_id: session.account_id.stored(),
                    refresh_hash: session.refresh_hash.0.to_vec(),
                    created_at: time(session.created_at),
                    expires_at: time(session.expires_at),
                    ended_at: None,
                };
                Box::pin(async move {
                    diesel::insert_into(sessions::table).values(row).execute(connection).await?;
                    Ok(())
                })
            })
            .await;
        match opened {
            // An earlier attempt, whose answer was lost, had opened it: no other session has its id.
            Err(failure) if failure.kind == Kind::Duplicate => Ok(()),
            opened => Ok(opened?),
        }
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Rotation, StorageError> {
        let exchange = Exchange {
            id: request.session_id.stored(),
            presented: request.presented,
            next: request.next,
            expires_at: time(request.expires_at),
            now: time(self.now()),
        };
        let exchanged = self
            .writer
            .transaction(&move |connection| {
                let exchange = exchange.clone();
                Box::pin(async move { exchange.run(connection).await })
            })
            .await?;
        match exchanged {
            Exchanged::Rotated(account_id) => match self.find(account_id).await? {
                Some(account) => Ok(Rotation::Rotated(account)),
                None => Err(StorageError::failed("the account of a session is missing")),
            },
            Exchanged::Reused => Ok(Rotation::Reused),
            Exchanged::Unknown => Ok(Rotation::Unknown),
        }
    }

    async fn end(&self, id: SessionId) -> Result<(), StorageError> {
        let now = time(self.now());
        Ok(self
            .writer
            .transaction(&move |connection| {
                let living = sessions::table.find(id.stored()).filter(sessions::ended_at.is_null());
                Box::pin(async move {
                    diesel::update(living).set(sessions::ended_at.eq(now)).execute(connection).await?;
                    Ok(())
                })
            })
            .await?)
    }
}

/// One exchange of a refresh secret.
#[derive(Clone)]
struct Exchange {
    id: Vec<u8>,
    presented: RefreshHash,
    next: RefreshHash,
    expires_at: NaiveDateTime,
    now: NaiveDateTime,
}

enum Exchanged {
    Rotated(AccountId),
    Reused,
    Unknown,
}

impl Exchange {
    /// Exchanges the secret by one conditional update, so that exactly one of several concurrent exchanges succeeds.
    async fn run(self, connection: &mut super::super::Connection) -> Result<Exchanged, Failure> {
        let living = sessions::table
            .find(self.id.clone())
            .filter(sessions::ended_at.is_null())
            .filter(sessions::expires_at.gt(self.now));
        let rotated = diesel::update(living.filter(sessions::refresh_hash.eq(self.presented.0.to_vec())))
            .set((sessions::refresh_hash.eq(self.next.0.to_vec()), sessions::expires_at.eq(self.expires_at)))
            .execute(connection)
            .await?;
        let row: Option<SessionRow> = sessions::table.find(self.id.clone()).first(connection).await.optional()?;
        let Some(row) = row else {
            return Ok(Exchanged::Unknown);
        };
        // In the second case an earlier attempt, whose answer was lost, had exchanged it.
        if rotated > 0 || (row.ended_at.is_none() && row.refresh_hash == self.next.0) {
            return Ok(Exchanged::Rotated(id(&row.account_id)?));
        }
        if row.ended_at.is_some() || row.expires_at <= self.now {
            return Ok(Exchanged::Unknown);
        }
        diesel::update(sessions::table.find(self.id)).set(sessions::ended_at.eq(self.now)).execute(connection).await?;
        Ok(Exchanged::Reused)
    }
}
