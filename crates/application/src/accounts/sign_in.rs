//! Signing in: a password, and a code for those who have a second factor.

use boxoffice_domain::{
    SessionId,
    accounts::{ChainKey, Credentials, LoginId, Member, Password, Session},
};

use super::{AccountService, RefreshSecret, SessionTokens, SignIn, SignInError, SignInRefused, Subject};

/// How often a password is verified again whose account was changed meanwhile.
const ATTEMPTS_MAX: u32 = 2;

impl AccountService {
    /// Opens a session. Refusing a text that cannot be a login id takes as long as refusing a wrong one. A text that
    /// cannot be a password is refused at once, whatever the login id, and so says nothing about it.
    ///
    /// Wrong passwords are counted for each login id, whether there is such an account or not; a right one sets the count
    /// to 0. A hash that was made as new ones are not made any more is replaced.
    pub async fn sign_in(&self, sign_in: SignIn<'_>) -> Result<SessionTokens, SignInRefused> {
        let unknown = |error| SignInRefused { account_id: None, error };
        let password = Password::new(sign_in.password).map_err(|_| unknown(SignInError::InvalidCredentials))?;
        let Ok(login_id) = LoginId::new(sign_in.login_id) else {
            let verified = self.passwords.verify(password, None).await;
            return Err(unknown(verified.map_or_else(SignInError::from, |_| SignInError::InvalidCredentials)));
        };
        let subject = Subject::SignIn(login_id.clone());
        let counted = self.count_guess(&subject).await;
        for _ in 0..ATTEMPTS_MAX {
            let known = self.accounts.credentials(&login_id).await.map_err(|error| unknown(error.into()))?;
            let account_id = known.as_ref().map(|known| known.account.id);
            let refused = |error| SignInRefused { account_id, error };
            if let Err(seconds_left) = counted {
                return Err(refused(SignInError::TooManyPasswords { seconds_left }));
            }
            let known = self.verify(known, password.clone()).await.map_err(refused)?;
            self.guesses.forget(&subject, self.peers.as_ref()).await;
            if let Some(tokens) = self.open_session(&known, &sign_in).await.map_err(refused)? {
                self.renew_hash(&known, password).await;
                return Ok(tokens);
            }
        }
        Err(unknown(SignInError::InvalidCredentials))
    }

    /// The credentials of an account that the password belongs to, and whose holder may sign in.
    async fn verify(&self, known: Option<Credentials>, password: Password) -> Result<Credentials, SignInError> {
        // An erased account has no password.
        let known = known.filter(|known| known.standing.erased_at.is_none());
        let hash = known.as_ref().map(|known| known.password_hash.clone());
        let verified = self.passwords.verify(password, hash).await?;
        let may_sign_in = |known: &Credentials| verified && self.settings.admits(known.standing);
        known.filter(may_sign_in).ok_or(SignInError::InvalidCredentials)
    }

    /// Opens a session of an account whose password was verified. `None` if the account was changed meanwhile.
    async fn open_session(
        &self,
        known: &Credentials,
        sign_in: &SignIn<'_>,
    ) -> Result<Option<SessionTokens>, SignInError> {
        let Credentials { account, standing, password_hash, .. } = known;
        if standing.second_factor_at.is_some() {
            self.check_code(account.id, sign_in.code).await?;
        }
        let now = self.clock.now();
        let (id, chain_key) = (SessionId::new(self.entropy.uuid()), ChainKey(self.entropy.secret()));
        let secret = RefreshSecret::first(id, chain_key, self.entropy.secret());
        let session = Session {
            id,
            account_id: account.id,
            chain_key: Some(chain_key),
            refresh_hash: secret.hash(),
            former_hash: None,
            created_at: now,
            last_used_at: now,
            expires_at: self.session_expires_at(now, now),
            ended_at: None,
            client: sign_in.client.clone(),
            network: sign_in.network,
        };
        let opened = self.sessions.open(session, password_hash.clone(), self.settings.sessions_per_account).await?;
        let Some(ended) = opened else {
            return Ok(None);
        };
        for id in &ended {
            self.revoke_session(*id);
        }
        let member = Member { account: account.clone(), standing: *standing };
        Ok(Some(self.issue(&member, id, secret, now)?))
    }

    /// Replaces the hash of a password that was verified, if it was made as new ones are not made any more. If that fails,
    /// the next sign-in does it.
    async fn renew_hash(&self, known: &Credentials, password: Password) {
        let (id, verified) = (known.account.id, &known.password_hash);
        if self.passwords.is_current(verified) {
            return;
        }
        let renewed = match self.passwords.hash(password).await {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a password was not hashed again");
                return;
            }
        };
        match self.accounts.renew_hash(id, verified.clone(), renewed).await {
            Ok(()) => tracing::info!(account_id = %id, "hashed a password again, as passwords are hashed now"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a hash was not replaced"),
        }
    }
}
