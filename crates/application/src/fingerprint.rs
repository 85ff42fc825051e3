//! Telling whether two requests ask the same.

use boxoffice_domain::idempotency::{Fingerprint, Idempotency, IdempotencyKey};
use sha2::{Digest, Sha256};

/// A digest of what is asked: of `act` and of each part with its length, so that no two lists of parts run
/// together into one text.
pub fn fingerprint<'a>(act: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Fingerprint {
    let mut digest = Sha256::new();
    for part in std::iter::once(act).chain(parts) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let digest = digest.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Fingerprint(first)
}

/// The key, if there is one, with the fingerprint of what is asked under it.
pub(crate) fn identified<'a>(
    key: Option<IdempotencyKey>,
    act: &'a str,
    parts: impl IntoIterator<Item = &'a str>,
) -> Option<Idempotency> {
    key.map(|key| Idempotency { key, fingerprint: fingerprint(act, parts) })
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn other_parts_make_another_fingerprint() {
        assert_eq!(fingerprint("hold", ["a", "b"]), fingerprint("hold", ["a", "b"]));
        assert_ne!(fingerprint("hold", ["a", "b"]), fingerprint("hold", ["ab"]));
        assert_ne!(fingerprint("hold", ["a", "b"]), fingerprint("hold", ["b", "a"]));
        assert_ne!(fingerprint("hold", ["a"]), fingerprint("pay", ["a"]));
    }
}
