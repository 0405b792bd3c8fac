//! The whole compiled configuration: immutable, shared by every worker, never parsed again.

mod access;
mod answers;
mod authorizer;
mod clients;
mod plans;
mod secret;
mod throttles;
mod tls;
mod trust;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codec::head::HeadLimits;
use policy::api_key::Keys;
use policy::firewall::Firewall;
use policy::hops::Hops;
use policy::rules::Rules;
use policy::transform::constant::MockRequest;
use policy::transform::parameters::{RequestMapping, ResponseMapping, ResponseRules};
use policy::transform::template::Template;
use policy::transform::uri::UriTemplate;
use router::{Glob, Kind, Routes, RoutingMode, Table, Verb};
use serde::{Deserialize, Serialize};

pub use self::access::{AccessKey, AccessPolicy, CallKeys, CallSigner, Principal, SignerSecret};
pub use self::answers::{Answers, Line};
pub use self::authorizer::{
    Authorizer, AuthorizerRule, BasicRule, JwtRule, KeyAuthorities, KeySets, KeySource, UserLists, UsersFrom,
};
pub use self::clients::{Hsts, Manner, MutualTls, RevocationFacts, TrustFiles, TrustedFacts, Truststore, Truststores};
pub use self::plans::{KeySources, NamedKey, Plan, PlanStage};
pub use self::secret::SecretRef;
pub use self::throttles::{By, ByClient, MethodLimits, Said, Tell, Throttles};
pub use self::tls::{
    Authorities, Certificate, CertificateFiles, Certificates, FileRef, Tls, TlsPolicy, Trusted, UpstreamTls,
};
pub use self::trust::{Others, ProxyProtocol};
pub use self::upstream::{
    Balance, Breaker, HealthCheck, Outlier, Pool, Protocol, Retry, Server, ServerAddress, Upstream,
};

/// Everything that a worker needs to serve. Indices into its tables are checked when it is built.
#[derive(Debug)]
pub struct Snapshot {
    /// Listeners, limits and the process's own places.
    pub gateway: Gateway,
    /// Which API, stage and method a request means.
    pub table: Table,
    /// By the `ApiId` that the table answers with.
    pub apis: Box<[Api]>,
    /// By the stage number that the table answers with.
    pub stages: Box<[Stage]>,
    /// By [`Release::upstreams`]: the named ones first, then one for each literal authority.
    pub upstreams: Box<[Upstream]>,
    /// What the table knows of hosts, for people who ask why.
    pub mappings: Box<[Mapping]>,
    /// The routing rules that the table asks, of each domain by priority; for people as well.
    pub rules: Box<[Rule]>,
    /// The hosts that the table knows, as written, and which of their rules and mappings it asks.
    pub domains: Box<[(Box<str>, RoutingMode)]>,
    /// Hosts with certificates of their own, in lower case; `*.example.com` stands for one label.
    pub protected: Box<[(Box<str>, Tls)]>,
    /// What was in the files of all certificates. A compiled file has none of it.
    pub certificates: Certificates,
    /// What was in the files of all authorities that upstreams name. A compiled file has none of it.
    pub trusted: Trusted,
    /// What was in the files of all truststores, likewise.
    pub truststores: Truststores,
    /// What was in the files of all key sets that authorizers name, likewise.
    pub key_sets: KeySets,
    /// By whom the issuers are believed that have an authority of their own. A compiled file has none of it.
    pub key_authorities: KeyAuthorities,
    /// Who may show a password, likewise.
    pub user_lists: UserLists,
    /// How hosts tell their clients to use TLS: of all domains, in lower case, if any of them does.
    pub manners: Box<[(Box<str>, Manner)]>,
    /// What holders of API keys may do, in the order of their names: a key names them by their numbers.
    pub plans: Box<[Plan]>,
    /// The names of the documents that it was made of, by [`Line::source`].
    pub sources: Box<[Box<str>]>,
    /// Where keys are, beside the state directory.
    pub keys_from: KeySources,
    /// The secrets of the principals, in their order. A compiled file has none of them.
    pub secrets: Box<[SignerSecret]>,
    /// What requests to Lambda are signed with; `None`: they are not. A compiled file has none of it.
    pub call_keys: Option<CallKeys>,
    /// Whose key is which. A compiled file has none of it.
    pub keys: Arc<Keys>,
}

/// The part `gateway` of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Where clients are accepted; never empty.
    pub listen: Vec<Listener>,
    /// Where `/healthz`, `/readyz`, `/metrics` and `/status` are answered; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// The socket for commands; `None`: the default below `$RUNTIME_DIRECTORY`.
    pub control: Option<PathBuf>,
    /// Where the gateway keeps what must outlive it; `None`: `$STATE_DIRECTORY`.
    pub state: Option<PathBuf>,
    /// Worker threads; `None`: one per core that the process may use.
    pub workers: Option<NonZeroUsize>,
    /// Where a line per request goes.
    pub access_log: AccessLog,
    /// What a client may ask of us.
    pub limits: Limits,
    /// Whether documents that change are loaded again by themselves.
    pub watch: bool,
    /// Who is asked for the addresses of names; none: whom the system names.
    pub resolvers: Vec<SocketAddr>,
    /// Whose word on a client's address is believed; `None`: nobody's (row P06).
    pub trusted_proxies: Option<Hops>,
    /// Requests of all APIs together (TH-03); `None`: any number.
    pub account: Option<Said<policy::throttle::Limit>>,
    /// What ARNs name as the region.
    pub region: Box<str>,
    /// What they name as the account: twelve digits.
    pub account_id: Box<str>,
    /// Who may sign requests.
    pub principals: Box<[Principal]>,
    /// How requests to Lambda are signed.
    pub call_signer: Option<CallSigner>,
    /// What the requests of all APIs have to pass before; `None`: nothing.
    pub firewall: Option<Firewall>,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// Connections that the kernel may queue before they are accepted.
    pub backlog: u32,
    /// Whether `{api}.execute-api.*` names are answered here (RT-17).
    pub execute_api: bool,
    /// Whether HTTP/2 is spoken with who begins with it, without TLS.
    pub h2c: bool,
    /// What it proves itself with; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Who says in front of a connection whose it is; `None`: nobody.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How clients are told to use TLS, whatever host they name.
    pub manner: Manner,
}

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Where the access log goes; JSON lines in this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessLog {
    /// Nowhere.
    None,
    /// Standard output.
    Stdout,
    /// A file, opened anew on USR1.
    File(PathBuf),
}

/// What a client may ask of us. The defaults and their reasons are in `limits.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of a request's head.
    pub head: HeadLimits,
    /// Bytes of a request's body; `None`: unlimited.
    pub body: Option<u64>,
    /// From a connection to the end of its TLS handshake (row R01).
    pub handshake_time: Duration,
    /// From a request's first byte to the end of its head.
    pub header_time: Duration,
    /// How long a kept connection may be silent between requests.
    pub idle_time: Duration,
    /// The longest pause between two bytes of a body, in either direction.
    pub body_idle_time: Duration,
    /// Bytes a second of a request's body, at least, on average over `body_idle_time`; 0: any.
    pub body_rate: u32,
    /// Bytes a second that a client takes of its answer, likewise, while it is waited for.
    pub send_rate: u32,
    /// Bytes a second of the body of a backend's answer, likewise.
    pub answer_rate: u32,
    /// Connections that one worker holds at once.
    pub connections: u32,
    /// Connections of one client address over all workers; 0: any number.
    pub connections_per_address: u32,
    /// Requests that one worker works on at once; 0: any number.
    pub requests: u32,
    /// How long a passed-through connection may be silent in both directions.
    pub tunnel_idle_time: Duration,
    /// How long it may live.
    pub tunnel_time: Duration,
    /// How long open requests may go on after TERM.
    pub drain_time: Duration,
    /// Requests after which a connection is closed; 0: unlimited.
    pub requests_per_connection: u32,
    /// Requests at once on one connection of HTTP/2.
    pub http2_streams: u32,
    /// Bytes of a request's body that a client of HTTP/2 may send before they are read.
    pub http2_window: u32,
}

/// An API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Api {
    /// Its name in the document.
    pub id: Arc<str>,
    /// Which rules of matching and which error bodies are its own.
    pub kind: Kind,
    /// Whether its execute-api name answers (RT-17).
    pub execute_api: bool,
    /// When its clients are told of limits.
    pub tell: Tell,
    /// What its requests have to pass first, whatever is deployed; `None`: nothing.
    pub firewall: Option<Firewall>,
}

/// A stage of an API: what it serves, and the live settings over it (F2).
#[derive(Debug)]
pub struct Stage {
    /// Index in [`Snapshot::apis`].
    pub api: u32,
    /// `prod`, or `$default`.
    pub name: Arc<str>,
    /// What it serves; `None`: nothing was deployed yet.
    pub release: Option<Release>,
    /// What a share of its requests gets instead (ST-09).
    pub canary: Option<Canary>,
    /// Which of its methods have metrics of their own.
    pub measured: Measured,
    /// What limits its requests.
    pub throttles: Throttles,
}

/// Which methods of a stage have metrics of their own (ST-07, ST-08); none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Those that are not named.
    pub others: bool,
    /// By key, such as `GET /pets`.
    pub named: BTreeMap<Box<str>, bool>,
}

impl Measured {
    /// Whether the method of that key has.
    pub fn has(&self, key: &str) -> bool {
        self.named.get(key).copied().unwrap_or(self.others)
    }

    /// Whether no method has.
    pub fn is_none(&self) -> bool {
        !self.others && !self.named.values().any(|has| *has)
    }
}

impl Snapshot {
    /// How many methods the stages serve, each stage counted for itself.
    pub fn methods(&self) -> usize {
        self.stages.iter().map(Stage::methods).sum()
    }

    /// Every place that has certificates: listeners, then domains.
    pub fn tls(&self) -> impl Iterator<Item = &Tls> {
        let listeners = self.gateway.listen.iter().filter_map(|listener| listener.tls.as_ref());
        listeners.chain(self.protected.iter().map(|(_, tls)| tls))
    }
}

impl Stage {
    /// How many methods it serves, without its canary.
    pub fn methods(&self) -> usize {
        self.release.as_ref().map_or(0, Release::methods)
    }

    /// What answers a request, and whether that is the canary. `draw` gives a random number; it is asked only if there is a canary.
    #[inline]
    pub fn choose(&self, draw: impl FnOnce() -> u32) -> Option<(&Release, bool)> {
        match &self.canary {
            Some(canary) if u64::from(draw()) < canary.share => Some((&canary.release, true)),
            _ => self.release.as_ref().map(|release| (release, false)),
        }
    }

    /// The canary's release, or the stage's own.
    #[inline]
    pub fn release(&self, is_canary: bool) -> Option<&Release> {
        match &self.canary {
            Some(canary) if is_canary => Some(&canary.release),
            _ => self.release.as_ref(),
        }
    }
}

/// A share of a stage's requests, and what they get (ST-09).
#[derive(Debug)]
pub struct Canary {
    /// 0 to 100.
    pub percent: f64,
    /// The same in parts of 2^32, so that one comparison decides.
    pub share: u64,
    /// What they get.
    pub release: Release,
}

impl Canary {
    /// A canary for `percent` of the requests; values beyond 0 and 100 are taken for these.
    pub fn new(percent: f64, release: Release) -> Self {
        let percent = percent.clamp(0.0, 100.0);
        #[expect(clippy::cast_sign_loss, reason = "between 0 and 100")]
        let share = (percent / 100.0 * 4_294_967_296.0).round() as u64;
        Self { percent, share, release }
    }
}

/// A program with the upstreams that it calls: one deployment, as it is in one stage.
#[derive(Debug, Clone)]
pub struct Release {
    /// The deployment's id; `None`: the document itself (`auto_deploy`).
    pub deployment: Option<Arc<str>>,
    /// Routes and methods. Shared by stages that do not differ, and by snapshots that follow each other.
    pub program: Arc<Program>,
    /// Index in [`Snapshot::upstreams`], by [`HttpRule::authority`].
    pub upstreams: Box<[u32]>,
    /// The stage variables (ST-02).
    pub variables: Arc<BTreeMap<String, String>>,
}

impl Release {
    /// How many methods it has.
    pub fn methods(&self) -> usize {
        self.program.methods.len()
    }
}

/// An API's definition, compiled for one set of stage variables.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// Which rules of matching hold.
    pub kind: Kind,
    /// Which method a path and a verb mean.
    pub routes: Routes,
    /// By the method number that the routes answer with.
    pub methods: Box<[Method]>,
    /// Whom its integrations call, by [`HttpRule::authority`].
    pub authorities: Box<[Authority]>,
    /// Who decides on callers, by [`policy::rules::Authorize::By`].
    pub authorizers: Box<[Authorizer]>,
    /// What is said beside the answers of its integrations.
    pub answers: Answers,
    /// Who may call, from where and when (POL-01); `None`: nothing is said of it.
    pub policy: Option<AccessPolicy>,
}

/// Whom a URI names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// The Host field towards the backend.
    pub host: Box<[u8]>,
    /// The machines.
    pub target: AuthorityTarget,
    /// What the calls want of TLS; `None`: plain HTTP.
    pub tls: Option<CallTls>,
}

/// What an integration says of the TLS of its calls; the rest is the upstream's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallTls {
    /// Whoever issued a certificate (IN-15).
    pub any_issuer: bool,
    /// The name that a certificate must have (IN-11).
    pub server_name: Option<Box<str>>,
}

/// The machines behind an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorityTarget {
    /// An upstream of the document, by its name.
    Upstream(Box<str>),
    /// A machine named in the URI itself.
    Server(ServerAddress),
}

/// A base path of a domain, and the stage that it leads to (DM-03).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// `api.example.com`, `*.example.com` or `*`, as written.
    pub domain: Box<str>,
    /// As written: `/`, `/orders/v1`.
    pub base_path: Box<str>,
    /// Index in [`Snapshot::stages`].
    pub stage: u32,
}

/// A routing rule of a domain, and the stage that it leads to (DM-05). All of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// As written.
    pub domain: Box<str>,
    /// The lowest is asked first.
    pub priority: u32,
    /// Of each list, one header field must be there: name in lower case, and value.
    pub headers: Vec<Vec<(String, Glob)>>,
    /// The path must begin with one of them; `None`: any path.
    pub base_paths: Option<Vec<String>>,
    /// Whether the base path that matched is taken off the path.
    pub strip_base_path: bool,
    /// Index in [`Snapshot::stages`].
    pub stage: u32,
}

/// A method of an API: what may pass, and who answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Method {
    /// `GET /pets/{id}`, as written.
    pub key: Box<str>,
    /// `/pets/{id}`, or `$default`.
    pub resource_path: Box<str>,
    /// May it pass, and in what shape.
    pub rules: Rules,
    /// Who answers.
    pub integration: Integration,
}

/// What an imported method lacks whose URI or mapping has faults, stage variables that nobody has defined among them.
pub const FAULTY_URI: &str = "a faulty URI or mapping";

/// The manner of answering (IN-01).
#[derive(Debug, Serialize, Deserialize)]
pub enum Integration {
    /// The gateway itself (IN-10).
    Mock(MockRule),
    /// The gateway itself, as API Gateway does it: a request selects one of several answers (IN-10, IN-16).
    SelectedMock(SelectedMock),
    /// A backend, over HTTP (IN-03, IN-04).
    Http(HttpRule),
    /// Nobody: the method needs what this version does not do, or what was left out. It is answered with 500.
    Unavailable(Box<str>),
}

/// An answer made here.
#[derive(Debug, Serialize, Deserialize)]
pub struct MockRule {
    /// 200 to 599.
    pub status: u16,
    /// Name and value.
    pub headers: Box<[(Box<str>, Template)]>,
    /// The body; empty when the document names none.
    pub body: Template,
}

/// Answers made here, and which of them a request selects.
#[derive(Debug, Serialize, Deserialize)]
pub struct SelectedMock {
    /// The status that a request means.
    pub request: MockRequest,
    /// The answers by that status.
    pub answers: ResponseRules,
}

/// An answer fetched from a backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct HttpRule {
    /// `http_proxy`: everything passes; `http`: only what is mapped.
    pub proxy: bool,
    /// Index in [`Program::authorities`] and [`Release::upstreams`].
    pub authority: u32,
    /// The verb towards the backend; `None`: the client's.
    pub verb: Option<Verb>,
    /// Path and query towards the backend.
    pub uri: UriTemplate,
    /// What else the backend is told (MP-01, MP-03).
    pub request: Option<RequestMapping>,
    /// What becomes of its answer.
    pub response: ResponseShape,
    /// Whether a mapping reads a body: then the request's is read whole before the call, and goes on from memory.
    pub holds_body: bool,
    /// Whether WebSocket connections pass through.
    pub websocket: bool,
    /// The whole URI as written, for people.
    pub written: Box<str>,
    /// To the end of the head of the backend's answer.
    pub timeout: Duration,
    /// Times that a request is sent at most; `None`: as the upstream says.
    pub attempts: Option<u8>,
    /// How long one attempt may take; `None`: as the upstream says.
    pub try_time: Option<Duration>,
}

/// What becomes of a backend's answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum ResponseShape {
    /// It passes by the rules of its integration type.
    AsIs,
    /// It passes, but for what is mapped for its status; `None`: for all others (MP-04).
    Mapped(Box<[(Option<u16>, ResponseMapping)]>),
    /// One of these takes its place (IN-16, IN-17).
    Selected(ResponseRules),
}

impl ResponseShape {
    /// Whether it reads the backend's body.
    pub fn needs_body(&self) -> bool {
        match self {
            Self::AsIs => false,
            Self::Mapped(mappings) => mappings.iter().any(|(_, mapping)| mapping.needs_body()),
            Self::Selected(rules) => rules.needs_body(),
        }
    }
}
