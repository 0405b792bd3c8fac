//! Resource policies (POL-01): `policy` of gateway.yaml, inline or in a file, and `x-amazon-apigateway-policy` become one rule of the program.

use std::borrow::Cow;
use std::path::Path;

use policy::iam::{self, Form, Key, Policy};
use serde_json::{Map, Value as Json};

use crate::definition::Definition;
use crate::diagnostic::{Diagnostics, Place};
use crate::model::api::ApiSpec;
use crate::snapshot::{AccessPolicy, Line};
use crate::source;
use crate::source::node::{Node, Style, Value};

const HINT: &str = "a policy is {Version: 2012-10-17, Statement: [{Effect: Allow, Principal: \"*\", Action: \"execute-api:Invoke\", \
                    Resource: \"execute-api:/*\"}]}";

/// The policy of a principal of gateway.yaml.
pub fn of_principal(node: &Node, base: &Path, faults: &mut Diagnostics) -> Option<Policy> {
    let node = written(node, base, faults)?;
    let bytes = serde_json::to_vec(&json(&node)).unwrap_or_default();
    match Policy::parse(&bytes, Form::Identity) {
        Ok(policy) => {
            warn_of_silent_keys(&policy, node.place, faults);
            Some(policy)
        }
        Err(fault) => {
            let hint = "a principal's policy is {Statement: [{Effect: Allow, Action: \"execute-api:Invoke\", Resource: \"*\"}]}";
            faults.error_hint(find(&node, &fault.place).place, format!("the policy cannot be used: {fault}"), hint);
            None
        }
    }
}

/// A policy that stands here, or in the file that is named here.
fn written<'n>(node: &'n Node, base: &Path, faults: &mut Diagnostics) -> Option<Cow<'n, Node>> {
    match &node.value {
        Value::Scalar(file) => read(&base.join(&*file.text), faults).map(Cow::Owned),
        _ => Some(Cow::Borrowed(node)),
    }
}

/// Adds the policy of gateway.yaml: it takes the place of an imported one.
pub fn add(spec: &ApiSpec, definition: &mut Definition, base: &Path, faults: &mut Diagnostics) {
    let Some(node) = spec.policy.as_ref().and_then(|node| written(node, base, faults)) else { return };
    let node = &*node;
    definition.policy = Some(json(node));
    definition.policy_at = node.place.into();
    // Here the places are known, so that a fault is shown where it is.
    if let Some((place, what)) = fault(definition.policy.as_ref(), Form::Resource) {
        let at = find(node, &place).place;
        faults.error_hint(at, format!("the policy cannot be used: {what}"), HINT);
        // It is said; and nothing is served of a document with an error.
        definition.policy = None;
    }
}

/// What is wrong with a policy, and where in it.
pub fn fault(policy: Option<&Json>, form: Form) -> Option<(Box<str>, iam::Fault)> {
    let bytes = serde_json::to_vec(policy?).ok()?;
    Policy::parse(&bytes, form).err().map(|fault| (fault.place.clone(), fault))
}

fn read(path: &Path, faults: &mut Diagnostics) -> Option<Node> {
    let source = source::file::read(path, faults)?;
    let text = std::mem::take(&mut faults.sources[usize::from(source)].text);
    let node = source::node::parse(&text, source, faults);
    faults.sources[usize::from(source)].text = text;
    node
}

/// A policy knows no difference between `5` and `"5"`: all scalars are texts.
pub fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(text) if text.style == Style::Plain && matches!(&*text.text, "" | "~" | "null") => Json::Null,
        Value::Scalar(text) => Json::String(text.text.to_string()),
        Value::List(list) => Json::Array(list.iter().map(json).collect()),
        Value::Map(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.text.to_string(), json(&entry.value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

/// The node at `Statement[0].Condition.IpAddress`, or the nearest one above it.
pub fn find<'a>(node: &'a Node, place: &str) -> &'a Node {
    let mut at = node;
    for step in place.split('.') {
        let (name, number) = step.split_once('[').map_or((step, None), |(name, rest)| {
            (name, rest.strip_suffix(']').and_then(|number| number.parse::<usize>().ok()))
        });
        let Value::Map(entries) = &at.value else { return at };
        let Some(entry) = entries.iter().find(|entry| *entry.key.text == *name) else { return at };
        at = &entry.value;
        if let (Some(number), Value::List(list)) = (number, &at.value)
            && let Some(one) = list.get(number)
        {
            at = one;
        }
    }
    at
}

/// The rule of a program. A policy that cannot be used lets nobody pass.
pub fn compile(definition: &Definition, faults: &mut Diagnostics) -> Option<AccessPolicy> {
    let written = definition.policy.as_ref()?;
    let place = *definition.policy_at;
    let bytes = serde_json::to_vec(written).unwrap_or_default();
    let policy = Policy::parse(&bytes, Form::Resource).unwrap_or_else(|fault| {
        faults.error_hint(place, format!("`x-amazon-apigateway-policy` cannot be used: {fault}"), HINT);
        Policy::nobody()
    });
    warn_of_silent_keys(&policy, place, faults);
    Some(AccessPolicy { policy, line: Line::of(place) })
}

/// Says which conditions look at something that no request has here.
pub fn warn_of_silent_keys(policy: &Policy, place: Place, faults: &mut Diagnostics) {
    for (_, name) in Key::ALL.iter().filter(|(key, _)| key.has_no_value() && policy.reads(key)) {
        faults.warning(
            place,
            format!("the policy has a condition on `{name}`, which no request has here"),
            "it holds only where its operator is negated, or ends with IfExists",
        );
    }
}
