//! The compiled file: a snapshot written ahead of time, so that a start reads no document.
//!
//! ```text
//! 8 bytes   TOLLGATE
//! 4 bytes   format, little-endian
//! 8 bytes   length of the body, little-endian
//! 32 bytes  SHA-256 of the body
//! body      postcard
//! ```
//!
//! No secret is ever inside: certificates and keys are named by their files, and read when the snapshot is loaded. Paths that were relative to the document are relative to the file. What is read is not believed: indices,
//! hosts and names are checked as if a document had said them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::rules::Authorize;
use router::{Builder, HostPattern, RoutingMode, RoutingRule, StageRef, Table};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compile::tls::is_server_name;
use crate::limits;
use crate::snapshot::{
    AccessLog, Api, Authorizer, AuthorizerRule, CallSigner, Canary, CertificateFiles, Certificates, FileRef, Gateway,
    Integration, KeyAuthorities, KeySets, KeySources, ListenAddress, Manner, Mapping, Measured, MutualTls, Plan,
    Program, Release, Rule, SecretRef, ServerAddress, Snapshot, Stage, Throttles, Tls, Trusted, Truststores, Upstream,
    UpstreamTls, UserLists,
};

const MAGIC: &[u8; 8] = b"TOLLGATE";
/// Goes up with every change of what the body holds.
const FORMAT: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 32;

/// Why a file is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotFault {
    /// It does not begin as a compiled snapshot does.
    Foreign,
    /// Another version of Tollgate compiled it.
    Format(u32),
    /// It is shorter than it says.
    Truncated,
    /// It is longer than it says.
    Trailing,
    /// Its bytes are not those that were written.
    Checksum,
    /// It is larger than [`limits::SNAPSHOT_BYTES_MAX`].
    TooLarge,
    /// Its checksum is right, but its content cannot be.
    Invalid(String),
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("not a compiled snapshot"),
            Self::Format(found) => {
                write!(f, "compiled for format {found}, but this version reads format {FORMAT}")
            }
            Self::Truncated => f.write_str("the compiled snapshot ends too early"),
            Self::Trailing => f.write_str("something follows the compiled snapshot"),
            Self::Checksum => f.write_str("the compiled snapshot is damaged: its checksum is wrong"),
            Self::TooLarge => {
                write!(f, "the compiled snapshot is larger than {} MiB", limits::SNAPSHOT_BYTES_MAX >> 20)
            }
            Self::Invalid(what) => write!(f, "the compiled snapshot cannot be: {what}"),
        }
    }
}

impl std::error::Error for SnapshotFault {}

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    gateway: &'a Gateway,
    apis: &'a [Api],
    programs: Vec<&'a Program>,
    stages: Vec<StageBody>,
    upstreams: &'a [Upstream],
    mappings: &'a [Mapping],
    rules: &'a [Rule],
    domains: &'a [(Box<str>, RoutingMode)],
    protected: &'a [(Box<str>, Tls)],
    manners: &'a [(Box<str>, Manner)],
    plans: &'a [Plan],
    sources: &'a [Box<str>],
    keys_from: &'a KeySources,
}

/// The same, read.
#[derive(Deserialize)]
struct Body {
    gateway: Gateway,
    apis: Box<[Api]>,
    programs: Vec<Program>,
    stages: Vec<StageBody>,
    upstreams: Box<[Upstream]>,
    mappings: Box<[Mapping]>,
    rules: Box<[Rule]>,
    domains: Box<[(Box<str>, RoutingMode)]>,
    protected: Box<[(Box<str>, Tls)]>,
    manners: Box<[(Box<str>, Manner)]>,
    plans: Box<[Plan]>,
    sources: Box<[Box<str>]>,
    keys_from: KeySources,
}

#[derive(Serialize, Deserialize)]
struct StageBody {
    api: u32,
    name: Arc<str>,
    release: Option<ReleaseBody>,
    canary: Option<(f64, ReleaseBody)>,
    measured: Measured,
    throttles: Throttles,
}

#[derive(Serialize, Deserialize)]
struct ReleaseBody {
    deployment: Option<Arc<str>>,
    /// Programs are shared by stages: each is written once.
    program: u32,
    upstreams: Box<[u32]>,
    variables: Arc<BTreeMap<String, String>>,
}

/// Whether bytes begin as a compiled snapshot does.
pub fn is_snapshot(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The file's bytes. `base` is the folder that paths were taken from: those below it are written relative to the file.
pub fn encode(snapshot: &Snapshot, base: &Path) -> Vec<u8> {
    let below = |path: &mut PathBuf| {
        if let Ok(rest) = path.strip_prefix(base)
            && !base.as_os_str().is_empty()
        {
            *path = rest.to_owned();
        }
    };
    let (mut gateway, mut upstreams) = (snapshot.gateway.clone(), snapshot.upstreams.clone());
    let mut protected = snapshot.protected.clone();
    let mut keys_from = snapshot.keys_from.clone();
    rebase(&mut gateway, &mut upstreams, &mut protected, below);
    keys_from.rebase(below);
    let mut programs = Programs::default();
    let stages = snapshot.stages.iter().map(|stage| programs.stage(stage)).collect();
    let written = Written {
        gateway: &gateway,
        apis: &snapshot.apis,
        programs: programs.list,
        stages,
        upstreams: &upstreams,
        mappings: &snapshot.mappings,
        rules: &snapshot.rules,
        domains: &snapshot.domains,
        protected: &protected,
        manners: &snapshot.manners,
        plans: &snapshot.plans,
        sources: &snapshot.sources,
        keys_from: &keys_from,
    };
    let body = postcard::to_stdvec(&written).expect("a snapshot has nothing that postcard cannot write");
    let mut file = Vec::with_capacity(HEADER + body.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&FORMAT.to_le_bytes());
    file.extend_from_slice(&(body.len() as u64).to_le_bytes());
    file.extend_from_slice(&Sha256::digest(&body));
    file.extend_from_slice(&body);
    file
}

/// Programs by the order in which they were met.
#[derive(Default)]
struct Programs<'a> {
    list: Vec<&'a Program>,
}

impl<'a> Programs<'a> {
    fn stage(&mut self, stage: &'a Stage) -> StageBody {
        let Stage { api, name, release, canary, measured, throttles } = stage;
        StageBody {
            api: *api,
            name: name.clone(),
            release: release.as_ref().map(|release| self.release(release)),
            canary: canary.as_ref().map(|canary| (canary.percent, self.release(&canary.release))),
            measured: measured.clone(),
            throttles: throttles.clone(),
        }
    }

    fn release(&mut self, release: &'a Release) -> ReleaseBody {
        let Release { deployment, program, upstreams, variables } = release;
        let known = self.list.iter().position(|known| std::ptr::eq(*known, &raw const **program));
        let number = known.unwrap_or_else(|| {
            self.list.push(program);
            self.list.len() - 1
        });
        ReleaseBody {
            deployment: deployment.clone(),
            program: number as u32,
            upstreams: upstreams.clone(),
            variables: variables.clone(),
        }
    }
}

/// The snapshot of a file's bytes; `folder` is the file's.
pub fn decode(file: &[u8], folder: &Path) -> Result<Snapshot, SnapshotFault> {
    if file.len() > limits::SNAPSHOT_BYTES_MAX {
        return Err(SnapshotFault::TooLarge);
    }
    if !file.starts_with(MAGIC) {
        // Cut within its first bytes, it is still one of ours.
        let is_cut = !file.is_empty() && MAGIC.starts_with(file);
        return Err(if is_cut { SnapshotFault::Truncated } else { SnapshotFault::Foreign });
    }
    let field = |from: usize, to: usize| file.get(from..to).ok_or(SnapshotFault::Truncated);
    let format = field(8, 12)?.try_into().map_or(0, u32::from_le_bytes);
    if format != FORMAT {
        return Err(SnapshotFault::Format(format));
    }
    let length = field(12, 20)?.try_into().map_or(0, u64::from_le_bytes);
    let sum = field(20, HEADER)?;
    let body = &file[HEADER..];
    match (body.len() as u64).cmp(&length) {
        std::cmp::Ordering::Less => return Err(SnapshotFault::Truncated),
        std::cmp::Ordering::Greater => return Err(SnapshotFault::Trailing),
        std::cmp::Ordering::Equal => {}
    }
    if *Sha256::digest(body) != *sum {
        return Err(SnapshotFault::Checksum);
    }
    decode_body(body, folder)
}

/// The snapshot of a body whose checksum is right: what it says is checked all the same.
pub fn decode_body(body: &[u8], folder: &Path) -> Result<Snapshot, SnapshotFault> {
    let (body, rest) = postcard::take_from_bytes::<Body>(body).map_err(|error| invalid(format!("{error}")))?;
    if !rest.is_empty() {
        return Err(invalid("bytes are left over"));
    }
    let Body {
        mut gateway,
        apis,
        programs,
        stages,
        mut upstreams,
        mappings,
        rules,
        domains,
        mut protected,
        manners,
        plans,
        sources,
        mut keys_from,
    } = body;
    let from_folder = |path: &mut PathBuf| *path = folder.join(&*path);
    rebase(&mut gateway, &mut upstreams, &mut protected, from_folder);
    keys_from.rebase(from_folder);
    if gateway.listen.iter().filter_map(|listener| listener.tls.as_ref()).any(|tls| tls.certificates.is_empty()) {
        return Err(invalid("a listener with TLS and without a certificate"));
    }
    if gateway.listen.is_empty() || upstreams.iter().any(|upstream| upstream.servers.is_empty()) {
        return Err(invalid("a gateway without listeners, or an upstream without servers"));
    }
    let mut names = upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()?.server_name.as_deref());
    if !names.all(is_server_name) {
        return Err(invalid("a server name that no certificate can have"));
    }
    programs.iter().try_for_each(check_program)?;
    let programs: Vec<Arc<Program>> = programs.into_iter().map(Arc::new).collect();
    let linker = Linker { programs, upstreams: upstreams.len(), apis: &apis };
    let stages = stages.into_iter().map(|stage| linker.stage(stage)).collect::<Result<Box<[Stage]>, _>>()?;
    let table = table((&apis, &stages), &domains, &mappings, &rules)?;
    if plans.len() > limits::PLANS_MAX || plans.iter().any(|plan| !plan.fits(stages.len())) {
        return Err(invalid("a usage plan without its stage"));
    }
    if keys_from.plans_max().is_some_and(|most| usize::from(most) >= plans.len()) {
        return Err(invalid("a key without its usage plan"));
    }
    let (certificates, trusted, truststores) = (Certificates::new(), Trusted::new(), Truststores::new());
    Ok(Snapshot {
        gateway,
        table,
        apis,
        stages,
        upstreams,
        mappings,
        rules,
        domains,
        protected,
        certificates,
        trusted,
        truststores,
        key_sets: KeySets::new(),
        key_authorities: KeyAuthorities::new(),
        user_lists: UserLists::new(),
        manners,
        plans,
        sources,
        keys_from,
        secrets: Box::default(),
        call_keys: None,
        keys: Arc::default(),
    })
}

fn invalid(what: impl Into<String>) -> SnapshotFault {
    SnapshotFault::Invalid(what.into())
}

/// Changes every path of the configuration.
fn rebase(
    gateway: &mut Gateway,
    upstreams: &mut [Upstream],
    protected: &mut [(Box<str>, Tls)],
    change: impl Fn(&mut PathBuf),
) {
    for listener in &mut gateway.listen {
        if let ListenAddress::Unix(path) = &mut listener.address {
            change(path);
        }
    }
    let listeners = gateway.listen.iter_mut().filter_map(|listener| listener.tls.as_mut());
    let all = listeners.chain(protected.iter_mut().map(|(_, tls)| tls));
    let mut change_file = |file: &mut FileRef| {
        if let FileRef::Path(path) = file {
            change(path);
        }
    };
    for Tls { certificates, policy: _, clients } in all {
        for CertificateFiles { certificate, key, ocsp } in certificates {
            [Some(certificate), Some(key), ocsp.as_mut()].into_iter().flatten().for_each(&mut change_file);
        }
        if let Some(MutualTls { files, .. }) = clients {
            change_file(&mut files.truststore);
            files.revocation.iter_mut().for_each(&mut change_file);
        }
    }
    let of_principals =
        gateway.principals.iter_mut().flat_map(|one| [Some(&mut one.secret), one.session_token.as_mut()]);
    let of_calls = gateway.call_signer.iter_mut().flat_map(CallSigner::secrets_mut);
    for secret in of_principals.chain(of_calls) {
        if let Some(SecretRef::File(FileRef::Path(path))) = secret {
            change(path);
        }
    }
    gateway.control.iter_mut().for_each(&change);
    gateway.state.iter_mut().for_each(&change);
    if let AccessLog::File(path) = &mut gateway.access_log {
        change(path);
    }
    for file in upstreams.iter_mut().filter_map(|upstream| upstream.tls.as_mut()).flat_map(UpstreamTls::files_mut) {
        if let FileRef::Path(path) = file {
            change(path);
        }
    }
    for server in upstreams.iter_mut().flat_map(|upstream| &mut upstream.servers) {
        if let ServerAddress::Unix(path) = &mut server.address {
            change(path);
        }
    }
}

/// Whether its lists fit each other, and whom it names is there.
fn is_whole(authorizer: &Authorizer, authorities: usize) -> bool {
    match &authorizer.rule {
        AuthorizerRule::Jwt(rule) => !rule.keys.is_empty() && rule.keys.len() == rule.rules.issuers.len(),
        AuthorizerRule::Lambda(rule) => {
            let is_clean = rule.target.starts_with('/') && rule.target.bytes().all(|byte| byte.is_ascii_graphic());
            (rule.authority as usize) < authorities && is_clean
        }
        AuthorizerRule::Basic(rule) => {
            let line = rule.challenge.strip_suffix("\r\n").unwrap_or("\n");
            line.starts_with("www-authenticate: ") && !line.bytes().any(|byte| byte.is_ascii_control())
        }
        AuthorizerRule::Mtls(_) => true,
    }
}

fn check_program(program: &Program) -> Result<(), SnapshotFault> {
    let Program { kind: _, routes, methods, authorities, authorizers, answers: _, policy: _ } = program;
    if routes.methods_max().is_some_and(|most| most as usize >= methods.len()) {
        return Err(invalid("routes without their methods"));
    }
    let clean = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    if !authorities.iter().all(|authority| clean(&authority.host)) {
        return Err(invalid("a host that no field can hold"));
    }
    if !authorizers.iter().all(|authorizer| is_whole(authorizer, authorities.len())) {
        return Err(invalid("an authorizer whose issuers have no keys, or that is nowhere"));
    }
    for method in methods {
        if let Authorize::By { authorizer, .. } = &method.rules.authorize
            && usize::from(*authorizer) >= authorizers.len()
        {
            return Err(invalid("a method without its authorizer"));
        }
        match &method.integration {
            Integration::Http(rule) if rule.authority as usize >= authorities.len() => {
                return Err(invalid("an integration without its authority"));
            }
            Integration::Mock(rule) => {
                if !(200..=599).contains(&rule.status) || !rule.headers.iter().all(|(name, _)| clean(name.as_bytes())) {
                    return Err(invalid("a mock that no answer can be made of"));
                }
            }
            Integration::Http(_) | Integration::SelectedMock(_) | Integration::Unavailable(_) => {}
        }
    }
    Ok(())
}

/// Gives stages their programs back.
struct Linker<'a> {
    programs: Vec<Arc<Program>>,
    upstreams: usize,
    apis: &'a [Api],
}

impl Linker<'_> {
    fn stage(&self, body: StageBody) -> Result<Stage, SnapshotFault> {
        let StageBody { api, name, release, canary, measured, throttles } = body;
        if self.apis.get(api as usize).is_none() {
            return Err(invalid("a stage without its API"));
        }
        let release = release.map(|release| self.release(release)).transpose()?;
        let canary = match canary {
            Some((percent, _)) if !(0.0..=100.0).contains(&percent) => {
                return Err(invalid("a canary beyond 100 percent"));
            }
            Some((percent, release)) => Some(Canary::new(percent, self.release(release)?)),
            None => None,
        };
        if !throttles.is_sound() {
            return Err(invalid("a limit that no stage can have"));
        }
        Ok(Stage { api, name, release, canary, measured, throttles })
    }

    fn release(&self, body: ReleaseBody) -> Result<Release, SnapshotFault> {
        let ReleaseBody { deployment, program, upstreams, variables } = body;
        let program = self.programs.get(program as usize).ok_or_else(|| invalid("a stage without its program"))?;
        if upstreams.len() != program.authorities.len()
            || upstreams.iter().any(|upstream| *upstream as usize >= self.upstreams)
        {
            return Err(invalid("a program that does not fit its stage"));
        }
        Ok(Release { deployment, program: program.clone(), upstreams, variables })
    }
}

/// The table is made anew: it is small, and nothing of it has to be believed.
fn table(
    (apis, stages): (&[Api], &[Stage]),
    domains: &[(Box<str>, RoutingMode)],
    mappings: &[Mapping],
    rules: &[Rule],
) -> Result<Table, SnapshotFault> {
    let mut builder = Builder::new();
    for api in apis {
        let number = builder.api(&api.id, api.kind);
        if !api.execute_api {
            builder.close_execute_api(number);
        }
    }
    let refs: Vec<StageRef> = stages
        .iter()
        .zip(0..)
        .map(|(stage, number)| builder.stage(router::ApiId(stage.api), &stage.name, number))
        .collect();
    let stage = |number: u32| refs.get(number as usize).copied().ok_or_else(|| invalid("a domain without its stage"));
    let host = |text: &str| HostPattern::parse(text).map_err(|fault| invalid(format!("domain {text}: {fault}")));
    for (domain, mode) in domains {
        builder.mode(&host(domain)?, *mode);
    }
    for Mapping { domain, base_path, stage: number } in mappings {
        let mapped = builder.map(&host(domain)?, base_path, stage(*number)?);
        mapped.map_err(|fault| invalid(format!("base path {base_path}: {fault}")))?;
    }
    for rule in rules {
        let Rule { domain, priority, headers, base_paths, strip_base_path, stage: number } = rule;
        let made = RoutingRule {
            priority: *priority,
            headers: headers.clone(),
            base_paths: base_paths.clone(),
            stage: stage(*number)?,
            strip_base_path: *strip_base_path,
        };
        builder.rule(&host(domain)?, made).map_err(|fault| invalid(format!("rule {priority} of {domain}: {fault}")))?;
    }
    if domains.is_empty() && apis.len() == 1 {
        builder.sole_api(router::ApiId(0));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = include_str!("../tests/good/full.yaml");

    fn full() -> Snapshot {
        crate::load_text("gateway.yaml", FULL, Path::new("/srv/tollgate")).snapshot.expect("a good document")
    }

    fn file() -> Vec<u8> {
        encode(&full(), Path::new("/srv/tollgate"))
    }

    /// Everything but the table, which has no form to compare; the tests of requests see it.
    fn shown(snapshot: &Snapshot) -> String {
        let Snapshot {
            gateway,
            table: _,
            apis,
            stages,
            upstreams,
            mappings,
            rules,
            domains,
            protected,
            certificates: _,
            trusted: _,
            truststores: _,
            key_sets: _,
            key_authorities: _,
            user_lists: _,
            manners,
            plans,
            sources,
            keys_from,
            secrets: _,
            call_keys: _,
            keys: _,
        } = snapshot;
        format!(
            "{gateway:?}{apis:?}{stages:?}{upstreams:?}{mappings:?}{rules:?}{domains:?}{protected:?}{manners:?}{plans:?}{sources:?}{keys_from:?}"
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let read = decode(&file(), Path::new("/srv/tollgate")).unwrap();
        assert!(shown(&read) == shown(&full()).replace("/./", "/"), "{}", shown(&read));
        assert_eq!(encode(&read, Path::new("/srv/tollgate")), file(), "the same bytes again");
    }

    #[test]
    fn paths_move_with_the_file() {
        let read = decode(&file(), Path::new("/elsewhere")).unwrap();
        assert_eq!(read.gateway.control, Some(PathBuf::from("/elsewhere/run/control.sock")));
        assert!(shown(&read).contains("/elsewhere/run/pets.sock"));
        assert!(!shown(&read).contains("/srv/tollgate"));
    }

    #[test]
    fn programs_are_shared_again() {
        let read = decode(&file(), Path::new("")).unwrap();
        let program = |stage: &Stage| Arc::as_ptr(&stage.release.as_ref().unwrap().program);
        let of = |api: u32| read.stages.iter().filter(move |stage| stage.api == api).map(program).collect::<Vec<_>>();
        assert_eq!(of(1)[0], of(1)[1]);
        assert_ne!(of(0)[0], of(0)[1]);
    }

    #[test]
    fn every_damage_has_its_name() {
        let file = file();
        let fault = |bytes: &[u8]| decode(bytes, Path::new("")).map(|_| ()).unwrap_err();
        assert_eq!(fault(b""), SnapshotFault::Foreign);
        assert_eq!(fault(b"gateway: {listen: 1}"), SnapshotFault::Foreign);
        assert_eq!(fault(&[&file[..], b"x"].concat()), SnapshotFault::Trailing);
        for cut in 1..file.len() {
            assert_eq!(fault(&file[..cut]), SnapshotFault::Truncated, "{cut} of {}", file.len());
        }
        let mut older = file.clone();
        older[8] = 0;
        assert_eq!(fault(&older), SnapshotFault::Format(0));
        for at in HEADER..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(fault(&flipped), SnapshotFault::Checksum, "byte {at}");
        }
    }

    /// A checksum can be forged: whatever the body says, nothing panics, and what is accepted holds together.
    #[test]
    fn a_body_is_not_believed() {
        let file = file();
        let body = &file[HEADER..];
        let mut refused = 0;
        for at in 0..body.len() {
            for change in [1, 0x80, 0xff] {
                let mut forged = body.to_vec();
                forged[at] ^= change;
                match decode_body(&forged, Path::new("")) {
                    Ok(snapshot) => crate::properties::holds_together(&snapshot),
                    Err(SnapshotFault::Invalid(_)) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn authorizers_are_written_and_not_believed() {
        let text = include_str!("../tests/good/lambda_authorizers.yaml");
        let loaded =
            crate::load_text("gateway.yaml", text, Path::new("/srv/tollgate")).snapshot.expect("a good document");
        let file = encode(&loaded, Path::new("/srv/tollgate"));
        let read = decode(&file, Path::new("/srv/tollgate")).unwrap();
        assert!(shown(&read).contains("/2015-03-31/functions/") && shown(&read) == shown(&loaded), "{}", shown(&read));
        let body = &file[HEADER..];
        for at in 0..body.len() {
            let mut forged = body.to_vec();
            forged[at] ^= 0x7f;
            let Ok(snapshot) = decode_body(&forged, Path::new("")) else { continue };
            crate::properties::holds_together(&snapshot);
            for program in snapshot.stages.iter().filter_map(|stage| Some(&stage.release.as_ref()?.program)) {
                let named =
                    program.authorizers.iter().all(|authorizer| is_whole(authorizer, program.authorities.len()));
                assert!(named, "byte {at}");
            }
        }
    }
}
