//! The hashing of passwords, with Argon2id.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc},
};
use async_trait::async_trait;
use boxoffice_domain::{
    EntropySource,
    accounts::{HashingError, Password, PasswordHash, PasswordHasher},
};
use tokio::{sync::Semaphore, task};

/// What hashes begin with that are made now.
const CURRENT: &str = "$argon2id$v=19$";
/// The length of a salt that RFC 9106, section 3.1, recommends.
const SALT_BYTES: usize = 16;

/// The cost of a hash, and how much of the machine hashing may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PasswordSettings {
    pub(crate) memory_kib: u32,
    /// How many passes over that memory a hash makes.
    pub(crate) iterations: u32,
    /// How many passwords are hashed at once. Each keeps a core busy.
    pub(crate) parallel: usize,
    /// How many more may wait; further ones are refused as busy.
    pub(crate) waiting_max: usize,
}

/// Hashes passwords on blocking threads, a bounded number at once.
pub(crate) struct Argon2Passwords {
    argon2: Argon2<'static>,
    entropy: Arc<dyn EntropySource>,
    /// The hash of a random password, to be compared with if there is no account.
    unknown: PasswordHash,
    /// A permit for each password that is being hashed or waits.
    places: Arc<Semaphore>,
    /// A permit for each password that is being hashed.
    workers: Arc<Semaphore>,
}

impl std::fmt::Debug for Argon2Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Argon2Passwords").field("argon2", &self.argon2).finish_non_exhaustive()
    }
}

impl Argon2Passwords {
    /// Refuses parameters that Argon2 does not know.
    pub(crate) fn new(settings: PasswordSettings, entropy: Arc<dyn EntropySource>) -> Result<Self, HashingError> {
        let params = Params::new(settings.memory_kib, settings.iterations, 1, None).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let unknown = hash(&argon2, &entropy.secret(), &entropy.secret())?;
        let parallel = settings.parallel.clamp(1, Semaphore::MAX_PERMITS);
        let places = parallel.saturating_add(settings.waiting_max).min(Semaphore::MAX_PERMITS);
        let (places, workers) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(parallel)));
        Ok(Self { argon2, entropy, unknown, places, workers })
    }

    /// Runs slow work on a blocking thread when a worker is free.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| HashingError::Busy)?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(failed)?;
        let argon2 = self.argon2.clone();
        let run = move || {
            // Work that has begun cannot be stopped, so it keeps its permits if its caller gives up.
            let _permits = (place, worker);
            work(&argon2)
        };
        task::spawn_blocking(run).await.map_err(failed)?
    }
}

#[async_trait]
impl PasswordHasher for Argon2Passwords {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        let salt = self.entropy.secret();
        self.work(move |argon2| hash(argon2, password.expose().as_bytes(), &salt)).await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, HashingError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.unknown.clone());
        let checked = self.work(move |argon2| check(argon2, password.expose().as_bytes(), &hash)).await?;
        Ok(known && checked.matches)
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        let same = |params: Params| work_of(&params) == work_of(self.argon2.params());
        hash.0.starts_with(CURRENT) && params_of(hash).is_ok_and(same)
    }
}

/// Whether a password belongs to a hash, and what it took to find out.
struct Checked {
    matches: bool,
    /// How much memory was filled, in all passes: the time is in proportion to it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares the work, since times are not asserted"))]
    filled_kib: u64,
}

/// Checks a password with the parameters of the hash, which may differ from the present ones. If the password is wrong and
/// that was less work, does the rest of it too.
fn check(argon2: &Argon2<'_>, password: &[u8], hash: &PasswordHash) -> Result<Checked, HashingError> {
    let given = params_of(hash)?;
    let filled_kib = filled_kib(&given);
    match argon2.verify_password(password, hash.0.as_str()) {
        Ok(()) => Ok(Checked { matches: true, filled_kib }),
        Err(password_hash::Error::PasswordInvalid) => match missing_work(argon2.params(), &given) {
            None => Ok(Checked { matches: false, filled_kib }),
            Some(missing) => {
                let rest = Argon2::new(Algorithm::Argon2id, Version::V0x13, missing);
                rest.hash_password_into(password, &[0; SALT_BYTES], &mut [0; Params::DEFAULT_OUTPUT_LEN])
                    .map_err(failed)?;
                Ok(Checked { matches: false, filled_kib: filled_kib + self::filled_kib(rest.params()) })
            }
        },
        Err(error) => Err(failed(error)),
    }
}

fn filled_kib(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

/// What a hash has cost: how much memory, how often, on how many lanes.
fn work_of(params: &Params) -> (u32, u32, u32) {
    (params.m_cost(), params.t_cost(), params.p_cost())
}

fn params_of(hash: &PasswordHash) -> Result<Params, HashingError> {
    let parsed = phc::PasswordHash::new(&hash.0).map_err(failed)?;
    Params::try_from(&parsed).map_err(failed)
}

/// Parameters of a hash that costs what a hash with the `given` ones lacks to cost as much as one with the `current` ones;
/// `None` if it lacks nothing, or less than the least hash.
fn missing_work(current: &Params, given: &Params) -> Option<Params> {
    let missing_kib = filled_kib(current).checked_sub(filled_kib(given))?;
    let memory_kib = u32::try_from(missing_kib / u64::from(current.t_cost())).ok()?;
    Params::new(memory_kib, current.t_cost(), 1, None).ok()
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8; 32]) -> Result<PasswordHash, HashingError> {
    let hash = argon2.hash_password_with_salt(password, &salt[..SALT_BYTES]).map_err(failed)?;
    Ok(PasswordHash(hash.to_string()))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HashingError {
    HashingError::Failed(Box::new(error))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::adapters::SystemEntropy;

    /// As light as Argon2 allows, so that the tests are quick.
    fn light() -> PasswordSettings {
        PasswordSettings { memory_kib: 8, iterations: 1, parallel: 1, waiting_max: 2 }
    }

    fn passwords(settings: PasswordSettings) -> Argon2Passwords {
        Argon2Passwords::new(settings, Arc::new(SystemEntropy)).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[tokio::test]
    async fn an_unknown_account_has_no_password_and_costs_as_much_as_a_known_one() {
        let passwords = passwords(PasswordSettings { memory_kib: 16, iterations: 2, ..light() });
        assert!(!passwords.verify(password("correct horse"), None).await.unwrap());
        assert!(passwords.unknown.0.starts_with("$argon2id$v=19$m=16,t=2,p=1$"), "{}", passwords.unknown.0);
    }

    #[tokio::test]
    async fn a_hash_made_with_other_parameters_is_still_known() {
        let hash = passwords(light()).hash(password("correct horse")).await.unwrap();
        let today = passwords(PasswordSettings { iterations: 2, memory_kib: 16, ..light() });
        assert!(today.verify(password("correct horse"), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn only_a_hash_of_the_present_parameters_is_current() {
        let today = passwords(PasswordSettings { iterations: 2, memory_kib: 16, ..light() });
        let hash = today.hash(password("correct horse")).await.unwrap();
        assert!(today.is_current(&hash));
        for other in [("m=16", "m=15"), ("t=2", "t=3"), ("p=1", "p=2"), ("argon2id", "argon2i"), ("v=19", "v=16")] {
            assert!(!today.is_current(&PasswordHash(hash.0.replace(other.0, other.1))), "{other:?}");
        }
        assert!(!today.is_current(&PasswordHash("?".into())));
    }

    #[test]
    fn what_a_weaker_hash_lacks_is_worked_off() {
        let missing = |current: (u32, u32), given: (u32, u32)| {
            let params = |(memory_kib, iterations)| Params::new(memory_kib, iterations, 1, None).unwrap();
            missing_work(&params(current), &params(given)).map(|missing| work_of(&missing))
        };
        // 19,456 KiB twice are as much as 8,192 KiB once and 15,360 KiB twice.
        assert_eq!(missing((19_456, 2), (8_192, 1)), Some((15_360, 2, 1)));
        assert_eq!(missing((19_456, 2), (19_456, 2)), None);
        assert_eq!(missing((19_456, 2), (65_536, 3)), None, "a stronger one lacks nothing");
        assert_eq!(missing((19_456, 2), (19_450, 2)), None, "no hash is that small");
    }

    #[test]
    fn a_wrong_password_costs_the_same_work_with_a_hash_of_less() {
        let argon2 = |memory_kib, iterations| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory_kib, iterations, 1, None).unwrap())
        };
        let today = argon2(64, 2);
        let filled = |memory_kib, iterations, password: &[u8]| {
            let hash = hash(&argon2(memory_kib, iterations), b"correct horse", &[7; 32]).unwrap();
            let checked = check(&today, password, &hash).unwrap();
            assert_eq!(checked.matches, password == b"correct horse");
            checked.filled_kib
        };
        for (memory_kib, iterations) in [(64, 2), (64, 1), (8, 2), (16, 5)] {
            assert_eq!(filled(memory_kib, iterations, b"wrong horse"), 128, "{memory_kib} KiB, {iterations} times");
        }
        assert_eq!(filled(8, 1, b"correct horse"), 8, "whose password is right may learn it sooner");
    }

    #[tokio::test]
    async fn what_is_no_hash_is_a_failure_and_not_a_wrong_password() {
        let outcome = passwords(light()).verify(password("correct horse"), Some(PasswordHash("?".into()))).await;
        assert!(matches!(outcome, Err(HashingError::Failed(_))));
    }

    #[test]
    fn unknown_parameters_are_refused() {
        let settings = PasswordSettings { iterations: 0, ..light() };
        assert!(Argon2Passwords::new(settings, Arc::new(SystemEntropy)).is_err());
    }

    #[tokio::test]
    async fn a_password_is_refused_as_busy_when_enough_are_waiting() {
        let passwords = passwords(light());
        // The only worker is taken, so the others wait.
        let worker = passwords.workers.clone().acquire_owned().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let mut hashing = Box::pin(passwords.hash(password("correct horse")));
            assert!((&mut hashing).now_or_never().is_none());
            waiting.push(hashing);
        }
        let refused = passwords.verify(password("correct horse"), None).await;
        assert!(matches!(refused, Err(HashingError::Busy)));
        // One caller gives up, which makes room for another.
        waiting.pop();
        let mut late = Box::pin(passwords.hash(password("correct horse")));
        assert!((&mut late).now_or_never().is_none());
        waiting.push(late);
        drop(worker);
        for hashing in waiting {
            hashing.await.unwrap();
        }
        assert_eq!(passwords.places.available_permits(), 3);
    }
}
