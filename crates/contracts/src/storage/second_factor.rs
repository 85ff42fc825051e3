//! Second factors.

use boxoffice_domain::{
    AccountId, EntropySource, SessionId,
    accounts::{
        AccountChange, CODE_ATTEMPTS_FREE, ChainKey, CodeAttempt, Confirmation, FactorChanged, PasswordHash,
        RecoveryHash, RefreshHash, RightCode, SecondFactor, Session, TotpSecret,
    },
    fixtures::TestEntropy,
};
use chrono::TimeDelta;

use super::{Stage, at_once, credentials};

fn secret(number: u8) -> TotpSecret {
    TotpSecret([number; 20])
}

/// A new account with a session and its password hash.
async fn member(stage: &Stage) -> (AccountId, SessionId, PasswordHash) {
    let credentials = credentials(stage.now());
    stage.storage.accounts.create(credentials.clone()).await.unwrap();
    let (id, hash) = (credentials.account.id, credentials.password_hash);
    (id, session(stage, id, &hash).await, hash)
}

async fn session(stage: &Stage, account_id: AccountId, hash: &PasswordHash) -> SessionId {
    let session = Session {
        id: SessionId::new(TestEntropy.uuid()),
        account_id,
        chain_key: Some(ChainKey([7; 32])),
        refresh_hash: RefreshHash([0; 32]),
        former_hash: None,
        created_at: stage.now(),
        last_used_at: stage.now(),
        expires_at: stage.now() + TimeDelta::days(1),
        ended_at: None,
        client: None,
        network: None,
    };
    let id = session.id;
    stage.storage.sessions.open(session, hash.clone(), 100).await.unwrap().expect("it is opened");
    id
}

impl Stage {
    async fn begin_factor(&self, account_id: AccountId, number: u8) -> bool {
        let factor = SecondFactor::new(account_id, secret(number), self.now());
        self.storage.factors.begin(factor).await.expect("the storage works")
    }

    /// Confirms the factor with the key `number` by a code of the step `number`.
    async fn confirm_factor(&self, account_id: AccountId, number: u8, kept: SessionId) -> Option<FactorChanged> {
        let recovery_hashes = vec![RecoveryHash([1; 32]), RecoveryHash([2; 32])];
        let code = RightCode::Step(number.into());
        let confirmation = Confirmation { account_id, secret: secret(number), code, recovery_hashes, kept };
        self.storage.factors.confirm(confirmation).await.expect("the storage works")
    }

    async fn factor(&self, account_id: AccountId) -> Option<SecondFactor> {
        self.storage.factors.find_factor(account_id).await.expect("the storage works")
    }

    async fn second_factor_at(&self, session_id: SessionId) -> Option<boxoffice_domain::Timestamp> {
        let (_, member) = self.storage.sessions.find(session_id).await.unwrap().expect("there is a session");
        member.standing.second_factor_at
    }
}

/// A factor can be begun again and again until it is confirmed, and signing in does not ask for it before.
pub async fn a_factor_is_begun_until_it_is_confirmed(stage: &Stage) {
    let (id, session_id, _) = member(stage).await;
    assert_eq!(stage.factor(id).await, None);
    assert!(stage.begin_factor(id, 1).await);
    stage.clock.advance_seconds(1);
    assert!(stage.begin_factor(id, 2).await);
    assert_eq!(stage.factor(id).await, Some(SecondFactor::new(id, secret(2), stage.now())));
    assert_eq!(stage.second_factor_at(session_id).await, None);
    assert!(!stage.storage.factors.take(id, RightCode::Step(9)).await.unwrap(), "it is not confirmed");
    assert_eq!(stage.confirm_factor(id, 1, session_id).await, None, "another one was begun");
    stage.clock.advance_seconds(1);
    let changed = stage.confirm_factor(id, 2, session_id).await;
    assert_eq!(changed, Some(FactorChanged { ended_sessions: Vec::new(), access_version: 1 }));
    assert_eq!(stage.second_factor_at(session_id).await, Some(stage.now()));
    stage.clock.advance_seconds(1);
    assert_eq!(stage.confirm_factor(id, 2, session_id).await, None);
    assert!(!stage.begin_factor(id, 3).await);
    let factor = stage.factor(id).await.unwrap();
    assert_eq!((factor.secret, factor.last_step, factor.recovery_hashes.len()), (secret(2), 2, 2));
}

/// Turning a factor on ends the sessions that were opened without it, but for the one that did it.
pub async fn confirming_a_factor_ends_the_other_sessions(stage: &Stage) {
    let (id, kept, hash) = member(stage).await;
    let other = session(stage, id, &hash).await;
    let (_, of_another, _) = member(stage).await;
    stage.begin_factor(id, 1).await;
    let changed = stage.confirm_factor(id, 1, kept).await;
    assert_eq!(changed, Some(FactorChanged { ended_sessions: vec![other], access_version: 1 }));
    for (session_id, goes_on) in [(kept, true), (other, false), (of_another, true)] {
        let (session, _) = stage.storage.sessions.find(session_id).await.unwrap().unwrap();
        assert_eq!(session.is_living(stage.now()), goes_on);
    }
}

/// A right code of the device is taken once, and no earlier one after it; a recovery code is taken once.
pub async fn a_code_is_taken_once(stage: &Stage) {
    let (id, kept, _) = member(stage).await;
    let (other, _, _) = member(stage).await;
    for account_id in [id, other] {
        stage.begin_factor(account_id, 1).await;
        stage.confirm_factor(account_id, 1, kept).await;
    }
    let recovery = RightCode::Recovery(RecoveryHash([1; 32]));
    for code in [RightCode::Step(5), recovery] {
        let taken = at_once(0..10, |_| {
            let factors = stage.storage.factors.clone();
            async move { factors.take(id, code).await.unwrap() }
        });
        assert_eq!(taken.await.iter().filter(|taken| **taken).count(), 1);
    }
    assert!(!stage.storage.factors.take(id, RightCode::Step(4)).await.unwrap());
    assert!(!stage.storage.factors.take(id, RightCode::Recovery(RecoveryHash([9; 32]))).await.unwrap());
    assert_eq!(stage.factor(id).await.unwrap().recovery_hashes, [RecoveryHash([2; 32])]);
    assert!(stage.storage.factors.take(other, recovery).await.unwrap(), "another account has its own");
}

/// An attempt is counted before it is made, so that many at once are no more than the free ones; a right code gives all
/// back.
pub async fn no_more_codes_are_tried_at_once_than_may_be(stage: &Stage) {
    let (id, kept, _) = member(stage).await;
    assert_eq!(stage.storage.factors.attempt(id).await.unwrap(), CodeAttempt::Missing);
    stage.begin_factor(id, 1).await;
    stage.confirm_factor(id, 1, kept).await;
    let attempts = at_once(0..20, |_| {
        let factors = stage.storage.factors.clone();
        async move { factors.attempt(id).await.unwrap() }
    });
    let allowed = attempts.await.into_iter().filter(|attempt| matches!(attempt, CodeAttempt::Allowed(_))).count();
    assert_eq!(allowed, CODE_ATTEMPTS_FREE as usize);
    let attempt = async || stage.storage.factors.attempt(id).await.unwrap();
    assert_eq!(attempt().await, CodeAttempt::TooMany { seconds_left: 60 });
    stage.clock.advance_seconds(60);
    let CodeAttempt::Allowed(factor) = attempt().await else { panic!("it has waited") };
    assert_eq!((factor.attempts_count, factor.attempted_at), (CODE_ATTEMPTS_FREE + 1, Some(stage.now())));
    assert_eq!(attempt().await, CodeAttempt::TooMany { seconds_left: 120 });
    assert!(stage.storage.factors.take(id, RightCode::Step(7)).await.unwrap());
    let CodeAttempt::Allowed(factor) = attempt().await else { panic!("a right code was taken") };
    assert_eq!(factor.attempts_count, 1);
}

/// The holder removes a factor with the password, the operator by the login id; another one can be begun then.
pub async fn a_factor_is_removed_by_its_holder_and_by_the_operator(stage: &Stage) {
    let (id, kept, hash) = member(stage).await;
    let remove = |hash: &PasswordHash| stage.storage.factors.remove(id, hash.clone());
    assert_eq!(remove(&hash).await.unwrap(), None);
    stage.begin_factor(id, 1).await;
    stage.confirm_factor(id, 1, kept).await;
    stage.clock.advance_seconds(1);
    assert_eq!(remove(&PasswordHash("$argon2id$wrong".to_owned())).await.unwrap(), None);
    let changed = remove(&hash).await.unwrap();
    assert_eq!(changed, Some(FactorChanged { ended_sessions: Vec::new(), access_version: 2 }));
    assert_eq!((stage.factor(id).await, stage.second_factor_at(kept).await), (None, None));

    stage.clock.advance_seconds(1);
    assert!(stage.begin_factor(id, 2).await);
    assert!(stage.confirm_factor(id, 2, kept).await.is_some());
    stage.clock.advance_seconds(1);
    let account = stage.storage.accounts.find(id).await.unwrap().unwrap();
    let change = AccountChange { remove_second_factor: true, ..AccountChange::default() };
    let changed = stage.storage.accounts.change(&account.login_id, change).await.unwrap().unwrap();
    assert_eq!((changed.ended_sessions, changed.access_version), (vec![kept], Some(4)));
    assert_eq!((stage.factor(id).await, stage.second_factor_at(kept).await), (None, None));
}
