//! The small extensions of §14.1: each reads one value of a document's root, an operation or a tag.

use serde_json::Value as Json;

use super::Source;
use crate::definition::{ApiKeySource, Authorization, Validator, Word};
use crate::source::node::Node;

/// `x-amazon-apigateway-api-key-source` at the root.
pub fn api_key_source(node: &Node, from: &mut Source<'_>) -> Option<ApiKeySource> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-auth` of an operation: `{type: NONE | AWS_IAM}`; `None`: it says nothing.
pub fn auth(node: &Node, from: &mut Source<'_>) -> Option<Authorization> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-binary-media-types` at the root.
pub fn binary_media_types(node: &Node, from: &mut Source<'_>) -> Vec<Word> {
    let (_, _) = (node, from);
    Vec::new()
}

/// `x-amazon-apigateway-minimum-compression-size` at the root, in bytes.
pub fn minimum_compression_size(node: &Node, from: &mut Source<'_>) -> Option<u32> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-request-validators` at the root.
pub fn request_validators(node: &Node, from: &mut Source<'_>) -> Vec<(Word, Validator)> {
    let (_, _) = (node, from);
    Vec::new()
}

/// `x-amazon-apigateway-request-validator` of the root or of an operation. Whether it exists is checked by the caller.
pub fn request_validator(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-policy` at the root.
pub fn policy(node: &Node, from: &mut Source<'_>) -> Option<Json> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-tag-value` of a tag at the root.
pub fn tag_value(node: &Node, from: &mut Source<'_>) -> Option<String> {
    let (_, _) = (node, from);
    None
}

/// `x-amazon-apigateway-importexport-version` at the root: nothing but `1.0` is known.
pub fn import_export_version(node: &Node, from: &mut Source<'_>) {
    let (_, _) = (node, from);
}
