//! Accounts and sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        Account, Accounts, CreateAccountError, Credentials, LoginId, Role, RotateRequest, Rotation, Session, Sessions,
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

    async fn set_role(&self, login_id: &LoginId, role: Role) -> Result<Option<Account>, StorageError> {
        let mut rows = self.rows();
        let found = rows.accounts.values_mut().find(|known| known.account.login_id == *login_id);
        Ok(found.map(|known| {
            known.account.role = role;
            known.account.clone()
        }))
    }
}

#[async_trait]
impl Sessions for MemoryStore {
    async fn open(&self, session: Session) -> Result<(), StorageError> {
        self.rows().sessions.insert(session.id, (session, false));
        Ok(())
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
