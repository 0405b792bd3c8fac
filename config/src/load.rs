//! The way in: reads documents and makes snapshots of them. What was compiled before and did not change is kept.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::compile::{self, Programs};
use crate::definition::Definition;
use crate::deployments::{Declared, state_folder};
use crate::diagnostic::{Diagnostics, Place};
use crate::input::Input;
use crate::model::Document;
use crate::model::api::ApiSpec;
use crate::model::reader::Reader;
use crate::model::stage::StageSpec;
use crate::snapshot::Snapshot;
use crate::{check, keys, limits, snapshot_file, source};

/// What came of a document.
#[derive(Debug)]
pub struct Loaded {
    /// `None` if there is any error.
    pub snapshot: Option<Snapshot>,
    /// Errors and warnings, sorted by place.
    pub diagnostics: Diagnostics,
    /// Every file that was read, and every one that should have been: whoever watches them knows when to load again.
    pub files: Vec<Input>,
}

/// A part of a load that is over: for callers with a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The documents are read and understood.
    Read,
    /// The snapshot is made, or it is known why it cannot be.
    Compile,
}

/// Loads documents one after the other, and keeps what the next one can use again.
#[derive(Debug, Default)]
pub struct Loader {
    programs: Programs,
}

impl Loader {
    /// Loads a document from a file. Relative paths in it are taken from the file's folder. `is_over` is told when a part of the
    /// load is over; a part that could not begin is not spoken of.
    pub fn load(&mut self, path: &Path, mut is_over: impl FnMut(Part)) -> Loaded {
        if is_compiled(path) {
            return compiled(path, &mut is_over);
        }
        let mut faults = Diagnostics::default();
        let source = source::file::read(path, &mut faults);
        let base = path.parent().unwrap_or(Path::new(""));
        self.finish(source, base, faults, &mut is_over)
    }

    /// Loads a document from memory; `name` stands for its file in faults, `base` is the folder of its relative paths.
    pub fn load_bytes(&mut self, name: &str, bytes: &[u8], base: &Path) -> Loaded {
        let mut faults = Diagnostics::default();
        let source = source::file::add(name, bytes, &mut faults);
        self.finish(source, base, faults, &mut |_| {})
    }

    /// How many programs were compiled so far: an API that did not change is not compiled again.
    pub fn compiled(&self) -> u64 {
        self.programs.compiled
    }

    fn finish(
        &mut self,
        source: Option<u16>,
        base: &Path,
        mut faults: Diagnostics,
        is_over: &mut dyn FnMut(Part),
    ) -> Loaded {
        let snapshot = source.and_then(|source| self.snapshot(source, base, &mut faults, is_over));
        faults.finish();
        let snapshot = snapshot.filter(|_| !faults.has_errors());
        let files = std::mem::take(&mut faults.files);
        Loaded { snapshot, diagnostics: faults, files }
    }

    fn snapshot(
        &mut self,
        source: u16,
        base: &Path,
        faults: &mut Diagnostics,
        is_over: &mut dyn FnMut(Part),
    ) -> Option<Snapshot> {
        let (document, definitions) = understand(source, base, faults)?;
        is_over(Part::Read);
        check::check(&document, faults);
        check::check_imported(&document, &definitions, faults);
        self.programs.begin();
        let snapshot = compile::compile(document, &definitions, base, &mut self.programs, faults);
        if snapshot.is_some() {
            self.programs.end();
        }
        is_over(Part::Compile);
        snapshot
    }
}

/// Whether a file is a compiled snapshot, and no document.
pub fn is_compiled(path: &Path) -> bool {
    let mut begin = [0; 8];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut begin).is_ok()) && snapshot_file::is_snapshot(&begin)
}

/// Loads a compiled snapshot: no text is parsed, no document checked.
fn compiled(path: &Path, is_over: &mut dyn FnMut(Part)) -> Loaded {
    let mut faults = Diagnostics::default();
    let mut bytes = Vec::new();
    let most = limits::SNAPSHOT_BYTES_MAX as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    is_over(Part::Read);
    let folder = path.parent().unwrap_or(Path::new(""));
    let input = if read.is_ok() { Input::new(path, &bytes, most) } else { Input::missing(path) };
    let decoded = match read {
        Ok(_) => snapshot_file::decode(&bytes, folder).map_err(|fault| fault.to_string()),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    let source = source::file::push(&path.display().to_string(), String::new(), &mut faults).unwrap_or_default();
    let place = Place { source, ..Place::default() };
    let mut snapshot = decoded.map_err(|what| {
        let hint = "compile the document again with this version: `tollgate compile gateway.yaml -o FILE`";
        faults.error_hint(place, what, hint);
    });
    if let Ok(snapshot) = &mut snapshot {
        compile::tls::read_again(snapshot, place, &mut faults);
        compile::clients::read_again(snapshot, place, &mut faults);
        keys::load::load(snapshot, &[], place, &mut faults);
        compile::principals::load(snapshot, &[], place, &mut faults);
        compile::functions::load(snapshot, place, &mut faults);
        snapshot.key_sets = compile::key_sets::read(&snapshot.stages, folder, |_, _| place, &mut faults);
        snapshot.key_authorities = compile::key_sets::trust(&snapshot.stages, folder, |_, _| place, &mut faults);
        snapshot.user_lists = compile::user_lists::read(&snapshot.stages, folder, |_, _| place, &mut faults);
    }
    is_over(Part::Compile);
    faults.finish();
    let snapshot = snapshot.ok().filter(|_| !faults.has_errors());
    let mut files = std::mem::take(&mut faults.files);
    files.insert(0, input);
    Loaded { snapshot, diagnostics: faults, files }
}

/// The document, and what each of its APIs is.
pub(crate) fn understand(
    source: u16,
    base: &Path,
    faults: &mut Diagnostics,
) -> Option<(Document, Vec<Option<Definition>>)> {
    let document = document(source, faults)?;
    let definitions = compile::definitions(&document, base, faults);
    Some((document, definitions))
}

fn document(source: u16, faults: &mut Diagnostics) -> Option<Document> {
    let text = std::mem::take(&mut faults.sources[usize::from(source)].text);
    let node = source::node::parse(&text, source, faults);
    faults.sources[usize::from(source)].text = text;
    Document::read(&node?, &mut Reader { faults })
}

/// What the APIs of a document are.
#[derive(Debug, Default)]
pub struct Definitions {
    /// In the order of the document; those that cannot be read are left out.
    pub list: Vec<Defined>,
    /// What is said of the stages of those and of the other APIs.
    pub stages: Vec<DeclaredStage>,
    /// Where the gateway keeps what must outlive it, if anywhere.
    pub state: Option<PathBuf>,
    /// Errors and warnings of reading them, sorted by place.
    pub diagnostics: Diagnostics,
}

/// One API of a document.
#[derive(Debug)]
pub struct Defined {
    /// Its id.
    pub id: String,
    /// The names of its stages.
    pub stages: Vec<String>,
    /// What it is.
    pub definition: Definition,
}

/// A stage of a document, as far as deployments are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredStage {
    /// The API's id.
    pub api: String,
    /// Its name.
    pub stage: String,
    /// What the document decides.
    pub declared: Declared,
}

fn declared_stages(document: &Document) -> Vec<DeclaredStage> {
    let stages = document.apis.iter().flat_map(|api| api.stages.iter().map(move |stage| (api, stage)));
    let declared = |stage: &StageSpec| Declared {
        auto_deploy: stage.auto_deploy.as_ref().is_none_or(|at| at.value),
        canary: stage.canary.is_some(),
    };
    stages
        .map(|(api, stage)| DeclaredStage {
            api: api.id.text.to_string(),
            stage: stage.name.text.to_string(),
            declared: declared(stage),
        })
        .collect()
}

/// Reads a document and its OpenAPI documents, and compiles nothing.
pub fn definitions(path: &Path) -> Definitions {
    let mut faults = Diagnostics::default();
    let source = source::file::read(path, &mut faults);
    let base = path.parent().unwrap_or(Path::new(""));
    let mut found = Definitions::default();
    if let Some((document, definitions)) = source.and_then(|source| understand(source, base, &mut faults)) {
        let defined = |(api, definition): (&ApiSpec, Option<Definition>)| {
            let stages = api.stages.iter().map(|stage| stage.name.text.to_string()).collect();
            Some(Defined { id: api.id.text.to_string(), stages, definition: definition? })
        };
        found.list = document.apis.iter().zip(definitions).filter_map(defined).collect();
        found.stages = declared_stages(&document);
        let state = document.gateway.state.as_ref().map(|folder| base.join(&*folder.text));
        found.state = state_folder(state.as_deref());
    }
    faults.finish();
    Definitions { diagnostics: faults, ..found }
}

/// Where the document wants its control socket, also when it has errors: a running gateway is asked to reload just then. `None`: it does
/// not say.
///
/// # Errors
/// The document cannot be read at all, and why.
pub fn control_path(path: &Path) -> Result<Option<PathBuf>, Diagnostics> {
    if is_compiled(path) {
        let Loaded { snapshot, diagnostics, files: _ } = Loader::default().load(path, |_| {});
        return snapshot.map(|snapshot| snapshot.gateway.control).ok_or(diagnostics);
    }
    let mut faults = Diagnostics::default();
    let found = source::file::read(path, &mut faults).and_then(|source| document(source, &mut faults));
    let Some(Document { gateway, .. }) = found else {
        faults.finish();
        return Err(faults);
    };
    Ok(gateway.control.map(|control| path.parent().unwrap_or(Path::new("")).join(&*control.text)))
}

/// Where the document wants its state directory, also when it has errors. `None`: it does not say.
///
/// # Errors
/// The document cannot be read at all, and why.
pub fn state_path(path: &Path) -> Result<Option<PathBuf>, Diagnostics> {
    if is_compiled(path) {
        let Loaded { snapshot, diagnostics, files: _ } = Loader::default().load(path, |_| {});
        return snapshot.map(|snapshot| snapshot.gateway.state).ok_or(diagnostics);
    }
    let mut faults = Diagnostics::default();
    let found = source::file::read(path, &mut faults).and_then(|source| document(source, &mut faults));
    let Some(Document { gateway, .. }) = found else {
        faults.finish();
        return Err(faults);
    };
    Ok(gateway.state.map(|state| path.parent().unwrap_or(Path::new("")).join(&*state.text)))
}
