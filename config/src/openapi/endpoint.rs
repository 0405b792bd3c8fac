//! Which doors an API has: the endpoint extensions of §14.1.

use super::Source;
use crate::definition::{Endpoint, Word};
use crate::source::node::Node;

/// `x-amazon-apigateway-endpoint-configuration` of a server (3.x) or of the root (2.0); several servers are read into the same endpoint.
pub fn configuration(node: &Node, endpoint: &mut Endpoint, from: &mut Source<'_>) {
    let (_, _, _) = (node, endpoint, from);
}

/// `x-amazon-apigateway-endpoint-access-mode` at the root.
pub fn access_mode(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-security-policy` at the root.
pub fn security_policy(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    let (_, _) = (node, from);
    None
}
