//! Which doors an API has: the endpoint extensions of §14.1.

use super::Source;
use super::extensions::{Fields, is_unknown_yet, word};
use crate::definition::{Endpoint, Word};
use crate::source::node::Node;

const TYPES: [(&str, &str); 3] = [("EDGE", "EDGE"), ("REGIONAL", "REGIONAL"), ("PRIVATE", "PRIVATE")];
const ADDRESSES: [(&str, &str); 2] = [("IPV4", "ipv4"), ("DUALSTACK", "dualstack")];
const MODES: [(&str, &str); 2] = [("BASIC", "BASIC"), ("STRICT", "STRICT")];

/// `x-amazon-apigateway-endpoint-configuration` of a server (3.x) or of the root (2.0); several servers are read into the same endpoint.
pub fn configuration(node: &Node, endpoint: &mut Endpoint, from: &mut Source<'_>) {
    let known = ["disableExecuteApiEndpoint", "ipAddressType", "types", "vpcEndpointIds"];
    let fields = Fields::open(node, "`x-amazon-apigateway-endpoint-configuration`", &known, from);
    if let Some(node) = fields.get("disableExecuteApiEndpoint") {
        endpoint.disable_execute_api = disabled(node, from).or(endpoint.disable_execute_api);
    }
    if let Some(node) = fields.get("types") {
        let types = from.list(node, "`types`");
        endpoint.types = types.iter().filter_map(|node| canonical(node, "an endpoint type", &TYPES, from)).collect();
    }
    if fields.get("vpcEndpointIds").is_some() {
        endpoint.vpc_endpoint_ids = fields.texts("vpcEndpointIds", from);
    }
    if let Some(node) = fields.get("ipAddressType") {
        endpoint.ip_address_type = canonical(node, "`ipAddressType`", &ADDRESSES, from);
    }
}

/// RT-17. What cannot be read closes the name rather than leaving it open.
fn disabled(node: &Node, from: &mut Source<'_>) -> Option<bool> {
    let what = "`disableExecuteApiEndpoint`";
    let written = from.text(node, what)?;
    if is_unknown_yet(&written) {
        from.warn(
            written.place(),
            format!("{what} is `{written}`, which only a deployment knows"),
            "the name is closed: write `true` or `false` into the document",
        );
        return Some(true);
    }
    from.flag(node, what)
}

/// A known word as AWS writes it.
fn canonical(node: &Node, what: &str, words: &[(&str, &'static str)], from: &mut Source<'_>) -> Option<Word> {
    word(node, what, words, from).map(|word| Word::new(word, node.place))
}

/// `x-amazon-apigateway-endpoint-access-mode` at the root (DM-09).
pub fn access_mode(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    canonical(node, "`x-amazon-apigateway-endpoint-access-mode`", &MODES, from)
}

/// `x-amazon-apigateway-security-policy` at the root (DM-08). AWS adds policies every year: any name is taken.
pub fn security_policy(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    from.text(node, "`x-amazon-apigateway-security-policy`").filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::extensions::tests_help::read;
    use super::*;

    fn of(text: &str) -> (Endpoint, String) {
        read(Kind::Rest, text, |node, from| {
            let mut endpoint = Endpoint::default();
            configuration(node, &mut endpoint, from);
            endpoint
        })
    }

    #[test]
    fn a_configuration_is_read() {
        let (endpoint, said) = of(
            "{disableExecuteApiEndpoint: 'true', types: private, vpcEndpointIds: [vpce-1, vpce-2], ipAddressType: DualStack}",
        );
        assert_eq!(said, "");
        assert_eq!(endpoint.disable_execute_api, Some(true));
        assert_eq!(endpoint.types, [Word::from("PRIVATE")]);
        assert_eq!(endpoint.vpc_endpoint_ids, ["vpce-1", "vpce-2"].map(Word::from));
        assert_eq!(endpoint.ip_address_type, Some("dualstack".into()));
        assert_eq!(of("null"), (Endpoint::default(), String::new()));
    }

    #[test]
    fn what_cannot_be_read_is_closed() {
        let (endpoint, said) = of("{disableExecuteApiEndpoint: '${closed}'}");
        assert_eq!(endpoint.disable_execute_api, Some(true));
        assert!(said.starts_with("warning: `disableExecuteApiEndpoint` is `${closed}`"), "{said}");
    }

    #[test]
    fn unknown_types_are_errors() {
        let (endpoint, said) = of("{types: [REGIONL, '${Type}']}");
        assert!(endpoint.types.is_empty());
        assert!(said.contains("error: an endpoint type cannot be `REGIONL`, did you mean `REGIONAL`?"), "{said}");
        assert!(said.contains("warning: an endpoint type is `${Type}`, which only a deployment knows"), "{said}");
    }

    #[test]
    fn modes_and_policies() {
        assert_eq!(read(Kind::Rest, "strict", access_mode), (Some("STRICT".into()), String::new()));
        assert!(read(Kind::Rest, "LAX", access_mode).1.starts_with("error: "));
        let policy = "SecurityPolicy_TLS13_1_3_2025_09";
        assert_eq!(read(Kind::Rest, policy, security_policy), (Some(policy.into()), String::new()));
    }
}
