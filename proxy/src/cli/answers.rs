//! `tollgate explain`: what an API says beside the answers of its integrations, and which line of which document says so.

use std::collections::BTreeSet;

use codec::head::RequestHead;
use config::Snapshot;
use config::snapshot::{Line, Program};
use policy::cors::Asked;
use policy::gateway_type::GatewayType;
use policy::refusal::Refusal;

/// What a browser is told of origins with every answer to this request, and whether it only asks for that.
pub fn origins((snapshot, program): (&Snapshot, &Program), head: &RequestHead, bytes: &[u8]) -> Option<(String, bool)> {
    let cors = program.answers.cors.as_ref()?;
    let (origin, asked) = policy::cors::asked(head, bytes);
    let mut lines = Vec::new();
    cors.write(origin, asked, &mut lines);
    let lines = String::from_utf8_lossy(&lines);
    let told: Vec<&str> = lines.lines().collect();
    Some((format!("{}{}", told.join(", "), place(program.answers.cors_at, snapshot)), asked != Asked::Actual))
}

/// What is said in the place of a refusal's own words; `verbs` are those that the path has.
pub fn instead((snapshot, program): (&Snapshot, &Program), refusal: Refusal, verbs: bool) -> Option<String> {
    let answers = &program.answers;
    let strict = |status: u16| format!("{status}, a problem document: `strict_errors`");
    let (own, kind) = match refusal {
        Refusal::NoSuchMethod if answers.strict_errors && verbs => (Some(strict(405)), Some(GatewayType::Default4xx)),
        Refusal::NoSuchMethod if answers.strict_errors => (Some(strict(404)), Some(GatewayType::ResourceNotFound)),
        _ => (None, refusal.gateway_type()),
    };
    let Some(response) = kind.and_then(|kind| answers.gateway_responses.choose(kind)) else { return own };
    let status = response.status.map_or(String::new(), |status| format!("{status}, "));
    let written = place(answers.line(response.kind), snapshot);
    let own = own.map_or(String::new(), |own| format!("; else {own}"));
    Some(format!("{status}as gateway response {} says{written}{own}", response.kind.name()))
}

/// What is said in the place of refusals that a request may meet further on.
pub fn refusals((snapshot, program): (&Snapshot, &Program)) -> Option<String> {
    let answers = &program.answers;
    let chosen = GatewayType::ALL.iter().filter_map(|kind| answers.gateway_responses.choose(*kind));
    let kinds: BTreeSet<GatewayType> = chosen.map(|response| response.kind).collect();
    let mut parts: Vec<String> =
        kinds.iter().map(|kind| format!("{}{}", kind.name(), place(answers.line(*kind), snapshot))).collect();
    if answers.strict_errors {
        parts.push("problem documents: `strict_errors`".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn place(line: Line, snapshot: &Snapshot) -> String {
    line.show(snapshot).map_or(String::new(), |written| format!(" ({written})"))
}
