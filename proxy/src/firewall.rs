//! Whether the firewall lets a request in: the first phase of all that led to a stage (POL-04). The rules of the gateway are asked before
//! those of the API; both have to let it pass.

use policy::facts;
use policy::firewall::Request;
use policy::refusal::Refusal;

use crate::exchange::Exchange;
use crate::io::now;
use crate::state::{Live, Place, Worker};
use crate::throttles::nanos;
use crate::walls;

/// Asks, if there is anybody to ask.
#[inline]
pub fn ask(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    if live.walls.is_empty() { Ok(()) } else { ask_all(exchange, place, live, worker) }
}

fn ask_all(exchange: &mut Exchange, place: Place, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let mut said = std::mem::take(&mut exchange.scratch.wall);
    let (whole, address) = (exchange.path(), exchange.peer.ip());
    let below = facts::below(whole, place.rest);
    let published = &live.published;
    for (number, path) in [(walls::OF_GATEWAY, whole), (walls::of_api(place.api), below)] {
        let Some(firewall) = live.walls.get(number) else { continue };
        let (head, body) = (&exchange.scratch.head, exchange.body.remaining());
        let request = Request { address, head, head_bytes: &exchange.head_bytes, path, body };
        let too_fast = |rule| published.throttles.is_too_fast((number, rule), address, worker.index, nanos(now()));
        let holds = |rule| published.tallies.count(number, Some(rule), worker.index);
        let verdict = firewall.decide(&request, &mut said.work, too_fast, holds);
        let by = verdict.rule.map(|rule| (number, rule));
        said.passes = Some(verdict.passes);
        said.by = if verdict.passes { by.or(said.by) } else { by };
        if !verdict.passes {
            if by.is_none() {
                published.tallies.count(number, None, worker.index);
            }
            break;
        }
    }
    let passes = said.passes != Some(false);
    exchange.scratch.wall = said;
    if passes { Ok(()) } else { Err(Refusal::Filtered) }
}
