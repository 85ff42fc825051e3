//! The operations of the document, and requests for them.

use axum::{Router, http::Method};
use serde_json::{Value, json};

use super::{Answer, Ask, NOTHING, get};

pub(crate) struct Operation {
    pub id: String,
    pub method: Method,
    pub path: String,
    /// Those of its query.
    pub parameters: Vec<Value>,
    /// The schema of its body, if it takes one.
    pub body: Option<Value>,
    /// The codes of its problems.
    pub codes: Vec<String>,
}

/// Every operation of the document, with an id in its path that nothing has.
pub(crate) fn operations() -> (Value, Vec<Operation>) {
    let document = serde_json::to_value(boxoffice_http::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters = parameters.map(|parameter| resolved(&document, parameter).clone());
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.replace("{id}", &NOTHING.to_string()).replace("{delivery_id}", &NOTHING.to_string()),
                parameters: parameters.filter(|parameter| parameter["in"] == "query").collect(),
                body: operation["requestBody"]
                    .is_object()
                    .then(|| operation["requestBody"]["content"]["application/json"]["schema"].clone()),
                codes: operation["x-codes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|code| code.as_str().unwrap().to_owned())
                    .collect(),
            });
        }
    }
    assert!(operations.len() > 30);
    (document, operations)
}

/// What a value refers to, or the value itself.
pub(crate) fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let target = value["$ref"].as_str().map(|reference| reference.strip_prefix('#').unwrap());
    target.map_or(value, |pointer| document.pointer(pointer).unwrap())
}

impl Operation {
    /// A request that only its input can be wrong with.
    pub(crate) fn ask(&self, token: &str, query: &str) -> Ask {
        let ask = get(format!("{}{query}", self.path)).method(self.method.clone()).key("key");
        let for_staff = ["catalog_publish", "catalog_update_concert", "webhooks_"];
        if for_staff.iter().any(|beginning| self.id.starts_with(beginning)) {
            ask.signed_in("promoter")
        } else {
            ask.queued(token)
        }
    }

    pub(crate) async fn with_body(&self, router: &Router, token: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.ask(token, "").raw("application/json", body).send(router).await
    }
}

/// A value that fits a schema, as small as it may be.
pub(crate) fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(document, document.pointer(reference.strip_prefix('#').unwrap()).unwrap());
    }
    if let Some(parts) = schema["allOf"].as_array().or(schema["oneOf"].as_array()) {
        return sample(document, parts.last().unwrap());
    }
    if !schema["example"].is_null() {
        return schema["example"].clone();
    }
    match schema["type"].as_str().unwrap() {
        "object" => {
            let properties = schema["properties"].as_object().unwrap().iter();
            Value::Object(properties.map(|(name, schema)| (name.clone(), sample(document, schema))).collect())
        }
        "array" => json!([sample(document, &schema["items"])]),
        "integer" | "number" => schema["minimum"].clone(),
        "boolean" => json!(true),
        "string" => match schema["format"].as_str() {
            Some("uuid") => json!(NOTHING),
            Some("date-time") => json!("2026-05-01T11:00:00Z"),
            _ if schema["enum"].is_array() => schema["enum"][0].clone(),
            _ => json!("a text"),
        },
        other => panic!("a {other} in a body"),
    }
}
