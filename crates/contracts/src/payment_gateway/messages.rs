//! Messages of the other side.

use boxoffice_domain::gateway::{GatewayRequest, GatewayState, Notification, NotificationRefusal};
use chrono::TimeDelta;

use super::{Ability, Behaviour, Message, Subject, can, charge, paid};

/// How much later a message is refused by every gateway.
const TOO_LATE: TimeDelta = TimeDelta::hours(1);

fn verified(subject: &impl Subject, message: &Message, later: TimeDelta) -> Result<Notification, NotificationRefusal> {
    subject.gateway().verify_notification(&message.fields, &message.body, subject.now() + later)
}

/// Whether the other side sends messages. If not, all are refused, and that is all there is to test.
fn expects_messages(subject: &impl Subject) -> bool {
    if !subject.sends_messages() {
        let message = Message { fields: vec![("signature".to_owned(), b"1".to_vec())], body: b"{}".to_vec() };
        assert_eq!(verified(subject, &message, TimeDelta::zero()), Err(NotificationRefusal::NotExpected));
    }
    subject.sends_messages()
}

/// A charge that was paid, with a message that says so.
async fn paid_with_message(subject: &impl Subject) -> (GatewayRequest, Message) {
    let charge = paid(subject).await;
    let message = subject.messages(&charge, 1).await.into_iter().next().expect("a message");
    (charge, message)
}

/// The message names the charge, and the charge is found without the name of its payment, which has not arrived yet.
pub async fn a_message_may_arrive_before_the_answer<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !expects_messages(&subject) {
        return;
    }
    let behaviour = if can(&subject, Ability::LosesAnswers) { Behaviour::LosesTheAnswer } else { Behaviour::Approves };
    let charge = charge(&subject, behaviour).await;
    subject.gateway().begin(&charge).await.ok();
    let message = subject.messages(&charge, 1).await.into_iter().next().expect("a message");
    let notification = verified(&subject, &message, TimeDelta::zero()).expect("a genuine message");
    assert_eq!(notification.charge_id, Some(charge.charge_id));
    let answer = subject.gateway().query(&charge).await.expect("an answer").expect("a payment");
    assert_eq!(answer.state, GatewayState::Approved);
}

/// A message that is sent again has the same name, and messages are genuine in any order.
pub async fn a_message_may_arrive_twice_and_out_of_order<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !expects_messages(&subject) {
        return;
    }
    let (first_charge, first) = paid_with_message(&subject).await;
    let (second_charge, second) = paid_with_message(&subject).await;
    let notification = |message| verified(&subject, message, TimeDelta::zero()).expect("a genuine message");
    let (of_second, of_first, again) = (notification(&second), notification(&first), notification(&first));
    assert_eq!(of_first, again);
    assert_eq!(of_first.charge_id, Some(first_charge.charge_id));
    assert_eq!(of_second.charge_id, Some(second_charge.charge_id));
    assert_ne!(of_first.id, of_second.id);
}

/// One bit of the body or of any signature makes it another message; a message without a head is none.
pub async fn a_forged_message_is_refused<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !expects_messages(&subject) {
        return;
    }
    let (_, message) = paid_with_message(&subject).await;
    let (_, other) = paid_with_message(&subject).await;
    let mut forged = vec![
        Message { body: other.body, ..message.clone() },
        Message { body: [message.body.as_slice(), b"\n"].concat(), ..message.clone() },
        Message { body: Vec::new(), ..message.clone() },
        Message { fields: Vec::new(), ..message.clone() },
    ];
    for position in [0, message.body.len() / 2, message.body.len() - 1] {
        let mut changed = message.clone();
        changed.body[position] ^= 1;
        forged.push(changed);
    }
    // Every digit of the signature counts; the last of the field is one.
    for (index, (name, _)) in message.fields.iter().enumerate().filter(|(_, (name, _))| name.contains("signature")) {
        let mut changed = message.clone();
        let last = changed.fields[index].1.last_mut().expect("a signature");
        *last = if *last == b'0' { b'1' } else { b'0' };
        forged.push(changed);
        let empty = (name.clone(), Vec::new());
        forged.push(Message { fields: vec![empty], ..message.clone() });
    }
    for forged in forged {
        for later in [TimeDelta::zero(), TOO_LATE] {
            let outcome = verified(&subject, &forged, later);
            assert_eq!(outcome, Err(NotificationRefusal::Forged), "{forged:?}");
        }
    }
}

/// What was recorded on its way is of no use later, and a message of the future is none.
pub async fn a_message_is_refused_after_its_time<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !expects_messages(&subject) {
        return;
    }
    let (_, message) = paid_with_message(&subject).await;
    verified(&subject, &message, TimeDelta::zero()).expect("a genuine message");
    for later in [TOO_LATE, -TOO_LATE] {
        assert_eq!(verified(&subject, &message, later), Err(NotificationRefusal::OutOfTime));
    }
}
