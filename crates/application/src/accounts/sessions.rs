//! Sessions: staying signed in, and what ends it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::{
    AccountId, SessionId, StorageError, Timestamp,
    accounts::{AccessClaims, AccessTokenError, Member, RefreshHash, RotateRequest, Rotation},
    seconds_after,
};
use boxoffice_peers::Topic;
use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{AccountService, Identity, RefreshError, SessionTokens, revocations::Revoked};

/// How far the clocks of two instances may be apart.
const CLOCK_SKEW_SECONDS: u32 = 60;
/// What an announcement about an account begins with; one about a session is its id.
const ACCOUNT: &str = "account";

impl AccountService {
    /// Exchanges a refresh token for the next pair of tokens, which spends it. Presenting it a second time ends the
    /// session for every holder (RFC 9700, section 4.14.2).
    pub async fn refresh(&self, refresh_token: &str) -> Result<SessionTokens, RefreshError> {
        let (session_id, secret) = parse_refresh_token(refresh_token).ok_or(RefreshError::Invalid)?;
        let now = self.clock.now();
        let next = self.entropy.secret();
        let request = RotateRequest {
            session_id,
            presented: hash_of(secret),
            next: hash_of(next),
            expires_at: seconds_after(now, self.settings.refresh_seconds),
        };
        match self.sessions.rotate(request).await? {
            Rotation::Rotated(member) => Ok(self.issue(&member, session_id, next, now)?),
            Rotation::Reused => {
                tracing::warn!(%session_id, "a spent refresh token was presented; the session is ended");
                self.revoke_session(session_id);
                Err(RefreshError::Invalid)
            }
            Rotation::Unknown => Err(RefreshError::Invalid),
        }
    }

    /// Ends the session of the caller. This process refuses its access tokens from now on. Its peers do so when they
    /// receive the announcement or, if that is lost, when they next read what was revoked.
    pub async fn sign_out(&self, identity: Identity) -> Result<(), StorageError> {
        self.sessions.end(identity.session_id).await?;
        self.revoke_session(identity.session_id);
        Ok(())
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
        let now = self.clock.now();
        let claims = self.tokens.verify(access_token, now)?;
        // One that was issued while tokens were valid for longer may outlast what is known of its session.
        if claims.expires_at > now + self.revocations_kept() {
            return Err(AccessTokenError::Expired);
        }
        match self.revocations.refuses(&claims) {
            None => Ok(Identity { account_id: claims.account_id, session_id: claims.session_id, role: claims.role }),
            Some(Revoked::Session) => Err(AccessTokenError::Invalid),
            Some(Revoked::Claims) => Err(AccessTokenError::Expired),
        }
    }

    pub(super) fn issue(
        &self,
        member: &Member,
        session_id: SessionId,
        secret: [u8; 32],
        now: Timestamp,
    ) -> Result<SessionTokens, StorageError> {
        let Member { account, standing } = member;
        let claims = AccessClaims {
            account_id: account.id,
            session_id,
            role: account.role,
            access_version: standing.access_version,
            expires_at: seconds_after(now, self.settings.access_seconds),
        };
        Ok(SessionTokens {
            access_token: self.tokens.issue(&claims, now)?,
            expires_in_seconds: self.settings.access_seconds,
            refresh_token: format_refresh_token(session_id, secret),
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

pub(super) fn hash_of(secret: [u8; 32]) -> RefreshHash {
    RefreshHash(Sha256::digest(secret).into())
}

fn format_refresh_token(id: SessionId, secret: [u8; 32]) -> String {
    let mut bytes = [0; 48];
    bytes[..16].copy_from_slice(id.uuid().as_bytes());
    bytes[16..].copy_from_slice(&secret);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_refresh_token(text: &str) -> Option<(SessionId, [u8; 32])> {
    let mut bytes = [0; 48];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (id, secret) = bytes.split_first_chunk::<16>()?;
    let secret = secret.try_into().ok()?;
    (length == bytes.len()).then(|| (SessionId::new(uuid::Uuid::from_bytes(*id)), secret))
}
