//! What the first version has written into a state directory, every later one reads: `tests/state` is never written again.
//!
//! When this fails because a type of the definition has changed: give the new field `#[serde(default)]`, with a default that means
//! what the old files meant. When an older version must not read what the new one writes, raise the format too.

use std::path::Path;

use config::deployments::{Store, freeze};

#[test]
fn the_first_versions_files_are_read() {
    let store = Store::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state")).expect("a folder");
    let pets = store.api("pets").expect("whole").expect("there");
    assert_eq!((pets.sequence, pets.deployments.len(), pets.stages.len()), (4, 4, 2));
    assert_eq!((pets.deployments[0].note.as_str(), pets.deployments[0].created), ("the first", 1_795_332_633));
    let prod = store.stage("pets", "prod").expect("whole").expect("deployed");
    assert_eq!((&*prod.deployment, prod.variables["colour"].as_str()), ("m2lwqqd2fu", "green"));
    let canary = prod.canary.expect("it has one");
    assert_eq!((&*canary.deployment, canary.percent.to_string()), ("m2lwqqd2fu", "25".into()));
    for deployment in &pets.deployments {
        let definition = store.definition("pets", &deployment.hash).expect("whole");
        assert_eq!(definition.methods.len(), deployment.methods);
        let keys: Vec<String> = definition.methods.iter().map(config::definition::Method::key).collect();
        assert_eq!(keys, ["GET /pets/{id}", "POST /pets/{id}", "OPTIONS /pets/{id}", "GET /mock"]);
        assert!(definition.policy.is_some() && definition.validator.is_some(), "nothing that restricts is lost");
        assert_eq!((definition.authorizers.len(), definition.gateway_responses.len()), (2, 1));
        assert!(definition.methods[0].api_key_required, "{:?}", definition.methods[0].authorization);
        freeze(&definition).expect("it can be frozen again");
    }
}
