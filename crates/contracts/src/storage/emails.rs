//! The addresses of accounts.

use boxoffice_domain::{
    AccountId, EntropySource, Timestamp,
    accounts::{
        AccountEmail, AddressHash, Credentials, EMAIL_CODE_ATTEMPTS_MAX, EMAIL_CODE_MAILS_MAX, EmailBegun,
        EmailCodeHash, EmailCodeTried, Erasure, NewEmail, PasswordHash, PendingEmail,
    },
    fixtures::TestEntropy,
    mail::{EmailAddress, MailLanguage, NewMail, Notice},
};
use chrono::TimeDelta;

use super::{Stage, at_once, credentials};

const CODE_SECONDS: i64 = 900;

pub(super) fn address(text: &str) -> EmailAddress {
    EmailAddress::new(&format!("{text}@example.org")).expect("an address")
}

fn hash(code: u8) -> EmailCodeHash {
    EmailCodeHash([code; 32])
}

/// A new account.
pub async fn member(stage: &Stage) -> Credentials {
    let credentials = credentials(stage.now());
    stage.storage.accounts.create(credentials.clone()).await.expect("the storage works");
    credentials
}

fn new_email(now: Timestamp, member: &Credentials, to: &str, code: u8) -> NewEmail {
    let (account_id, address) = (member.account.id, address(to));
    let mut address_hash = AddressHash([0; 32]);
    address_hash.0[..to.len()].copy_from_slice(to.as_bytes());
    NewEmail {
        account_id,
        verified: member.password_hash.clone(),
        pending: PendingEmail {
            address: address.clone(),
            code_hash: hash(code),
            expires_at: now + TimeDelta::seconds(CODE_SECONDS),
        },
        address_hash,
        mail: NewMail {
            id: TestEntropy.uuid(),
            account_id,
            to: Some(address),
            notice: Notice::EmailVerification { code: "12345678".to_owned(), minutes_valid: 15 },
            created_at: now,
        },
    }
}

impl Stage {
    /// Begins to verify an address of `example.org` by a code that is 32 times this byte when it is hashed.
    pub async fn begin_email(&self, member: &Credentials, to: &str, code: u8) -> EmailBegun {
        let email = new_email(self.now(), member, to, code);
        self.storage.emails.begin_email(email).await.expect("the storage works")
    }

    /// Tries such a code.
    pub async fn verify_email(&self, id: AccountId, code: u8) -> EmailCodeTried {
        self.storage.emails.verify_email(id, hash(code)).await.expect("the storage works")
    }

    /// The e-mail of an account.
    pub async fn email(&self, id: AccountId) -> AccountEmail {
        self.storage.emails.find_email(id).await.expect("the storage works")
    }
}

const SENT: EmailBegun = EmailBegun::Begun { is_sent: true };

/// An address waits for its code, and the one before stays until then. A code is good once, for its account, and until it
/// expires.
pub async fn an_address_is_verified_by_its_code_once(stage: &Stage) {
    let (member, other) = (member(stage).await, member(stage).await);
    let id = member.account.id;
    assert_eq!(stage.email(id).await, AccountEmail::default());
    assert_eq!(stage.verify_email(id, 1).await, EmailCodeTried::Wrong);
    assert_eq!(stage.begin_email(&member, "first", 1).await, SENT);
    let expires_at = stage.now() + TimeDelta::seconds(CODE_SECONDS);
    let pending = Some((address("first"), expires_at));
    assert_eq!(stage.email(id).await, AccountEmail { pending, ..AccountEmail::default() });
    assert_eq!(stage.verify_email(other.account.id, 1).await, EmailCodeTried::Wrong);
    assert_eq!(stage.verify_email(id, 2).await, EmailCodeTried::Wrong);
    stage.clock.advance_seconds(CODE_SECONDS - 1);
    assert_eq!(stage.verify_email(id, 1).await, EmailCodeTried::Right(address("first")));
    let verified =
        AccountEmail { address: Some(address("first")), verified_at: Some(stage.now()), ..AccountEmail::default() };
    assert_eq!(stage.email(id).await, verified);
    stage.clock.advance_seconds(1);
    assert_eq!(stage.verify_email(id, 1).await, EmailCodeTried::Wrong, "it was used");

    assert_eq!(stage.begin_email(&member, "second", 2).await, SENT);
    assert_eq!(stage.email(id).await.address, Some(address("first")));
    stage.clock.advance_seconds(CODE_SECONDS);
    assert_eq!(stage.verify_email(id, 2).await, EmailCodeTried::Wrong, "it has expired");
    assert_eq!(stage.email(id).await.address, Some(address("first")));
    // Another account may have the same address.
    assert_eq!(stage.begin_email(&other, "first", 3).await, SENT);
    assert_eq!(stage.verify_email(other.account.id, 3).await, EmailCodeTried::Right(address("first")));
}

/// Right codes at once verify the address, and none is good later.
pub async fn one_of_twenty_right_codes_at_once_verifies(stage: &Stage) {
    let member = member(stage).await;
    let id = member.account.id;
    stage.begin_email(&member, "first", 1).await;
    let tried = at_once(0..20, |_| {
        let emails = stage.storage.emails.clone();
        async move { emails.verify_email(id, hash(1)).await.unwrap() }
    });
    assert!(tried.await.contains(&EmailCodeTried::Right(address("first"))));
    assert_eq!(stage.email(id).await.address, Some(address("first")));
    stage.clock.advance_seconds(1);
    assert_eq!(stage.verify_email(id, 1).await, EmailCodeTried::Wrong);
}

/// Of many codes at once so many are tried as may be, another mail gives no further attempts, and an hour does.
pub async fn no_more_codes_of_mails_are_tried_at_once_than_may_be(stage: &Stage) {
    let member = member(stage).await;
    let id = member.account.id;
    stage.begin_email(&member, "first", 1).await;
    let tried = at_once(0..20, |_| {
        let emails = stage.storage.emails.clone();
        async move { emails.verify_email(id, hash(9)).await.unwrap() }
    });
    let wrong = tried.await.into_iter().filter(|tried| *tried == EmailCodeTried::Wrong).count();
    assert_eq!(wrong, EMAIL_CODE_ATTEMPTS_MAX as usize);
    let too_many = EmailCodeTried::TooMany { seconds_left: 3_600 };
    assert_eq!(stage.verify_email(id, 1).await, too_many, "not even the right one is tried");
    stage.begin_email(&member, "first", 2).await;
    assert_eq!(stage.verify_email(id, 2).await, too_many);
    stage.clock.advance_seconds(3_600);
    stage.begin_email(&member, "first", 3).await;
    assert_eq!(stage.verify_email(id, 3).await, EmailCodeTried::Right(address("first")));
}

/// An account learns that it has asked too often; that an address has got too many mails, it does not.
pub async fn no_more_mails_go_to_an_account_or_an_address_than_may(stage: &Stage) {
    let first = member(stage).await;
    for code in 0..u8::try_from(EMAIL_CODE_MAILS_MAX).unwrap() {
        assert_eq!(stage.begin_email(&first, "first", code).await, SENT);
    }
    assert_eq!(stage.begin_email(&first, "second", 9).await, EmailBegun::TooMany { seconds_left: 3_600 });
    assert_eq!(stage.verify_email(first.account.id, 9).await, EmailCodeTried::Wrong);
    // Of many accounts at once no more mails go to one address.
    let mut members = Vec::new();
    for _ in 0..12 {
        members.push(member(stage).await);
    }
    let (now, accounts) = (stage.now(), members.clone());
    let begun = at_once(members, |member| {
        let (emails, email) = (stage.storage.emails.clone(), new_email(now, &member, "third", 1));
        async move { emails.begin_email(email).await.unwrap() }
    });
    let sent = begun.await.into_iter().filter(|begun| *begun == SENT).count();
    assert_eq!(sent, EMAIL_CODE_MAILS_MAX as usize);
    for account in accounts {
        assert_eq!(stage.email(account.account.id).await.pending.map(|(to, _)| to), Some(address("third")));
    }
    stage.clock.advance_seconds(3_600);
    assert_eq!(stage.begin_email(&first, "third", 10).await, SENT);
    // What was counted for other addresses is removed meanwhile.
    stage.clock.advance_seconds(2 * 86_400);
    assert_eq!(stage.begin_email(&first, "fourth", 11).await, SENT);
    assert_eq!(stage.begin_email(&first, "third", 12).await, SENT);
}

/// Without the password nothing is begun or removed. What is removed can be verified again, and goes with the account.
pub async fn an_address_is_removed_with_the_password_alone(stage: &Stage) {
    let member = member(stage).await;
    let id = member.account.id;
    let other = Credentials { password_hash: PasswordHash("$argon2id$wrong".to_owned()), ..member.clone() };
    assert_eq!(stage.begin_email(&other, "first", 1).await, EmailBegun::Changed);
    stage.begin_email(&member, "first", 1).await;
    assert_eq!(stage.verify_email(id, 1).await, EmailCodeTried::Right(address("first")));
    stage.begin_email(&member, "second", 2).await;
    let remove = |member: &Credentials| stage.storage.emails.remove_email(id, member.password_hash.clone());
    assert!(!remove(&other).await.unwrap());
    assert_eq!(stage.email(id).await.address, Some(address("first")));
    for _ in 0..2 {
        assert!(remove(&member).await.unwrap());
        assert_eq!(stage.email(id).await, AccountEmail::default());
    }
    stage.clock.advance_seconds(1);
    assert_eq!(stage.verify_email(id, 2).await, EmailCodeTried::Wrong);
    stage.begin_email(&member, "third", 3).await;
    assert_eq!(stage.verify_email(id, 3).await, EmailCodeTried::Right(address("third")));
    stage.begin_email(&member, "fourth", 4).await;
    let erased = stage.storage.accounts.erase(id, member.password_hash.clone()).await.unwrap();
    assert!(matches!(erased, Erasure::Erased { .. }), "{erased:?}");
    assert_eq!(stage.email(id).await, AccountEmail::default());
    assert_eq!(stage.begin_email(&member, "fifth", 5).await, EmailBegun::Changed);
    stage.storage.emails.set_language(id, MailLanguage::English).await.unwrap();
    assert_eq!(stage.email(id).await, AccountEmail::default());
}

/// A language is chosen with or without an address, and stays when the address goes.
pub async fn a_language_is_kept_with_or_without_an_address(stage: &Stage) {
    let member = member(stage).await;
    let id = member.account.id;
    for language in MailLanguage::ALL {
        stage.storage.emails.set_language(id, language).await.unwrap();
        assert_eq!(stage.email(id).await.language, Some(language));
    }
    stage.begin_email(&member, "first", 1).await;
    stage.verify_email(id, 1).await;
    stage.storage.emails.set_language(id, MailLanguage::English).await.unwrap();
    let email = stage.email(id).await;
    assert_eq!((email.address, email.language), (Some(address("first")), Some(MailLanguage::English)));
    assert!(stage.storage.emails.remove_email(id, member.password_hash.clone()).await.unwrap());
    assert_eq!(stage.email(id).await.language, Some(MailLanguage::English));
}
