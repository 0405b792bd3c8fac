//! Who decides on the callers of an API: what documents say of authorizers becomes rules. One way for native authorizers, those of OpenAPI
//! documents (`x-amazon-apigateway-authorizer`), and frozen ones.

use std::collections::HashMap;

use policy::rules::Authorize;
use serde_json::Value as Json;

use crate::compile::needs::{LATER, Lack};
use crate::definition::{Authorization, Definition, Method, Word};
use crate::diagnostic::Diagnostics;
use crate::snapshot::{Authorizer, AuthorizerRule};

/// The authorizers of a definition, compiled.
#[derive(Default)]
pub struct Authorizers {
    /// By number.
    pub list: Vec<Authorizer>,
    by_name: HashMap<Box<str>, Option<u16>>,
}

impl Authorizers {
    /// Compiles every authorizer of a definition. One that cannot be used is reported, and lets nobody pass.
    pub fn compile(definition: &Definition, faults: &mut Diagnostics) -> Self {
        let mut compiled = Self::default();
        for (name, scheme) in &definition.authorizers {
            let Some(json) = &scheme.authorizer else { continue };
            let number = rule(name, json, faults).map(|rule| {
                let number = compiled.list.len() as u16;
                compiled.list.push(Authorizer { name: name.as_str().into(), rule });
                number
            });
            compiled.by_name.insert(name.as_str().into(), number);
        }
        compiled
    }

    /// What a method's authorization becomes.
    pub fn authorize(&self, method: &Method) -> Result<Authorize, Lack> {
        let Authorization::Authorizer { name, scopes } = &method.authorization else { return Ok(Authorize::Open) };
        match self.by_name.get(name.as_str()) {
            Some(Some(authorizer)) => {
                let scopes = scopes.iter().map(|scope| scope.as_str().into()).collect();
                Ok(Authorize::By { authorizer: *authorizer, scopes })
            }
            Some(None) => Err(Lack {
                place: *method.place,
                what: "authorizers of this type are not available in this version".to_owned(),
                hint: LATER,
            }),
            // Whoever wrote the document was told: the scheme is not defined, or is none that decides.
            None => Ok(Authorize::Closed),
        }
    }
}

/// `None`: its type is not known here, or something is wrong with it, which was reported.
fn rule(_name: &Word, authorizer: &Json, _faults: &mut Diagnostics) -> Option<AuthorizerRule> {
    let manner = authorizer.get("type").and_then(Json::as_str).unwrap_or_default();
    match manner.to_ascii_lowercase().as_str() {
        _ => None,
    }
}
