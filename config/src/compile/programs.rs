//! Programs that were compiled already: a reload that changes one stage setting, or another API, compiles none of them again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use memchr::memmem;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::compile::answers;
use crate::compile::program::{self, Setting};
use crate::definition::Definition;
use crate::deployments::DefinitionHash;
use crate::diagnostic::{Diagnostics, Fault};
use crate::snapshot::Program;

type Hash = [u8; 32];

/// Kept programs, by what they were made of.
#[derive(Debug, Default)]
pub struct Programs {
    kept: HashMap<Hash, Kept>,
    /// Frozen definitions that were looked at: a program that is kept needs no definition.
    thawed: HashMap<DefinitionHash, (Print, u64)>,
    round: u64,
    /// How many were compiled since this was made; for tests and for people who wonder.
    pub compiled: u64,
}

#[derive(Debug)]
struct Kept {
    program: Arc<Program>,
    /// What the compiler said; it says it again at each load.
    faults: Vec<Fault>,
    round: u64,
}

impl Programs {
    /// A new load begins.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// Whether nothing has been loaded before: a process starts, or a command looks at a document.
    pub fn is_first(&self) -> bool {
        self.round <= 1
    }

    /// Forgets what the load that ends did not use.
    pub fn end(&mut self) {
        let round = self.round;
        self.kept.retain(|_, kept| kept.round == round);
        self.thawed.retain(|_, (_, used)| *used == round);
    }

    /// What is known of a frozen definition without reading it.
    pub fn print(&mut self, hash: &DefinitionHash) -> Option<Print> {
        let (print, round) = self.thawed.get_mut(hash)?;
        *round = self.round;
        Some(*print)
    }

    /// Remembers a frozen definition.
    pub fn remember(&mut self, hash: DefinitionHash, print: Print) {
        self.thawed.insert(hash, (print, self.round));
    }

    /// The program that was made before of this definition in this setting.
    pub fn find(&mut self, print: Print, setting: &Setting<'_>, faults: &mut Diagnostics) -> Option<Arc<Program>> {
        let kept = self.kept.get_mut(&print.key(setting))?;
        kept.round = self.round;
        faults.repeat(&kept.faults);
        Some(kept.program.clone())
    }

    /// Makes a program; `print` is that of the definition.
    pub fn make(
        &mut self,
        (print, definition): (Print, &Definition),
        setting: &Setting<'_>,
        faults: &mut Diagnostics,
    ) -> Arc<Program> {
        let key = print.key(setting);
        let mut own = Diagnostics::default();
        let program = Arc::new(program::compile(definition, setting, &mut own));
        self.compiled += 1;
        faults.repeat(&own.list);
        // A program with an error never serves; one whose faults did not all fit would not say the same again.
        if !own.has_errors() && own.left_out == 0 {
            let kept = Kept { program: program.clone(), faults: own.list, round: self.round };
            self.kept.insert(key, kept);
        }
        program
    }
}

/// What tells a definition from others.
#[derive(Debug, Clone, Copy)]
pub struct Print {
    hash: Hash,
    uses_variables: bool,
}

impl Print {
    /// Looks at every byte of the definition once.
    pub fn of(definition: &Definition) -> Self {
        let written = serde_json::to_vec(definition).expect("every part of a definition can be written");
        let mut hash = Sha256::new();
        hash.update(&written);
        // Faults point to places: the same text elsewhere has others.
        let of_methods = definition.methods.iter().flat_map(|method| {
            [Some(*method.place), method.integration.as_ref().map(|integration| *integration.place)]
        });
        let of_authorizers = definition.authorizers.iter().map(|(name, _)| name.place());
        for place in of_methods.flatten().chain(of_authorizers) {
            hash.update(place.source.to_le_bytes());
            hash.update(place.line.to_le_bytes());
            hash.update(place.column.to_le_bytes());
        }
        for place in answers::places(definition) {
            hash.update(place.source.to_le_bytes());
            hash.update(place.line.to_le_bytes());
            hash.update(place.column.to_le_bytes());
        }
        for place in definition.authorizers.iter().map(|(name, _)| name.place()) {
            hash.update(place.source.to_le_bytes());
            hash.update(place.line.to_le_bytes());
            hash.update(place.column.to_le_bytes());
        }
        Self { hash: hash.finalize().into(), uses_variables: memmem::find(&written, NEEDLE).is_some() }
    }

    fn key(self, setting: &Setting<'_>) -> Hash {
        #[derive(Serialize)]
        struct Rest<'a>(Option<&'a BTreeMap<String, String>>, Vec<(&'a str, bool)>, Option<&'a str>);
        let mut hash = Sha256::new();
        hash.update(self.hash);
        let variables = self.uses_variables.then_some(setting.variables);
        let lambda = setting.lambda.map(|text| &*text.text);
        let rest = serde_json::to_vec(&Rest(variables, setting.upstreams.all().collect(), lambda));
        hash.update(rest.unwrap_or_default());
        hash.finalize().into()
    }
}

/// What a definition that uses stage variables has in it somewhere.
const NEEDLE: &[u8] = b"stageVariables";

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::*;
    use crate::compile::upstreams::Names;
    use crate::definition::Method;

    fn definition(path: &str) -> Definition {
        let mut definition = Definition::new(Kind::Http);
        definition.methods.push(Method::new(None, path.into(), crate::Place::default()));
        definition
    }

    fn variables(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("a".to_owned(), value.to_owned())])
    }

    fn get(programs: &mut Programs, definition: &Definition, variables: &BTreeMap<String, String>) -> Arc<Program> {
        let setting = Setting { stage: "s", variables, upstreams: &Names::default(), lambda: None };
        let (print, faults) = (Print::of(definition), &mut Diagnostics::default());
        programs.find(print, &setting, faults).unwrap_or_else(|| programs.make((print, definition), &setting, faults))
    }

    #[test]
    fn what_did_not_change_is_not_compiled_again() {
        let mut programs = Programs::default();
        let first = get(&mut programs, &definition("/a"), &variables("1"));
        let again = get(&mut programs, &definition("/a"), &variables("2"));
        assert!(Arc::ptr_eq(&first, &again), "no method names a stage variable");
        assert_eq!(programs.compiled, 1);
        get(&mut programs, &definition("/b"), &variables("1"));
        assert_eq!(programs.compiled, 2);
    }

    #[test]
    fn variables_count_where_they_are_named() {
        let mut named = definition("/a");
        named.info.description = Some("${stageVariables.a}".to_owned());
        let mut programs = Programs::default();
        let first = get(&mut programs, &named, &variables("1"));
        assert!(!Arc::ptr_eq(&first, &get(&mut programs, &named, &variables("2"))));
    }

    #[test]
    fn what_no_load_uses_is_forgotten() {
        let mut programs = Programs::default();
        programs.begin();
        get(&mut programs, &definition("/a"), &variables("1"));
        programs.end();
        programs.begin();
        programs.end();
        assert!(programs.kept.is_empty());
    }
}
