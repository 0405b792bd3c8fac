//! `x-amazon-apigateway-gateway-responses` at the root: overrides of refusals by type (GR rows).

use policy::gateway_type::GatewayType;

use super::Source;
use super::extensions::{Fields, nearest};
use crate::definition::{GatewayResponse, Word};
use crate::source::node::{Entry, Node};

/// The overrides, in the order of the document.
pub fn gateway_responses(node: &Node, from: &mut Source<'_>) -> Vec<(Word, GatewayResponse)> {
    let mut read: Vec<(Word, GatewayResponse)> = Vec::new();
    for Entry { key, value } in from.entries(node, "`x-amazon-apigateway-gateway-responses`") {
        let name = key.text.trim().to_uppercase().replace('-', "_");
        if GatewayType::of(&name).is_none() {
            let near =
                nearest(&name, &GatewayType::NAMES).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            from.warn(
                key.place,
                format!("`{}` is no type of gateway response{near}", key.text),
                format!("it is passed over; the types are {}", GatewayType::NAMES.join(", ")),
            );
            continue;
        }
        let name = if *name == *key.text { Word::from(key) } else { Word::new(name, key.place) };
        if read.iter().any(|(known, _)| *known == name) {
            from.warn(key.place, format!("`{name}` is written twice"), "the first is taken");
            continue;
        }
        let response = response(value, from);
        read.push((name, response));
    }
    read
}

fn response(node: &Node, from: &mut Source<'_>) -> GatewayResponse {
    let known = ["responseParameters", "responseTemplates", "statusCode"];
    let fields = Fields::open(node, "a gateway response", &known, from);
    GatewayResponse {
        status: fields.text("statusCode", from).filter(|status| !status.is_empty()),
        parameters: fields.pairs("responseParameters", from),
        templates: fields.pairs("responseTemplates", from),
    }
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::extensions::tests_help::read;
    use super::*;

    #[test]
    fn overrides_are_read() {
        let text = "DEFAULT_4XX:\n  statusCode: 418\n  responseParameters: {gatewayresponse.header.X: \"'y'\"}\n  \
                    responseTemplates: {application/json: '{\"message\":$context.error.messageString}', text/plain: null}\n\
                    quota-exceeded: {}\nTHROTTLED:\n";
        let (responses, said) = read(Kind::Rest, text, gateway_responses);
        assert_eq!(said, "");
        let names: Vec<&str> = responses.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["DEFAULT_4XX", "QUOTA_EXCEEDED", "THROTTLED"]);
        let first = &responses[0].1;
        assert_eq!(first.status.as_ref().unwrap().as_str(), "418");
        assert_eq!(first.parameters, [("gatewayresponse.header.X".into(), "'y'".into())]);
        assert_eq!(first.templates, [("application/json".into(), "{\"message\":$context.error.messageString}".into())]);
        assert_eq!(responses[1].1, GatewayResponse::default());
    }

    #[test]
    fn what_is_no_override_is_a_warning() {
        let text = "DEFAULT_4X: {}\nunauthorized: {StatusCode: 401}\nUNAUTHORIZED: {statusCode: 403}\nTEAPOT: {}\n";
        let (responses, said) = read(Kind::Rest, text, gateway_responses);
        assert_eq!(responses.len(), 1);
        assert_eq!(responses[0].1.status, None);
        assert_eq!(
            said,
            "warning: `DEFAULT_4X` is no type of gateway response, did you mean `DEFAULT_4XX`?\n\
             warning: a gateway response has no field `StatusCode`, did you mean `statusCode`?\n\
             warning: `UNAUTHORIZED` is written twice\n\
             warning: `TEAPOT` is no type of gateway response\n"
        );
    }
}
