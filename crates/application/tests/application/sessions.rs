//! Staying signed in, and what ends it.

use std::sync::Arc;

use boxoffice_application::{
    AccountService, Identity,
    accounts::{ChangeAccount, ChangePasswordError, ConfirmedError, EraseError, RefreshError, SignIn, SignInError},
};
use boxoffice_domain::{
    AccountId, SessionId, StorageError,
    accounts::{
        AccessTokenError, AccountChange, ClientName, MockSessions, Password, RefreshHash, Role, Session, SessionsToEnd,
    },
    fixtures::instant,
};
use boxoffice_peers::{Announcement, MemoryPeers, Topic};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    accounts::{PASSWORD, assert_only_mine_is_ended, login_id, refresh_token, session_and_secret, typed},
    support::{World, assert_not_signed_in, assert_refused, mock},
};

const REFRESH_SECONDS: i64 = 30 * 24 * 60 * 60;

/// A service of another process over the same storage, that has read what was revoked.
async fn restarted(world: &World) -> AccountService {
    let service = world.account_service();
    service.read_revocations().await.unwrap();
    service
}

#[tokio::test]
async fn another_role_counts_at_once_here_at_the_peers_and_after_a_restart() {
    let (mut world, account) = World::signed_up().await;
    let peers = Arc::new(MemoryPeers::default());
    let mut published = peers.subscribe();
    world.peers = peers;
    let (service, peer) = (world.account_service(), world.account_service());
    let role = |role| ChangeAccount { role: Some(role), ..ChangeAccount::default() };
    service.change(&login_id(), role(Role::Promoter)).await.unwrap();
    let tokens = world.sign_in().await.unwrap();
    assert_eq!(service.authenticate(&tokens.access_token).unwrap().role, Role::Promoter);
    while published.try_next().is_some() {}

    world.stage.clock.advance_seconds(1);
    service.change(&login_id(), role(Role::Customer)).await.unwrap();
    // The token says what is no longer so. The session goes on, and the next token says what is so.
    assert_eq!(service.authenticate(&tokens.access_token), Err(AccessTokenError::Expired));
    assert!(peer.authenticate(&tokens.access_token).is_ok(), "it has not heard of it");
    let Some(Announcement::Published { topic: Topic::Sessions, text }) = published.try_next() else {
        panic!("it was published")
    };
    assert_eq!(*text, *format!("account {} 2", account.id));
    peer.apply_revocation(&text);
    for service in [&service, &peer, &restarted(&world).await] {
        assert_eq!(service.authenticate(&tokens.access_token), Err(AccessTokenError::Expired));
    }
    let next = peer.refresh(&tokens.refresh_token).await.unwrap();
    for service in [&service, &peer, &restarted(&world).await] {
        assert_eq!(service.authenticate(&next.access_token).unwrap().role, Role::Customer);
    }
    // The role that it has already changes nothing.
    world.stage.clock.advance_seconds(1);
    service.change(&login_id(), role(Role::Customer)).await.unwrap();
    assert!(service.authenticate(&next.access_token).is_ok());
    assert!(published.try_next().is_none());
}

#[tokio::test]
async fn what_ended_stays_refused_after_a_restart_and_at_an_instance_that_missed_it() {
    let (world, mine, other) = World::signed_in_twice().await;
    let (service, deaf) = (world.account_service(), restarted(&world).await);
    let identity = service.authenticate(&mine.access_token).unwrap();
    world.stage.clock.advance_seconds(800);
    service.sign_out(identity).await.unwrap();
    assert_only_mine_is_ended(&restarted(&world).await, &mine, &other);
    assert!(deaf.authenticate(&mine.access_token).is_ok(), "it missed the announcement");
    assert!(!deaf.revocations.is_missed());
    deaf.revocations.mark_missed();
    assert!(deaf.revocations.is_missed());
    deaf.read_revocations().await.unwrap();
    assert_only_mine_is_ended(&deaf, &mine, &other);
}

#[tokio::test]
async fn what_could_not_be_read_is_still_missed() {
    let (mut world, _) = World::signed_up().await;
    world.stage.storage.sessions = mock(|sessions: &mut MockSessions| {
        sessions.expect_revoked_since().times(1).return_once(|_| Err(StorageError::Busy));
    });
    let service = world.account_service();
    assert_refused!(service.read_revocations().await, StorageError::Busy);
    assert!(service.revocations.is_missed());
}

#[tokio::test]
async fn a_token_that_outlasts_what_is_known_of_its_session_counts_as_expired() {
    let (world, _) = World::signed_up().await;
    let mut longer = world.account_service();
    longer.settings.access_seconds = 86_400;
    let tokens = longer.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    assert!(longer.authenticate(&tokens.access_token).is_ok());
    let service = world.account_service();
    assert_eq!(service.authenticate(&tokens.access_token), Err(AccessTokenError::Expired));
    assert!(service.refresh(&tokens.refresh_token).await.is_ok());
}

// Refreshing

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_pair_with_the_role_of_now() {
    let (world, account) = World::signed_up().await;
    let first = world.sign_in().await.unwrap();
    let promoter = AccountChange { role: Some(Role::Promoter), ..AccountChange::default() };
    world.stage.storage.accounts.change(&login_id(), promoter).await.unwrap();
    let service = world.account_service();
    let next = service.refresh(&first.refresh_token).await.unwrap();
    let (session_id, _) = session_and_secret(&first.refresh_token);
    let identity = service.authenticate(&next.access_token).unwrap();
    assert_eq!((identity.account_id, identity.session_id, identity.role), (account.id, session_id, Role::Promoter));
    assert!(service.refresh(&next.refresh_token).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_a_refresh_token_is_invalid_and_no_session_is_touched() {
    let mut world = World::new().await;
    world.close();
    let good = refresh_token(SessionId::new(Uuid::from_u128(3)), [7; 32]);
    let texts = [
        "",
        "x",
        "not/base64url+",
        &good[..62],
        &good[..63],
        &format!("{good}AA"),
        &format!("{good}="),
        &good.repeat(100),
    ];
    for text in texts {
        assert_refused!(world.account_service().refresh(text).await, RefreshError::Invalid);
    }
}

#[tokio::test]
async fn the_former_refresh_token_gives_the_same_pair_for_a_while_and_ends_the_session_afterwards() {
    let (world, mine, other) = World::signed_in_twice().await;
    let (service, elsewhere) = (world.account_service(), world.account_service());
    world.stage.clock.advance_seconds(100);
    let next = service.refresh(&mine.refresh_token).await.unwrap();
    assert_ne!(next.refresh_token, mine.refresh_token);
    for passed in [0, 10, 9] {
        world.stage.clock.advance_seconds(passed);
        for service in [&service, &elsewhere] {
            let again = service.refresh(&mine.refresh_token).await.unwrap();
            assert_eq!(again.refresh_token, next.refresh_token);
            let claims = service.authenticate(&again.access_token).unwrap();
            assert_eq!(claims, service.authenticate(&next.access_token).unwrap());
        }
    }
    // It says how long it is valid from now on.
    assert_eq!(service.refresh(&mine.refresh_token).await.unwrap().expires_in_seconds, 900 - 19);
    assert!(service.authenticate(&mine.access_token).is_ok());
    world.stage.clock.advance_seconds(1);
    assert_refused!(service.refresh(&mine.refresh_token).await, RefreshError::Reused { .. });
    assert_only_mine_is_ended(&service, &mine, &other);
    assert_only_mine_is_ended(&restarted(&world).await, &next, &other);
    assert_refused!(service.refresh(&next.refresh_token).await, RefreshError::Invalid);
}

#[tokio::test]
async fn twenty_refreshes_at_once_give_one_pair() {
    let (world, _) = World::signed_up().await;
    let tokens = world.sign_in().await.unwrap();
    let service = Arc::new(world.account_service());
    let together = boxoffice_contracts::storage::at_once(0..20, |_| {
        let (service, token) = (service.clone(), tokens.refresh_token.clone());
        async move { service.refresh(&token).await.unwrap().refresh_token }
    });
    let pairs = together.await;
    assert!(pairs.iter().all(|pair| *pair == pairs[0]));
    assert!(service.refresh(&pairs[0]).await.is_ok());
}

#[tokio::test]
async fn a_token_of_long_ago_ends_the_session_but_not_within_the_grace_of_another_exchange() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let mut newest = mine.clone();
    for _ in 0..3 {
        newest = service.refresh(&newest.refresh_token).await.unwrap();
    }
    // It was exchanged a moment ago, as far as can be known: that ends nothing, and gives nothing.
    assert_refused!(service.refresh(&mine.refresh_token).await, RefreshError::Invalid);
    assert!(service.authenticate(&newest.access_token).is_ok());
    world.stage.clock.advance_seconds(20);
    assert_refused!(service.refresh(&mine.refresh_token).await, RefreshError::Reused { .. });
    assert_only_mine_is_ended(&service, &newest, &other);
}

#[tokio::test]
async fn a_secret_that_the_session_never_gave_ends_nothing() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let next = service.refresh(&mine.refresh_token).await.unwrap();
    world.stage.clock.advance_seconds(3_600);
    let (mine_id, other_id) = (session_and_secret(&mine.refresh_token).0, session_and_secret(&other.refresh_token).0);
    let (_, spent_secret) = session_and_secret(&mine.refresh_token);
    let never = SessionId::new(Uuid::from_u128(0xF00));
    for (id, secret) in [(mine_id, [0; 32]), (mine_id, [9; 32]), (other_id, spent_secret), (never, spent_secret)] {
        assert_refused!(service.refresh(&refresh_token(id, secret)).await, RefreshError::Invalid);
    }
    assert!(service.refresh(&next.refresh_token).await.is_ok());
    assert!(service.refresh(&other.refresh_token).await.is_ok());
}

#[tokio::test]
async fn a_session_that_was_refreshed_meanwhile_is_looked_at_again() {
    let (mut world, mine, _) = World::signed_in_twice().await;
    let sessions = world.stage.storage.sessions.clone();
    let (session_id, _) = session_and_secret(&mine.refresh_token);
    let before = sessions.find(session_id).await.unwrap();
    let next = world.account_service().refresh(&mine.refresh_token).await.unwrap();
    world.stage.clock.advance_seconds(60);
    // The first look, as at a node that lags behind, shows the session before its last refresh.
    let found = std::sync::Mutex::new(vec![sessions.find(session_id).await.unwrap(), before]);
    world.stage.storage.sessions = mock(|mock: &mut MockSessions| {
        mock.expect_find().times(2).returning(move |_| Ok(found.lock().unwrap().pop().flatten()));
        mock.expect_end_reused().times(1).return_once(|_, _| Ok(false));
        let rotated_at = instant(60);
        mock.expect_rotate().times(1).return_once(move |_| Ok(Some(rotated_at)));
    });
    let service = world.account_service();
    assert!(service.refresh(&next.refresh_token).await.is_ok());
    assert!(service.authenticate(&mine.access_token).is_ok());
}

#[tokio::test]
async fn a_session_of_a_version_without_chain_keys_is_refreshed_and_gets_one() {
    let (world, account) = World::signed_up().await;
    let sessions = &world.stage.storage.sessions;
    let id = SessionId::new(Uuid::from_u128(0xF00));
    let session = Session {
        id,
        account_id: account.id,
        chain_key: None,
        refresh_hash: RefreshHash(Sha256::digest([5; 32]).into()),
        former_hash: None,
        created_at: instant(0),
        last_used_at: instant(0),
        expires_at: instant(REFRESH_SECONDS),
        ended_at: None,
        client: None,
        network: None,
    };
    let hash = world.stage.storage.accounts.credentials(&login_id()).await.unwrap().unwrap().password_hash;
    sessions.open(session, hash, 20).await.unwrap().unwrap();
    let service = world.account_service();
    assert_refused!(service.refresh(&refresh_token(id, [6; 32])).await, RefreshError::Invalid);
    let next = service.refresh(&refresh_token(id, [5; 32])).await.unwrap();
    assert_eq!(service.refresh(&refresh_token(id, [5; 32])).await.unwrap().refresh_token, next.refresh_token);
    assert!(service.refresh(&next.refresh_token).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_after_90_days_however_often_it_is_refreshed() {
    let (world, mut tokens, _) = World::signed_in_twice().await;
    let service = world.account_service();
    for day in (20..90).step_by(20) {
        world.stage.clock.set(instant(day * 86_400));
        tokens = service.refresh(&tokens.refresh_token).await.unwrap();
    }
    world.stage.clock.set(instant(90 * 86_400 - 1));
    tokens = service.refresh(&tokens.refresh_token).await.unwrap();
    world.stage.clock.set(instant(90 * 86_400));
    assert_refused!(service.refresh(&tokens.refresh_token).await, RefreshError::Invalid);
    let mut shorter = world.account_service();
    shorter.settings.session_days_max = 1;
    let tokens = shorter.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    let identity = shorter.authenticate(&tokens.access_token).unwrap();
    assert_eq!(shorter.own_sessions(identity).await.unwrap().len(), 1);
    // One that was opened under a longer limit is over under a shorter one.
    world.stage.clock.advance_seconds(86_400);
    assert_eq!(shorter.own_sessions(identity).await.unwrap(), []);
    assert_refused!(shorter.refresh(&tokens.refresh_token).await, RefreshError::Invalid);
}

#[tokio::test]
async fn a_refresh_token_of_an_unknown_session_or_a_failing_storage_ends_no_session() {
    let (mut world, mine, _) = World::signed_in_twice().await;
    for found in [Ok(None), Err(StorageError::Busy)] {
        world.stage.storage.sessions = mock(|sessions: &mut MockSessions| {
            sessions.expect_find().times(1).return_once(|_| found);
        });
        let service = world.account_service();
        assert!(service.refresh(&mine.refresh_token).await.is_err());
        assert!(service.authenticate(&mine.access_token).is_ok());
    }
}

// Looking at sessions, and ending them

#[tokio::test]
async fn the_caller_sees_the_own_sessions_with_their_clients() {
    let (world, _) = World::signed_up().await;
    let service = world.account_service();
    let sign_in = |text| SignIn { client: ClientName::new(text), ..typed("haneul", PASSWORD) };
    let first = service.sign_in(sign_in("Firefox")).await.unwrap();
    world.stage.clock.advance_seconds(10);
    let second = service.sign_in(sign_in("")).await.unwrap();
    let identity = service.authenticate(&second.access_token).unwrap();
    let shown = async || {
        let sessions = service.own_sessions(identity).await.unwrap();
        let shown = sessions.into_iter().map(|(session, current)| {
            (session.client.map(|client| client.as_str().to_owned()), session.last_used_at, current)
        });
        shown.collect::<Vec<_>>()
    };
    let firefox = Some("Firefox".to_owned());
    assert_eq!(shown().await, [(None, instant(10), true), (firefox.clone(), instant(0), false)]);
    world.stage.clock.advance_seconds(10);
    service.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(shown().await, [(firefox, instant(20), false), (None, instant(10), true)]);
}

#[tokio::test]
async fn the_caller_ends_one_session_or_all_others() {
    let (world, mine, other) = World::signed_in_twice().await;
    let third = world.sign_in().await.unwrap();
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    let (other_id, _) = session_and_secret(&other.refresh_token);
    assert!(service.end_sessions(identity, SessionsToEnd::One(other_id)).await.unwrap());
    assert!(!service.end_sessions(identity, SessionsToEnd::One(other_id)).await.unwrap(), "it has ended");
    assert_only_mine_is_ended(&service, &other, &third);
    assert!(service.end_sessions(identity, SessionsToEnd::AllBut(identity.session_id)).await.unwrap());
    assert_only_mine_is_ended(&service, &third, &mine);
    assert_only_mine_is_ended(&restarted(&world).await, &third, &mine);
}

#[tokio::test]
async fn one_session_too_many_ends_the_oldest_at_once() {
    let (world, first, second) = World::signed_in_twice().await;
    let mut service = world.account_service();
    service.settings.sessions_per_account = 2;
    service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    let ended = [&first, &second].map(|tokens| service.authenticate(&tokens.access_token).is_err());
    assert_eq!(ended.iter().filter(|ended| **ended).count(), 1, "they were opened at the same instant");
}

#[tokio::test]
async fn a_locked_account_is_answered_as_a_wrong_password_is() {
    let (world, mine, _) = World::signed_in_twice().await;
    let service = world.account_service();
    let lock = |locked| ChangeAccount { locked: Some(locked), ..ChangeAccount::default() };
    let (_, ended) = service.change(&login_id(), lock(true)).await.unwrap().unwrap();
    assert_eq!(ended, 2);
    assert_eq!(service.authenticate(&mine.access_token), Err(AccessTokenError::Invalid));
    for service in [&service, &restarted(&world).await] {
        assert!(service.authenticate(&mine.access_token).is_err());
        assert_refused!(service.refresh(&mine.refresh_token).await, RefreshError::Invalid);
        assert_not_signed_in!(service.sign_in(typed("haneul", PASSWORD)).await, SignInError::InvalidCredentials);
    }
    service.change(&login_id(), lock(false)).await.unwrap();
    let tokens = service.sign_in(typed("haneul", PASSWORD)).await.unwrap();
    assert!(service.authenticate(&tokens.access_token).is_ok());
    let end = ChangeAccount { end_sessions: true, ..ChangeAccount::default() };
    assert_eq!(service.change(&login_id(), end).await.unwrap().unwrap().1, 1);
    assert!(service.authenticate(&tokens.access_token).is_err());
}

#[tokio::test]
async fn an_erased_account_is_gone_for_everybody() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    let refused = service.erase(identity, "wrong horse").await;
    assert_refused!(refused, EraseError::Confirmed(ConfirmedError::InvalidCredentials));
    world.stage.charge(identity.account_id, 1).await;
    assert_refused!(service.erase(identity, PASSWORD).await, EraseError::InUse);
    assert!(service.authenticate(&other.access_token).is_ok());

    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    service.erase(identity, PASSWORD).await.unwrap();
    for service in [&service, &restarted(&world).await] {
        for tokens in [&mine, &other] {
            assert!(service.authenticate(&tokens.access_token).is_err());
            assert_refused!(service.refresh(&tokens.refresh_token).await, RefreshError::Invalid);
        }
        let login_id = format!("erased-{}", identity.account_id.uuid().simple());
        for login_id in ["haneul", &login_id] {
            assert_not_signed_in!(service.sign_in(typed(login_id, PASSWORD)).await, SignInError::InvalidCredentials);
        }
    }
    let refused = service.erase(identity, PASSWORD).await;
    assert_refused!(refused, EraseError::Confirmed(ConfirmedError::InvalidCredentials));
}

#[tokio::test]
async fn the_caller_changes_the_password_and_goes_on_alone() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    let next = || Password::new("another horse").unwrap();
    for wrong in ["wrong horse", "short", ""] {
        let refused = service.change_password(identity, wrong, next()).await;
        assert_refused!(refused, ChangePasswordError::Confirmed(ConfirmedError::InvalidCredentials));
    }
    assert!(service.authenticate(&other.access_token).is_ok());
    service.change_password(identity, PASSWORD, next()).await.unwrap();
    assert_only_mine_is_ended(&service, &other, &mine);
    assert!(service.refresh(&mine.refresh_token).await.is_ok());
    assert_not_signed_in!(service.sign_in(typed("haneul", PASSWORD)).await, SignInError::InvalidCredentials);
    assert!(service.sign_in(typed("haneul", "another horse")).await.is_ok());
    let gone = Identity { account_id: AccountId::new(Uuid::from_u128(0xF00)), ..identity };
    assert_refused!(
        service.change_password(gone, PASSWORD, next()).await,
        ChangePasswordError::Confirmed(ConfirmedError::InvalidCredentials)
    );
}

// Signing out, and authenticating

#[tokio::test]
async fn an_access_token_is_invalid_after_signing_out() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    service.sign_out(identity).await.unwrap();
    assert_only_mine_is_ended(&service, &mine, &other);
    assert_refused!(service.refresh(&mine.refresh_token).await, RefreshError::Invalid);
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_goes_on() {
    let (mut world, mine, _) = World::signed_in_twice().await;
    world.stage.storage.sessions = mock(|sessions: &mut MockSessions| {
        sessions.expect_end().times(1).return_once(|_| Err(StorageError::Busy));
    });
    let service = world.account_service();
    let identity = service.authenticate(&mine.access_token).unwrap();
    assert_refused!(service.sign_out(identity).await, StorageError::Busy);
    assert!(service.authenticate(&mine.access_token).is_ok());
}

#[tokio::test]
async fn a_session_that_a_peer_has_ended_is_refused_here_and_what_is_no_session_ends_none() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let (session_id, _) = session_and_secret(&mine.refresh_token);
    for text in ["not a session", "account", "account 1 2", &format!("account {session_id} x")] {
        service.apply_revocation(text);
    }
    assert!(service.authenticate(&mine.access_token).is_ok());
    service.apply_revocation(&session_id.to_string());
    assert_only_mine_is_ended(&service, &mine, &other);
}

#[tokio::test]
async fn the_caller_is_shown_the_own_account() {
    let (world, account) = World::signed_up().await;
    let service = world.account_service();
    let identity = service.authenticate(&world.sign_in().await.unwrap().access_token).unwrap();
    assert_eq!(service.me(identity).await.unwrap(), Some(account));
}

#[tokio::test]
async fn an_ended_session_stays_ended_however_many_end_after_it() {
    let (world, mine, other) = World::signed_in_twice().await;
    let service = world.account_service();
    let mut identity = service.authenticate(&mine.access_token).unwrap();
    service.sign_out(identity).await.unwrap();
    for number in 1_000..11_010 {
        identity.session_id = SessionId::new(Uuid::from_u128(number));
        service.sign_out(identity).await.unwrap();
    }
    assert_only_mine_is_ended(&service, &mine, &other);
}
