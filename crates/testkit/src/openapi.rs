//! Whether a response is what the `OpenAPI` document says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

/// Fields that every response has.
const ALWAYS: [&str; 6] = [
    "x-request-id",
    "x-content-type-options",
    "referrer-policy",
    "x-frame-options",
    "content-security-policy",
    "cache-control",
];
/// Fields that responses may have without a description: those of HTTP itself, of proxies, of CORS and of rate limits.
const UNDESCRIBED: [&str; 10] = [
    "allow",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
];
const UNDESCRIBED_PREFIXES: [&str; 2] = ["access-control-", "ratelimit"];

/// An `OpenAPI` document to check responses against.
#[derive(Debug)]
pub struct Document {
    root: Value,
    /// A validator for each schema that was needed so far. Compiling one takes far longer than using it.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a str,
}

impl Document {
    pub fn new(root: Value) -> Self {
        Self { root, validators: Mutex::default() }
    }

    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Whether the document has this operation.
    pub fn describes(&self, method: &str, path: &str) -> bool {
        let template = self.template(path);
        template.is_some_and(|template| self.root["paths"][template][method.to_lowercase()].is_object())
    }

    /// Gives the body of a response, null if it is no JSON, or says what is not as documented.
    pub fn check(&self, exchange: &Exchange<'_>) -> Result<Value, String> {
        check_required_fields(exchange)?;
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
        let response = self.resolve(response);
        check_described_fields(exchange, response)?;
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
            check_code(&body, [&operation["x-codes"], &response["x-codes"]])?;
            check_problem_members(exchange, &body)?;
        }
        Ok(body)
    }

    /// The statuses and codes that some operation may refuse with.
    pub fn codes(&self) -> BTreeSet<(u16, String)> {
        self.codes_by_operation().into_iter().map(|(_, status, code)| (status, code)).collect()
    }

    /// The name of each operation, with each status and code that it may refuse with.
    pub fn codes_by_operation(&self) -> BTreeSet<(String, u16, String)> {
        let mut codes = BTreeSet::new();
        let paths = self.root["paths"].as_object().expect("there are paths").values();
        for operation in paths.filter_map(Value::as_object).flat_map(Map::values) {
            let name = operation["operationId"].as_str().expect("an operation has a name");
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                let status = status.parse().expect("a status is a number");
                let of_status = texts(&self.resolve(response)["x-codes"]);
                let own = texts(&operation["x-codes"]).into_iter().filter(|code| of_status.contains(code));
                codes.extend(own.map(|code| (name.to_owned(), status, code.to_owned())));
            }
        }
        codes
    }

    /// The operation that a request asks for, by its name.
    pub fn operation_id(&self, method: &str, path: &str) -> Option<&str> {
        self.root["paths"][self.template(path)?][method.to_lowercase()]["operationId"].as_str()
    }

    /// What a reference refers to; what is no reference is itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else {
            return value;
        };
        let pointer = reference.strip_prefix('#').expect("references stay within the document");
        self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    /// Checks a value against one of the schemas of the document, or says what is not as documented.
    pub fn check_component(&self, name: &str, value: &Value) -> Result<(), String> {
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
        if schema["$ref"].is_string() {
            self.take_apart(self.resolve(schema), parts);
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

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Each of these lists has to name the code of a problem.
fn check_code(body: &Value, lists: [&Value; 2]) -> Result<(), String> {
    let code = body["code"].as_str().unwrap_or_default();
    let is_listed = lists.into_iter().all(|list| texts(list).contains(&code));
    if is_listed { Ok(()) } else { Err(format!("the code `{code}` is not documented")) }
}

fn media_type(headers: &HeaderMap) -> &str {
    let field = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    field.split(';').next().unwrap_or_default().trim()
}

fn check_required_fields(exchange: &Exchange<'_>) -> Result<(), String> {
    let more: &[&str] = match exchange.status {
        401 => &[WWW_AUTHENTICATE.as_str()],
        // The others are limits of an address.
        429 if ["hold_cooldown", "queue_joins_limited"].iter().any(|code| exchange.body.contains(code)) => {
            &[RETRY_AFTER.as_str()]
        }
        429 => &[RETRY_AFTER.as_str(), "ratelimit", "ratelimit-policy"],
        // What a shop does not do it will not do later.
        503 if exchange.body.contains(r#""code":"charging_unavailable""#) => &[],
        503 => &[RETRY_AFTER.as_str()],
        _ => &[],
    };
    let required = ALWAYS.iter().chain(more);
    let missing: Vec<_> = required.filter(|name| !exchange.headers.contains_key(**name)).copied().collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("fields are missing: {}", missing.join(", "))) }
}

fn check_described_fields(exchange: &Exchange<'_>, response: &Value) -> Result<(), String> {
    let described: Vec<_> = response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()).collect();
    let is_known = |name: &str| {
        described.iter().any(|known| known.eq_ignore_ascii_case(name))
            || ALWAYS.contains(&name)
            || UNDESCRIBED.contains(&name)
            || UNDESCRIBED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let unknown: Vec<_> =
        exchange.headers.keys().map(http::HeaderName::as_str).filter(|name| !is_known(name)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("fields are not documented: {}", unknown.join(", "))) }
}

/// What a schema cannot say of a problem.
fn check_problem_members(exchange: &Exchange<'_>, body: &Value) -> Result<(), String> {
    let request_id = exchange.headers.get("x-request-id").and_then(|value| value.to_str().ok());
    if media_type(exchange.headers) != "application/problem+json" {
        return Err("a problem is application/problem+json".to_owned());
    }
    if body["status"] != exchange.status {
        return Err("the status of the problem is not that of the response".to_owned());
    }
    if body["request_id"].as_str() != request_id {
        return Err("the request id of the problem is not that of the response".to_owned());
    }
    Ok(())
}
