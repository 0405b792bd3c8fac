//! Routes: which of their fields mean something in this kind of API and with this integration.

use router::Kind;

use crate::check::throttles;
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::model::integration::{HttpSpec, IntegrationSpec};
use crate::model::route::{AccessSpec, ResponseParametersSpec, RouteSpec};
use crate::source::node::Text;

/// Checks one route.
pub fn check(route: &RouteSpec, kind: Kind, faults: &mut Diagnostics) {
    let RouteSpec {
        key: _,
        integration,
        timeout: _,
        retry: _,
        request_parameters,
        response_parameters,
        websocket: _,
        access,
        throttle: _,
        concurrency: _,
    } = route;
    check_websocket(route, faults);
    check_access(access, faults);
    throttles::check_route(route, faults);
    let ResponseParametersSpec { flat, by_status } = response_parameters;
    if matches!(integration, Some(IntegrationSpec::Mock(_))) {
        let asked = [
            (request_parameters.first().map(|(target, _)| target), "request_parameters", "no backend sees the request"),
            (flat.first().map(|(target, _)| target), "response_parameters", "write the header field into `headers`"),
            (
                by_status.first().map(|(status, _)| status),
                "response_parameters",
                "write the header field into `headers`",
            ),
        ];
        for (first, field, hint) in asked {
            if let Some(first) = first {
                let what = format!("`{field}` means nothing in a route with a mock integration");
                faults.error_hint(first.place, what, hint);
            }
        }
        return;
    }
    match kind {
        Kind::Http => {
            for (target, _) in flat {
                let hint = format!("write `response_parameters: {{200: {{\"{}\": …}}}}`", target.text);
                let what = format!("`{}` stands under no status: HTTP APIs map answers by status (MP-04)", target.text);
                faults.error_hint(target.place, what, hint);
            }
            for (status, _) in by_status {
                check_status(status, faults);
            }
        }
        _ => {
            for (status, _) in by_status {
                let hint = "write `response_parameters: {method.response.header.x: …}`";
                let what = format!("`{}` has targets below it: REST APIs map every answer alike (MP-02)", status.text);
                faults.error_hint(status.place, what, hint);
            }
        }
    }
}

/// What would never be asked restricts nothing, so that it is a fault.
fn check_access(access: &AccessSpec, faults: &mut Diagnostics) {
    let AccessSpec { authorizer, iam, scopes, api_key_required: _ } = access;
    if let (Some(authorizer), Some(iam)) = (authorizer, iam.filter(|iam| iam.value)) {
        let what = format!("a caller either signs, or `{}` decides", authorizer.text);
        faults.error_hint(iam.place, what, "keep `authorizer` or `authorization: AWS_IAM`");
    }
    if let Some(scope) = scopes.get(limits::SCOPES_MAX) {
        let what = format!("more than {} scopes: API Gateway takes no more", limits::SCOPES_MAX);
        faults.warning(scope.place, what, "it is served all the same; a token needs one of them");
    }
    if let (None, Some(scope)) = (authorizer, scopes.first()) {
        let hint = "name the authorizer that reads the caller's token: `authorizer: login`";
        faults.error_hint(scope.place, "`scopes` mean nothing without `authorizer`", hint);
    }
}

/// A handshake is a GET that a backend answers, whatever its answer is.
fn check_websocket(route: &RouteSpec, faults: &mut Diagnostics) {
    let Some(place) = route.websocket.filter(|websocket| websocket.value).map(|websocket| websocket.place) else {
        return;
    };
    match &route.integration {
        None | Some(IntegrationSpec::Http(HttpSpec { proxy: true, method: None, .. })) => {}
        Some(IntegrationSpec::Http(HttpSpec { proxy: true, method: Some(method), .. })) => {
            if !matches!(&*method.text, "GET" | "ANY") {
                let what = format!("`websocket` needs GET towards the backend, and `method` is {}", method.text);
                faults.error_hint(place, what, "remove `method`");
            }
        }
        Some(_) => {
            let what = "`websocket` needs an integration of type http_proxy";
            faults.error_hint(place, what, "nothing else passes a connection through");
        }
    }
    let verb = route.key.text.split(' ').next().unwrap_or_default();
    if !matches!(verb, "GET" | "ANY" | "$default") {
        let what = format!("`websocket` means nothing in `{}`: a WebSocket begins with GET", route.key.text);
        faults.error_hint(place, what, "write the route with GET or ANY");
    }
}

/// MP-04.
fn check_status(status: &Text, faults: &mut Diagnostics) {
    let is_status = status.text.parse::<u16>().is_ok_and(|number| (200..=599).contains(&number));
    if !is_status || status.text.len() != 3 {
        let hint = "write a status of the backend's answer, from 200 to 599";
        faults.error_hint(status.place, format!("`{}` is not a status", status.text), hint);
    }
}
