//! Sessions, and what ends them.

use std::net::Ipv4Addr;

use boxoffice_domain::{
    AccountId, EntropySource, Network, SessionId, Timestamp,
    accounts::{
        Account, AccountChange, ChainKey, ClientName, Erasure, Member, PasswordChange, PasswordHash, RefreshHash,
        Revoked, Role, RotateRequest, Session, SessionsToEnd, Standing,
    },
    fixtures::{TestEntropy, instant},
};
use chrono::TimeDelta;

use super::{Stage, at_once, credentials};

/// More sessions than any of these tests opens for an account, but for those about this number.
const SESSIONS_MAX: u32 = 1_000;

/// A session opened for a new account, with the account and the one valid secret.
async fn opened(stage: &Stage) -> (Account, Session) {
    let credentials = credentials(stage.now());
    stage.storage.accounts.create(credentials.clone()).await.unwrap();
    let session = Session {
        id: SessionId::new(TestEntropy.uuid()),
        account_id: credentials.account.id,
        chain_key: Some(ChainKey([7; 32])),
        refresh_hash: RefreshHash([0; 32]),
        former_hash: None,
        created_at: stage.now(),
        last_used_at: stage.now(),
        expires_at: stage.now() + TimeDelta::days(1),
        ended_at: None,
        client: ClientName::new("curl/8.5"),
        network: Some(Network::of(Ipv4Addr::new(192, 0, 2, 7).into())),
    };
    assert_eq!(stage.open(&session, credentials.password_hash, SESSIONS_MAX).await, Some(Vec::new()));
    (credentials.account, session)
}

/// Another session of the account of a session, opened now.
async fn reopened(stage: &Stage, session: &Session) -> Session {
    let session = another(stage, session);
    let opened = stage.open(&session, password_hash(stage, &session).await, SESSIONS_MAX).await;
    assert_eq!(opened, Some(Vec::new()));
    session
}

/// As a session of its account that is opened now.
fn another(stage: &Stage, session: &Session) -> Session {
    let (id, now) = (SessionId::new(TestEntropy.uuid()), stage.now());
    Session { id, created_at: now, last_used_at: now, expires_at: now + TimeDelta::days(1), ..session.clone() }
}

/// The password hash that the account of a session has now.
async fn password_hash(stage: &Stage, session: &Session) -> PasswordHash {
    let account = stage.storage.accounts.find(session.account_id).await.unwrap().expect("there is an account");
    stage.storage.accounts.credentials(&account.login_id).await.unwrap().expect("it has credentials").password_hash
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash(format!("$argon2id${text}"))
}

fn sorted(mut ids: Vec<SessionId>) -> Vec<SessionId> {
    ids.sort_unstable();
    ids
}

impl Stage {
    async fn open(&self, session: &Session, verified: PasswordHash, sessions_max: u32) -> Option<Vec<SessionId>> {
        let opened = self.storage.sessions.open(session.clone(), verified, sessions_max).await;
        opened.expect("the storage works")
    }

    /// Exchanges the secret `presented` of a session for `next`.
    async fn rotate(&self, session: &Session, presented: u8, next: u8) -> Option<Timestamp> {
        let request = RotateRequest {
            session_id: session.id,
            chain_key: ChainKey([7; 32]),
            presented: RefreshHash([presented; 32]),
            next: RefreshHash([next; 32]),
            expires_at: self.now() + TimeDelta::days(1),
        };
        self.storage.sessions.rotate(request).await.expect("the storage works")
    }

    async fn found(&self, session: &Session) -> (Session, Member) {
        self.storage.sessions.find(session.id).await.expect("the storage works").expect("there is one")
    }

    async fn goes_on(&self, session: &Session) -> bool {
        self.found(session).await.0.is_living(self.now())
    }
}

/// A session is found as it was opened and refreshed, with its account as it is now.
pub async fn a_session_is_found_as_it_is_with_its_account(stage: &Stage) {
    let (account, session) = opened(stage).await;
    let member = Member { account: account.clone(), standing: Standing::default() };
    assert_eq!(stage.found(&session).await, (session.clone(), member));
    let bare = Session { chain_key: None, client: None, network: None, ..another(stage, &session) };
    stage.open(&bare, password_hash(stage, &bare).await, SESSIONS_MAX).await;
    assert_eq!(stage.found(&bare).await.0, bare);

    stage.clock.advance_seconds(10);
    assert_eq!(stage.rotate(&bare, 0, 1).await, Some(stage.now()));
    let promoter = AccountChange { role: Some(Role::Promoter), ..AccountChange::default() };
    stage.storage.accounts.change(&account.login_id, promoter).await.unwrap();
    let expected = Session {
        chain_key: Some(ChainKey([7; 32])),
        refresh_hash: RefreshHash([1; 32]),
        former_hash: Some(RefreshHash([0; 32])),
        last_used_at: stage.now(),
        expires_at: stage.now() + TimeDelta::days(1),
        ..bare
    };
    let standing = Standing { access_version: 1, access_changed_at: Some(stage.now()), ..Standing::default() };
    let account = Account { role: Role::Promoter, ..account };
    assert_eq!(stage.found(&expected).await, (expected, Member { account, standing }));
    stage.clock.advance_seconds(10);
    stage.storage.sessions.end(session.id).await.unwrap();
    assert_eq!(stage.found(&session).await.0, Session { ended_at: Some(stage.now()), ..session });
    let never = SessionId::new(TestEntropy.uuid());
    assert!(stage.storage.sessions.find(never).await.unwrap().is_none());
    stage.storage.sessions.end(never).await.unwrap();
}

/// A secret is exchanged once. Asking again for the same next secret is answered as the first time, and changes nothing.
pub async fn a_refresh_secret_is_exchanged_once(stage: &Stage) {
    let (_, session) = opened(stage).await;
    let (_, untouched) = opened(stage).await;
    stage.clock.advance_seconds(10);
    let first = Some(stage.now());
    assert_eq!(stage.rotate(&session, 0, 1).await, first);
    stage.clock.advance_seconds(10);
    assert_eq!(stage.rotate(&session, 0, 1).await, first);
    assert_eq!(stage.rotate(&session, 0, 9).await, None);
    assert_eq!(stage.rotate(&session, 1, 2).await, Some(stage.now()));
    for (presented, next) in [(0, 1), (1, 3), (0, 3), (9, 3)] {
        assert_eq!(stage.rotate(&session, presented, next).await, None, "{presented}");
    }
    assert!(stage.goes_on(&session).await, "what is refused ends nothing");
    assert_eq!(stage.found(&untouched).await.0, untouched);
}

/// A session lasts until it is ended or not refreshed in time; refreshing prolongs it.
pub async fn a_session_that_ended_or_lapsed_or_never_was_is_not_refreshed(stage: &Stage) {
    let (_, ended) = opened(stage).await;
    stage.storage.sessions.end(ended.id).await.unwrap();
    stage.storage.sessions.end(ended.id).await.unwrap();
    assert_eq!(stage.rotate(&ended, 0, 1).await, None);
    let never = Session { id: SessionId::new(TestEntropy.uuid()), ..ended };
    assert_eq!(stage.rotate(&never, 0, 1).await, None);

    let (_, lapsed) = opened(stage).await;
    let (_, living) = opened(stage).await;
    stage.clock.set(living.expires_at - TimeDelta::microseconds(1));
    assert!(stage.rotate(&living, 0, 1).await.is_some());
    stage.clock.set(lapsed.expires_at);
    assert_eq!(stage.rotate(&lapsed, 0, 1).await, None);
    stage.clock.set(instant(86_400 + 86_399));
    assert!(stage.rotate(&living, 1, 2).await.is_some());
}

/// Of several that exchange one secret together, for secrets of their own, one is served. All that exchange it for the same
/// one are served alike.
pub async fn one_of_twenty_rotations_at_once_is_made(stage: &Stage) {
    let (_, session) = opened(stage).await;
    let rotate = |next| {
        let (stage, session) = (stage.clone(), session.clone());
        async move { (next, stage.rotate(&session, 0, next).await) }
    };
    let outcomes = at_once(1..=20_u8, rotate).await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_some()).map(|(next, _)| *next).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(stage.found(&session).await.0.refresh_hash, RefreshHash([winners[0]; 32]));

    let (_, session) = opened(stage).await;
    let together = at_once(0..20, |_| {
        let (stage, session) = (stage.clone(), session.clone());
        async move { stage.rotate(&session, 0, 1).await }
    });
    assert!(together.await.iter().all(|outcome| *outcome == Some(stage.now())));
}

/// The end for a spent secret comes only if the session has not been refreshed since it was looked at.
pub async fn a_session_that_was_refreshed_meanwhile_does_not_end_for_a_spent_secret(stage: &Stage) {
    let (_, session) = opened(stage).await;
    let sessions = &stage.storage.sessions;
    stage.rotate(&session, 0, 1).await;
    assert!(!sessions.end_reused(session.id, RefreshHash([0; 32])).await.unwrap());
    assert!(stage.goes_on(&session).await);
    for _ in 0..2 {
        assert!(sessions.end_reused(session.id, RefreshHash([1; 32])).await.unwrap());
        assert!(!stage.goes_on(&session).await);
    }
    assert_eq!(sessions.revoked_since(instant(0)).await.unwrap().sessions, [session.id]);
    assert!(!sessions.end_reused(SessionId::new(TestEntropy.uuid()), RefreshHash([1; 32])).await.unwrap());
}

/// The sessions of an account that go on are listed, the oldest first.
pub async fn the_sessions_of_an_account_are_those_that_go_on(stage: &Stage) {
    let (_, first) = opened(stage).await;
    let (_, of_another) = opened(stage).await;
    stage.clock.advance_seconds(10);
    let second = reopened(stage, &first).await;
    let ended = reopened(stage, &first).await;
    stage.storage.sessions.end(ended.id).await.unwrap();
    let list = async |session: &Session| stage.storage.sessions.list(session.account_id).await.unwrap();
    assert_eq!(list(&first).await, [first.clone(), second.clone()]);
    assert_eq!(list(&of_another).await, [of_another]);
    stage.clock.set(first.expires_at);
    assert_eq!(list(&first).await, std::slice::from_ref(&second));
    stage.clock.set(second.expires_at);
    assert_eq!(list(&first).await, []);
}

/// One more session than an account may have ends the oldest; other accounts are not touched.
pub async fn one_session_too_many_ends_the_oldest(stage: &Stage) {
    let (_, first) = opened(stage).await;
    let (_, of_another) = opened(stage).await;
    let verified = password_hash(stage, &first).await;
    let mut opened = vec![first.clone()];
    for _ in 0..2 {
        stage.clock.advance_seconds(1);
        let next = another(stage, &first);
        assert_eq!(stage.open(&next, verified.clone(), 3).await, Some(Vec::new()));
        opened.push(next);
    }
    // Using it makes it no younger.
    stage.rotate(&first, 0, 1).await;
    stage.clock.advance_seconds(1);
    let fourth = another(stage, &first);
    assert_eq!(stage.open(&fourth, verified.clone(), 3).await, Some(vec![first.id]));
    assert!(!stage.goes_on(&first).await);
    stage.clock.advance_seconds(1);
    let fifth = another(stage, &first);
    let expected = vec![opened[1].id, opened[2].id];
    assert_eq!(stage.open(&fifth, verified.clone(), 2).await, Some(expected), "the limit was lowered");
    for (session, goes_on) in [(&opened[1], false), (&fourth, true), (&fifth, true), (&of_another, true)] {
        assert_eq!(stage.goes_on(session).await, goes_on);
    }
    // Many at once end with as many as there may be.
    let together = (0..10).map(|_| another(stage, &first)).collect::<Vec<_>>();
    at_once(together, |session| {
        let (stage, verified) = (stage.clone(), verified.clone());
        async move { stage.open(&session, verified, 3).await.expect("it is opened") }
    })
    .await;
    assert_eq!(stage.storage.sessions.list(first.account_id).await.unwrap().len(), 3);
}

/// The holder of an account ends one session, or all but one; those of another account are not there for it.
pub async fn sessions_are_ended_by_their_account_alone(stage: &Stage) {
    let (_, first) = opened(stage).await;
    let (_, of_another) = opened(stage).await;
    let (second, third) = (reopened(stage, &first).await, reopened(stage, &first).await);
    let end =
        async |account_id: AccountId, which| sorted(stage.storage.sessions.end_of(account_id, which).await.unwrap());
    for id in [of_another.id, SessionId::new(TestEntropy.uuid())] {
        assert_eq!(end(first.account_id, SessionsToEnd::One(id)).await, []);
    }
    assert_eq!(end(first.account_id, SessionsToEnd::One(second.id)).await, [second.id]);
    stage.clock.advance_seconds(1);
    assert_eq!(end(first.account_id, SessionsToEnd::One(second.id)).await, [], "it has ended");
    let fourth = reopened(stage, &first).await;
    let expected = sorted(vec![third.id, fourth.id]);
    assert_eq!(end(first.account_id, SessionsToEnd::AllBut(first.id)).await, expected);
    for (session, goes_on) in [(&first, true), (&second, false), (&third, false), (&of_another, true)] {
        assert_eq!(stage.goes_on(session).await, goes_on);
    }
    let ended = sorted(stage.storage.sessions.revoked_since(instant(0)).await.unwrap().sessions);
    assert_eq!(ended, sorted(vec![second.id, third.id, fourth.id]));
}

/// What was revoked can be read from an instant on: sessions that ended, whatever ended them, and accounts whose access
/// tokens became void.
pub async fn what_was_revoked_is_read_from_an_instant_on(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let second = reopened(stage, &first).await;
    let (other, of_other) = opened(stage).await;
    let (_, going_on) = opened(stage).await;
    let sessions = &stage.storage.sessions;
    let revoked = async |seconds| {
        let Revoked { sessions, mut accounts } = sessions.revoked_since(instant(seconds)).await.unwrap();
        accounts.sort_unstable();
        Revoked { sessions: sorted(sessions), accounts }
    };
    assert_eq!(revoked(0).await, Revoked::default());

    stage.clock.set(instant(10));
    sessions.end(first.id).await.unwrap();
    stage.clock.set(instant(20));
    // Ending it again is no later end.
    sessions.end(first.id).await.unwrap();
    assert!(sessions.end_reused(second.id, second.refresh_hash).await.unwrap());
    stage.clock.set(instant(30));
    let change = |role, password_hash| AccountChange { role: Some(role), password_hash, ..AccountChange::default() };
    let port = &stage.storage.accounts;
    port.change(&other.login_id, change(Role::Customer, Some(hash("other")))).await.unwrap();
    port.change(&account.login_id, change(Role::Promoter, None)).await.unwrap();
    let all = sorted(vec![first.id, second.id, of_other.id]);
    let mut accounts = vec![(account.id, 1), (other.id, 1)];
    accounts.sort_unstable();
    assert_eq!(revoked(0).await, Revoked { sessions: all.clone(), accounts: accounts.clone() });
    assert_eq!(revoked(10).await.sessions, all);
    assert_eq!(revoked(21).await, Revoked { sessions: vec![of_other.id], accounts });
    stage.clock.set(instant(40));
    port.change(&account.login_id, change(Role::Customer, None)).await.unwrap();
    assert_eq!(revoked(31).await, Revoked { sessions: Vec::new(), accounts: vec![(account.id, 2)] });
    assert_eq!(revoked(41).await, Revoked::default());
    assert_eq!(stage.found(&going_on).await.1.standing, Standing::default());
    let again = reopened(stage, &first).await;
    let standing = Standing { access_version: 2, access_changed_at: Some(instant(40)), ..Standing::default() };
    assert_eq!(stage.found(&again).await.1.standing, standing);
}

/// A lock ends every session of the account in the same step, and lets none be opened until it is taken away.
pub async fn a_locked_account_has_no_sessions(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let (_, of_another) = opened(stage).await;
    let verified = password_hash(stage, &first).await;
    let lock = |locked| {
        let change = AccountChange { locked: Some(locked), ..AccountChange::default() };
        stage.storage.accounts.change(&account.login_id, change)
    };
    stage.clock.advance_seconds(1);
    assert_eq!(lock(true).await.unwrap().unwrap().ended_sessions, [first.id]);
    assert!(!stage.goes_on(&first).await && stage.goes_on(&of_another).await);
    assert_eq!(stage.open(&another(stage, &first), verified.clone(), SESSIONS_MAX).await, None);
    stage.clock.advance_seconds(1);
    assert_eq!(lock(false).await.unwrap().unwrap().ended_sessions, []);
    assert!(!stage.goes_on(&first).await);
    assert!(stage.open(&another(stage, &first), verified, SESSIONS_MAX).await.is_some());
    stage.clock.advance_seconds(1);
    let end = AccountChange { end_sessions: true, ..AccountChange::default() };
    let ended = stage.storage.accounts.change(&account.login_id, end).await.unwrap().unwrap().ended_sessions;
    assert_eq!(ended.len(), 1);
    assert_eq!(stage.storage.sessions.list(account.id).await.unwrap(), []);
}

/// An account that is erased loses its sessions with it.
pub async fn an_erased_account_has_no_sessions(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let (_, of_another) = opened(stage).await;
    let verified = password_hash(stage, &first).await;
    stage.clock.advance_seconds(1);
    let erased = stage.storage.accounts.erase(account.id, verified.clone()).await.unwrap();
    assert_eq!(erased, Erasure::Erased { access_version: 1 });
    assert!(stage.storage.sessions.find(first.id).await.unwrap().is_none());
    assert!(stage.goes_on(&of_another).await);
    assert_eq!(stage.open(&another(stage, &first), verified, SESSIONS_MAX).await, None);
    let accounts = vec![(account.id, 1)];
    assert_eq!(stage.storage.sessions.revoked_since(instant(0)).await.unwrap(), Revoked { accounts, sessions: vec![] });
}

/// Another password ends every session of the account in the same step, and no session of another one.
pub async fn another_password_ends_the_sessions_of_the_account(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let second = reopened(stage, &first).await;
    let ended_before = reopened(stage, &first).await;
    stage.storage.sessions.end(ended_before.id).await.unwrap();
    stage.clock.advance_seconds(1);
    let (_, of_another) = opened(stage).await;
    let change = |change| stage.storage.accounts.change(&account.login_id, change);

    let role_alone = AccountChange { role: Some(Role::Promoter), ..AccountChange::default() };
    assert_eq!(change(role_alone).await.unwrap().unwrap().ended_sessions, []);
    assert!(stage.goes_on(&first).await);

    let another_password = AccountChange { password_hash: Some(hash("other")), ..AccountChange::default() };
    let ended = change(another_password).await.unwrap().unwrap().ended_sessions;
    assert_eq!(sorted(ended), sorted(vec![first.id, second.id]));
    assert!(!stage.goes_on(&first).await && !stage.goes_on(&second).await);
    assert!(stage.goes_on(&of_another).await);
    let later = reopened(stage, &first).await;
    assert!(stage.goes_on(&later).await);
}

/// The holder of an account gives it another password, and all but one session end in the same step: once, and only for the
/// password that was verified.
pub async fn the_holder_changes_the_password_and_keeps_one_session(stage: &Stage) {
    let (_, kept) = opened(stage).await;
    let other = reopened(stage, &kept).await;
    let (_, of_another) = opened(stage).await;
    let verified = password_hash(stage, &kept).await;
    let change = |verified: &PasswordHash, next: &str| {
        let (verified, next) = (verified.clone(), hash(next));
        let change = PasswordChange { account_id: kept.account_id, verified, next, kept: kept.id };
        stage.storage.accounts.change_password(change)
    };
    assert_eq!(change(&hash("wrong"), "next").await.unwrap(), None);
    assert!(stage.goes_on(&other).await);
    assert_eq!(change(&verified, "next").await.unwrap(), Some(vec![other.id]));
    assert!(password_hash(stage, &kept).await == hash("next"));
    for (session, goes_on) in [(&kept, true), (&other, false), (&of_another, true)] {
        assert_eq!(stage.goes_on(session).await, goes_on);
    }
    assert_eq!(change(&verified, "late").await.unwrap(), None);
    let next = hash("next");
    let outcomes = at_once(0..10, |number| {
        let (accounts, verified) = (stage.storage.accounts.clone(), next.clone());
        let next = hash(&format!("at-once-{number}"));
        let change = PasswordChange { account_id: kept.account_id, verified, next, kept: kept.id };
        async move { accounts.change_password(change).await.unwrap() }
    });
    assert_eq!(outcomes.await.iter().flatten().count(), 1);
    let change = PasswordChange {
        account_id: AccountId::new(TestEntropy.uuid()),
        verified: hash("next"),
        next: hash("x"),
        kept: kept.id,
    };
    assert_eq!(stage.storage.accounts.change_password(change).await.unwrap(), None);
}

/// A hash is replaced by another one of the same password, if it is still the one that was verified, and all sessions go on.
pub async fn a_hash_is_renewed_once_and_the_sessions_go_on(stage: &Stage) {
    let (_, session) = opened(stage).await;
    let (_, of_another) = opened(stage).await;
    let (verified, untouched) = (password_hash(stage, &session).await, password_hash(stage, &of_another).await);
    let accounts = &stage.storage.accounts;
    accounts.renew_hash(session.account_id, verified.clone(), hash("renewed")).await.unwrap();
    assert!(password_hash(stage, &session).await == hash("renewed"));
    accounts.renew_hash(session.account_id, verified, hash("late")).await.unwrap();
    assert!(password_hash(stage, &session).await == hash("renewed"));
    assert!(password_hash(stage, &of_another).await == untouched);
    assert!(stage.goes_on(&session).await && stage.goes_on(&of_another).await);
}

/// A sign-in that has verified a password opens no session once the account has another one, whichever comes first.
pub async fn a_sign_in_that_is_under_way_does_not_outlive_another_password(stage: &Stage) {
    let (account, first) = opened(stage).await;
    let verified = password_hash(stage, &first).await;
    let next = || another(stage, &first);
    let change = |text: &str| AccountChange { password_hash: Some(hash(text)), ..AccountChange::default() };
    let role_alone = AccountChange { role: Some(Role::Promoter), ..AccountChange::default() };
    stage.storage.accounts.change(&account.login_id, role_alone).await.unwrap();
    let opened = stage.open(&next(), verified.clone(), SESSIONS_MAX).await;
    assert!(opened.is_some(), "another role is no other password");
    stage.storage.accounts.change(&account.login_id, change("other")).await.unwrap();
    let late = next();
    assert_eq!(stage.open(&late, verified.clone(), SESSIONS_MAX).await, None);
    assert!(stage.storage.sessions.find(late.id).await.unwrap().is_none());
    let never = Session { account_id: AccountId::new(TestEntropy.uuid()), ..next() };
    assert_eq!(stage.open(&never, verified, SESSIONS_MAX).await, None, "there is no such account");

    // Many at once: whatever was opened has ended.
    let verified = password_hash(stage, &first).await;
    let acts = (0..20_usize).map(|number| (number, next()));
    at_once(acts, |(number, session)| {
        let (stage, verified, login_id) = (stage.clone(), verified.clone(), account.login_id.clone());
        let another = change("third");
        async move {
            if number == 10 {
                stage.storage.accounts.change(&login_id, another).await.unwrap();
            } else {
                stage.open(&session, verified, SESSIONS_MAX).await;
            }
        }
    })
    .await;
    assert_eq!(stage.storage.sessions.list(first.account_id).await.unwrap(), []);
}
