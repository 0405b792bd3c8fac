//! `x-amazon-apigateway-gateway-responses` at the root: overrides of refusals by type (GR rows).

use super::Source;
use crate::definition::{GatewayResponse, Word};
use crate::source::node::Node;

/// The overrides, in the order of the document.
pub fn gateway_responses(node: &Node, from: &mut Source<'_>) -> Vec<(Word, GatewayResponse)> {
    let (_, _) = (node, from);
    Vec::new()
}
