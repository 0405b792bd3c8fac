//! What becomes of an API when a document is imported into it (OA-02).

use std::collections::HashMap;

use crate::definition::{Definition, Documentation, Endpoint, Info, Tag, Word};

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
        policy,
        endpoint,
        tags,
        documentation,
    } = imported;
    into.kind = kind;
    let Info { title, version, description } = info;
    replace(&mut into.info.title, title);
    replace(&mut into.info.version, version);
    replace(&mut into.info.description, description);
    by_key(&mut into.methods, methods, |method| method.key());
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
