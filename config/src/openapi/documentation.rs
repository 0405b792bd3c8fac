//! `x-amazon-apigateway-documentation` at the root (DOC-01).

use super::Source;
use crate::definition::Documentation;
use crate::source::node::Node;

/// The version and the parts. Not called if the documentation is to be passed over.
pub fn documentation(node: &Node, from: &mut Source<'_>) -> Option<Documentation> {
    let (_, _) = (node, from);
    None
}
