//! `x-amazon-apigateway-integration` of an operation: who answers, in all of its forms (§4, §14.1).

use router::Kind;

use super::Source;
use crate::definition::Integration;
use crate::source::node::Node;

/// The integration. The node may be `{$ref: …}` to `components/x-amazon-apigateway-integrations`: resolve it with [`Source::resolve`].
pub fn integration<'a>(node: &'a Node, kind: Kind, from: &mut Source<'a>) -> Option<Integration> {
    let (_, _, _) = (node, kind, from);
    None
}
