//! As much of JSON Schema as `docs/schemas/audit.schema.json` uses, and not a keyword more: an unknown
//! one fails, so that nothing in the schema goes unchecked.

use serde_json::{Map, Value};

/// Every place where `value` is not what `schema` says.
pub(super) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = vec![];
    check(schema, value, "$", &mut faults);
    faults
}

fn check(schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "format" => rule == "date-time" && value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                other => panic!("unknown type {other}"),
            },
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "additionalProperties" => {
                assert_eq!(rule, false);
                value.as_object().is_none_or(|object| object.keys().all(|key| properties.contains_key(key)))
            }
            "properties" => {
                for (key, rule) in properties {
                    if let Some(value) = value.get(key) {
                        check(rule, value, &format!("{at}.{key}"), faults);
                    }
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, value, &format!("{at}[{index}]"), faults);
                }
                true
            }
            other => panic!("unknown keyword {other}"),
        };
        if !holds {
            faults.push(format!("{at}: {keyword}"));
        }
    }
}

#[test]
fn what_the_schema_forbids_is_noticed() {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["a"],
        "additionalProperties": false,
        "properties": { "a": { "enum": ["x"] }, "b": { "type": "array", "items": { "type": "string" } } }
    });
    let check = |value: Value, count| assert_eq!(faults(&schema, &value).len(), count, "{value}");
    check(serde_json::json!({ "a": "x", "b": ["y"] }), 0);
    check(serde_json::json!({ "b": [] }), 1);
    check(serde_json::json!({ "a": "y", "b": [1], "c": 0 }), 3);
}
