//! The attack table as a whole: families of odd requests, each judged by the codec's slow twin, in raw bytes, on both drivers. The
//! list beside this file (`attacks.txt`) names the tests of every row, wherever they stand.

mod support;

use codec::slow::{self, End};
use support::oddities::Family;
use support::{Client, Response, Stage, Theatre, eventually, shown};

/// Every path of every host leads to the backend.
static HOUSE: Theatre = Theatre::new(
    r#"
apis:
  w:
    kind: http
    routes:
      "ANY /": {integration: {type: http_proxy, uri: "http://{{backend}}/"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {$default: {}}
"#,
);

/// The methods that API Gateway knows.
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The statuses of a refusal that ends the connection.
const REFUSALS: &[u16] = &[400, 405, 408, 413, 414, 417, 431, 501, 505];

/// A request as a backend sees it.
type Seen = (String, String, Vec<u8>);

/// What has to come of a conversation.
struct Verdict {
    /// The answers: the method, and the status.
    answers: Vec<(String, u16)>,
    backend: Vec<Seen>,
    end: End,
}

fn verdict(bytes: &[u8]) -> Verdict {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (requests, end) = slow::conversation(bytes);
    let mut verdict = Verdict { answers: Vec::new(), backend: Vec::new(), end };
    for request in requests {
        let (method, target) = (text(&request.method), text(&request.target));
        let status = match () {
            () if target == "*" => 204,
            () if !METHODS.contains(&&*method) => 404,
            () => 200,
        };
        if status == 200 {
            // A query of nothing is none.
            let target = target.strip_suffix('?').unwrap_or(&target).to_owned();
            verdict.backend.push((method.clone(), target, request.body));
        }
        verdict.answers.push((method, status));
    }
    verdict
}

/// The next answer, interim ones left out.
fn answer(client: &mut Client, to_head: bool) -> Result<Response, String> {
    loop {
        let response = client.try_response(to_head)?;
        if response.status != 100 {
            return Ok(response);
        }
    }
}

fn seen(stage: &Stage) -> Vec<Seen> {
    stage.backend.take().into_iter().map(|request| (request.method, request.target, request.body)).collect()
}

/// Sends a conversation; what is wrong with what came of it. True: it was refused.
fn judge(stage: &Stage, bytes: &[u8], verdict: &Verdict) -> Result<bool, String> {
    let before = stage.backend.byte_count();
    let mut client = stage.client();
    // A refusal may come, and the connection end, before everything was sent.
    let _ = client.try_send(bytes);
    let open = matches!(verdict.end, End::Clean | End::Within);
    if open {
        client.finish();
    }
    for (method, status) in &verdict.answers {
        let response = answer(&mut client, method == "HEAD").map_err(|why| format!("no answer to {method}: {why}"))?;
        if response.status != *status {
            return Err(format!("{status} was expected: {}", shown(&response.raw)));
        }
    }
    let refusal = match answer(&mut client, false) {
        Ok(response) => Some(response),
        Err(why) if why.starts_with("closed after 0 bytes") => None,
        Err(why) => return Err(why),
    };
    let refused = match (verdict.end, &refusal) {
        (End::Clean | End::Last | End::Within, None) => false,
        (End::BadHead | End::BadBody | End::Within, Some(_)) => true,
        (end, None) => return Err(format!("no refusal, but {end:?}")),
        (end, Some(response)) => return Err(format!("{end:?}, but {}", shown(&response.raw))),
    };
    if let Some(response) = refusal {
        if !REFUSALS.contains(&response.status) || response.header("Connection") != Some("close") {
            return Err(format!("a refusal that ends nothing: {}", shown(&response.raw)));
        }
        client.expect_close();
    }
    let arrived = seen(stage);
    if arrived != verdict.backend {
        return Err(format!("the backend saw {arrived:?} instead of {:?}", verdict.backend));
    }
    if verdict.end == End::BadHead && verdict.backend.is_empty() && stage.backend.byte_count() != before {
        return Err("the backend was sent something of a bad head".into());
    }
    Ok(refused)
}

/// Waits until the backend has read what it got of a body that was cut.
fn settle(stage: &Stage) {
    eventually("both sides know the same connections", || {
        let upstream = &stage.gateway.status()["upstream"];
        upstream["connects"] == stage.backend.connections() && upstream["open"] == stage.backend.open()
    });
}

/// Judges a family; every refusal must have moved a counter.
fn play(stage: &Stage, (name, conversations): &Family) {
    // A path without a route and a client that leaves end nothing.
    let ends = |name: &str| !name.contains("no_such_method") && !name.contains("client_gone");
    let total = || stage.refusals().iter().filter(|(name, _)| ends(name)).map(|(_, count)| count).sum::<f64>();
    let before = total();
    let (mut wrong, mut refused) = (Vec::new(), 0.0);
    let mut quiet = true;
    for bytes in conversations {
        let verdict = verdict(bytes);
        if !quiet && verdict.end == End::BadHead {
            settle(stage);
        }
        match judge(stage, bytes, &verdict) {
            Ok(true) => refused += 1.0,
            Ok(false) => {}
            Err(why) => wrong.push(format!("{}\n  {why}", shown(bytes))),
        }
        quiet = !matches!(verdict.end, End::BadBody | End::Within);
    }
    println!("{}: {name}: {} conversations, {refused} refused", stage.gateway.driver.name(), conversations.len());
    let first = &wrong[..wrong.len().min(5)];
    assert!(wrong.is_empty(), "{name}: {} are wrong, the first of them:\n{}", wrong.len(), first.join("\n"));
    let counted = total() - before;
    assert!((counted - refused).abs() < 0.5, "{name}: {refused} refusals, {counted} counted");
}

#[test]
fn families() {
    for family in support::oddities::families(false) {
        HOUSE.play(|stage| play(stage, &family));
    }
}
