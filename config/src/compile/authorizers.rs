//! Who decides on the callers of an API: what documents say of authorizers becomes rules. One way for native authorizers, those of OpenAPI
//! documents (`x-amazon-apigateway-authorizer`), and frozen ones.

mod basic;
mod jwt;
mod lambda;
mod mtls;

use std::collections::HashMap;

use policy::rules::Authorize;
use router::Kind;
use serde_json::Value as Json;

use self::jwt::Unusable;
use crate::compile::needs::{self, LATER, Lack};
use crate::compile::program::{Authorities, Setting};
use crate::definition::{self, Authorization, Definition, Method, Word};
use crate::diagnostic::{Diagnostics, Place};
use crate::snapshot::{Authorizer, AuthorizerRule, Line};

/// The authorizers of a definition, compiled.
#[derive(Default)]
pub struct Authorizers {
    /// By number.
    pub list: Vec<Authorizer>,
    by_name: HashMap<Box<str>, Result<u16, Useless>>,
}

/// What authorizers are compiled with.
pub struct Context<'a> {
    /// Which rules hold.
    pub kind: Kind,
    /// The stage's.
    pub setting: &'a Setting<'a>,
    /// Whom the program calls.
    pub authorities: &'a mut Authorities,
    /// Where the authorizer at hand stands.
    pub place: Place,
    /// Where faults go.
    pub faults: &'a mut Diagnostics,
}

/// An authorizer, as written.
pub struct Written<'a> {
    /// Its name.
    pub name: &'a str,
    /// `x-amazon-apigateway-authorizer`
    pub json: &'a Json,
    /// The header field that its security scheme names.
    pub header: Option<&'a str>,
}

/// Why an authorizer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Useless {
    /// Its type is not known in this version.
    Unknown,
    /// Something is wrong with it, which was reported.
    Faulty,
}

impl Authorizers {
    /// Compiles every authorizer of a definition. One that cannot be used is reported, and lets nobody pass.
    pub fn compile(
        definition: &Definition,
        setting: &Setting<'_>,
        authorities: &mut Authorities,
        faults: &mut Diagnostics,
    ) -> Self {
        let mut compiled = Self::default();
        let place = Place::default();
        let mut context = Context { kind: definition.kind, setting, authorities, place, faults };
        for (name, scheme) in &definition.authorizers {
            let Some(json) = &scheme.authorizer else { continue };
            context.place = name.place();
            let found = rule(name, (json, scheme), &mut context).and_then(|rule| {
                let number = u16::try_from(compiled.list.len()).map_err(|_| Useless::Faulty)?;
                compiled.list.push(Authorizer { name: name.as_str().into(), line: Line::of(name.place()), rule });
                Ok(number)
            });
            compiled.by_name.insert(name.as_str().into(), found);
        }
        compiled
    }

    /// What a method's authorization becomes.
    pub fn authorize(&self, method: &Method) -> Result<Authorize, Lack> {
        let (name, scopes) = match &method.authorization {
            Authorization::None => return Ok(Authorize::Open),
            Authorization::Iam => return Ok(Authorize::SigV4),
            Authorization::Authorizer { name, scopes } => (name, scopes),
        };
        match self.by_name.get(name.as_str()) {
            Some(Ok(authorizer)) => {
                let scopes = scopes.iter().map(|scope| scope.as_str().into()).collect();
                Ok(Authorize::By { authorizer: *authorizer, scopes })
            }
            Some(Err(Useless::Unknown)) => Err(Lack {
                place: *method.place,
                what: format!("its authorizer `{name}` cannot be used in this version"),
                hint: LATER,
            }),
            // Whoever wrote the document was told: the authorizer has a fault, the scheme is not defined, or is none that decides.
            Some(Err(Useless::Faulty)) | None => Ok(Authorize::Closed),
        }
    }
}

fn rule(
    name: &Word,
    (json, scheme): (&Json, &definition::Authorizer),
    context: &mut Context<'_>,
) -> Result<AuthorizerRule, Useless> {
    let named = scheme.location.as_deref().is_some_and(|location| location.eq_ignore_ascii_case("header"));
    let header = scheme.name.as_deref().filter(|_| named);
    let written = Written { name: name.as_str(), json, header };
    let manner = json.get("type").and_then(Json::as_str).unwrap_or_default();
    let compiled = match manner.to_ascii_lowercase().replace('-', "_").as_str() {
        "token" => lambda::compile(&written, true, context).map(Box::new).map(AuthorizerRule::Lambda),
        "request" => lambda::compile(&written, false, context).map(Box::new).map(AuthorizerRule::Lambda),
        "jwt" => said(name, jwt::compile(context.kind, scheme, json), context.faults),
        "cognito_user_pools" => said(name, jwt::cognito(context.kind, scheme, json), context.faults),
        "basic" => basic::compile(&written).map(Box::new).map(AuthorizerRule::Basic),
        "mtls" => mtls::compile(&written).map(Box::new).map(AuthorizerRule::Mtls),
        _ => return Err(Useless::Unknown),
    };
    compiled.map_err(|(what, hint)| {
        report(name, &what, hint, context.faults);
        Useless::Faulty
    })
}

/// Says what is odd about an authorizer for tokens.
fn said(name: &Word, made: jwt::Made, faults: &mut Diagnostics) -> Result<AuthorizerRule, (String, String)> {
    let (rule, odd) = made.map_err(|Unusable { what, hint }| (what, hint))?;
    for Unusable { what, hint } in odd {
        faults.warning(name.place(), format!("authorizer `{name}`: {what}"), hint);
    }
    Ok(AuthorizerRule::Jwt(Box::new(rule)))
}

/// In gateway.yaml it is an error; in a document that other tools wrote a warning, and nobody passes.
fn report(name: &Word, what: &str, hint: String, faults: &mut Diagnostics) {
    if needs::is_native(name.place()) {
        faults.error_hint(name.place(), format!("authorizer `{name}`: {what}"), hint);
    } else {
        faults.warning(name.place(), format!("nobody passes authorizer `{name}`: {what}"), hint);
    }
}
