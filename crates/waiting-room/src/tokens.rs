//! Queue tokens: a place in a queue, signed, so that its holder can carry it.
//!
//! A token is `q1.` and, in base64url without padding, the key's id (1 byte), the place (48 bytes: concert, account,
//! number, time of joining in microseconds; numbers big-endian) and its HMAC-SHA256 (32 bytes): 111 characters. It is
//! signed, not encrypted: the holder may read it and cannot make another.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::{
    AccountId, ConcertId,
    waiting_room::{PlaceNumber, QueuePlace, QueueToken, QueueTokens},
};
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// What every token begins with. A later format gets another number.
const PREFIX: &str = "q1.";
/// The key's id and the place.
const SIGNED_BYTES: usize = 1 + 16 + 16 + 8 + 8;
const TAG_BYTES: usize = 32;
const TOKEN_BYTES: usize = SIGNED_BYTES + TAG_BYTES;
/// `TOKEN_BYTES` divides by 3, so that base64 has no spare bits and each place has exactly one text.
const TOKEN_CHARACTERS: usize = PREFIX.len() + TOKEN_BYTES / 3 * 4;

/// Signs places with one key and accepts those signed with any of its keys, so that keys can be changed while accounts
/// wait.
pub struct SignedTokens {
    /// The first one signs.
    keys: Vec<SigningKey>,
}

struct SigningKey {
    /// Finds the key of a token without trying them all. Two keys may share an id; both are tried then.
    id: u8,
    /// HMAC with the key and the purpose already taken in: copied for each token.
    mac: Hmac<Sha256>,
}

impl SigningKey {
    fn new(key: &[u8; 32]) -> Self {
        let keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        let id = keyed.clone().chain_update(b"boxoffice queue key id").finalize().into_bytes()[0];
        // The purpose is signed too, so that no other use of the same key can yield a queue token.
        Self { id, mac: keyed.chain_update(b"boxoffice queue token q1\0") }
    }
}

impl SignedTokens {
    /// Signs with `key`; accepts what was signed with it or with one of `former_keys`.
    pub fn new(key: &[u8; 32], former_keys: &[[u8; 32]]) -> Self {
        Self { keys: std::iter::once(key).chain(former_keys).map(SigningKey::new).collect() }
    }
}

impl fmt::Debug for SignedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedTokens").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl QueueTokens for SignedTokens {
    fn seal(&self, place: &QueuePlace) -> QueueToken {
        let key = &self.keys[0];
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(key.id);
        bytes.extend_from_slice(place.concert_id.uuid().as_bytes());
        bytes.extend_from_slice(place.account_id.uuid().as_bytes());
        bytes.extend_from_slice(&place.number.0.to_be_bytes());
        bytes.extend_from_slice(&place.joined_at.timestamp_micros().to_be_bytes());
        let tag = key.mac.clone().chain_update(&bytes).finalize();
        bytes.extend_from_slice(&tag.into_bytes());

        let mut text = String::with_capacity(TOKEN_CHARACTERS);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
        QueueToken(text)
    }

    fn open(&self, token: &str) -> Option<QueuePlace> {
        // The length is looked at first, so that a huge token costs nothing.
        if token.len() != TOKEN_CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES)?;
        let mut keys = self.keys.iter().filter(|key| key.id == signed[0]);
        // The comparison takes the same time wherever the tags differ.
        keys.any(|key| key.mac.clone().chain_update(signed).verify_slice(tag).is_ok()).then(|| read_place(signed))?
    }
}

/// Reads what was signed. `None` cannot happen for what we signed ourselves.
fn read_place(signed: &[u8]) -> Option<QueuePlace> {
    let (concert_id, rest) = signed.get(1..)?.split_first_chunk()?;
    let (account_id, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let joined_at = i64::from_be_bytes(rest.try_into().ok()?);
    Some(QueuePlace {
        concert_id: ConcertId::new(Uuid::from_bytes(*concert_id)),
        account_id: AccountId::new(Uuid::from_bytes(*account_id)),
        number: PlaceNumber(u64::from_be_bytes(*number)),
        joined_at: DateTime::from_timestamp_micros(joined_at)?,
    })
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{Timestamp, fixtures::instant};
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn tokens() -> SignedTokens {
        SignedTokens::new(&KEY, &[])
    }

    fn place(concert: u128, account: u128, number: u64, joined_at: Timestamp) -> QueuePlace {
        QueuePlace {
            concert_id: ConcertId::new(Uuid::from_u128(concert)),
            account_id: AccountId::new(Uuid::from_u128(account)),
            number: PlaceNumber(number),
            joined_at,
        }
    }

    fn example() -> QueuePlace {
        place(1, 2, 3, instant(4))
    }

    #[test]
    fn a_place_keeps_its_text_for_life() {
        let token = tokens().seal(&example());
        // Written down so that a change of the format, which would end every place, is noticed.
        assert_eq!(
            token.0,
            "q1.aQAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAACAAAAAAAAAAMABmUXKNWJABcaXV24_Qu1GcW_QP4fZ9s1ze2BewOB1RZveOL3EAQk"
        );
        assert_eq!(token.0.len(), TOKEN_CHARACTERS);
        assert_eq!(tokens().seal(&example()), token);
        assert_eq!(tokens().open(&token.0), Some(example()));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let text = tokens().seal(&example()).0;
        let bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).expect("base64");
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
                assert_eq!(tokens().open(&changed), None, "bit {bit} of byte {index}");
            }
        }
    }

    #[test]
    fn hostile_text_is_refused_and_does_no_harm() {
        let token = tokens().seal(&example()).0;
        let same_length = "q1.".to_owned() + &"é".repeat((TOKEN_CHARACTERS - PREFIX.len()) / 2);
        assert_eq!(same_length.len(), TOKEN_CHARACTERS);
        let longer = [format!("{token}A"), format!("{token}="), "A".repeat(10_000_000)];
        for text in
            ["", "q", ".", "q1.é", "\0", "좌석", &same_length].into_iter().chain(longer.iter().map(String::as_str))
        {
            assert_eq!(tokens().open(text), None);
        }
        for at in 0..token.len() {
            assert_eq!(tokens().open(&token[..at]), None, "cut at {at}");
            for other in ['.', '=', ' ', '\0'].into_iter().filter(|other| !token[at..].starts_with(*other)) {
                let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                assert_eq!(tokens().open(&changed), None, "{changed}");
            }
        }
    }

    #[test]
    fn a_former_key_is_accepted_and_a_foreign_one_is_not() {
        let former = tokens().seal(&example());
        let changed = SignedTokens::new(&[8; 32], &[[9; 32], KEY]);
        assert_eq!(changed.open(&former.0), Some(example()));
        let renewed = changed.seal(&example());
        assert_ne!(renewed, former);
        assert_eq!(changed.open(&renewed.0), Some(example()));
        assert_eq!(tokens().open(&renewed.0), None);
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", tokens()), "SignedTokens { keys: 1, .. }");
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(
            (concert, account) in any::<(u128, u128)>(),
            number in any::<u64>(),
            // As far as times can be represented.
            joined_at in -8_000_000_000_000_000_000_i64..8_000_000_000_000_000_000,
            key in any::<[u8; 32]>(),
        ) {
            let sealed = place(concert, account, number, DateTime::from_timestamp_micros(joined_at).expect("in range"));
            let tokens = SignedTokens::new(&key, &[]);
            prop_assert_eq!(tokens.open(&tokens.seal(&sealed).0), Some(sealed));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,200}", tail in "[A-Za-z0-9_-]{108}") {
            prop_assert_eq!(tokens().open(&text), None);
            prop_assert_eq!(tokens().open(&format!("q1.{tail}")), None);
        }
    }
}
