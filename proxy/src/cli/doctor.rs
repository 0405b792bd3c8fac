//! `tollgate doctor`: what of this machine helps or hinders a gateway, each line with what to do about it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use config::snapshot::{Certificate, CertificateFiles, Certificates, Tls, TrustFiles, Truststore};
use config::{AccessLog, Gateway, ListenAddress, Listener};
use proxy::files::Share;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::chains::{self, End};
use super::{exit, say, stdout_colours};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Ok,
    Warn,
    Fail,
}

/// One line.
struct Finding {
    mark: Mark,
    what: String,
    /// What to do; empty if nothing.
    advice: String,
}

fn ok(what: impl Into<String>) -> Finding {
    Finding { mark: Mark::Ok, what: what.into(), advice: String::new() }
}

fn warn(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { mark: Mark::Warn, what: what.into(), advice: advice.into() }
}

fn bad(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { mark: Mark::Fail, what: what.into(), advice: advice.into() }
}

/// Prints a line for each check; the exit code says whether one failed.
pub fn print(config: Option<&Path>, as_json: bool) -> ExitCode {
    let mut findings = vec![kernel(), uring(), cores()];
    let gateway = config.map(|path| document(path, &mut findings));
    let gateway = gateway.flatten();
    findings.push(open_files(gateway.as_ref()));
    findings.push(backlog(gateway.as_ref()));
    if let Some(gateway) = &gateway {
        findings.extend(gateway.listen.iter().map(listener));
        findings.extend(gateway.admin.map(|address| tcp("admin port", &address)));
        findings.extend(places(gateway));
    }
    let text = if as_json { format!("{:#}\n", in_json(&findings)) } else { rendered(&findings, stdout_colours()) };
    let printed = say(&text);
    if findings.iter().any(|finding| finding.mark == Mark::Fail) { ExitCode::from(exit::UNAVAILABLE) } else { printed }
}

fn rendered(findings: &[Finding], color: bool) -> String {
    let mut out = String::new();
    for Finding { mark, what, advice } in findings {
        let (word, code) = match mark {
            Mark::Ok => ("ok  ", "\x1b[32m"),
            Mark::Warn => ("warn", "\x1b[33m"),
            Mark::Fail => ("fail", "\x1b[31m"),
        };
        let (code, reset) = if color { (code, "\x1b[0m") } else { ("", "") };
        let _ = writeln!(out, "{code}{word}{reset}  {what}");
        if !advice.is_empty() {
            let _ = writeln!(out, "      → {advice}");
        }
    }
    out
}

fn in_json(findings: &[Finding]) -> Value {
    let one = |Finding { mark, what, advice }: &Finding| {
        let mark = match mark {
            Mark::Ok => "ok",
            Mark::Warn => "warn",
            Mark::Fail => "fail",
        };
        json!({ "mark": mark, "what": what, "advice": advice })
    };
    findings.iter().map(one).collect()
}

fn kernel() -> Finding {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 1) {
        return ok(format!("Linux {release}"));
    }
    warn(format!("Linux {release}"), "io_uring as the gateway uses it needs 6.1; epoll serves as well, a little slower")
}

fn uring() -> Finding {
    match proxy::io::probe() {
        Ok(features) => ok(format!("io_uring: {features}")),
        Err(why) => {
            let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
            let advice = match disabled.trim() {
                "1" | "2" => "sysctl kernel.io_uring_disabled=0 allows it; until then epoll serves",
                _ => "containers and hardened kernels forbid it (a seccomp profile); epoll serves instead",
            };
            warn(format!("io_uring is not to be had: {why}"), advice)
        }
    }
}

fn cores() -> Finding {
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => ok(format!("{cores} usable cores: as many workers")),
        Ok(_) => warn("1 usable core", "one worker serves; more cores (taskset, cgroup quota) serve more"),
        Err(error) => warn(format!("the number of cores is unknown: {error}"), "set `workers`"),
    }
}

fn document(path: &Path, findings: &mut Vec<Finding>) -> Option<Gateway> {
    let loaded = config::load(path);
    let (errors, warnings) = loaded.diagnostics.counts();
    let shown = path.display();
    let Some(snapshot) = loaded.snapshot else {
        findings.push(bad(format!("{shown}: {errors} errors"), format!("tollgate check {shown} says which")));
        return None;
    };
    findings.push(match warnings {
        0 => ok(format!("{shown} is in order")),
        _ => warn(format!("{shown}: {warnings} warnings"), format!("tollgate check {shown} says which")),
    });
    let serves = |files| snapshot.tls().any(|tls| tls.certificates.contains(files));
    let certificates = snapshot.certificates.iter();
    findings.extend(certificates.map(|(files, read)| certificate(files, read, serves(files))));
    if let Some(roots) = chains::system() {
        let shown = snapshot.certificates.iter().filter(|(files, _)| serves(files));
        findings.extend(shown.filter_map(|(files, read)| Some(chain(files, chains::end_of(read, &roots)?))));
    }
    findings.extend(snapshot.protected.iter().map(|(host, tls)| covered(host, tls, &snapshot.certificates)));
    findings.extend(snapshot.truststores.iter().map(|(files, store)| truststore(files, store)));
    Some(snapshot.gateway)
}

/// Whether a domain has a certificate for its name.
fn covered(host: &str, tls: &Tls, certificates: &Certificates) -> Finding {
    let mut shown = tls.certificates.iter().filter_map(|files| certificates.get(files));
    if shown.any(|certificate| config::covers(certificate, host)) {
        return ok(format!("domain {host} has a certificate for its name"));
    }
    warn(format!("domain {host} has no certificate for its name"), "clients refuse those that name other hosts")
}

/// Whom clients of a host are trusted by, and for how long.
fn truststore(files: &TrustFiles, store: &Truststore) -> Finding {
    let (trusted, lists) = (store.trusted.len(), store.revocation.len());
    let shown = format!("truststore {}: {trusted} certificates, {lists} lists of revoked ones", files.truststore);
    let found = config::truststore::oddities(store);
    if found.is_empty() {
        return ok(shown);
    }
    let (what, advice): (Vec<_>, Vec<_>) = found.into_iter().map(|(_, odd)| (odd.what, odd.hint)).unzip();
    warn(format!("{shown}: {}", what.join(", ")), advice.join("; "))
}

/// A certificate that can serve, or is shown to backends, and for how long. What is wrong with one is an error of the document.
fn certificate(files: &CertificateFiles, read: &Certificate, serves: bool) -> Finding {
    let shown = format!("certificate {} for {}", files.certificate, read.names.join(", "));
    match config::oddities(read, serves) {
        odd if odd.is_empty() => ok(format!("{shown}: {} days left", read.days_left())),
        odd => {
            let (what, advice): (Vec<_>, Vec<_>) = odd.into_iter().map(|odd| (odd.what, odd.hint)).unzip();
            warn(format!("{shown}: {}", what.join(", ")), advice.join("; "))
        }
    }
}

/// Whether clients that believe whom this system believes can follow a certificate to somebody they know.
fn chain(files: &CertificateFiles, end: End) -> Finding {
    let shown = format!("chain of {}", files.certificate);
    match end {
        End::Root => ok(format!("{shown}: complete, up to a root of this system")),
        End::OwnAuthority => {
            ok(format!("{shown}: complete, up to an authority that this system does not know: clients have to"))
        }
        End::Open { issuer } => warn(
            format!("{shown}: `{issuer}`, who issued the last certificate, is neither there nor known to this system"),
            "append the authority's intermediate certificates; if it is your own, clients have to know it",
        ),
        End::Unfit(why) => {
            warn(format!("{shown}: no client would believe it ({why})"), "have it issued anew, for servers")
        }
    }
}

/// The gateway raises its soft limit to the hard one.
fn open_files(gateway: Option<&Gateway>) -> Finding {
    let limit = getrlimit(Resource::Nofile);
    let Some(most) = limit.maximum else {
        return ok("open files: no limit");
    };
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let workers = gateway.and_then(|gateway| gateway.workers).map_or(workers, |workers| workers.get() as u64);
    let wanted = gateway.map_or(config::limits::CONNECTIONS, |gateway| gateway.limits.connections);
    let held = Share::of(most, workers as usize).clients;
    if held >= wanted {
        return ok(format!("open files: up to {most}"));
    }
    warn(
        format!("open files: up to {most}: each of {workers} workers will hold {held} connections, not {wanted}"),
        "raise LimitNOFILE of the service (ulimit -Hn in a shell), or lower limits.connections",
    )
}

fn backlog(gateway: Option<&Gateway>) -> Finding {
    let wanted = gateway.and_then(|gateway| gateway.listen.iter().map(|listener| listener.backlog).max());
    let wanted = wanted.unwrap_or(config::limits::BACKLOG);
    let read = fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    match read.and_then(|text| text.trim().parse::<u32>().ok()) {
        Some(most) if most >= wanted => ok(format!("net.core.somaxconn = {most}")),
        Some(most) => warn(
            format!("net.core.somaxconn = {most}, but a listener asks for {wanted}"),
            format!("sysctl net.core.somaxconn={wanted} keeps a burst of new connections from being dropped"),
        ),
        None => warn("net.core.somaxconn cannot be read", "the kernel may cut the queue of new connections short"),
    }
}

fn listener(listener: &Listener) -> Finding {
    match &listener.address {
        ListenAddress::Tcp(address) => tcp("listener", address),
        ListenAddress::Unix(path) => folder_of("listener", path),
    }
}

fn tcp(what: &str, address: &std::net::SocketAddr) -> Finding {
    let Err(error) = TcpListener::bind(address) else {
        return ok(format!("{what} {address} is free"));
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => warn(
            format!("{what} {address} is in use"),
            format!(
                "fine if the gateway runs already; `sudo ss -ltnp 'sport = :{}'` names the program",
                address.port()
            ),
        ),
        io::ErrorKind::PermissionDenied => bad(
            format!("{what} {address}: not allowed"),
            "ports below 1024 need CAP_NET_BIND_SERVICE (the service unit has it)",
        ),
        io::ErrorKind::AddrNotAvailable => {
            bad(format!("{what} {address}: no interface has this address"), "see `ip address`")
        }
        _ => bad(format!("{what} {address}: {error}"), "choose another address"),
    }
}

/// The files and folders that the gateway will make.
fn places(gateway: &Gateway) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(path) = &gateway.control {
        findings.push(folder_of("control socket", path));
    }
    if let AccessLog::File(path) = &gateway.access_log {
        findings.push(folder_of("access log", path));
    }
    if let Some(path) = gateway.state.as_deref() {
        findings.push(if path.exists() {
            writable("state", path)
        } else {
            match folder_of("state", path) {
                Finding { mark: Mark::Ok, .. } => {
                    warn(format!("state: {} is not there yet", path.display()), "`tollgate run` makes it")
                }
                unable => unable,
            }
        });
    }
    findings
}

fn folder_of(what: &str, path: &Path) -> Finding {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return bad(format!("{what}: {} is not there", folder.display()), format!("mkdir -p {}", folder.display()));
    }
    writable(what, folder)
}

fn writable(what: &str, folder: &Path) -> Finding {
    match rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) => ok(format!("{what}: {} can be written", folder.display())),
        Err(error) => bad(
            format!("{what}: {} cannot be written: {error}", folder.display()),
            "let the user that runs the gateway own it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_below_its_line() {
        let findings = [ok("a"), warn("b", "do c"), bad("d", "do e")];
        assert_eq!(rendered(&findings, false), "ok    a\nwarn  b\n      → do c\nfail  d\n      → do e\n");
        assert!(rendered(&findings, true).contains("\x1b[31mfail\x1b[0m"));
        assert_eq!(in_json(&findings)[1], json!({"mark": "warn", "what": "b", "advice": "do c"}));
    }

    #[test]
    fn a_port_in_use_is_noticed() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(tcp("listener", &address).mark, Mark::Warn);
        drop(taken);
        assert_eq!(tcp("listener", &address).mark, Mark::Ok);
        assert_eq!(tcp("listener", &"192.0.2.1:80".parse().unwrap()).mark, Mark::Fail);
    }

    #[test]
    fn a_folder_that_is_missing_is_noticed() {
        assert_eq!(folder_of("log", Path::new("/nowhere/at/all/x.log")).mark, Mark::Fail);
        assert_eq!(folder_of("log", &std::env::temp_dir().join("x.log")).mark, Mark::Ok);
    }
}
