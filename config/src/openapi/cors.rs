//! `x-amazon-apigateway-cors` at the root of an HTTP API's document (CO-01).

use super::Source;
use crate::definition::Cors;
use crate::source::node::Node;

/// The configuration.
pub fn cors(node: &Node, from: &mut Source<'_>) -> Option<Cors> {
    let (_, _) = (node, from);
    None
}
