//! The contract of [`PasswordHasher`].

use boxoffice_domain::accounts::{Password, PasswordHasher};

/// Makes a test of each function of the contract, in the module that calls it. The argument is a
/// `fn() -> impl PasswordHasher`; parameters that make hashing fast make the tests fast.
#[macro_export]
macro_rules! password_hasher_contract {
    ($hasher:expr) => {
        $crate::contract_tests! { password_hasher, $hasher;
            a_password_matches_its_own_hash_alone
            equal_passwords_have_different_hashes
            a_hash_does_not_contain_the_password
            without_a_hash_no_password_matches
        }
    };
}

fn password(text: &str) -> Password {
    Password::new(text).expect("a password")
}

/// All characters of a password count, and none is changed.
pub async fn a_password_matches_its_own_hash_alone<H: PasswordHasher>(hasher: impl Fn() -> H) {
    let hasher = hasher();
    let longest = "비".repeat(128);
    let others = ["correct horse", "Correct horse", "correct horse ", "correct horsé", "correct horse!", &longest];
    for text in others {
        let hash = hasher.hash(password(text)).await.expect("a hash");
        for other in others {
            let matches = hasher.verify(password(other), Some(hash.clone())).await.expect("a verdict");
            assert_eq!(matches, other == text, "{other:?} against the hash of {text:?}");
        }
    }
    let hash = hasher.hash(password(&longest)).await.expect("a hash");
    let shorter = password(&"비".repeat(127));
    assert!(!hasher.verify(shorter, Some(hash)).await.expect("a verdict"), "the last character does not count");
}

/// Each hash has a new salt, so that equal passwords cannot be found.
pub async fn equal_passwords_have_different_hashes<H: PasswordHasher>(hasher: impl Fn() -> H) {
    let hasher = hasher();
    let one = hasher.hash(password("correct horse")).await.expect("a hash");
    let other = hasher.hash(password("correct horse")).await.expect("a hash");
    assert_ne!(one, other);
}

/// A hash is in PHC string format, and is no other form of the password.
pub async fn a_hash_does_not_contain_the_password<H: PasswordHasher>(hasher: impl Fn() -> H) {
    let hash = hasher().hash(password("correct-horse")).await.expect("a hash").0;
    assert!(hash.starts_with('$') && !hash.contains("correct-horse"), "{hash}");
}

/// A login id that is not in use has no password.
pub async fn without_a_hash_no_password_matches<H: PasswordHasher>(hasher: impl Fn() -> H) {
    let hasher = hasher();
    for text in ["correct horse", "password"] {
        assert!(!hasher.verify(password(text), None).await.expect("a verdict"));
    }
}
