//! The contract of [`QueueTokens`].

#![expect(clippy::unused_async, reason = "the macro of a contract awaits every scenario")]

use std::iter;

use boxoffice_domain::{
    AccountId, ConcertId, EntropySource,
    fixtures::{TestEntropy, instant},
    waiting_room::{PlaceNumber, QueuePlace, QueueTokens},
};
use chrono::TimeDelta;

/// Makes a test of each function of the contract, in the module that calls it. The argument is a
/// `fn() -> (impl QueueTokens, impl QueueTokens)`: two signers that do not share a key.
#[macro_export]
macro_rules! queue_tokens_contract {
    ($signers:expr) => {
        $crate::contract_tests! { queue_tokens, $signers;
            a_token_opens_to_the_place_that_was_sealed
            a_changed_or_foreign_token_does_not_open
        }
    };
}

fn place(number: u64) -> QueuePlace {
    QueuePlace {
        concert_id: ConcertId::new(TestEntropy.uuid()),
        account_id: AccountId::new(TestEntropy.uuid()),
        number: PlaceNumber(number),
        joined_at: instant(4) + TimeDelta::microseconds(123_456),
    }
}

/// A place keeps its text, and every part of it is in the token.
pub async fn a_token_opens_to_the_place_that_was_sealed<T: QueueTokens, U>(signers: impl Fn() -> (T, U)) {
    let (tokens, _) = signers();
    for number in [0, 1, 1_800_000_000_000_000, u64::MAX] {
        let place = place(number);
        let token = tokens.seal(&place);
        assert_eq!(tokens.seal(&place), token, "the text of a place changes");
        assert_eq!(tokens.open(&token.0), Some(place));
    }
}

/// A token opens only as it was sealed, with a key of this signer.
pub async fn a_changed_or_foreign_token_does_not_open<T: QueueTokens, U: QueueTokens>(signers: impl Fn() -> (T, U)) {
    let (tokens, foreign) = signers();
    let token = tokens.seal(&place(3)).0;
    for text in changed(&token).chain(hostile()) {
        assert_eq!(tokens.open(&text), None, "{text}");
    }
    assert_eq!(foreign.open(&token), None);
    assert!(tokens.open(&token).is_some());
}

/// The token with each of its characters changed, cut at each of them, and with one more. Tokens are in ASCII.
pub(crate) fn changed(token: &str) -> impl Iterator<Item = String> {
    let replaced = (0..token.len()).map(|at| {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &token[..at], &token[at + 1..])
    });
    let cut = (0..token.len()).map(|at| token[..at].to_owned());
    replaced.chain(cut).chain(["A", ".", "=", " "].map(|more| format!("{token}{more}")))
}

/// Texts that are no token.
pub(crate) fn hostile() -> impl Iterator<Item = String> {
    [".", "..", "a.b.c", "é", "\0", "좌석"].into_iter().map(str::to_owned).chain(iter::once("A".repeat(1_000_000)))
}
