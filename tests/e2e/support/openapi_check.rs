//! Whether a response is what the `OpenAPI` document says.

use std::{
    collections::{BTreeMap, HashMap},
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use jsonschema::{Draft, Validator};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::server::binary;

/// The document of the binary under test.
pub(crate) struct Document {
    root: Value,
    /// A validator for each schema that was needed so far. Compiling one takes far longer than using it.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// What came back for what was asked.
pub(crate) struct Exchange<'a> {
    pub(crate) method: &'a str,
    /// Without the query.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a str,
}

/// The document, read once.
pub(crate) fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let output = Command::new(binary()).arg("openapi").output().expect("the binary starts");
        let root = serde_json::from_slice(&output.stdout).expect("the document is JSON");
        Document { root, validators: Mutex::default() }
    })
}

impl Document {
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Gives the body of a response, null where it is no JSON, or says what is wrong.
    pub(crate) fn check(&self, exchange: &Exchange<'_>) -> Result<Value, String> {
        check_headers(exchange)?;
        let Some(template) = self.template(exchange.path) else {
            return self.check_problem(exchange, 404, "not_found");
        };
        let operation = &self.root["paths"][&template][exchange.method.to_lowercase()];
        if operation.is_null() {
            return self.check_problem(exchange, 405, "method_not_allowed");
        }
        let status = exchange.status.to_string();
        let Some(response) = operation["responses"].get(&status) else {
            return Err(format!("the status {status} is not documented"));
        };
        let media_type = media_type(exchange.headers);
        let Some(content) = response["content"].as_object().filter(|content| !content.is_empty()) else {
            return if exchange.body.is_empty() { Ok(Value::Null) } else { Err("no body is documented".to_owned()) };
        };
        let Some(schema) = content.get(media_type).map(|content| &content["schema"]) else {
            return Err(format!("the media type `{media_type}` is not documented"));
        };
        if !media_type.ends_with("json") {
            return Ok(Value::Null);
        }
        let place = format!("{} {template} {status}", exchange.method);
        let body = serde_json::from_str(exchange.body).map_err(|error| format!("the body is no JSON: {error}"))?;
        self.check_value(&place, schema, &body)?;
        if exchange.status >= 400 {
            check_problem_members(exchange, &body)?;
        }
        Ok(body)
    }

    /// Whether a value is one of the schemas of the document.
    pub(crate) fn check_component(&self, name: &str, value: &Value) -> Result<(), String> {
        self.check_value(name, &json!({ "$ref": format!("#/components/schemas/{name}") }), value)
    }

    fn check_problem(&self, exchange: &Exchange<'_>, status: u16, code: &str) -> Result<Value, String> {
        let body: Value = serde_json::from_str(exchange.body).map_err(|error| format!("no JSON: {error}"))?;
        if exchange.status != status || body["code"] != code {
            return Err(format!("it is not documented, so {status} {code} was expected"));
        }
        self.check_component("Problem", &body)?;
        check_problem_members(exchange, &body)?;
        Ok(body)
    }

    fn check_value(&self, place: &str, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = self.validator(place, schema);
        let wrong: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if !wrong.is_empty() {
            return Err(format!("the body is not as documented: {}", wrong.join("; ")));
        }
        let mut undocumented = Vec::new();
        self.find_undocumented(&[schema], value, "", &mut undocumented);
        if undocumented.is_empty() { Ok(()) } else { Err(format!("not documented: {}", undocumented.join(", "))) }
    }

    fn validator(&self, place: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let compile = || {
            // The references of the schema lead into the components of the document.
            let whole = json!({ "components": self.root["components"], "allOf": [schema] });
            let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{place} has no valid schema: {error}")))
        };
        Arc::clone(validators.entry(place.to_owned()).or_insert_with(compile))
    }

    /// Members that no schema names. A schema lets them pass, but clients are made from the document.
    fn find_undocumented(&self, schemas: &[&Value], value: &Value, at: &str, found: &mut Vec<String>) {
        let mut parts = Vec::new();
        for schema in schemas {
            self.take_apart(schema, &mut parts);
        }
        match value {
            Value::Object(members) => {
                let mut documented: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
                for (name, schema) in parts.iter().filter_map(|part| part["properties"].as_object()).flatten() {
                    documented.entry(name).or_default().push(schema);
                }
                if documented.is_empty() {
                    return;
                }
                for (name, member) in members {
                    match documented.get(name.as_str()) {
                        Some(schemas) => self.find_undocumented(schemas, member, &format!("{at}/{name}"), found),
                        None => found.push(format!("{at}/{name}")),
                    }
                }
            }
            // The items of a list have one schema; a few of them say as much as all.
            Value::Array(items) => {
                let schemas: Vec<_> = parts.iter().filter_map(|part| part.get("items")).collect();
                for item in items.iter().take(3) {
                    self.find_undocumented(&schemas, item, &format!("{at}/items"), found);
                }
            }
            _ => {}
        }
    }

    fn take_apart<'a>(&'a self, schema: &'a Value, parts: &mut Vec<&'a Value>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("references stay within the document");
            let target = self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
            self.take_apart(target, parts);
        }
        for list in ["allOf", "oneOf", "anyOf"] {
            for part in schema[list].as_array().into_iter().flatten() {
                self.take_apart(part, parts);
            }
        }
        parts.push(schema);
    }

    /// The template that fits a path best: the one with the most literal segments.
    fn template(&self, path: &str) -> Option<String> {
        let segments: Vec<_> = path.split('/').collect();
        let templates = self.root["paths"].as_object().expect("there are paths").keys();
        let literals = |template: &String| {
            let parts: Vec<_> = template.split('/').collect();
            let fits = parts.len() == segments.len()
                && parts
                    .iter()
                    .zip(&segments)
                    .all(|(part, segment)| if part.starts_with('{') { !segment.is_empty() } else { part == segment });
            fits.then(|| parts.iter().filter(|part| !part.starts_with('{')).count())
        };
        let fitting = templates.filter_map(|template| Some((literals(template)?, template)));
        fitting.max_by_key(|(literals, _)| *literals).map(|(_, template)| template.clone())
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    let field = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    field.split(';').next().unwrap_or_default().trim()
}

/// What every answer has.
fn check_headers(exchange: &Exchange<'_>) -> Result<(), String> {
    let mut needed = vec!["x-request-id", "x-content-type-options", "referrer-policy", "x-frame-options"];
    needed.extend(["content-security-policy", "cache-control"]);
    match exchange.status {
        401 => needed.push(WWW_AUTHENTICATE.as_str()),
        429 => needed.extend([RETRY_AFTER.as_str(), "ratelimit", "ratelimit-policy"]),
        503 => needed.push(RETRY_AFTER.as_str()),
        _ => {}
    }
    let missing: Vec<_> = needed.into_iter().filter(|name| !exchange.headers.contains_key(*name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("fields are missing: {}", missing.join(", "))) }
}

/// What a schema cannot say of a problem.
fn check_problem_members(exchange: &Exchange<'_>, body: &Value) -> Result<(), String> {
    let request_id = exchange.headers.get("x-request-id").and_then(|value| value.to_str().ok());
    if media_type(exchange.headers) != "application/problem+json" {
        return Err("a problem is application/problem+json".to_owned());
    }
    if body["status"] != exchange.status {
        return Err("the status of the problem is not that of the answer".to_owned());
    }
    if body["request_id"].as_str() != request_id {
        return Err("the request id of the problem is not that of the answer".to_owned());
    }
    Ok(())
}

/// The check itself: what it lets pass proves nothing unless it stops what is wrong.
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(media_type: &'static str) -> HeaderMap {
        let names = ["x-request-id", "x-content-type-options", "referrer-policy", "x-frame-options"];
        let names = names.into_iter().chain(["content-security-policy", "cache-control"]);
        let fields = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("id")));
        fields.chain([(CONTENT_TYPE, HeaderValue::from_static(media_type))]).collect()
    }

    fn check(method: &str, path: &str, status: u16, media_type: &'static str, body: &Value) -> Result<(), String> {
        let (headers, body) = (headers(media_type), body.to_string());
        document().check(&Exchange { method, path, status, headers: &headers, body: &body }).map(drop)
    }

    fn wallet() -> Value {
        json!({"balance": 5, "updated_at": "2026-11-20T12:00:00.5Z"})
    }

    #[test]
    fn what_is_documented_passes() {
        check("GET", "/v1/wallet", 200, "application/json", &wallet()).unwrap();
    }

    #[test]
    fn what_is_not_documented_is_found() {
        let mut more = wallet();
        more["secret"] = json!(1);
        let list = json!({"items": [{"id": "x"}], "next_cursor": null});
        for (path, status, media_type, body, told) in [
            ("/v1/wallet", 200, "application/json", more, "/secret"),
            (
                "/v1/wallet",
                200,
                "application/json",
                json!({"balance": "5", "updated_at": "2026-11-20T12:00:00Z"}),
                "integer",
            ),
            ("/v1/wallet", 200, "application/json", json!({"balance": 5, "updated_at": "yesterday"}), "date-time"),
            ("/v1/wallet", 200, "application/json", json!({"balance": 5}), "updated_at"),
            ("/v1/wallet", 200, "text/plain", wallet(), "text/plain"),
            ("/v1/wallet", 201, "application/json", wallet(), "201"),
            ("/v1/wallets", 200, "application/json", wallet(), "not_found"),
            ("/v1/wallet/entries", 200, "application/json", list, "/items/0"),
            ("/v1/accounts", 200, "application/json", wallet(), "method_not_allowed"),
        ] {
            let wrong = check("GET", path, status, media_type, &body).unwrap_err();
            assert!(wrong.contains(told), "{told}: {wrong}");
        }
    }

    #[test]
    fn a_problem_has_a_documented_code_and_agrees_with_its_answer() {
        let problem = |status: u16, code: &str, id: &str| {
            json!({"type": format!("urn:boxoffice:problem:{code}"), "title": "T", "status": status, "detail": "D",
                "code": code, "request_id": id})
        };
        let check = |status, body: &Value| check("GET", "/v1/reservations/1", status, "application/problem+json", body);
        check(404, &problem(404, "reservation_not_found", "id")).unwrap();
        check(404, &problem(404, "seat_not_found", "id")).unwrap_err();
        check(404, &problem(400, "reservation_not_found", "id")).unwrap_err();
        check(404, &problem(404, "reservation_not_found", "another")).unwrap_err();
        check(401, &problem(401, "unauthenticated", "id")).unwrap_err();
    }
}
