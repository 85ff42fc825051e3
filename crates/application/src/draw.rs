//! The draw: how a seed gives every account its number, and how anyone can compute that again.
//!
//! * The seed is 32 random bytes. What is published before the draw is their SHA-256.
//! * The number of an account is the first 50 bits of the HMAC-SHA-256 of its id, the 16 bytes of the UUID, keyed with
//!   the seed: the first 8 bytes of the result, read with the highest byte first, divided by 2^14.
//! * The lower the number, the earlier. Accounts with the same number stand in the order of their ids.
//!
//! Text has both, the seed and its digest, as 64 hexadecimal digits.

use boxoffice_domain::{
    AccountId,
    waiting_room::{Draw, DrawNumber},
};
use hex::FromHex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How many bits of the HMAC are no part of the number.
const BITS_LEFT_OUT: u32 = u64::BITS - DrawNumber::END.trailing_zeros();

/// What is published of a draw before it is held.
pub fn seed_hash(draw: &Draw) -> [u8; 32] {
    Sha256::digest(draw.seed()).into()
}

/// The number of an account in a draw.
pub fn number(draw: &Draw, account_id: AccountId) -> DrawNumber {
    let mut keyed = Hmac::<Sha256>::new_from_slice(draw.seed()).expect("HMAC takes a key of any length");
    keyed.update(account_id.uuid().as_bytes());
    let code: [u8; 32] = keyed.finalize().into_bytes().into();
    let first = code.first_chunk().expect("32 bytes are more than 8");
    DrawNumber::from_random(u64::from_be_bytes(*first) >> BITS_LEFT_OUT)
}

/// 32 bytes as text.
pub fn hexadecimal(bytes: &[u8; 32]) -> String {
    hex::encode(bytes)
}

/// The 32 bytes in a text, if it has 64 hexadecimal digits.
pub fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    FromHex::from_hex(text).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    fn draw() -> Draw {
        Draw::new(std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }

    fn account(text: &str) -> AccountId {
        AccountId::new(Uuid::parse_str(text).unwrap())
    }

    /// What `sha256sum` and `openssl` gave, called as the API guide says.
    #[test]
    fn other_programs_compute_the_same() {
        let seed = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let seed_hash_expected = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
        assert_eq!(hexadecimal(draw().seed()), seed);
        assert_eq!(hexadecimal(&seed_hash(&draw())), seed_hash_expected);
        let first = account("00000000-0000-0000-0000-000000000001");
        assert_eq!(number(&draw(), first).get(), 128_371_182_370_860);
        let second = account("01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(number(&draw(), second).get(), 910_953_109_159_688);
    }

    #[test]
    fn numbers_are_spread_over_their_whole_range_and_differ_with_the_seed() {
        let accounts = (0..4_000).map(|id| AccountId::new(Uuid::from_u128(id)));
        let numbers: BTreeSet<_> = accounts.clone().map(|id| number(&draw(), id)).collect();
        assert_eq!(numbers.len(), 4_000);
        for quarter in 0..4 {
            let range = quarter * (DrawNumber::END / 4)..(quarter + 1) * (DrawNumber::END / 4);
            let count = numbers.iter().filter(|number| range.contains(&number.get())).count();
            assert!((900..1_100).contains(&count), "{count} in quarter {quarter}");
        }
        let other = Draw::new([7; 32]);
        assert!(accounts.map(|id| number(&other, id)).all(|number| !numbers.contains(&number)));
    }

    #[test]
    fn only_64_hexadecimal_digits_are_32_bytes() {
        let text = hexadecimal(&[0xa5; 32]);
        assert_eq!(from_hexadecimal(&text), Some([0xa5; 32]));
        assert_eq!(from_hexadecimal(&text.to_uppercase()), Some([0xa5; 32]));
        for wrong in ["", &text[1..], &format!("{text}0"), &format!("+{}", &text[1..]), &"é".repeat(32)] {
            assert_eq!(from_hexadecimal(wrong), None, "{wrong}");
        }
    }
}
