//! What a client saw, compared with what it may have seen: its answer, a refusal with a cause, or an end with a cause.

use std::time::Duration;

use config::limits::RETRY_ATTEMPTS;
use policy::refusal::Refusal;
use router::Kind as ApiKind;

use super::backend::answer_body;
use super::client::{Client, Seen};
use super::http::{self, Kind, Message};
use super::plan::{AnswerPlan, BODY_IDLE_TIME, Goal, IDLE_TIME, Reading, Request, Shape, TIMEOUT};
use super::{SECOND, World};
use crate::io::sim::End;

/// Beyond the gateway's own times: the network's, a tick of the wheel, and a client that reads a moment later.
const SLACK: Duration = Duration::from_millis(500);

/// Panics at the first thing that nothing explains.
pub fn judge(world: &World) {
    for (number, client) in world.clients.iter().enumerate() {
        if let Err(what) = judge_client(world, client) {
            panic!("client {number}: {what}");
        }
    }
    for (id, (request, fate)) in world.plan.requests.iter().zip(&world.fates).enumerate() {
        let most = if request.is_idempotent() { usize::from(RETRY_ATTEMPTS) } else { 1 };
        assert!(fate.attempts.len() <= most, "request {id}, a {}: sent on {:?}", request.method, fate.attempts);
        let reaches = !matches!(request.goal, Goal::Mock | Goal::Nothing | Goal::BadHead);
        assert!(reaches || fate.attempts.is_empty(), "request {id} is for no backend: {:?}", request.goal);
    }
}

fn judge_client(world: &World, client: &Client) -> Result<(), String> {
    if let Some(what) = &client.nonsense {
        return Err(format!("what it read is no answer: {what}"));
    }
    let mut before = Duration::ZERO;
    for (place, id) in client.plan.requests.iter().enumerate() {
        let request = &world.plan.requests[*id];
        let Some(seen) = client.seen.get(place) else {
            return judge_missing(world, client, place).map_err(|what| format!("request {id}: {what}"));
        };
        judge_answer(world, client, place, &seen.answer).map_err(|what| format!("request {id}: {what}"))?;
        judge_time(client, place, (request, seen), before).map_err(|what| format!("request {id}: {what}"))?;
        before = seen.at;
    }
    let asked = client.plan.requests.len();
    if client.seen.len() > asked || !client.rest().is_empty() {
        return Err(format!("{} answers to {asked} requests, {} bytes behind", client.seen.len(), client.rest().len()));
    }
    Ok(())
}

/// Which plan an answer is of: it names the request and the attempt.
fn plan_of<'a>(request: &'a Request, id: usize, answer: &Message) -> Result<Option<(&'a AnswerPlan, usize)>, String> {
    let Some(named) = answer.field("x-id") else { return Ok(None) };
    if named != id.to_string() {
        return Err(format!("it got the answer of request {named}"));
    }
    let attempt: usize = answer.field("x-try").and_then(|attempt| attempt.parse().ok()).ok_or("no attempt")?;
    Ok(Some((&request.answers[attempt.min(1)], attempt)))
}

fn judge_answer(world: &World, client: &Client, place: usize, answer: &Message) -> Result<(), String> {
    let id = client.plan.requests[place];
    let request = &world.plan.requests[id];
    if let Some((plan, attempt)) = plan_of(request, id, answer)? {
        let body = if request.method == "HEAD" { Vec::new() } else { answer_body(plan, (id, attempt)) };
        let is_framed = ["content-length", "transfer-encoding"].iter().any(|name| answer.field(name).is_some());
        let needs_none = body.is_empty() || request.is_old;
        if !is_framed && !needs_none {
            return Err("its end cannot be seen".into());
        }
        if answer.body != body {
            let differs = answer.body.iter().zip(&body).position(|(is, should)| is != should);
            return Err(format!("{} bytes of a body of {}, differs at {differs:?}", answer.body.len(), body.len()));
        }
        let status = match plan.shape {
            Shape::Bodiless(status) => status,
            _ => 200 + (id % 3) as u16,
        };
        if answer.status() != status {
            return Err(format!("status {} instead of {status}", answer.status()));
        }
        return judge_prefix(world, client, place);
    }
    if answer.status() == 200 && request.goal == Goal::Mock {
        let body: &[u8] = if request.method == "HEAD" { b"" } else { b"mocked" };
        return if answer.body == body { Ok(()) } else { Err("a strange mock".into()) };
    }
    judge_refusal(world, client, place, answer)
}

/// The configuration that served it must have been in force while it was under way.
fn judge_prefix(world: &World, client: &Client, place: usize) -> Result<(), String> {
    let Some((prefix, at)) = world.fates[client.plan.requests[place]].prefix else {
        return Err("an answer from nowhere".into());
    };
    let began = client.began_at.get(place).copied().unwrap_or_default();
    let fits = |from: Duration, to: Option<Duration>| from <= at && to.is_none_or(|to| to >= began);
    if world.reigns.iter().any(|reign| reign.prefix == prefix && fits(reign.from, reign.to)) {
        return Ok(());
    }
    Err(format!("served by {prefix}, which was not in force"))
}

fn is_refusal(refusal: Refusal, answer: &Message, is_head: bool) -> bool {
    [Some(ApiKind::Rest), Some(ApiKind::Http), None].into_iter().any(|kind| {
        let reply = refusal.reply(kind);
        let body: &[u8] = if is_head { b"" } else { reply.body };
        reply.status == answer.status() && answer.body == body
    })
}

fn judge_refusal(world: &World, client: &Client, place: usize, answer: &Message) -> Result<(), String> {
    let id = client.plan.requests[place];
    let (request, fate) = (&world.plan.requests[id], &world.fates[id]);
    let is_head = request.method == "HEAD";
    let possible: Vec<Refusal> =
        Refusal::ALL.into_iter().filter(|refusal| is_refusal(*refusal, answer, is_head)).collect();
    if possible.is_empty() {
        return Err(format!("an unknown answer: {} {:?}", answer.first, String::from_utf8_lossy(&answer.body)));
    }
    let (from, to) = window(client, place);
    let storm = world.storms.iter().any(|storm| storm.at >= from && storm.at <= to);
    let nameless = world.plan.weather.names > 0;
    let is_slow = client.plan.is_rude;
    let explained = possible.iter().any(|refusal| match refusal {
        Refusal::NoSuchApi | Refusal::NoSuchStage | Refusal::NoSuchMethod => request.goal == Goal::Nothing,
        Refusal::IntegrationTimeout => fate.may_time_out || storm,
        Refusal::IntegrationFailure => fate.may_fail || storm,
        Refusal::BadAnswer => fate.may_be_bad,
        Refusal::InvalidEndpoint => nameless,
        Refusal::RequestTooLarge => request.goal == Goal::TooLarge,
        Refusal::Overloaded => world.plan.weather.is_narrow,
        Refusal::RequestTimeout => is_slow,
        Refusal::Misbehaved(_) => matches!(request.goal, Goal::BadHead | Goal::BadBody),
        _ => false,
    });
    if explained { Ok(()) } else { Err(format!("refused for no reason: {possible:?} {fate:?}")) }
}

/// From its first byte to its answer or the connection's end.
fn window(client: &Client, place: usize) -> (Duration, Duration) {
    let from = client.began_at.get(place).copied().unwrap_or_default();
    let end = client.ended.map(|(_, at)| at).or(client.left).unwrap_or(Duration::MAX);
    (from, client.seen.get(place).map_or(end, |seen| seen.at))
}

/// An answer begins within its time-out.
fn judge_time(
    client: &Client,
    place: usize,
    (request, seen): (&Request, &Seen),
    before: Duration,
) -> Result<(), String> {
    if client.plan.reading != Reading::Eager || client.plan.is_rude {
        return Ok(());
    }
    let Some(sent) = client.sent_at.get(place) else { return Ok(()) };
    let dripping = request.answers.iter().map(|answer| answer.pace.1 * answer.pace.0 as u32).max().unwrap_or_default();
    let most = TIMEOUT + dripping + SLACK;
    let accepted = client.accepted_at.unwrap_or_default();
    let took = seen.from.saturating_sub((*sent).max(before).max(accepted));
    if took > most { Err(format!("it took {took:?}, more than {most:?}")) } else { Ok(()) }
}

/// There is no whole answer: the connection must have ended for a reason.
fn judge_missing(world: &World, client: &Client, place: usize) -> Result<(), String> {
    let id = client.plan.requests[place];
    let (request, fate) = (&world.plan.requests[id], &world.fates[id]);
    if client.conn.is_none() {
        let is_closed = client.plan.door as u64 == SECOND && world.door_closed.is_some();
        return if world.draining.is_some() || is_closed { Ok(()) } else { Err("nobody listens".into()) };
    }
    let rest = client.rest();
    if !rest.is_empty() {
        return judge_part(world, client, place, rest);
    }
    // The rest of a chunked body that nobody wants is read away; if it is too long, that shows only after the answer.
    if place > 0 && world.plan.requests[client.plan.requests[place - 1]].goal == Goal::TooLarge {
        return Ok(());
    }
    let announced = place > 0 && client.seen[place - 1].answer.field("connection") == Some("close");
    if announced || client.left.is_some() {
        return Ok(());
    }
    let is_closed = client.plan.door as u64 == SECOND && world.door_closed.is_some();
    if is_closed && client.accepted_at.is_none() {
        return Ok(());
    }
    let Some((end, at)) = client.ended else { return Err("it neither has an answer nor an end".into()) };
    // Whoever leaves, has no room or no descriptor lets go of connections that have nothing to say, and of no others.
    let (kernel, began) = (world.plan.weather.kernel, client.began_at.get(place).copied());
    let was_silent = client.let_go_at.is_some_and(|let_go| let_go <= began.unwrap_or(Duration::MAX));
    let is_leaving = world.draining.is_some_and(|draining| draining <= at);
    let makes_room = world.plan.weather.is_narrow || kernel.no_descriptors > 0;
    if client.plan.is_rude || (was_silent && (is_leaving || makes_room)) {
        return Ok(());
    }
    // Silent for too long: the gateway closes, whatever is on its way by then.
    // A slow reader sees late what was sent long ago.
    if at.saturating_sub(client.last) >= IDLE_TIME || matches!(client.plan.reading, Reading::Slow(..)) {
        return Ok(());
    }
    let aborted = kernel.aborted > 0 && place == 0 && end == End::Reset;
    if aborted || fate.may_be_cut {
        return Ok(());
    }
    Err(format!("it ended without an answer: {end:?} at {at:?}, {:?}", request.goal))
}

/// An answer that has begun and is not whole: its end must be explained, and what is there must be right.
fn judge_part(world: &World, client: &Client, place: usize, rest: &[u8]) -> Result<(), String> {
    let id = client.plan.requests[place];
    let (request, fate) = (&world.plan.requests[id], &world.fates[id]);
    let kind = if request.method == "HEAD" { Kind::ToHead } else { Kind::Answer };
    let part = http::read(rest, kind, client.ended.is_some_and(|(end, _)| end == End::Finished))?;
    if let Some(part) = &part
        && let Some((plan, attempt)) = plan_of(request, id, &part.message)?
        && !answer_body(plan, (id, attempt)).starts_with(&part.message.body)
    {
        return Err("the beginning of another answer".into());
    }
    if client.plan.is_rude || client.left.is_some() {
        return Ok(());
    }
    if fate.may_be_cut {
        // Who is owed more is told at once, and not left to wait for an idle connection's end.
        let waited = client.ended.map_or(Duration::MAX, |(_, at)| at.saturating_sub(client.last));
        let is_late = client.plan.reading == Reading::Eager && waited > BODY_IDLE_TIME + SLACK;
        return if is_late { Err(format!("it waits for {waited:?} for the rest of a cut answer")) } else { Ok(()) };
    }
    if matches!(request.goal, Goal::TooLarge | Goal::BadBody) {
        return Ok(());
    }
    Err(format!("an answer that ends after {} bytes: {:?}", rest.len(), client.ended))
}
