//! The second factor of staff: codes of a device (TOTP, RFC 6238), and recovery codes.

use boxoffice_domain::{
    AccountId, StorageError,
    accounts::{
        AccessTokenError, CodeAttempt, Confirmation, FactorChanged, RECOVERY_CODES, RecoveryHash, RightCode,
        SecondFactor, TotpSecret,
    },
};
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret, Totp};

use super::{AccountService, ConfirmedError, Identity, SignInError};

/// What devices show as the place that a code is for.
const ISSUER: &str = "boxoffice";
/// The random bytes of a recovery code, which are 24 characters: 120 bits cannot be found from their hash (OWASP ASVS 5.0,
/// 6.5.2, asks for 112).
const RECOVERY_BYTES: usize = 15;
/// How many characters of a recovery code are written together.
const RECOVERY_GROUP: usize = 4;

/// A second factor that its holder has to confirm.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFactor {
    /// The key for the device, in Base32.
    pub secret: String,
    /// The same as an `otpauth:` URL, which devices read from a QR code.
    pub url: String,
}

impl std::fmt::Debug for NewFactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewFactor(…)")
    }
}

/// Why a second factor was not begun, confirmed or removed.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    #[error("only staff has a second factor")]
    NotStaff,
    #[error("the account has a second factor")]
    Exists,
    #[error("the account has no such second factor")]
    Missing,
    #[error("the code is wrong")]
    WrongCode,
    #[error("too many codes were wrong")]
    TooManyCodes {
        /// After how many seconds another one may be tried.
        seconds_left: u64,
    },
    #[error(transparent)]
    Confirmed(#[from] ConfirmedError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AccountService {
    /// Makes a second factor for the caller. Signing in asks for it only after the caller has confirmed it.
    pub async fn begin_second_factor(
        &self,
        identity: Identity,
        password: &str,
    ) -> Result<NewFactor, SecondFactorError> {
        if !identity.role.may_publish() {
            return Err(SecondFactorError::NotStaff);
        }
        let account = self.confirm(identity, password).await?.account;
        let mut secret = TotpSecret([0; 20]);
        secret.0.copy_from_slice(&self.entropy.secret()[..20]);
        let totp =
            Builder::new().with_secret(secret.0).with_issuer(Some(ISSUER)).with_account_name(account.login_id.as_str());
        let failed = |error: totp_rs::TotpError| StorageError::failed(error.to_string());
        let totp = totp.build().map_err(failed)?;
        let made = NewFactor { secret: totp.secret().to_base32(), url: totp.to_url().map_err(failed)? };
        let factor = SecondFactor::new(account.id, secret, self.clock.now());
        if self.factors.begin(factor).await? { Ok(made) } else { Err(SecondFactorError::Exists) }
    }

    /// Turns the second factor of the caller on, if this is a code of the device. Gives the recovery codes, each good once,
    /// of which only hashes are kept. All other sessions of the account end, and that of the caller has to be refreshed.
    pub async fn confirm_second_factor(
        &self,
        identity: Identity,
        code: &str,
    ) -> Result<Vec<String>, SecondFactorError> {
        let factor = match self.factors.attempt(identity.account_id).await? {
            CodeAttempt::Allowed(factor) if factor.confirmed_at.is_none() => factor,
            CodeAttempt::Allowed(_) | CodeAttempt::Missing => return Err(SecondFactorError::Missing),
            CodeAttempt::TooMany { seconds_left } => return Err(SecondFactorError::TooManyCodes { seconds_left }),
        };
        let code = self.right_code(&factor, code).ok_or(SecondFactorError::WrongCode)?;
        let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| recovery_code(self.entropy.secret())).collect();
        let confirmation = Confirmation {
            account_id: identity.account_id,
            secret: factor.secret,
            code,
            recovery_hashes: codes.iter().map(|code| recovery_hash(code)).collect(),
            kept: identity.session_id,
        };
        let changed = self.factors.confirm(confirmation).await?.ok_or(SecondFactorError::WrongCode)?;
        self.revoke_changed(identity.account_id, &changed);
        Ok(codes)
    }

    /// Removes the second factor of the caller.
    pub async fn remove_second_factor(&self, identity: Identity, password: &str) -> Result<(), SecondFactorError> {
        let verified = self.confirm(identity, password).await?.verified;
        let removed = self.factors.remove(identity.account_id, verified).await?;
        let changed = removed.ok_or(SecondFactorError::Missing)?;
        self.revoke_changed(identity.account_id, &changed);
        Ok(())
    }

    /// Checks the code of an account whose password was verified.
    pub(super) async fn check_code(&self, account_id: AccountId, code: Option<&str>) -> Result<(), SignInError> {
        let code = code.filter(|code| !code.trim().is_empty()).ok_or(SignInError::SecondFactorRequired)?;
        let factor = match self.factors.attempt(account_id).await? {
            CodeAttempt::Allowed(factor) => factor,
            // It was removed meanwhile.
            CodeAttempt::Missing => return Err(SignInError::SecondFactorRequired),
            CodeAttempt::TooMany { seconds_left } => return Err(SignInError::TooManyCodes { seconds_left }),
        };
        let code = self.right_code(&factor, code).ok_or(SignInError::SecondFactorRequired)?;
        if self.factors.take(account_id, code).await? { Ok(()) } else { Err(SignInError::SecondFactorRequired) }
    }

    /// The caller that an access token names, also one who may only set up a second factor.
    pub fn authenticate_for_setup(&self, access_token: &str) -> Result<Identity, AccessTokenError> {
        let claims = self.read_claims(access_token)?;
        Ok(Identity { account_id: claims.account_id, session_id: claims.session_id, role: claims.role })
    }

    /// What a text is a right code of, if it is one: a code of the device of now, or the one before or after; or a recovery
    /// code.
    fn right_code(&self, factor: &SecondFactor, text: &str) -> Option<RightCode> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let now = u64::try_from(self.clock.now().timestamp()).ok()?;
        if let Some(step) = totp(factor.secret)?.check(&plain, now) {
            return Some(RightCode::Step(step));
        }
        let hash = recovery_hash(&plain);
        factor.recovery_hashes.contains(&hash).then_some(RightCode::Recovery(hash))
    }

    fn revoke_changed(&self, account_id: AccountId, changed: &FactorChanged) {
        changed.ended_sessions.iter().for_each(|id| self.revoke_session(*id));
        self.revoke_account(account_id, changed.access_version);
    }
}

/// Codes of six digits, each for 30 seconds, by SHA-1, which is what every device knows; one step before and after now.
fn totp(secret: TotpSecret) -> Option<Totp> {
    Builder::new().with_secret(secret.0).build().ok()
}

fn recovery_code(random: [u8; 32]) -> String {
    let text = Secret::from(random[random.len() - RECOVERY_BYTES..].to_vec()).to_base32().to_ascii_lowercase();
    let groups: Vec<_> = text.as_bytes().chunks(RECOVERY_GROUP).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

/// The hash of a recovery code, however it is typed.
fn recovery_hash(code: &str) -> RecoveryHash {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    RecoveryHash(Sha256::digest(plain.to_ascii_lowercase()).into())
}
