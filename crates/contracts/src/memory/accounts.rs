//! Accounts and sessions.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Points, SessionId, StorageError, Timestamp,
    accounts::{
        Account, AccountChange, Accounts, Belongings, ChangedAccount, CreateAccountError, Credentials, Erasure,
        LoginId, Member, PasswordChange, PasswordHash, RefreshHash, Revoked, RotateRequest, Session, Sessions,
        SessionsToEnd,
    },
    events::{Event, EventBatch},
    history::StaffAct,
    reservations::{Reservation, ReservationStatus},
    wallet::{ChargeRefundState, Wallet},
};
use uuid::Uuid;

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
                rows.write_down(StaffAct::staff_made(self.entropy.as_ref(), &credentials));
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
        let is_meant =
            |known: &&mut Credentials| known.account.login_id == *login_id && known.standing.erased_at.is_none();
        let Some(known) = rows.accounts.values_mut().find(is_meant) else {
            return Ok(None);
        };
        let before = known.clone();
        change.apply(known, now);
        let id = known.account.id;
        let act = StaffAct::account_changed(self.entropy.as_ref(), now, &before, known);
        rows.write_down(act);
        if before.password_hash != rows.accounts[&id].password_hash {
            rows.note(self.entropy.uuid(), Event::PasswordChanged { account_id: id }, now);
        }
        if change.remove_second_factor {
            rows.factors.remove(&id);
        }
        if change.password_hash.is_some() {
            rows.void_resets(id, now);
        }
        let known = &rows.accounts[&id];
        let (account, standing) = (known.account.clone(), known.standing);
        let ended_sessions =
            if change.ends_sessions() { rows.end_sessions(account.id, |_| true, now) } else { Vec::new() };
        let access_version = (standing.access_changed_at == Some(now)).then_some(standing.access_version);
        Ok(Some(ChangedAccount { account, ended_sessions, access_version }))
    }

    async fn change_password(&self, change: PasswordChange) -> Result<Option<Vec<SessionId>>, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let known = rows.accounts.get_mut(&change.account_id).filter(|known| known.password_hash == change.verified);
        let Some(known) = known else {
            return Ok(None);
        };
        known.password_hash = change.next;
        rows.void_resets(change.account_id, now);
        rows.note(self.entropy.uuid(), Event::PasswordChanged { account_id: change.account_id }, now);
        Ok(Some(rows.end_sessions(change.account_id, |id| id != change.kept, now)))
    }

    async fn renew_hash(
        &self,
        id: AccountId,
        verified: PasswordHash,
        renewed: PasswordHash,
    ) -> Result<(), StorageError> {
        let mut rows = self.rows();
        if let Some(known) = rows.accounts.get_mut(&id).filter(|known| known.password_hash == verified) {
            known.password_hash = renewed;
        }
        Ok(())
    }

    async fn erase(&self, id: AccountId, verified: PasswordHash) -> Result<Erasure, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let may_erase = |known: &Credentials| known.standing.may_sign_in() && known.password_hash == verified;
        if !rows.accounts.get(&id).is_some_and(may_erase) {
            return Ok(Erasure::Changed);
        }
        if rows.belongings(id, now).are_there() {
            return Ok(Erasure::InUse);
        }
        rows.sessions.retain(|_, session| session.account_id != id);
        rows.factors.remove(&id);
        rows.remove_email(id);
        rows.webhooks.retain(|_, webhook| webhook.owner_id != id);
        let known = rows.accounts.get_mut(&id).expect("it was found");
        known.erase(now);
        Ok(Erasure::Erased { access_version: known.standing.access_version })
    }

    async fn mark_demo(&self, login_id: &LoginId) -> Result<(), StorageError> {
        let mut rows = self.rows();
        if let Some(known) = rows.accounts.values_mut().find(|known| known.account.login_id == *login_id) {
            known.standing.is_demo = true;
        }
        Ok(())
    }

    async fn count_demo(&self) -> Result<u64, StorageError> {
        Ok(self.rows().accounts.values().filter(|known| known.standing.is_demo).count() as u64)
    }
}

impl Rows {
    /// Adds a batch that has this event only.
    fn note(&mut self, id: Uuid, event: Event, occurred_at: Timestamp) {
        self.add_batch(EventBatch { id, events: vec![event], occurred_at });
    }

    fn belongings(&self, id: AccountId, now: Timestamp) -> Belongings {
        let wallet = self.sale.wallets.get(&id);
        let points = wallet.and_then(|wallet| Points::checked_sum([wallet.balance, wallet.pending]));
        let of_account = || self.sale.reservations.values().filter(|reservation| reservation.account_id == id);
        let count = |status, meant: &dyn Fn(&Reservation) -> bool| {
            of_account().filter(|reservation| reservation.status(now) == status && meant(reservation)).count() as u64
        };
        let is_to_come = |reservation: &Reservation| {
            self.performances.rows.get(&reservation.performance_id).is_some_and(|found| now < found.starts_at)
        };
        let refunds = self.sale.charge_refunds.values().filter(|refund| refund.account_id == id);
        Belongings {
            points: points.unwrap_or_default(),
            live_holds_count: count(ReservationStatus::Held, &|_| true),
            tickets_count: count(ReservationStatus::Confirmed, &is_to_come),
            refunds_pending_count: refunds.filter(|refund| refund.state == ChargeRefundState::Pending).count() as u64,
        }
    }

    /// The living sessions of an account, the oldest first.
    fn living_sessions(&self, account_id: AccountId, now: Timestamp) -> Vec<&Session> {
        let of_account = self.sessions.values().filter(|session| session.account_id == account_id);
        let mut living: Vec<_> = of_account.filter(|session| session.is_living(now)).collect();
        living.sort_by_key(|session| (session.created_at, session.id));
        living
    }

    /// Ends the living sessions of an account that are `meant`, and names them.
    pub(super) fn end_sessions(
        &mut self,
        account_id: AccountId,
        meant: impl Fn(SessionId) -> bool,
        now: Timestamp,
    ) -> Vec<SessionId> {
        let living = self.living_sessions(account_id, now).into_iter().map(|session| session.id);
        let ended: Vec<_> = living.filter(|id| meant(*id)).collect();
        for id in &ended {
            self.end_session(*id, now);
        }
        ended
    }

    fn end_session(&mut self, id: SessionId, now: Timestamp) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.ended_at.get_or_insert(now);
        }
    }
}

#[async_trait]
impl Sessions for MemoryStore {
    async fn open(
        &self,
        session: Session,
        verified: PasswordHash,
        sessions_max: u32,
    ) -> Result<Option<Vec<SessionId>>, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let may_open = |known: &Credentials| known.password_hash == verified && known.standing.may_sign_in();
        if !rows.accounts.get(&session.account_id).is_some_and(may_open) {
            return Ok(None);
        }
        let living: Vec<_> = rows.living_sessions(session.account_id, now).iter().map(|session| session.id).collect();
        let surplus = (living.len() + 1).saturating_sub(sessions_max.max(1) as usize);
        let oldest = living[..surplus].to_vec();
        for id in &oldest {
            rows.end_session(*id, now);
        }
        let kept: Vec<_> = rows.sessions.values().filter(|kept| kept.account_id == session.account_id).collect();
        if !kept.is_empty() && !kept.iter().any(|kept| session.is_of_same_client(kept)) {
            let (account_id, session_id, client) = (session.account_id, session.id, session.client.clone());
            let event = Event::SignedInElsewhere { account_id, session_id, client };
            rows.note(session_id.uuid(), event, session.created_at);
        }
        rows.sessions.insert(session.id, session);
        Ok(Some(oldest))
    }

    async fn find(&self, id: SessionId) -> Result<Option<(Session, Member)>, StorageError> {
        let rows = self.rows();
        let session = rows.sessions.get(&id).cloned();
        Ok(session.map(|session| {
            let Credentials { account, standing, .. } = rows.accounts[&session.account_id].clone();
            (session, Member { account, standing })
        }))
    }

    async fn list(&self, account_id: AccountId) -> Result<Vec<Session>, StorageError> {
        Ok(self.rows().living_sessions(account_id, self.now()).into_iter().cloned().collect())
    }

    async fn rotate(&self, request: RotateRequest) -> Result<Option<Timestamp>, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let session = rows.sessions.get_mut(&request.session_id).filter(|session| session.is_living(now));
        let Some(session) = session else {
            return Ok(None);
        };
        if session.refresh_hash == request.next {
            return Ok(Some(session.last_used_at));
        }
        if session.refresh_hash != request.presented {
            return Ok(None);
        }
        (session.refresh_hash, session.former_hash) = (request.next, Some(request.presented));
        (session.last_used_at, session.expires_at) = (now, request.expires_at);
        session.chain_key = Some(request.chain_key);
        Ok(Some(now))
    }

    async fn end(&self, id: SessionId) -> Result<(), StorageError> {
        let now = self.now();
        self.rows().end_session(id, now);
        Ok(())
    }

    async fn end_reused(&self, id: SessionId, seen: RefreshHash) -> Result<bool, StorageError> {
        let now = self.now();
        let mut rows = self.rows();
        let is_same = rows.sessions.get(&id).is_some_and(|session| session.refresh_hash == seen);
        if is_same {
            rows.end_session(id, now);
        }
        Ok(is_same)
    }

    async fn end_of(&self, account_id: AccountId, which: SessionsToEnd) -> Result<Vec<SessionId>, StorageError> {
        let meant = |id| match which {
            SessionsToEnd::One(one) => id == one,
            SessionsToEnd::AllBut(kept) => id != kept,
        };
        let now = self.now();
        Ok(self.rows().end_sessions(account_id, meant, now))
    }

    async fn revoked_since(&self, since: Timestamp) -> Result<Revoked, StorageError> {
        let rows = self.rows();
        let is_late = |at: Option<Timestamp>| at.is_some_and(|at| since <= at);
        let ended = rows.sessions.values().filter(|session| is_late(session.ended_at));
        let voided = rows.accounts.iter().filter(|(_, known)| is_late(known.standing.access_changed_at));
        Ok(Revoked {
            sessions: ended.map(|session| session.id).collect(),
            accounts: voided.map(|(id, known)| (*id, known.standing.access_version)).collect(),
        })
    }
}
