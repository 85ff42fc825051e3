//! What the server knows: payments, refunds, keys and messages.

use std::collections::HashMap;

use boxoffice_domain::{ChargeId, EntropySource, Timestamp, fixtures::TestEntropy};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    Act, Asked, Outcome,
    messages::{SentMessage, signed},
    refusal, value,
};

/// A payment in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedPayment {
    /// The name of the payment intent.
    pub id: String,
    /// The charge that its metadata name.
    pub charge_id: Option<ChargeId>,
    /// How much was asked for.
    pub amount: i64,
    /// Stripe's word for how it stands.
    pub status: &'static str,
    /// Whether the money was taken.
    pub is_paid: bool,
    /// How much was given back.
    pub refunded: i64,
}

struct Intent {
    id: String,
    client_secret: String,
    amount: i64,
    currency: String,
    created: i64,
    metadata: Map<String, Value>,
    status: &'static str,
    last_payment_error: Value,
}

struct Refund {
    id: String,
    intent: String,
    amount: i64,
    status: &'static str,
    metadata: Map<String, Value>,
}

/// What was asked under a key, and the answer if there is one.
struct Keyed {
    path: String,
    body: Bytes,
    outcome: Option<Outcome>,
}

#[derive(Default)]
pub(super) struct Books {
    intents: Vec<Intent>,
    refunds: Vec<Refund>,
    keys: HashMap<String, Keyed>,
    messages: Vec<(Option<ChargeId>, SentMessage)>,
}

fn name(prefix: &str) -> String {
    format!("{prefix}_{}", TestEntropy.uuid().simple())
}

fn metadata(form: &[(String, String)]) -> Map<String, Value> {
    let named = |(name, value): &(String, String)| {
        let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((name.to_owned(), json!(value)))
    };
    form.iter().filter_map(named).collect()
}

fn charge_id(metadata: &Map<String, Value>) -> Option<ChargeId> {
    metadata.get("charge_id")?.as_str()?.parse().ok()
}

/// What a card of Stripe's test methods does: `Ok` is a status, `Err` the code of the error and that of the bank.
fn outcome_of(method: &str) -> Option<Result<&'static str, (&'static str, &'static str)>> {
    Some(match method {
        "pm_card_visa" => Ok("succeeded"),
        "pm_card_authenticationRequired" => Ok("requires_action"),
        "pm_card_processing" => Ok("processing"),
        "pm_card_chargeDeclined" => Err(("card_declined", "generic_decline")),
        "pm_card_chargeDeclinedInsufficientFunds" => Err(("card_declined", "insufficient_funds")),
        "pm_card_chargeDeclinedExpiredCard" => Err(("expired_card", "expired_card")),
        "pm_card_chargeDeclinedIncorrectCvc" => Err(("incorrect_cvc", "incorrect_cvc")),
        _ => return None,
    })
}

impl Books {
    pub(super) fn forget_keys(&mut self) {
        self.keys.clear();
    }

    /// Takes a key, or answers at once if it is taken.
    pub(super) fn begin_key(&mut self, key: &str, path: &str, body: &Bytes) -> Option<(Outcome, bool)> {
        let Some(keyed) = self.keys.get(key) else {
            let keyed = Keyed { path: path.to_owned(), body: body.clone(), outcome: None };
            self.keys.insert(key.to_owned(), keyed);
            return None;
        };
        if keyed.path != path || keyed.body != *body {
            return Some(((400, json!({"error": {"type": "idempotency_error"}})), false));
        }
        Some(keyed.outcome.clone().map_or_else(|| (key_in_use(), false), |outcome| (outcome, true)))
    }

    /// Keeps the answer to a key. A request that was refused before it began leaves the key free.
    pub(super) fn end_key(&mut self, key: &str, outcome: &Outcome) {
        if outcome.0 == 400 && outcome.1["error"]["param"] == "payment_method" {
            self.keys.remove(key);
        } else if let Some(keyed) = self.keys.get_mut(key) {
            keyed.outcome = Some(outcome.clone());
        }
    }

    pub(super) fn serve(&mut self, asked: &Asked, now: Timestamp) -> Outcome {
        let id = asked.path.split('/').nth(3).unwrap_or_default();
        match asked.act {
            Act::Create => self.create(&asked.form, now),
            Act::Read => self.intent(id).map_or_else(|| refusal(404, "resource_missing"), |i| (200, shown_intent(i))),
            Act::Cancel => self.cancel(id, now),
            Act::Refund => self.refund(&asked.form, now),
            Act::Search => self.search(&asked.query),
            Act::List if asked.path.ends_with("refunds") => self.list_refunds(&asked.query),
            Act::List => self.list_intents(&asked.query),
        }
    }

    pub(super) fn create(&mut self, form: &[(String, String)], now: Timestamp) -> Outcome {
        let Some(amount) = value(form, "amount").and_then(|amount| amount.parse().ok()) else {
            return refusal(400, "parameter_missing");
        };
        let method = value(form, "payment_method");
        let outcome = match method.map(outcome_of) {
            None => Ok("requires_payment_method"),
            Some(Some(outcome)) if value(form, "confirm") == Some("true") => outcome,
            Some(Some(_)) => Ok("requires_confirmation"),
            Some(None) => {
                let (status, mut error) = refusal(400, "resource_missing");
                error["error"]["param"] = json!("payment_method");
                return (status, error);
            }
        };
        let id = name("pi");
        self.intents.push(Intent {
            client_secret: format!("{id}_secret_{}", TestEntropy.uuid().simple()),
            id,
            amount,
            currency: value(form, "currency").unwrap_or_default().to_owned(),
            created: now.timestamp(),
            metadata: metadata(form),
            status: "requires_payment_method",
            last_payment_error: Value::Null,
        });
        self.change(self.intents.len() - 1, outcome, now)
    }

    /// Lets an intent become what a card makes of it, and answers.
    fn change(
        &mut self,
        index: usize,
        outcome: Result<&'static str, (&'static str, &'static str)>,
        now: Timestamp,
    ) -> Outcome {
        let intent = &mut self.intents[index];
        match outcome {
            Ok(status) => intent.status = status,
            Err((code, decline_code)) => {
                intent.status = "requires_payment_method";
                intent.last_payment_error = json!({"type": "card_error", "code": code, "decline_code": decline_code});
            }
        }
        let event = match (outcome, intent.status) {
            (Err(_), _) => "payment_intent.payment_failed",
            (_, "succeeded") => "payment_intent.succeeded",
            (_, "canceled") => "payment_intent.canceled",
            (_, "requires_action") => "payment_intent.requires_action",
            (_, "processing") => "payment_intent.processing",
            _ => "payment_intent.created",
        };
        let (charge, shown) = (charge_id(&intent.metadata), shown_intent(&self.intents[index]));
        self.send(event, charge, &shown, now);
        if outcome.is_err() {
            let mut error = shown["last_payment_error"].clone();
            error["payment_intent"] = shown;
            return (402, json!({"error": error}));
        }
        (200, shown)
    }

    fn cancel(&mut self, id: &str, now: Timestamp) -> Outcome {
        let Some(index) = self.intents.iter().position(|intent| intent.id == id) else {
            return refusal(404, "resource_missing");
        };
        if matches!(self.intents[index].status, "succeeded" | "canceled" | "processing") {
            let (status, mut error) = refusal(400, "payment_intent_unexpected_state");
            error["error"]["payment_intent"] = shown_intent(&self.intents[index]);
            return (status, error);
        }
        self.change(index, Ok("canceled"), now)
    }

    fn refund(&mut self, form: &[(String, String)], now: Timestamp) -> Outcome {
        let found = value(form, "payment_intent").and_then(|id| self.intent(id));
        let Some(intent) = found else { return refusal(404, "resource_missing") };
        if intent.status != "succeeded" {
            return refusal(400, "payment_intent_unexpected_state");
        }
        let rest = intent.amount - self.refunded(&intent.id);
        let amount = value(form, "amount").map_or(Some(rest), |amount| amount.parse().ok());
        let Some(amount) = amount.filter(|amount| *amount > 0) else {
            return refusal(400, "parameter_invalid_integer");
        };
        if rest == 0 {
            return refusal(400, "charge_already_refunded");
        }
        if amount > rest {
            return (400, json!({"error": {"type": "invalid_request_error", "param": "amount"}}));
        }
        let (intent, charge) = (intent.id.clone(), charge_id(&intent.metadata));
        let refund = Refund { id: name("re"), intent, amount, status: "succeeded", metadata: metadata(form) };
        let shown = shown_refund(&refund);
        self.refunds.push(refund);
        self.send("refund.created", charge, &shown, now);
        (200, shown)
    }

    /// Acts for the buyer of an intent; returns whether it was possible.
    pub(super) fn act(&mut self, id: &str, confirms: bool, now: Timestamp) -> bool {
        let is_open = |intent: &Intent| {
            intent.id == id
                && matches!(intent.status, "requires_action" | "requires_payment_method" | "requires_confirmation")
        };
        let Some(index) = self.intents.iter().position(is_open) else { return false };
        let failed = Err(("payment_intent_authentication_failure", "authentication_required"));
        self.change(index, if confirms { Ok("succeeded") } else { failed }, now);
        true
    }

    /// Decides about a payment that is processing; returns whether there is one.
    pub(super) fn decide(&mut self, charge: ChargeId, approves: bool, now: Timestamp) -> bool {
        let of_charge = |intent: &Intent| charge_id(&intent.metadata) == Some(charge) && intent.status == "processing";
        let Some(index) = self.intents.iter().position(of_charge) else { return false };
        self.change(index, if approves { Ok("succeeded") } else { Err(("card_declined", "generic_decline")) }, now);
        true
    }

    pub(super) fn fail_refunds(&mut self, charge: ChargeId) {
        for refund in &mut self.refunds {
            if charge_id(&refund.metadata) == Some(charge) {
                refund.status = "failed";
            }
        }
    }

    pub(super) fn payments(&self) -> Vec<BookedPayment> {
        let payment = |intent: &Intent| BookedPayment {
            id: intent.id.clone(),
            charge_id: charge_id(&intent.metadata),
            amount: intent.amount,
            status: intent.status,
            is_paid: intent.status == "succeeded",
            refunded: self.refunded(&intent.id),
        };
        self.intents.iter().map(payment).collect()
    }

    pub(super) fn message_count(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn messages(&self, charge: ChargeId) -> Vec<SentMessage> {
        self.messages.iter().filter(|(of, _)| *of == Some(charge)).map(|(_, message)| message.clone()).collect()
    }

    /// The message with this number, counted from 0.
    pub(super) fn message(&self, number: usize) -> Option<SentMessage> {
        self.messages.get(number).map(|(_, message)| message.clone())
    }

    fn send(&mut self, kind: &str, charge: Option<ChargeId>, object: &Value, now: Timestamp) {
        let event = json!({
            "id": name("evt"), "object": "event", "type": kind, "created": now.timestamp(), "data": {"object": object},
        });
        self.messages.push((charge, signed(event.to_string().into_bytes(), now)));
    }

    fn intent(&self, id: &str) -> Option<&Intent> {
        self.intents.iter().find(|intent| intent.id == id)
    }

    fn refunded(&self, intent: &str) -> i64 {
        let of_intent = |refund: &&Refund| refund.intent == intent && refund.status != "failed";
        self.refunds.iter().filter(of_intent).map(|refund| refund.amount).sum()
    }

    fn list_intents(&self, query: &[(String, String)]) -> Outcome {
        let bound = |name| value(query, name).and_then(|seconds| seconds.parse::<i64>().ok());
        let is_within = |intent: &&Intent| {
            bound("created[gte]").is_none_or(|from| intent.created >= from)
                && bound("created[lte]").is_none_or(|until| intent.created <= until)
                && bound("created[lt]").is_none_or(|until| intent.created < until)
        };
        let is_expanded = value(query, "expand[]") == Some("data.latest_charge");
        let shown = |intent: &Intent| {
            let mut shown = shown_intent(intent);
            if is_expanded && !shown["latest_charge"].is_null() {
                shown["latest_charge"] = json!({"amount_refunded": self.refunded(&intent.id)});
            }
            shown
        };
        page(self.intents.iter().rev().filter(is_within).map(shown), query)
    }

    /// Searches as Stripe does, but without its delay.
    fn search(&self, query: &[(String, String)]) -> Outcome {
        let wanted =
            value(query, "query").and_then(|text| text.strip_prefix("metadata['charge_id']:'")?.strip_suffix('\''));
        let Some(wanted) = wanted else { return refusal(400, "parameter_invalid") };
        let is_wanted = |intent: &&Intent| intent.metadata.get("charge_id").is_some_and(|id| id == wanted);
        page(self.intents.iter().rev().filter(is_wanted).map(shown_intent), query)
    }

    fn list_refunds(&self, query: &[(String, String)]) -> Outcome {
        let intent = value(query, "payment_intent");
        let of_intent = |refund: &&Refund| intent.is_none_or(|intent| refund.intent == intent);
        page(self.refunds.iter().rev().filter(of_intent).map(shown_refund), query)
    }
}

fn shown_intent(intent: &Intent) -> Value {
    let next_action = (intent.status == "requires_action").then(|| {
        json!({"type": "redirect_to_url", "redirect_to_url": {"url": format!("https://bank.example/{}", intent.id)}})
    });
    json!({
        "id": intent.id, "object": "payment_intent", "amount": intent.amount, "currency": intent.currency,
        "created": intent.created, "client_secret": intent.client_secret, "metadata": intent.metadata,
        "status": intent.status, "next_action": next_action, "last_payment_error": intent.last_payment_error,
        "latest_charge": (intent.status == "succeeded").then(|| intent.id.replace("pi_", "ch_")),
    })
}

/// What is answered while another request is at work under the same key.
pub(super) fn key_in_use() -> Outcome {
    (409, json!({"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}))
}

fn shown_refund(refund: &Refund) -> Value {
    json!({
        "id": refund.id, "object": "refund", "amount": refund.amount, "payment_intent": refund.intent,
        "status": refund.status, "metadata": refund.metadata,
    })
}

/// The page of a list that a query asks for.
fn page(objects: impl Iterator<Item = Value>, query: &[(String, String)]) -> Outcome {
    let objects: Vec<_> = objects.collect();
    let after = value(query, "starting_after");
    let first = after.map_or(0, |id| objects.iter().position(|object| object["id"] == id).map_or(0, |at| at + 1));
    let limit = value(query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
    let data: Vec<_> = objects.iter().skip(first).take(limit).cloned().collect();
    let has_more = first + data.len() < objects.len();
    (200, json!({"object": "list", "data": data, "has_more": has_more}))
}
