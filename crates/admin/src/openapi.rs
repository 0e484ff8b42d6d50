//! Makes `docs/reference/openapi.json`, the description of the API (`OpenAPI` 3.1), from the routes
//! and the types, and checks that it is up to date.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::model::{
    Ban, EmptyResponse, Kick, Kicked, Lock, NewBan, Problem, Reloaded, Session, SessionDetails,
    Status, Stop, Unlock, Upgraded,
};
use crate::routes::{ROUTES, Route};

fn document() -> String {
    // The schemas of OpenAPI 3.1 are those of JSON Schema 2020-12.
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    add::<(Status, Session, SessionDetails, Kick, Kicked, Ban, NewBan)>(&mut schemas);
    add::<(Upgraded, Reloaded, Stop, EmptyResponse, Problem, Lock, Unlock)>(&mut schemas);
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.to_owned(), operation(route));
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "wharf",
            "version": "1",
            "description": "Monitors and controls a running wharf. HTTP/1.1 on the control \
                            socket of the computer it runs on; `wharf status`, `who`, `top`, \
                            `kick`, `ban`, `log`, `reload` and `stop` use it. Names of fields \
                            are frozen; fields may be added.",
        },
        "paths": paths,
        "components": { "schemas": schemas.take_definitions(true) },
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    // First, where a reader of the file looks.
    text.replacen('{', "{\n  \"x-generated\": \"by cargo xtask docs; do not edit\",", 1)
}

fn add<T: JsonSchema>(schemas: &mut SchemaGenerator) {
    schemas.subschema_for::<T>();
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.about,
        "responses": {
            "200": { "description": "Success.", "content": answer(route.answer) },
            "default": {
                "description": "The error, and how to fix it.",
                "content": { "application/json": { "schema": reference("Problem") } },
            },
        },
    });
    let Some(fields) = operation.as_object_mut() else { return operation };
    if let Some(request) = route.request {
        let content = json!({ "application/json": { "schema": reference(request) } });
        fields.insert("requestBody".into(), json!({ "required": true, "content": content }));
    }
    let in_query = route.query.iter().map(|(name, kind, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": kind } })
    });
    let in_path = route.path.contains("{id}").then(|| {
        let schema = json!({ "type": "integer" });
        json!({ "name": "id", "in": "path", "required": true, "schema": schema })
    });
    let parameters: Vec<Value> = in_query.chain(in_path).collect();
    if !parameters.is_empty() {
        fields.insert("parameters".into(), Value::Array(parameters));
    }
    operation
}

fn answer(name: &str) -> Value {
    if name.contains('/') {
        return json!({ name: {} });
    }
    let schema = match name.strip_suffix("[]") {
        Some("string") => json!({ "type": "array", "items": { "type": "string" } }),
        Some(item) => json!({ "type": "array", "items": reference(item) }),
        None => reference(name),
    };
    json!({ "application/json": { "schema": schema } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[test]
fn the_description_of_the_api_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");
    let made = document();
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(path, &made).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(path).unwrap();
    assert!(stored == made, "docs/reference/openapi.json is stale; run: cargo xtask docs");
}

/// `nullable` was a word of 3.0; 3.1 has the type `null`.
#[test]
fn optional_fields_use_the_type_null() {
    let text = document();
    assert!(!text.contains("\"nullable\""), "{text}");
    let made: Value = serde_json::from_str(&text).unwrap();
    let until = &made["components"]["schemas"]["Ban"]["properties"]["until"]["type"];
    assert_eq!(*until, json!(["string", "null"]));
    let since = &made["components"]["schemas"]["Ban"]["properties"]["since"]["type"];
    assert_eq!(*since, json!("string"));
}

#[test]
fn every_reference_resolves() {
    let made: Value = serde_json::from_str(&document()).unwrap();
    let text = document();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(made["components"]["schemas"][name].is_object(), "{name}");
    }
}
