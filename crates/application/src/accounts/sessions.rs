//! Sessions: staying signed in, and what ends it.

use std::cmp::Reverse;

use boxoffice_domain::{
    AccountId, SessionId, StorageError, Timestamp,
    accounts::{AccessClaims, AccessTokenError, ChainKey, Member, Presented, RotateRequest, Session, SessionsToEnd},
    seconds_after,
};
use boxoffice_peers::Topic;
use chrono::TimeDelta;

use super::{
    AccountService, Identity, RefreshError, SessionTokens,
    refresh_token::{self, RefreshSecret},
    revocations::Revoked,
};

/// How often a session is looked at again that was changed meanwhile.
const REFRESH_ATTEMPTS_MAX: u32 = 3;

/// How far the clocks of two instances may be apart.
const CLOCK_SKEW_SECONDS: u32 = 60;
/// What an announcement about an account begins with; one about a session is its id.
const ACCOUNT: &str = "account";

impl AccountService {
    /// Exchanges a refresh token for the next pair of tokens, which spends it. For a short time the one before still gives
    /// the pair that it was exchanged for, since its holder may have asked twice or not got the answer.
    ///
    /// Presenting any other one that the session ever gave ends the session for every holder, because one of two is a thief
    /// (RFC 9700, section 4.14.2). What the session never gave is refused, and ends nothing.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SessionTokens, RefreshError> {
        let (id, secret) = refresh_token::parse(refresh_token).ok_or(RefreshError::Invalid)?;
        for _ in 0..REFRESH_ATTEMPTS_MAX {
            if let Some(tokens) = self.try_refresh(id, secret).await? {
                return Ok(tokens);
            }
        }
        // The token is none of those that the session went through meanwhile.
        Err(RefreshError::Invalid)
    }

    /// `None` if the session was changed meanwhile, so that it has to be looked at again.
    async fn try_refresh(&self, id: SessionId, secret: RefreshSecret) -> Result<Option<SessionTokens>, RefreshError> {
        let found = self.sessions.find(id).await?;
        let now = self.clock.now();
        let (session, member) = found.filter(|found| self.may_refresh(found, now)).ok_or(RefreshError::Invalid)?;
        let grace_seconds = self.settings.refresh_grace_seconds;
        let (presented, given_key) = (secret.hash(), session.chain_key);
        match (session.judge(presented, grace_seconds, now), given_key) {
            (Presented::Current, _) => {
                let chain_key = given_key.unwrap_or_else(|| ChainKey(self.entropy.secret()));
                let next = secret.next(id, chain_key);
                let expires_at = self.session_expires_at(session.created_at, now);
                let request = RotateRequest { session_id: id, chain_key, presented, next: next.hash(), expires_at };
                let rotated_at = self.sessions.rotate(request).await?;
                rotated_at.map(|at| self.issue(&member, id, next, at).map_err(Into::into)).transpose()
            }
            (Presented::Former, Some(key)) => {
                let next = secret.next(id, key);
                // What a version gave that knew of no chain cannot be given again.
                let is_current = next.hash() == session.refresh_hash;
                let next = Some(next).filter(|_| is_current).ok_or(RefreshError::Invalid)?;
                Ok(Some(self.issue(&member, id, next, session.last_used_at)?))
            }
            (Presented::Spent, _) => self.end_reused(&session).await,
            // Within the grace it may have been exchanged a moment ago, twice in a row.
            (Presented::Other, Some(key))
                if secret.was_given_by(id, key) && !session.is_within_grace(grace_seconds, now) =>
            {
                self.end_reused(&session).await
            }
            (Presented::Former | Presented::Other, _) => Err(RefreshError::Invalid),
        }
    }

    /// Ends a session of which a spent secret was presented, unless it was refreshed since it was looked at.
    async fn end_reused(&self, session: &Session) -> Result<Option<SessionTokens>, RefreshError> {
        if !self.sessions.end_reused(session.id, session.refresh_hash).await? {
            return Ok(None);
        }
        tracing::warn!(session_id = %session.id, "a spent refresh token was presented; the session is ended");
        self.revoke_session(session.id);
        Err(RefreshError::Reused { account_id: session.account_id, session_id: session.id })
    }

    /// The sessions of the caller that go on, the one used last first, each with whether it is that of the caller.
    pub async fn own_sessions(&self, identity: Identity) -> Result<Vec<(Session, bool)>, StorageError> {
        let now = self.clock.now();
        let mut sessions = self.sessions.list(identity.account_id).await?;
        sessions.retain(|session| self.is_living(session, now));
        sessions.sort_by_key(|session| Reverse((session.last_used_at, session.id)));
        let is_own = |session: &Session| session.id == identity.session_id;
        Ok(sessions.into_iter().map(|session| (session.clone(), is_own(&session))).collect())
    }

    /// Ends the session of the caller. This process refuses its access tokens from now on. Its peers do so when they
    /// receive the announcement or, if that is lost, when they next read what was revoked.
    pub async fn sign_out(&self, identity: Identity) -> Result<(), StorageError> {
        self.sessions.end(identity.session_id).await?;
        self.revoke_session(identity.session_id);
        Ok(())
    }

    /// Ends sessions of the caller as [`Self::sign_out`] does, and says whether there were any.
    pub async fn end_sessions(&self, identity: Identity, which: SessionsToEnd) -> Result<bool, StorageError> {
        let ended = self.sessions.end_of(identity.account_id, which).await?;
        for id in &ended {
            self.revoke_session(*id);
        }
        Ok(!ended.is_empty())
    }

    fn may_refresh(&self, (session, member): &(Session, Member), now: Timestamp) -> bool {
        self.is_living(session, now) && self.settings.admits(member.standing)
    }

    /// Whether a session goes on: it has not ended, was refreshed in time, and is not too old.
    fn is_living(&self, session: &Session, now: Timestamp) -> bool {
        session.is_living(now) && now < self.session_ends_at(session.created_at)
    }

    /// When a session ends however often it is refreshed.
    fn session_ends_at(&self, created_at: Timestamp) -> Timestamp {
        created_at + TimeDelta::days(i64::from(self.settings.session_days_max))
    }

    /// When a session ends that is opened or refreshed now, and not refreshed again.
    pub(super) fn session_expires_at(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        seconds_after(now, self.settings.refresh_seconds).min(self.session_ends_at(created_at))
    }

    /// Refuses what a peer has revoked, which it publishes under [`Topic::Sessions`].
    pub fn apply_revocation(&self, text: &str) {
        let words: Vec<_> = text.split(' ').collect();
        match words[..] {
            [ACCOUNT, id, version] => {
                if let (Ok(id), Ok(version)) = (id.parse(), version.parse()) {
                    self.remember_account(id, version);
                }
            }
            [id] => {
                if let Ok(id) = id.parse() {
                    self.remember_session(id);
                }
            }
            _ => {}
        }
    }

    /// Reads what was revoked since the last reading, at first what access tokens that have not expired may name.
    pub async fn read_revocations(&self) -> Result<(), StorageError> {
        let now = self.clock.now();
        let since = self.revocations.begin_reading(now, self.revocations_kept());
        let read = self.sessions.revoked_since(since).await;
        self.revocations.end_reading(now, read.is_ok());
        let read = read?;
        read.sessions.into_iter().for_each(|id| self.remember_session(id));
        read.accounts.into_iter().for_each(|(id, version)| self.remember_account(id, version));
        Ok(())
    }

    /// Refuses the access tokens of a session that has ended, here and at the peers.
    pub(super) fn revoke_session(&self, id: SessionId) {
        self.remember_session(id);
        self.peers.publish(Topic::Sessions, id.to_string());
    }

    /// Refuses the access tokens of an account that were issued under an earlier number, here and at the peers.
    pub(super) fn revoke_account(&self, id: AccountId, access_version: u64) {
        self.remember_account(id, access_version);
        self.peers.publish(Topic::Sessions, format!("{ACCOUNT} {id} {access_version}"));
    }

    /// The caller that an access token names. A token that says what is no longer so counts as expired: refreshing gives one
    /// that says what is so, if the session goes on.
    pub fn authenticate(&self, access_token: &str) -> Result<Identity, AccessTokenError> {
        let claims = self.read_claims(access_token)?;
        if self.settings.staff_needs_second_factor && claims.role.may_publish() && !claims.has_second_factor {
            return Err(AccessTokenError::SecondFactorMissing);
        }
        Ok(Identity { account_id: claims.account_id, session_id: claims.session_id, role: claims.role })
    }

    /// What an access token says, if it is valid and nothing of it was revoked.
    pub(super) fn read_claims(&self, access_token: &str) -> Result<AccessClaims, AccessTokenError> {
        let now = self.clock.now();
        let claims = self.tokens.verify(access_token, now)?;
        // One that was issued while tokens were valid for longer may outlast what is known of its session.
        if claims.expires_at > now + self.revocations_kept() {
            return Err(AccessTokenError::Expired);
        }
        match self.revocations.refuses(&claims) {
            None => Ok(claims),
            Some(Revoked::Session) => Err(AccessTokenError::Invalid),
            Some(Revoked::Claims) => Err(AccessTokenError::Expired),
        }
    }

    /// The pair of tokens of a session that was opened or refreshed at `at`: the same one whenever it is asked for, as long
    /// as its access token is valid.
    pub(super) fn issue(
        &self,
        member: &Member,
        session_id: SessionId,
        secret: RefreshSecret,
        at: Timestamp,
    ) -> Result<SessionTokens, StorageError> {
        let now = self.clock.now();
        let expires_after = |at| seconds_after(at, self.settings.access_seconds);
        let at = if now < expires_after(at) { at } else { now };
        let Member { account, standing } = member;
        self.known.note(account.id);
        let claims = AccessClaims {
            account_id: account.id,
            session_id,
            role: account.role,
            access_version: standing.access_version,
            has_second_factor: standing.second_factor_at.is_some(),
            expires_at: expires_after(at),
        };
        let seconds_passed = u32::try_from((now - at).num_seconds()).unwrap_or(0);
        Ok(SessionTokens {
            account_id: account.id,
            session_id,
            access_token: self.tokens.issue(&claims, at)?,
            expires_in_seconds: self.settings.access_seconds.saturating_sub(seconds_passed),
            refresh_token: refresh_token::format(session_id, secret),
        })
    }

    /// How long after a revocation an access token may not have expired that was issued before it.
    fn revocations_kept(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.settings.access_seconds) + i64::from(CLOCK_SKEW_SECONDS))
    }

    fn remember_session(&self, id: SessionId) {
        let now = self.clock.now();
        self.revocations.add_session(id, now + self.revocations_kept(), now);
    }

    fn remember_account(&self, id: AccountId, access_version: u64) {
        let now = self.clock.now();
        self.revocations.add_account(id, access_version, now + self.revocations_kept(), now);
    }
}
