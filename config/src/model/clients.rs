//! What clients have to prove, and how they are told to use TLS: the parts `mutual_tls`, `https_redirect` and `hsts` of listeners and
//! domains (DM-10).

use std::time::Duration;

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::source::node::{Node, Text, Value};

/// The three parts of a listener or domain, as written.
#[derive(Debug, Clone, Default)]
pub struct ClientsSpec {
    /// Who may come.
    pub mutual_tls: Option<MutualTlsSpec>,
    /// Whether those who come without TLS are sent elsewhere.
    pub https_redirect: Option<RedirectSpec>,
    /// What browsers are told to remember.
    pub hsts: Option<HstsSpec>,
}

/// The part `mutual_tls`, as written.
#[derive(Debug, Clone)]
pub struct MutualTlsSpec {
    /// Where it begins.
    pub place: Place,
    /// Whom to trust, in PEM.
    pub truststore: Text,
    /// Lists of revoked certificates, in PEM or DER.
    pub revocation: Vec<Text>,
    /// Whether a client without a certificate may pass.
    pub optional: bool,
    /// Certificates from the client's to the trusted one; `None`: as many as API Gateway takes.
    pub chain: Option<u8>,
}

/// The part `https_redirect`, as written.
#[derive(Debug, Clone)]
pub struct RedirectSpec {
    /// Where it begins.
    pub place: Place,
    /// The port that clients reach; `None`: that of a listener with TLS.
    pub port: Option<u16>,
}

/// The part `hsts`, as written.
#[derive(Debug, Clone)]
pub struct HstsSpec {
    /// Where it begins.
    pub place: Place,
    /// How long a browser remembers it; `None`: a year.
    pub max_age: Option<Duration>,
    /// For all names below as well.
    pub include_subdomains: bool,
    /// Whether browsers may have it built in.
    pub preload: bool,
}

/// The field `mutual_tls`.
pub const MUTUAL_TLS: Field =
    Field::new("mutual_tls", Type::Object(&MUTUAL), "only clients with a certificate that the truststore vouches for")
        .short(Type::Path);
/// The field `https_redirect`.
pub const HTTPS_REDIRECT: Field = Field::new(
    "https_redirect",
    Type::Object(&REDIRECT),
    "true: requests that come without TLS are answered with the same address under https://",
)
.short(Type::Flag);
/// The field `hsts`.
pub const HSTS: Field =
    Field::new("hsts", Type::Object(&STRICT), "true: answers under TLS tell browsers to use nothing else here")
        .short(Type::Flag);

/// The fields of `mutual_tls`.
pub const MUTUAL: Table = Table {
    name: "`mutual_tls`",
    fields: &[
        Field::new("truststore", Type::Path, "certificates of those who certify clients, or of the clients, in PEM")
            .needed(),
        Field::new("mode", Type::Word(&MODE_WORDS), "whether a client needs a certificate; required by default"),
        Field::new(
            "revocation",
            Type::TextList,
            "lists of revoked certificates (CRL) in PEM or DER; with any, each authority of a chain needs one that is not out of date",
        ),
        Field::new(
            "chain",
            Type::Number,
            "certificates from the client's to the trusted one, both counted; 4 by default",
        ),
    ],
};

/// The fields of `https_redirect`.
pub const REDIRECT: Table = Table {
    name: "`https_redirect`",
    fields: &[Field::new(
        "port",
        Type::Number,
        "the port that clients reach; that of the listener with TLS by default",
    )],
};

/// The fields of `hsts`.
pub const STRICT: Table = Table {
    name: "`hsts`",
    fields: &[
        Field::new("max_age", Type::Time, "how long browsers remember it; 8760h, a year, by default"),
        Field::new("include_subdomains", Type::Flag, "true: for all names below as well"),
        Field::new("preload", Type::Flag, "true: browsers may have it built in"),
    ],
};

const MODES: [(&str, bool); 2] = [("required", false), ("optional", true)];
const MODE_WORDS: [&str; 2] = [MODES[0].0, MODES[1].0];

impl ClientsSpec {
    /// Reads the parts of a listener or domain.
    pub fn read(object: &Object<'_>, reader: &mut Reader<'_>) -> Self {
        let mutual_tls = object.get("mutual_tls").and_then(|node| MutualTlsSpec::read(node, reader));
        let https_redirect = object.get("https_redirect").and_then(|node| RedirectSpec::read(node, reader));
        let hsts = object.get("hsts").and_then(|node| HstsSpec::read(node, reader));
        Self { mutual_tls, https_redirect, hsts }
    }
}

impl MutualTlsSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Value::Scalar(text) = &node.value
            && !node.is_null()
        {
            let truststore = text.clone();
            return Some(Self { place: node.place, truststore, revocation: Vec::new(), optional: false, chain: None });
        }
        let object = reader.object(node, &MUTUAL)?;
        if object.lacks("truststore") {
            let hint =
                "write `mutual_tls: {truststore: clients.pem}`, with the certificates of those who certify clients";
            reader.faults.error_hint(object.place, "`mutual_tls` needs a truststore", hint);
        }
        let truststore = object.get("truststore").and_then(|node| reader.text(node, "`truststore`"));
        let optional = object.get("mode").and_then(|node| reader.word(node, "`mode`", &MODES, &[]));
        let lists = object.get("revocation").map(|node| reader.list(node)).unwrap_or_default();
        let most = limits::REVOCATION_FILES_MAX;
        if lists.len() > most {
            reader.faults.error(object.place, format!("more than {most} lists of revoked certificates in one place"));
        }
        let lists = lists.iter().take(most);
        let revocation = lists.filter_map(|node| reader.text(node, "a list of revoked certificates")).collect();
        let most = limits::CLIENT_CHAIN_SETTING_MAX.into();
        let chain = object.get("chain").and_then(|node| reader.number(node, "`chain`", 1, most));
        object.close();
        let chain = chain.map(|number| number as u8);
        let optional = optional.is_some_and(|at| at.value);
        Some(Self { place: node.place, truststore: truststore?, revocation, optional, chain })
    }
}

/// `false` in place of the object: the part is not there.
fn is_off(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(text) if matches!(&*text.text, "false" | "False" | "FALSE"))
}

fn is_flag(node: &Node) -> bool {
    matches!(node.value, Value::Scalar(_)) && !node.is_null()
}

impl RedirectSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let place = node.place;
        if is_flag(node) {
            reader.flag(node, "`https_redirect`")?;
            return (!is_off(node)).then_some(Self { place, port: None });
        }
        let object = reader.object(node, &REDIRECT)?;
        let written = object.get("port");
        let port = written.and_then(|node| reader.number(node, "`port`", 1, u16::MAX.into()));
        object.close();
        // What cannot be read is not taken for something else.
        (port.is_some() || written.is_none()).then_some(Self { place, port: port.map(|number| number as u16) })
    }
}

impl HstsSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let place = node.place;
        if is_flag(node) {
            reader.flag(node, "`hsts`")?;
            return (!is_off(node)).then_some(Self { place, max_age: None, include_subdomains: false, preload: false });
        }
        let object = reader.object(node, &STRICT)?;
        let most = limits::HSTS_TIME_MAX;
        let max_age = object.get("max_age").and_then(|node| reader.time(node, "`max_age`", Duration::ZERO, most));
        let mut flag = |name: &str| object.get(name).and_then(|node| reader.flag(node, &format!("`{name}`")));
        let (subdomains, preload) = (flag("include_subdomains"), flag("preload"));
        object.close();
        Some(Self {
            place,
            max_age,
            include_subdomains: subdomains.unwrap_or(false),
            preload: preload.unwrap_or(false),
        })
    }
}
