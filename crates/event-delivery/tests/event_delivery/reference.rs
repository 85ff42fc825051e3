//! The libraries of Standard Webhooks verify what is sent here.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use boxoffice_domain::{EntropySource, Timestamp, chrono::TimeDelta, fixtures::TestEntropy};
use boxoffice_event_delivery::webhooks::{SystemResolver, WebhookSecret, WebhookSender, WebhookSettings};
use serde_json::{Value, json};

use crate::{
    receiver::{Behaviour, Received, Receiver},
    support::trust,
    webhooks::target,
};

/// Each prints what it has verified, or fails.
const PYTHON: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook
for case in json.load(sys.stdin):
    try:
        Webhook(case['secret']).verify(case['body'], case['headers'])
        print('accepted')
    except Exception as error:
        print('refused', type(error).__name__)
";
const NODE: &str = "
const { Webhook } = require('standardwebhooks');
for (const given of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
  try {
    new Webhook(given.secret).verify(given.body, given.headers);
    console.log('accepted');
  } catch (error) {
    console.log('refused', error.constructor.name);
  }
}
";

/// The folder of the tools that `tests/contract/install` installs.
fn tools() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/install");
    let path = Command::new(script).arg("--path").output().expect("the script runs").stdout;
    let folder = PathBuf::from(String::from_utf8(path).expect("text").trim());
    assert!(folder.exists(), "there are no tools: run tests/contract/install (make test does)");
    folder
}

/// What a library says to each case.
fn verify(program: &str, script: &str, cases: &Value) -> Vec<String> {
    let tools = tools();
    let flag = if program == "node" { "-e" } else { "-c" };
    let mut child = Command::new(tools.join(program))
        .args([flag, script])
        .env("NODE_PATH", tools.join("../node/node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("an input").write_all(cases.to_string().as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program} fails");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// A case for the libraries: a request, and the secret that its receiver has.
fn case(request: &Received, secret: &WebhookSecret) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), Value::from(request.header(name)))).collect();
    json!({ "secret": secret.reveal(), "headers": headers, "body": request.body })
}

#[expect(clippy::disallowed_methods, reason = "the libraries compare with the time of day")]
fn time_of_day() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    Timestamp::UNIX_EPOCH + TimeDelta::from_std(elapsed).expect("not that much later")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_libraries_accept_what_is_sent_and_nothing_else() {
    let receiver = Receiver::start(Behaviour::status(200)).await;
    let settings = WebhookSettings { allow_private_addresses: true, ..WebhookSettings::default() };
    let sender = WebhookSender::new(settings, trust(), Arc::new(SystemResolver));
    let mut target = target(&receiver.url("/"));
    let (present, former) = (WebhookSecret::of_bytes(TestEntropy.secret()), WebhookSecret::of_bytes([9; 32]));
    (target.secret, target.former_secret) = (present.clone(), Some(former.clone()));
    let (now, body) = (time_of_day(), r#"{"kind":"reservation.held","data":{"seats":["좌석 A-1","\u0000"]}}"#);
    for at in [now, now - TimeDelta::minutes(10)] {
        assert!(sender.send(&target, TestEntropy.uuid(), at, body).await.is_success());
    }
    let requests = receiver.received();
    let (fresh, old) = (&requests[0], &requests[1]);
    let changed = Received { body: body.replace("held", "kept"), ..fresh.clone() };
    let cases = json!([
        case(fresh, &present),
        case(fresh, &former),
        case(fresh, &WebhookSecret::of_bytes([8; 32])),
        case(&changed, &present),
        case(old, &present),
    ]);
    for (program, script) in [("python", PYTHON), ("node", NODE)] {
        let said = verify(program, script, &cases);
        let refused = "refused WebhookVerificationError".to_owned();
        let accepted = "accepted".to_owned();
        assert_eq!(said, [accepted.clone(), accepted, refused.clone(), refused.clone(), refused], "{program}");
    }
}
