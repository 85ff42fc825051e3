//! The way of mail to the mail server.

use super::*;

#[tokio::test]
async fn mail_that_is_due_is_sent_once_to_the_verified_address() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    let mails = post.queue(300).await;
    let mut sent = Vec::new();
    loop {
        let posted = post.sender(&server).send_due().await.unwrap();
        assert_eq!((posted.postponed, posted.is_away, posted.failure.is_none()), (0, false, true));
        sent.extend(server.sent());
        if !posted.has_more {
            break;
        }
    }
    assert_eq!(sent.len(), 300);
    assert!(sent.iter().all(|mail| mail.to.as_str() == ADDRESS && mail.language == MailLanguage::English));
    let mut ids: Vec<_> = sent.iter().map(|mail| mail.id).collect();
    let mut expected: Vec<_> = mails.iter().map(|mail| mail.id).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(outcomes(&post.sender(&server).send_due().await.unwrap()), BTreeMap::new());
}

#[tokio::test]
async fn what_is_not_taken_now_is_tried_for_three_days_ever_later() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    post.queue(1).await;
    server.answers(Answers::NotNow);
    let mut at_minutes = Vec::new();
    let given_up = loop {
        let posted = post.sender(&server).send_due().await.unwrap();
        if server.attempts() == 1 {
            at_minutes.push((post.clock.now() - instant(0)).num_minutes());
            assert_eq!(posted.failure.is_some(), posted.postponed == 1);
        }
        if !posted.ended.is_empty() {
            break outcomes(&posted);
        }
        post.clock.advance_seconds(60);
    };
    assert_eq!(given_up, BTreeMap::from([(MailOutcome::GivenUp, 1)]));
    assert_eq!(at_minutes, [0, 1, 6, 36, 156, 456, 1_176, 2_616, 4_056]);
    server.answers(Answers::Accepts);
    post.clock.advance_seconds(30 * 86_400);
    post.sender(&server).send_due().await.unwrap();
    assert_eq!(server.sent(), []);

    let post = Post::new();
    post.queue(1).await;
    server.answers(Answers::NotNow);
    post.sender(&server).send_due().await.unwrap();
    server.answers(Answers::Accepts);
    post.clock.advance_seconds(60);
    let posted = post.sender(&server).send_due().await.unwrap();
    assert_eq!((outcomes(&posted), server.sent().len()), (BTreeMap::from([(MailOutcome::Sent, 1)]), 1));
}

#[tokio::test]
async fn what_is_refused_for_good_ends_at_once() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    post.queue(20).await;
    server.answers(Answers::Never);
    let posted = post.sender(&server).send_due().await.unwrap();
    assert_eq!((outcomes(&posted), posted.is_away), (BTreeMap::from([(MailOutcome::Refused, 20)]), false));
    assert_eq!(post.stage.storage.mails.count_waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_not_asked_for_each_mail() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    post.queue(100).await;
    server.answers(Answers::NotNow);
    let posted = post.sender(&server).send_due().await.unwrap();
    let attempts = server.attempts();
    assert!(posted.is_away && (8..=24).contains(&attempts), "{attempts}");
    assert_eq!(posted.postponed as usize, attempts);
    server.answers(Answers::Accepts);
    let posted = post.sender(&server).send_due().await.unwrap();
    assert_eq!(posted.ended.len(), 100 - attempts, "the others are not late");
}

#[tokio::test]
async fn what_has_become_useless_is_dropped() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    let (unreachable, erased) = (post.account(None).await, post.stage.account().await);
    let reader = post.account(Some(ADDRESS)).await;
    let known = post.stage.storage.accounts.find(erased).await.unwrap().unwrap();
    let hash = post.stage.storage.accounts.credentials(&known.login_id).await.unwrap().unwrap().password_hash;
    post.stage.storage.accounts.erase(erased, hash).await.unwrap();
    let elsewhere = EmailAddress::new("other@example.org").unwrap();
    let mail = |account_id, to: Option<&EmailAddress>, notice| NewMail {
        id: TestEntropy.uuid(),
        account_id,
        to: to.cloned(),
        notice,
        created_at: instant(0),
    };
    let code = Notice::EmailVerification { code: "123456".to_owned(), minutes_valid: 10 };
    let changed = Notice::PasswordChanged { at: instant(0) };
    let queue = async |mails| post.store.queue(mails).await.unwrap();
    queue(vec![
        mail(unreachable, None, changed.clone()),
        mail(erased, Some(&elsewhere), code.clone()),
        mail(unreachable, Some(&elsewhere), code.clone()),
        mail(reader, None, changed),
    ])
    .await;
    let posted = post.sender(&server).send_due().await.unwrap();
    assert_eq!(outcomes(&posted), BTreeMap::from([(MailOutcome::Sent, 2), (MailOutcome::Dropped, 2)]));
    let mut sent: Vec<_> = server.sent().iter().map(|mail| mail.to.to_string()).collect();
    sent.sort_unstable();
    assert_eq!(sent, [ADDRESS, "other@example.org"]);

    // A code is tried as long as it is valid, and not kept any longer.
    queue(vec![mail(reader, Some(&elsewhere), code.clone())]).await;
    server.answers(Answers::NotNow);
    let mut ended = Vec::new();
    for _ in 0..10 {
        ended.extend(post.sender(&server).send_due().await.unwrap().ended);
        post.clock.advance_seconds(60);
    }
    assert_eq!((ended, server.attempts()), (vec![MailOutcome::Dropped], 5));
    queue(vec![mail(reader, Some(&elsewhere), code)]).await;
    server.answers(Answers::Accepts);
    let posted = post.sender(&server).send_due().await.unwrap();
    assert_eq!((outcomes(&posted), server.sent()), (BTreeMap::from([(MailOutcome::Dropped, 1)]), vec![]));
}

#[tokio::test]
async fn what_cannot_be_noted_is_sent_again_under_the_same_id() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    post.queue(100).await;
    let due = post.store.due(1_000).await.unwrap();
    let mut mails = MockMailQueue::new();
    mails.expect_due().returning(move |_| Ok(due.clone()));
    mails.expect_end().returning(|_| Err(StorageError::Busy));
    let failed = sender(Arc::new(mails), &server, &post.clock).send_due().await;
    assert!(matches!(failed, Err(StorageError::Busy)));
    let first = server.sent();
    assert!((1..=24).contains(&first.len()), "{} mails were begun", first.len());
    post.sender(&server).send_due().await.unwrap();
    let again = server.sent();
    assert_eq!(again.len(), 100);
    assert!(first.iter().all(|mail| again.contains(mail)));
}

#[tokio::test]
async fn a_notice_of_a_newer_version_waits_for_one_that_can_read_it() {
    let (post, server) = (Post::new(), Arc::<Server>::default());
    let mail = post.queue(1).await.remove(0);
    let mut due = post.store.due(1).await.unwrap();
    due[0].notice = None;
    let mut mails = MockMailQueue::new();
    mails.expect_due().return_once(move |_| Ok(due));
    mails.expect_postpone().times(1).returning(move |postponed| {
        assert_eq!((postponed[0].id, postponed[0].next_attempt_at), (mail.id, instant(60)));
        Ok(())
    });
    let posted = sender(Arc::new(mails), &server, &post.clock).send_due().await.unwrap();
    assert_eq!((posted.postponed, posted.failure.is_none(), server.attempts()), (1, true, 0));
}
