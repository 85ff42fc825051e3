//! Accounts and their sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        Account, AccountChange, Accounts, ChangedAccount, CreateAccountError, Credentials, LoginId, PasswordHash, Role,
        RotateRequest, Rotation, Session, Sessions,
    },
    text::Name,
    wallet::Wallet,
};
use chrono::NaiveDateTime;
use diesel::{prelude::*, sql_types::Text};
use diesel_async::RunQueryDsl;

use super::{
    super::{Connection, LOCK_ROWS},
    Store,
    failure::{Failure, Kind},
    insert::insert,
    wallet::WalletRow,
};
use crate::{
    row::row,
    schema::{accounts, sessions},
    statement::{Bind, Null, Statement},
    stored::{Stored, damaged, id, name, optional_idempotency, time},
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

row! {
    #[expect(dead_code, reason = "written for the operator, and not read")]
    struct SessionRow in sessions, from (session: &Session) {
        id: Vec<u8> = session.id,
        account_id: Vec<u8> = session.account_id,
        refresh_hash: Vec<u8> = session.refresh_hash.0.to_vec(),
        created_at: NaiveDateTime = session.created_at,
        expires_at: NaiveDateTime = session.expires_at,
        ended_at: Option<NaiveDateTime> = Bind::Null(Null::Time),
    }
}

#[async_trait]
impl Accounts for Store {
    async fn create(&self, credentials: Credentials) -> Result<(), CreateAccountError> {
        let created = self.writer.transaction(&credentials, |connection, credentials| {
            Box::pin(async move {
                insert::<AccountRow>(connection, [AccountRow::bind(credentials)]).await?;
                let wallet = Wallet::new(credentials.account.id, credentials.account.created_at);
                insert::<WalletRow>(connection, [WalletRow::bind(&wallet)]).await
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
        let input = (login_id, change, time(self.now()));
        let changed = self.writer.transaction(input, |connection, (login_id, change, now)| {
            Box::pin(change_account(connection, login_id, change, *now))
        });
        Ok(changed.await?)
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = accounts)]
struct AccountChangeset<'a> {
    role: Option<&'a str>,
    name: Option<&'a str>,
    password_hash: Option<&'a str>,
}

async fn change_account(
    connection: &mut Connection,
    login_id: &LoginId,
    change: &AccountChange,
    now: NaiveDateTime,
) -> Result<Option<ChangedAccount>, Failure> {
    let account = accounts::table.filter(accounts::login_id.eq(login_id.as_str()));
    if *change != AccountChange::default() {
        let changeset = AccountChangeset {
            role: change.role.map(Role::as_str),
            name: change.name.as_ref().map(Name::as_str),
            password_hash: change.password_hash.as_ref().map(|hash| hash.0.as_str()),
        };
        diesel::update(account).set(changeset).execute(connection).await?;
    }
    let row = account.select(AccountRow::as_select()).first(connection).await.optional()?;
    let Some(row) = row else {
        return Ok(None);
    };
    let account = Credentials::try_from(row)?.account;
    let ended_sessions = match change.password_hash {
        Some(_) => end_sessions(connection, account.id, now).await?,
        None => Vec::new(),
    };
    Ok(Some(ChangedAccount { account, ended_sessions }))
}

/// Ends the living sessions of an account. An earlier attempt, whose answer was lost, may have ended them at the same time
/// `now`; they are named again.
async fn end_sessions(
    connection: &mut Connection,
    account_id: AccountId,
    now: NaiveDateTime,
) -> Result<Vec<SessionId>, Failure> {
    let sessions_of_account = sessions::table.filter(sessions::account_id.eq(account_id.stored()));
    let living = sessions_of_account.clone().filter(sessions::ended_at.is_null()).filter(sessions::expires_at.gt(now));
    diesel::update(living).set(sessions::ended_at.eq(now)).execute(connection).await?;
    let ended = sessions_of_account.filter(sessions::ended_at.eq(now)).select(sessions::id);
    let ids: Vec<Vec<u8>> = ended.load(connection).await?;
    Ok(ids.iter().map(|bytes| id(bytes)).collect::<Result<_, _>>()?)
}

#[async_trait]
impl Sessions for Store {
    async fn open(&self, session: Session, verified: PasswordHash) -> Result<bool, StorageError> {
        let opened = self.writer.transaction((&session, &verified), |connection, (session, verified)| {
            Box::pin(async move {
                // A change of the password waits for this transaction, and then ends the session; or this one waits.
                let lock = Statement::<Text>::new("SELECT password_hash FROM accounts WHERE id = ");
                let hashes: Vec<String> = lock.bind(session.account_id).sql(LOCK_ROWS).load(connection).await?;
                if !hashes.contains(&verified.0) {
                    return Ok(false);
                }
                insert::<SessionRow>(connection, [SessionRow::bind(session)]).await?;
                Ok(true)
            })
        });
        match opened.await {
            // An earlier attempt, whose answer was lost, had opened it: no other session has its id.
            Err(failure) if failure.kind == Kind::Duplicate => Ok(true),
            opened => Ok(opened?),
        }
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Rotation, StorageError> {
        let exchanged = self.writer.transaction((request, time(self.now())), |connection, (request, now)| {
            Box::pin(exchange(connection, request, *now))
        });
        Ok(exchanged.await?)
    }

    async fn end(&self, id: SessionId) -> Result<(), StorageError> {
        let ended = self.writer.transaction((id, time(self.now())), |connection, (id, now)| {
            Box::pin(async move {
                let living = sessions::table.find(id.stored()).filter(sessions::ended_at.is_null());
                diesel::update(living).set(sessions::ended_at.eq(now)).execute(connection).await?;
                Ok(())
            })
        });
        Ok(ended.await?)
    }
}

/// Exchanges the secret by one conditional update, so that exactly one of several concurrent exchanges succeeds.
async fn exchange(
    connection: &mut Connection,
    request: &RotateRequest,
    now: NaiveDateTime,
) -> Result<Rotation, Failure> {
    let (presented, next) = (request.presented.0.as_slice(), request.next.0.as_slice());
    let session = sessions::table.find(request.session_id.stored());
    let living = session
        .clone()
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .filter(sessions::refresh_hash.eq(presented));
    let rotated = diesel::update(living)
        .set((sessions::refresh_hash.eq(next), sessions::expires_at.eq(time(request.expires_at))))
        .execute(connection)
        .await?;
    let row = session.clone().select(SessionRow::as_select()).first(connection).await.optional()?;
    let Some(row) = row else {
        return Ok(Rotation::Unknown);
    };
    // In the second case an earlier attempt, whose answer was lost, had exchanged it.
    if rotated > 0 || (row.ended_at.is_none() && row.refresh_hash == next) {
        let account = accounts::table.find(row.account_id).select(AccountRow::as_select()).first(connection).await?;
        return Ok(Rotation::Rotated(Credentials::try_from(account)?.account));
    }
    if row.ended_at.is_some() || row.expires_at <= now {
        return Ok(Rotation::Unknown);
    }
    diesel::update(session).set(sessions::ended_at.eq(now)).execute(connection).await?;
    Ok(Rotation::Reused)
}
