//! Mappings whose parameters and header fields the method must declare (MP-01, IN-17). Here they are carried out all the same.

use std::collections::{HashMap, HashSet};

use router::Kind;

use super::Source;
use super::extensions::is_unknown_yet;
use crate::definition::{Definition, Integration, Location, Method, MethodResponse, Word};

/// Of a REST API: one warning for all mappings that API Gateway would refuse, at the first.
pub fn warn(definition: &Definition, from: &mut Source<'_>) {
    if from.options.kind != Kind::Rest {
        return;
    }
    let mut undeclared = Vec::new();
    for method in &definition.methods {
        if let Some(integration) = &method.integration {
            requests(method, integration, &mut undeclared);
            answers(method, integration, &mut undeclared);
        }
    }
    let Some(first) = undeclared.first() else { return };
    let what = match undeclared.len() {
        1 => format!("`{first}` is not declared by its method"),
        2 => format!("`{first}` is not declared by its method, nor is one more in a mapping"),
        count => format!("`{first}` is not declared by its method, nor are {} more in mappings", count - 1),
    };
    from.warn(
        first.place(),
        what,
        "API Gateway refuses such a mapping, here it is carried out: parameters are declared under `parameters`, header fields of \
         answers under `headers` of the response with that status",
    );
}

/// Sources such as `method.request.header.X`. Variables of the path are declared by the path.
fn requests<'a>(method: &'a Method, integration: &'a Integration, undeclared: &mut Vec<&'a Word>) {
    let declared: HashSet<(Location, &str)> =
        method.parameters.iter().map(|parameter| (parameter.location, parameter.name.as_str())).collect();
    for (_, source) in &integration.request_parameters {
        let Some((location, name)) = source.strip_prefix("method.request.").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let location = match location {
            "header" | "multivalueheader" => Location::Header,
            "querystring" | "multivaluequerystring" => Location::Query,
            _ => continue,
        };
        if !declared.contains(&(location, name)) && !is_unknown_yet(source) {
            undeclared.push(source);
        }
    }
}

/// Targets such as `method.response.header.X` of an answer whose status the method declares.
fn answers<'a>(method: &'a Method, integration: &'a Integration, undeclared: &mut Vec<&'a Word>) {
    if integration.responses.iter().all(|response| response.parameters.is_empty()) {
        return;
    }
    let names =
        |response: &MethodResponse| response.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let declared: HashMap<&str, HashSet<String>> =
        method.responses.iter().map(|(status, response)| (status.as_str(), names(response))).collect();
    for response in &integration.responses {
        let Some(declared) = declared.get(response.status.as_str()) else { continue };
        for (target, _) in &response.parameters {
            let Some(name) = target.strip_prefix("method.response.header.") else { continue };
            if !declared.contains(&name.to_ascii_lowercase()) && !is_unknown_yet(target) {
                undeclared.push(target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::tests::with_faults;
    use crate::openapi::ImportOptions;

    const TEXT: &str = "
openapi: 3.0.1
paths:
  /a/{id}:
    get:
      parameters: [{in: header, name: X-Known}, {in: query, name: known}]
      responses: {'200': {description: fine, headers: {X-Known: {}}}}
      x-amazon-apigateway-integration:
        type: http
        httpMethod: GET
        uri: http://b.example/{id}
        requestParameters:
          integration.request.path.id: method.request.path.id
          integration.request.header.a: method.request.header.X-Known
          integration.request.header.b: method.request.multivaluequerystring.known
          integration.request.header.c: method.request.body.c
          integration.request.header.d: stageVariables.d
          integration.request.header.e: method.request.header.x-known
          integration.request.header.f: method.request.querystring.unknown
        responses:
          default: {statusCode: '200', responseParameters: {method.response.header.x-known: \"'a'\", method.response.header.X: \"'b'\"}}
          '404': {statusCode: '404', responseParameters: {method.response.header.X: \"'b'\"}}
";

    #[test]
    fn what_a_method_does_not_declare_is_said_once() {
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), TEXT);
        let expected = "a.yaml:18:41: warning: `method.request.header.x-known` is not declared by its method, nor are 2 more in mappings";
        assert_eq!(faults, expected);
        assert!(definition.is_some());
        assert_eq!(with_faults(&ImportOptions::new(Kind::Http), TEXT).1, "", "HTTP APIs declare nothing");
    }
}
