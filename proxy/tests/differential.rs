//! The same conversations with three backends of different leniency behind the gateway: our own, which is strict, nginx, which
//! writes anew what it understands, and Node's http with its insecure parser. All must have seen the requests that the codec's slow
//! twin reads: the same number of them, methods, targets and bodies. Who is not installed is left out, and it is said.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use codec::slow::{self, End};
use support::client::Wire;
use support::gateway::new_folder;
use support::oddities::families;
use support::{Backend, Driver, Gateway, eventually, shown};

const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// A request as somebody sees it: method, target, body.
type Seen = (String, String, Vec<u8>);

fn document(backend: &str) -> String {
    format!(
        r#"
apis:
  w:
    kind: http
    routes:
      "ANY /": {{integration: {{type: http_proxy, uri: "http://b/"}}}}
      "ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://b/{{proxy}}"}}}}
    stages: {{$default: {{}}}}
upstreams:
  b: {{servers: ["{backend}"]}}
"#
    )
}

/// Another server at a unix socket, ended when dropped, and also when the test process dies without dropping it.
struct Other {
    shell: Child,
    folder: PathBuf,
}

impl Other {
    /// None if the program cannot be found.
    fn start(program: &str, folder: PathBuf, args: &[&str]) -> Option<Other> {
        let places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
        let path = places.iter().map(|place| Path::new(place).join(program)).find(|path| path.exists())?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "\"$@\" & pid=$!; read -r _; kill -9 $pid; wait", "sh"]).arg(path).args(args);
        let log = fs::File::create(folder.join("log")).expect("the folder is writable");
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let other = Other { shell: shell.spawn().expect("a shell"), folder };
        eventually(program, || Wire::connect(&other.address()).is_ok());
        Some(other)
    }

    fn address(&self) -> String {
        format!("unix:{}", self.folder.join("socket").display())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // At the end of its input the shell ends the server.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A gateway and who is behind it.
struct Party {
    name: &'static str,
    gateway: Gateway,
    /// Who sees the requests in the end; none: the answers say what was seen.
    backend: Option<Backend>,
    _other: Option<Other>,
}

/// nginx, which passes on to a backend of ours what it understood.
fn nginx(backend: &Backend) -> Option<Other> {
    let folder = new_folder();
    let place = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {place}/{kind};"))
        .join(" ");
    let document = format!(
        "daemon off; master_process off; pid {place}/pid; error_log stderr crit;\n\
         events {{}}\n\
         http {{ access_log off; {temporary} underscores_in_headers on; ignore_invalid_headers off;\n\
         upstream b {{ server {}; keepalive 4; }}\n\
         server {{ listen unix:{place}/socket; merge_slashes off; location / {{ proxy_pass http://b;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n",
        backend.address()
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, document).expect("the folder is writable");
    let path = path.display().to_string();
    Other::start("nginx", folder, &["-e", "stderr", "-c", &path])
}

/// Node, whose answers say what it has seen.
fn node() -> Option<Other> {
    let folder = new_folder();
    let script = r"
        require('http').createServer({ insecureHTTPParser: true }, (request, response) => {
            const pieces = [];
            request.on('data', piece => pieces.push(piece));
            request.on('end', () => {
                const body = Buffer.concat(pieces).toString('hex');
                response.setHeader('X-Seen', `${request.method} ${request.url} =${body}`);
                response.end('seen');
            });
        }).listen(process.argv[1]);
    ";
    let socket = folder.join("socket").display().to_string();
    Other::start("node", folder, &["-e", script, &socket])
}

impl Party {
    fn new(name: &'static str, backend: Option<Backend>, other: Option<Other>) -> Party {
        let address =
            other.as_ref().map(Other::address).or(backend.as_ref().map(|backend| backend.address().to_owned()));
        let gateway = Gateway::start(&document(&address.expect("somebody is behind it")), Driver::Epoll);
        Party { name, gateway, backend, _other: other }
    }

    /// Everybody who can be had.
    fn all() -> Vec<Party> {
        let mut all = vec![Party::new("ours", Some(Backend::echo()), None)];
        let behind = Backend::echo();
        match nginx(&behind) {
            Some(nginx) => all.push(Party::new("nginx", Some(behind), Some(nginx))),
            None => println!("nginx is left out: it is not installed"),
        }
        match node() {
            Some(node) => all.push(Party::new("node", None, Some(node))),
            None => println!("node is left out: it is not installed"),
        }
        all
    }

    /// What was seen of a conversation in which so many requests are answered, each with whether it was a HEAD.
    fn sees(&self, bytes: &[u8], answered: &[bool], open: bool) -> Result<Vec<Seen>, String> {
        let mut client = self.gateway.client();
        // A refusal may come, and the connection end, before everything was sent.
        let _ = client.try_send(bytes);
        if open {
            client.finish();
        }
        let mut told = Vec::new();
        for to_head in answered {
            let mut response = client.try_response(*to_head)?;
            while response.status == 100 {
                response = client.try_response(*to_head)?;
            }
            if let Some(seen) = response.header("X-Seen") {
                told.push(parse(seen));
            } else if response.status >= 500 || (response.status == 400 && response.header("Connection").is_none()) {
                return Err(format!("it did not like one: {}", shown(&response.raw)));
            }
        }
        // A refusal, if there is one, and the end.
        client.read_to_end();
        let Some(backend) = &self.backend else { return Ok(told) };
        Ok(backend.take().into_iter().map(|request| (request.method, request.target, request.body)).collect())
    }
}

fn parse(seen: &str) -> Seen {
    let words: Vec<&str> = seen.splitn(3, ' ').collect();
    let [method, target, body] = words[..] else { panic!("{seen}") };
    let digits = body.as_bytes()[1..].chunks(2);
    let body = digits.map(|two| u8::from_str_radix(&String::from_utf8_lossy(two), 16).expect("hex")).collect();
    (method.into(), target.into(), body)
}

/// A conversation, and what it has to come to.
struct Case {
    family: &'static str,
    bytes: Vec<u8>,
    /// For each request that is answered, whether it is a HEAD.
    answered: Vec<bool>,
    seen: Vec<Seen>,
    /// Whether the gateway would wait for more.
    open: bool,
}

impl Case {
    fn of(family: &'static str, bytes: Vec<u8>) -> Case {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (meant, end) = slow::conversation(&bytes);
        let answered = meant.iter().map(|request| request.method == b"HEAD").collect();
        let known = meant.into_iter().map(|request| (text(&request.method), text(&request.target), request.body));
        let seen = known.filter(|(method, target, _)| METHODS.contains(&&**method) && target != "*");
        // A query of nothing is none.
        let plain = |target: String| target.strip_suffix('?').map_or(target.clone(), str::to_owned);
        let seen = seen.map(|(method, target, body)| (method, plain(target), body)).collect();
        Case { family, bytes, answered, seen, open: matches!(end, End::Clean | End::Within) }
    }
}

/// What is refused at once is the same for everybody: some of it is enough.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, all) in families() {
        let all = all.into_iter().map(|bytes| Case::of(family, bytes)).enumerate();
        cases.extend(all.filter(|(number, case)| !case.answered.is_empty() || number % 20 == 0).map(|(_, case)| case));
    }
    cases
}

#[test]
fn everybody_counts_the_same_requests() {
    let (parties, cases) = (Party::all(), cases());
    let wrong = |party: &Party, case: &Case| {
        let seen = party.sees(&case.bytes, &case.answered, case.open);
        let right = seen.as_ref() == Ok(&case.seen);
        let what =
            || format!("{}: {}\n  {} saw {seen:?}, not {:?}", case.family, shown(&case.bytes), party.name, case.seen);
        (!right).then(what)
    };
    let judge = |party: &Party| cases.iter().filter_map(|case| wrong(party, case)).collect::<Vec<_>>();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let judge = &judge;
        let judges: Vec<_> = parties.iter().map(|party| scope.spawn(move || judge(party))).collect();
        judges.into_iter().flat_map(|judge| judge.join().expect("a judge does not panic")).collect()
    });
    let requests: usize = cases.iter().map(|case| case.seen.len()).sum();
    println!("{} conversations with {requests} requests, {} parties", cases.len(), parties.len());
    assert!(requests > 2_000 && cases.len() > 2_000);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}
