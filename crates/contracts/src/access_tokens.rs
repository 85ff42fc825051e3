//! The contract of [`AccessTokens`].

#![expect(clippy::unused_async, reason = "the macro of a contract awaits every scenario")]

use boxoffice_domain::{
    AccountId, EntropySource, SessionId,
    accounts::{AccessClaims, AccessTokenError, AccessTokens, Role},
    fixtures::{TestEntropy, instant},
};

use crate::queue_tokens::{changed, hostile};

/// Makes a test of each function of the contract, in the module that calls it. The argument is a
/// `fn() -> (impl AccessTokens, impl AccessTokens)`: two signers that do not share a key.
#[macro_export]
macro_rules! access_tokens_contract {
    ($signers:expr) => {
        $crate::contract_tests! { access_tokens, $signers;
            a_token_says_what_was_signed_until_it_expires
            a_changed_or_foreign_token_is_invalid
        }
    };
}

fn claims(role: Role) -> AccessClaims {
    let (account, session) = (TestEntropy.uuid(), TestEntropy.uuid());
    let (account_id, session_id) = (AccountId::new(account), SessionId::new(session));
    AccessClaims {
        account_id,
        session_id,
        role,
        access_version: 3,
        has_second_factor: role == Role::Admin,
        expires_at: instant(900),
    }
}

/// The claims of a token are those that it was issued for. It is valid before `expires_at`, and expired from then on,
/// however often it was accepted.
pub async fn a_token_says_what_was_signed_until_it_expires<T: AccessTokens, U>(signers: impl Fn() -> (T, U)) {
    let (tokens, _) = signers();
    for role in [Role::Customer, Role::Promoter, Role::Admin] {
        let claims = claims(role);
        let token = tokens.issue(&claims, instant(0)).expect("a token");
        for _ in 0..2 {
            assert_eq!(tokens.verify(&token, instant(0)), Ok(claims));
            assert_eq!(tokens.verify(&token, instant(899)), Ok(claims));
            assert_eq!(tokens.verify(&token, instant(900)), Err(AccessTokenError::Expired));
            assert_eq!(tokens.verify(&token, instant(90_000)), Err(AccessTokenError::Expired));
        }
    }
}

/// A token is accepted only as it was signed, with a key of this signer.
pub async fn a_changed_or_foreign_token_is_invalid<T: AccessTokens, U: AccessTokens>(signers: impl Fn() -> (T, U)) {
    let (tokens, foreign) = signers();
    // One that names a key which the signer does not have may be of a key that was dropped.
    let is_refused = |verified| matches!(verified, Err(AccessTokenError::Invalid | AccessTokenError::Expired));
    let token = tokens.issue(&claims(Role::Customer), instant(0)).expect("a token");
    for text in changed(&token).chain(hostile()) {
        assert!(is_refused(tokens.verify(&text, instant(0))), "{text}");
    }
    assert!(is_refused(foreign.verify(&token, instant(0))));
    assert!(is_refused(foreign.verify(&token, instant(900))));
    assert!(tokens.verify(&token, instant(0)).is_ok());
}
