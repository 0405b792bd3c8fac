//! What may come of a case, and what has come of it.

use crate::frames::{CODES, Peer, code_name};
use crate::play::{Case, Play};

/// One of the outcomes that a case's line allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The stream that matters is answered; ours, with 200.
    Answered,
    /// Nothing happens: what is asked next is answered.
    Ignored,
    /// The stream is answered with this status.
    Status(u16),
    /// The stream is reset with this code, and the connection serves on.
    Reset(u32),
    /// The connection ends with a GOAWAY of this code.
    Goaway(u32),
    /// The connection ends.
    Close,
}

/// Reads a word of the table: `answered`, `ignored`, `close`, `status:S,…`, `reset:CODE,…`, `goaway:CODE,…`, or `malformed`, which is what
/// section 8.1.1 allows for such a request.
pub fn allowed(word: &str) -> Vec<Allowed> {
    let code = |name: &str| {
        let at = CODES.iter().position(|known| *known == name);
        at.unwrap_or_else(|| panic!("no code is called {name}")) as u32
    };
    match word.split_once(':') {
        Some(("status", list)) => list.split(',').map(|text| Allowed::Status(text.parse().expect(word))).collect(),
        Some(("reset", list)) => list.split(',').map(|name| Allowed::Reset(code(name))).collect(),
        Some(("goaway", list)) => list.split(',').map(|name| Allowed::Goaway(code(name))).collect(),
        None if word == "answered" => vec![Allowed::Answered],
        None if word == "ignored" => vec![Allowed::Ignored],
        None if word == "close" => vec![Allowed::Close],
        None if word == "malformed" => {
            ["reset:PROTOCOL_ERROR", "status:400", "goaway:PROTOCOL_ERROR"].into_iter().flat_map(allowed).collect()
        }
        _ => panic!("`{word}` is no outcome"),
    }
}

/// Plays a case and watches what comes: what has come, or what is wrong with it.
pub fn judge(play: &mut Play, case: &Case, allowed: &[Allowed]) -> Result<String, String> {
    (case.act)(play)?;
    let waited = if allowed.contains(&Allowed::Ignored) { play.peer.round_trip() } else { outcome(play) };
    let answer = play.peer.answer(play.stream);
    // Whoever leaves in good order may have answered before.
    let last = play.peer.goaways.last().filter(|(code, _)| *code != 0 || !answer.ended);
    let (seen, fits) = match (&play.peer.closed, last) {
        (_, Some((code, _))) => {
            let code = *code;
            play.peer.until_closed().map_err(|why| format!("GOAWAY {}, but {why}", code_name(code)))?;
            (format!("GOAWAY {}", code_name(code)), vec![Allowed::Goaway(code)])
        }
        (Some(why), None) if !answer.ended => (why.clone(), vec![Allowed::Close]),
        (_, None) => match (answer.reset, answer.status) {
            (Some(code), _) if !answer.ended => (format!("reset with {}", code_name(code)), vec![Allowed::Reset(code)]),
            (_, Some(status)) if answer.ended => {
                let good = status == 200 || !play.target.ours;
                let fits = if good { vec![Allowed::Answered, Allowed::Ignored] } else { Vec::new() };
                (format!("answered with {status}"), [&fits[..], &[Allowed::Status(status)]].concat())
            }
            _ => {
                waited?;
                ("ignored".to_owned(), vec![Allowed::Ignored])
            }
        },
    };
    if fits.iter().all(|one| !allowed.contains(one)) {
        return Err(format!("{seen}, but {allowed:?} is allowed"));
    }
    serves_on(play).map_err(|why| format!("{seen}, then {why}"))?;
    match &*play.peer.faults {
        [] => Ok(seen),
        faults => Err(format!("{seen}, with faults of its own: {faults:?}")),
    }
}

/// Waits until the stream that matters or the connection is over; first without, then with windows that let an answer end.
fn outcome(play: &mut Play) -> Result<(), String> {
    let stream = play.stream;
    let over = |peer: &Peer| {
        let answer = peer.answer(stream);
        !peer.goaways.is_empty() || answer.reset.is_some() || answer.ended
    };
    // What has gone wrong is told by what is waited for next.
    let _ = play.peer.round_trip();
    while !over(&play.peer) {
        let frames = play.peer.frames;
        play.peer.open_windows(stream);
        play.peer.until("an outcome", |peer| over(peer) || peer.frames > frames)?;
    }
    Ok(())
}

/// What is asked next on a connection that is open is answered.
fn serves_on(play: &mut Play) -> Result<(), String> {
    let next = play.peer.next_stream();
    if play.peer.closed.is_some() || play.spent || next > 0x7fff_ffff {
        return Ok(());
    }
    let answer = play.ask(next)?;
    match answer.status {
        Some(status) if status == 200 || !play.target.ours => Ok(()),
        status => Err(format!("the next answer has status {status:?}")),
    }
}
