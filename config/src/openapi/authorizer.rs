//! The authorizer extensions of a security scheme (A rows).

use serde_json::Value as Json;

use super::Source;
use crate::source::node::Node;

/// `x-amazon-apigateway-authorizer`, as written, after a look at its type and fields.
pub fn authorizer<'a>(node: &'a Node, from: &mut Source<'a>) -> Option<Json> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-authtype`: `awsSigv4` means IAM; other words are for readers.
pub fn auth_type(node: &Node, from: &mut Source<'_>) -> Option<String> {
    let (_, _) = (node, from);
    None
}
