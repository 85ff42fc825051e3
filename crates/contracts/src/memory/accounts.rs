//! Accounts and sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError, Timestamp,
    accounts::{
        Account, AccountChange, Accounts, ChangedAccount, CreateAccountError, Credentials, LoginId, Member,
        PasswordHash, Revoked, RotateRequest, Rotation, Session, Sessions,
    },
    wallet::Wallet,
};

use super::{MemoryStore, Rows};

#[async_trait]
impl Accounts for MemoryStore {
    async fn create(&self, credentials: Credentials) -> Result<(), CreateAccountError> {
        let mut rows = self.rows();
        let id = credentials.account.id;
        let named = |other: &&Credentials| other.account.login_id == credentials.account.login_id;
        match rows.accounts.values().find(named) {
            Some(known) if known.account.id == id => Ok(()),
            Some(known) => Err(CreateAccountError::LoginIdTaken(Box::new(known.clone()))),
            None => {
                rows.sale.wallets.insert(id, Wallet::new(id, credentials.account.created_at));
                rows.accounts.insert(id, credentials);
                Ok(())
            }
        }
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, StorageError> {
        Ok(self.rows().accounts.get(&id).map(|credentials| credentials.account.clone()))
    }

    async fn credentials(&self, login_id: &LoginId) -> Result<Option<Credentials>, StorageError> {
        Ok(self.rows().accounts.values().find(|known| known.account.login_id == *login_id).cloned())
    }

    async fn change(&self, login_id: &LoginId, change: AccountChange) -> Result<Option<ChangedAccount>, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let Some(known) = rows.accounts.values_mut().find(|known| known.account.login_id == *login_id) else {
            return Ok(None);
        };
        change.apply(known, now);
        let (account, standing) = (known.account.clone(), known.standing);
        let ended_sessions = if change.password_hash.is_some() { rows.end_sessions(account.id, now) } else { Vec::new() };
        let access_version = (standing.access_changed_at == Some(now)).then_some(standing.access_version);
        Ok(Some(ChangedAccount { account, ended_sessions, access_version }))
    }
}

impl Rows {
    /// Ends the living sessions of an account, and names them.
    fn end_sessions(&mut self, account_id: AccountId, now: Timestamp) -> Vec<SessionId> {
        let of_account = self.sessions.values_mut().filter(|(session, _)| session.account_id == account_id);
        let living = of_account.filter(|(session, ended_at)| ended_at.is_none() && now < session.expires_at);
        let ended = living.map(|(session, ended_at)| {
            *ended_at = Some(now);
            session.id
        });
        ended.collect()
    }
}

#[async_trait]
impl Sessions for MemoryStore {
    async fn open(&self, session: Session, verified: PasswordHash) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let known = rows.accounts.get(&session.account_id);
        let is_same = known.is_some_and(|known| known.password_hash == verified);
        if is_same {
            rows.sessions.insert(session.id, (session, None));
        }
        Ok(is_same)
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Rotation, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let session = rows.sessions.get_mut(&request.session_id);
        let Some((session, ended_at)) =
            session.filter(|(session, ended_at)| ended_at.is_none() && now < session.expires_at)
        else {
            return Ok(Rotation::Unknown);
        };
        if session.refresh_hash != request.presented {
            *ended_at = Some(now);
            return Ok(Rotation::Reused);
        }
        (session.refresh_hash, session.expires_at) = (request.next, request.expires_at);
        let account_id = session.account_id;
        let Credentials { account, standing, .. } = rows.accounts[&account_id].clone();
        Ok(Rotation::Rotated(Member { account, standing }))
    }

    async fn end(&self, id: SessionId) -> Result<(), StorageError> {
        let now = self.now();
        if let Some((_, ended_at)) = self.rows().sessions.get_mut(&id) {
            ended_at.get_or_insert(now);
        }
        Ok(())
    }

    async fn revoked_since(&self, since: Timestamp) -> Result<Revoked, StorageError> {
        let rows = self.rows();
        let is_late = |at: Option<Timestamp>| at.is_some_and(|at| since <= at);
        let ended = rows.sessions.iter().filter(|(_, (_, ended_at))| is_late(*ended_at));
        let voided = rows.accounts.iter().filter(|(_, known)| is_late(known.standing.access_changed_at));
        Ok(Revoked {
            sessions: ended.map(|(id, _)| *id).collect(),
            accounts: voided.map(|(id, known)| (*id, known.standing.access_version)).collect(),
        })
    }
}
