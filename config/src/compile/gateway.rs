//! Listeners, limits and places of the process, with every default filled in.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use codec::head::HeadLimits;

use crate::compile::clients::{Vault, hsts};
use crate::compile::tls::Shelf;
use crate::compile::{firewall, throttles};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::clients::ClientsSpec;
use crate::model::cloud::CloudSpec;
use crate::model::gateway::{AddressSpec, BodySpec, GatewaySpec, LimitsSpec, ListenSpec};
use crate::model::values::At;
use crate::snapshot::{AccessLog, Gateway, Limits, ListenAddress, Listener, Manner, Tls};
use crate::source::node::Text;

/// Compiles the part `gateway`.
pub fn compile(
    spec: GatewaySpec,
    base: &Path,
    (shelf, vault): (&mut Shelf, &mut Vault),
    faults: &mut Diagnostics,
) -> Gateway {
    let GatewaySpec { listen, admin, control, state, workers, access_log, limits, watch, resolvers, .. } = spec;
    let (trusted_proxies, account) = (spec.trusted_proxies, throttles::said(spec.account.throttle.as_ref()));
    let firewall = firewall::compile(spec.firewall.as_ref(), base, faults);
    let CloudSpec { region, account_id, lambda: _, signer: _ } = spec.cloud;
    let named = |text: Option<Text>, otherwise: &str| text.map_or_else(|| otherwise.into(), |text| text.text);
    let listen = listen.into_iter().map(|spec| listener(spec, base, (shelf, vault), faults)).collect();
    let control = control.map(|text| socket_path(base.join(&*text.text), text.place, faults));
    Gateway {
        listen,
        admin: admin.map(|at| at.value),
        control,
        state: state.map(|text| base.join(&*text.text)),
        workers,
        access_log: access_log_of(access_log, base, faults),
        limits: limits_of(&limits),
        watch,
        resolvers,
        trusted_proxies,
        account,
        region: named(region, limits::REGION),
        account_id: named(account_id, limits::ACCOUNT_ID),
        principals: Box::default(),
        call_signer: None,
        firewall,
    }
}

fn listener(
    spec: ListenSpec,
    base: &Path,
    (shelf, vault): (&mut Shelf, &mut Vault),
    faults: &mut Diagnostics,
) -> Listener {
    let ListenSpec { address, place, backlog, execute_api, h2c, tls, proxy_protocol, clients } = spec;
    let ClientsSpec { mutual_tls, https_redirect, hsts: strict } = clients;
    let has_tls = tls.is_some();
    let mutual = mutual_tls.and_then(|spec| vault.mutual(spec, has_tls, base, faults));
    let manner = Manner {
        redirect: https_redirect.and_then(|spec| vault.redirect(&spec, has_tls, faults)),
        hsts: strict.and_then(|spec| hsts(&spec, has_tls, faults)),
    };
    let (address, is_local) = match address {
        AddressSpec::Tcp(address) => (ListenAddress::Tcp(address), address.ip().is_loopback()),
        AddressSpec::Unix(path) => (ListenAddress::Unix(socket_path(base.join(&*path), place, faults)), true),
    };
    if let (Some(At { value: true, place }), Some(_)) = (h2c, &tls) {
        faults.error_hint(
            place,
            "`h2c` is HTTP/2 without TLS, and this listener has TLS",
            "leave it out: with TLS, clients choose HTTP/2 by themselves",
        );
    }
    Listener {
        address,
        backlog: backlog.unwrap_or(limits::BACKLOG),
        execute_api: execute_api.unwrap_or(is_local),
        h2c: h2c.is_some_and(|at| at.value),
        tls: tls.map(|tls| Tls { clients: mutual, ..shelf.compile(tls, None, base, faults) }),
        manner,
        proxy_protocol,
    }
}

/// A path that the kernel can bind.
pub fn socket_path(path: PathBuf, place: Place, faults: &mut Diagnostics) -> PathBuf {
    let bytes = path.as_os_str().as_bytes().len();
    if bytes > limits::SOCKET_PATH_BYTES_MAX {
        faults.error_hint(
            place,
            format!("the socket's path has {bytes} bytes, the system allows {}", limits::SOCKET_PATH_BYTES_MAX),
            format!("with the document's folder it is {}", path.display()),
        );
    }
    path
}

fn access_log_of(to: Option<Text>, base: &Path, faults: &mut Diagnostics) -> AccessLog {
    let Some(text) = to else { return AccessLog::None };
    match &*text.text {
        "stdout" => AccessLog::Stdout,
        "" | "stderr" | "off" | "-" | "/dev/stdout" => {
            faults.error_hint(
                text.place,
                format!("the access log cannot go to `{}`", text.text),
                "write stdout, none, or the path of a file",
            );
            AccessLog::None
        }
        path => AccessLog::File(base.join(path)),
    }
}

fn limits_of(spec: &LimitsSpec) -> Limits {
    let LimitsSpec {
        head_fields,
        head_field_bytes,
        head_target,
        head_bytes,
        body,
        handshake_time,
        header_time,
        idle_time,
        body_idle_time,
        body_rate,
        send_rate,
        answer_rate,
        connections,
        connections_per_address,
        requests,
        tunnel_idle_time,
        tunnel_time,
        drain_time,
        requests_per_connection,
        http2_streams,
        http2_window,
    } = *spec;
    let head = HeadLimits::default();
    let field_bytes = head_field_bytes.unwrap_or(head.field_bytes);
    let target = head_target.unwrap_or(head.target);
    Limits {
        head: HeadLimits {
            fields: head_fields.unwrap_or(head.fields),
            field_bytes,
            target,
            // Whoever raises a part means to receive it: the whole grows with its parts unless it is set.
            head: head_bytes
                .unwrap_or_else(|| head.head.max((field_bytes + target + 64).min(limits::HEAD_BYTES_MAX as u32))),
        },
        body: match body.map(|at| at.value) {
            None => Some(limits::BODY_BYTES),
            Some(BodySpec::Bytes(bytes)) => Some(bytes),
            Some(BodySpec::Unlimited) => None,
        },
        handshake_time: handshake_time.unwrap_or(limits::HANDSHAKE_TIME),
        header_time: header_time.unwrap_or(limits::HEADER_TIME),
        idle_time: idle_time.unwrap_or(limits::IDLE_TIME),
        body_idle_time: body_idle_time.unwrap_or(limits::BODY_IDLE_TIME),
        body_rate: body_rate.unwrap_or(limits::CLIENT_RATE),
        send_rate: send_rate.unwrap_or(limits::CLIENT_RATE),
        answer_rate: answer_rate.unwrap_or(0),
        connections: connections.unwrap_or(limits::CONNECTIONS),
        connections_per_address: connections_per_address.unwrap_or(0),
        requests: requests.unwrap_or(0),
        tunnel_idle_time: tunnel_idle_time.unwrap_or(limits::TUNNEL_IDLE_TIME),
        tunnel_time: tunnel_time.unwrap_or(limits::TUNNEL_TIME),
        drain_time: drain_time.unwrap_or(limits::DRAIN_TIME),
        requests_per_connection: requests_per_connection.unwrap_or(0),
        http2_streams: http2_streams.unwrap_or(limits::HTTP2_STREAMS),
        http2_window: http2_window.unwrap_or(limits::HTTP2_WINDOW),
    }
}
