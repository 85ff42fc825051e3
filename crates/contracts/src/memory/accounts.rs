//! Accounts and sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        Account, AccountChange, Accounts, ChangedAccount, CreateAccountError, Credentials, LoginId, PasswordHash,
        RotateRequest, Rotation, Session, Sessions,
    },
    wallet::Wallet,
};

use super::MemoryStore;

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
        known.account.role = change.role.unwrap_or(known.account.role);
        if let Some(name) = change.name {
            known.account.name = name;
        }
        let account = known.account.clone();
        let Some(password_hash) = change.password_hash else {
            return Ok(Some(ChangedAccount { account, ended_sessions: Vec::new() }));
        };
        known.password_hash = password_hash;
        let sessions = rows
            .sessions
            .values_mut()
            .filter(|(session, ended)| session.account_id == account.id && !ended && now < session.expires_at);
        let ended_sessions = sessions.map(|(session, ended)| {
            *ended = true;
            session.id
        });
        Ok(Some(ChangedAccount { ended_sessions: ended_sessions.collect(), account }))
    }
}

#[async_trait]
impl Sessions for MemoryStore {
    async fn open(&self, session: Session, verified: PasswordHash) -> Result<bool, StorageError> {
        let mut rows = self.rows();
        let known = rows.accounts.get(&session.account_id);
        let is_same = known.is_some_and(|known| known.password_hash == verified);
        if is_same {
            rows.sessions.insert(session.id, (session, false));
        }
        Ok(is_same)
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Rotation, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let Some((session, ended)) =
            rows.sessions.get_mut(&request.session_id).filter(|(session, ended)| !ended && now < session.expires_at)
        else {
            return Ok(Rotation::Unknown);
        };
        if session.refresh_hash != request.presented {
            *ended = true;
            return Ok(Rotation::Reused);
        }
        (session.refresh_hash, session.expires_at) = (request.next, request.expires_at);
        let account_id = session.account_id;
        Ok(Rotation::Rotated(rows.accounts[&account_id].account.clone()))
    }

    async fn end(&self, id: SessionId) -> Result<(), StorageError> {
        if let Some((_, ended)) = self.rows().sessions.get_mut(&id) {
            *ended = true;
        }
        Ok(())
    }
}
