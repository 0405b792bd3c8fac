//! What becomes of an API when a document is imported into it (OA-02).

use std::collections::HashMap;

use crate::definition::{Definition, Documentation, Endpoint, Info, Method, Tag, Word};

/// Merges: what the import does not mention stays; where both have something, the import wins.
pub fn merge(into: &mut Definition, imported: Definition) {
    // Each field is named: a new one does not build until it is decided what merging means for it.
    let Definition {
        kind,
        info,
        methods,
        resources,
        models,
        authorizers,
        validators,
        validator,
        gateway_responses,
        binary_media_types,
        minimum_compression_size,
        api_key_source,
        cors,
        strict_errors,
        policy,
        policy_at,
        endpoint,
        tags,
        documentation,
    } = imported;
    into.kind = kind;
    let Info { title, version, description } = info;
    replace(&mut into.info.title, title);
    replace(&mut into.info.version, version);
    replace(&mut into.info.description, description);
    by_key(&mut into.methods, methods, Method::key);
    by_key(&mut into.resources, resources, Word::to_string);
    let paths: std::collections::HashSet<&str> = into.methods.iter().map(|method| &*method.path).collect();
    into.resources.retain(|path| !paths.contains(path.as_str()));
    by_key(&mut into.models, models, |(name, _)| name.to_string());
    by_key(&mut into.authorizers, authorizers, |(name, _)| name.to_string());
    by_key(&mut into.validators, validators, |(name, _)| name.to_string());
    by_key(&mut into.gateway_responses, gateway_responses, |(name, _)| name.to_string());
    by_key(&mut into.binary_media_types, binary_media_types, Word::to_string);
    by_key(&mut into.tags, tags, |Tag { name, .. }| name.clone());
    replace(&mut into.validator, validator);
    replace(&mut into.minimum_compression_size, minimum_compression_size);
    replace(&mut into.api_key_source, api_key_source);
    replace(&mut into.cors, cors);
    into.strict_errors |= strict_errors;
    if policy.is_some() {
        into.policy_at = policy_at;
    }
    replace(&mut into.policy, policy);
    let Endpoint { disable_execute_api, types, vpc_endpoint_ids, ip_address_type, access_mode, security_policy } =
        endpoint;
    replace(&mut into.endpoint.disable_execute_api, disable_execute_api);
    replace_list(&mut into.endpoint.types, types);
    replace_list(&mut into.endpoint.vpc_endpoint_ids, vpc_endpoint_ids);
    replace(&mut into.endpoint.ip_address_type, ip_address_type);
    replace(&mut into.endpoint.access_mode, access_mode);
    replace(&mut into.endpoint.security_policy, security_policy);
    if let Some(Documentation { version, parts }) = documentation {
        let known = into.documentation.get_or_insert_default();
        replace(&mut known.version, version);
        by_key(&mut known.parts, parts, |part| part.get("location").map(ToString::to_string).unwrap_or_default());
    }
}

fn replace<T>(known: &mut Option<T>, imported: Option<T>) {
    if imported.is_some() {
        *known = imported;
    }
}

fn replace_list<T>(known: &mut Vec<T>, imported: Vec<T>) {
    if !imported.is_empty() {
        *known = imported;
    }
}

/// What has the same key takes the place of what was there; the rest follows.
fn by_key<T>(known: &mut Vec<T>, imported: Vec<T>, key: impl Fn(&T) -> String) {
    let mut places: HashMap<String, usize> = known.iter().enumerate().map(|(at, item)| (key(item), at)).collect();
    for item in imported {
        match places.entry(key(&item)) {
            std::collections::hash_map::Entry::Occupied(place) => known[*place.get()] = item,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(known.len());
                known.push(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::json;

    use super::super::tests::good;
    use super::*;

    #[test]
    fn what_is_mentioned_wins_and_the_rest_stays() {
        let mut known = good(
            Kind::Rest,
            "
openapi: 3.0.1
info: {title: a, description: stays}
tags: [{name: t, description: old}, {name: u}]
x-amazon-apigateway-binary-media-types: [image/png]
x-amazon-apigateway-api-key-source: HEADER
x-amazon-apigateway-minimum-compression-size: 10
x-amazon-apigateway-policy: {Version: '2012-10-17', Statement: []}
x-amazon-apigateway-gateway-responses: {DEFAULT_4XX: {statusCode: 418}, QUOTA_EXCEEDED: {statusCode: 420}}
paths: {/a: {get: {operationId: old}}, /e: {}}
components: {securitySchemes: {k: {type: apiKey, name: x-api-key, in: header}}}
",
        );
        let imported = good(
            Kind::Rest,
            "
openapi: 3.0.1
info: {title: b}
tags: [{name: t, description: new}]
x-amazon-apigateway-binary-media-types: [image/png, font/woff]
x-amazon-apigateway-minimum-compression-size: 20
x-amazon-apigateway-gateway-responses: {DEFAULT_4XX: {statusCode: 444}}
paths: {/a: {get: {operationId: new}}, /e: {put: {}}, /f: {}}
",
        );
        merge(&mut known, imported);
        assert_eq!((known.info.title.as_deref(), known.info.description.as_deref()), (Some("b"), Some("stays")));
        assert_eq!(known.tags.iter().map(|tag| tag.description.as_deref()).collect::<Vec<_>>(), [Some("new"), None]);
        assert_eq!(known.binary_media_types, [Word::from("image/png"), Word::from("font/woff")]);
        assert_eq!(known.minimum_compression_size, Some(20));
        assert!(known.api_key_source.is_some() && known.policy.is_some());
        let statuses: Vec<_> =
            known.gateway_responses.iter().map(|(_, r)| r.status.clone().unwrap().to_string()).collect();
        assert_eq!(statuses, ["444", "420"]);
        assert_eq!(known.methods.iter().map(Method::key).collect::<Vec<_>>(), ["GET /a", "PUT /e"]);
        assert_eq!(known.methods[0].operation_id, Some("new".into()));
        assert_eq!(known.resources, [Word::from("/f")]);
        assert_eq!(known.authorizers.len(), 1);
    }

    #[test]
    fn parts_of_the_documentation_are_known_by_their_location() {
        let mut known = Definition::new(Kind::Rest);
        let part = |path: &str, text: &str| json!({"location": {"type": "RESOURCE", "path": path}, "properties": text});
        let with = |version: Option<&str>, parts: Vec<serde_json::Value>| {
            let documentation = Some(Documentation { version: version.map(str::to_owned), parts });
            Definition { documentation, ..Definition::new(Kind::Rest) }
        };
        merge(&mut known, with(Some("1"), vec![part("/a", "old"), part("/b", "stays")]));
        merge(&mut known, with(None, vec![part("/a", "new"), part("/c", "more")]));
        let found = known.documentation.unwrap();
        assert_eq!(found.version.as_deref(), Some("1"));
        assert_eq!(found.parts, [part("/a", "new"), part("/b", "stays"), part("/c", "more")]);
    }
}
