//! What happens in a run, drawn from its seed before it begins: the weather, what each client says, how each call is answered.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;

use crate::io::sim::Faults;

/// Two configurations that a reload alternates between; a test of the gateway's is compiled from each.
pub const DOCUMENTS: [&str; 2] = [
    r#"
gateway:
  listen: [{address: "127.0.0.1:8080"}]
  limits: {header_time: 1s, idle_time: 3s, body_idle_time: 1s, body: 60000, drain_time: 10s, requests_per_connection: 7}
upstreams:
  one: {servers: ["10.0.0.1:80", "10.0.0.2:80"], connect_time: 300ms, pool: {idle: 3, idle_time: 2s, connections: 100}}
  gone: {servers: ["10.0.0.9:80"], connect_time: 300ms}
  named: {servers: ["name.test:80"], connect_time: 300ms, pool: {connections: 100}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /p/{proxy+}": {integration: {type: http_proxy, uri: "http://one/a/{proxy}", timeout: 2s}}
      "ANY /m/{proxy+}": {integration: {type: http_proxy, uri: "http://one/a/{proxy}", timeout: 2s}, request_parameters: {integration.request.header.X-Body: method.request.body.k}}
      "ANY /g/{proxy+}": {integration: {type: http_proxy, uri: "http://gone/a/{proxy}", timeout: 2s}}
      "ANY /mock": {integration: {type: mock, status: 200, body: 'mocked'}}
    stages: {dev: {}}
  http:
    kind: http
    routes:
      "ANY /p/{proxy+}": {integration: {type: http_proxy, uri: "http://one/a/{proxy}", timeout: 2s}}
      "ANY /n/{proxy+}": {integration: {type: http_proxy, uri: "http://named/a/{proxy}", timeout: 2s}}
      "ANY /mock": {integration: {type: mock, status: 200, body: 'mocked'}}
    stages: {$default: {}}
domains:
  "*": {mappings: {/r: rest/dev, /h: http/$default}}
"#,
    r#"
gateway:
  listen: [{address: "127.0.0.1:8080"}]
  limits: {header_time: 1s, idle_time: 3s, body_idle_time: 1s, body: 60000, drain_time: 10s}
upstreams:
  one: {servers: ["10.0.0.2:80", {address: "10.0.0.3:80", weight: 2}], balance: least_requests, connect_time: 300ms, pool: {idle: 1, connections: 100}}
  other: {servers: ["10.0.0.8:80"], connect_time: 300ms}
  named: {servers: ["name.test:80"], connect_time: 300ms, pool: {idle_time: 500ms, connections: 100}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /p/{proxy+}": {integration: {type: http_proxy, uri: "http://one/b/{proxy}", timeout: 2s}}
      "ANY /m/{proxy+}": {integration: {type: http_proxy, uri: "http://one/b/{proxy}", timeout: 2s}, request_parameters: {integration.request.header.X-Body: method.request.body.k}}
      "ANY /g/{proxy+}": {integration: {type: http_proxy, uri: "http://other/b/{proxy}", timeout: 2s}}
      "ANY /mock": {integration: {type: mock, status: 200, body: 'mocked'}}
    stages: {dev: {}}
  http:
    kind: http
    routes:
      "ANY /p/{proxy+}": {integration: {type: http_proxy, uri: "http://one/b/{proxy}", timeout: 2s}}
      "ANY /n/{proxy+}": {integration: {type: http_proxy, uri: "http://named/b/{proxy}", timeout: 2s}}
      "ANY /mock": {integration: {type: mock, status: 200, body: 'mocked'}}
    stages: {$default: {}}
domains:
  "*": {mappings: {/r: rest/dev, /h: http/$default}}
"#,
];

/// The same with few places.
pub fn narrow(text: &str) -> String {
    let text = text.replace("drain_time: 10s", "drain_time: 10s, connections: 5");
    let text = text.replace("connections: 100}", "connections: 2}");
    text.replace(
        "balance: least_requests,",
        "balance: least_requests, breaker: {requests: 3, pending: 1, connections: 2},",
    )
}

/// What the documents say: how long a connection may be silent.
pub const IDLE_TIME: Duration = Duration::from_secs(3);
/// How long a body may pause.
pub const BODY_IDLE_TIME: Duration = Duration::from_secs(1);
/// How long a call may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// The largest body.
pub const BODY_MAX: usize = 60_000;

/// Which kinds of trouble there are in a run; shares of 100.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Of the gateway's kernel.
    pub kernel: Faults,
    /// Connects that are refused, lost, or slow.
    pub connects: u8,
    /// Answers that break: cut, reset, malformed.
    pub answers: u8,
    /// Backends that stall or are too slow.
    pub stalls: u8,
    /// Kept connections that a backend closes while they are idle.
    pub idle_closes: u8,
    /// Clients that reset, leave, stall, or break the rules.
    pub clients: u8,
    /// Names that have no address for a while.
    pub names: u8,
    /// Whether there are few places: connections of clients, of pools, and what breakers let through.
    pub is_narrow: bool,
}

/// A whole run.
pub struct Plan {
    /// The kinds of trouble.
    pub weather: Weather,
    /// All requests, by id.
    pub requests: Vec<Request>,
    /// All clients.
    pub clients: Vec<ClientPlan>,
    /// When the configuration is swapped.
    pub reloads: Vec<Duration>,
    /// When other addresses are published, and whether there are any.
    pub names: Vec<(Duration, Vec<u8>)>,
    /// When accepting pauses, and for how long.
    pub pauses: Vec<(Duration, Duration)>,
    /// When the second door is closed, and when another is opened in its place.
    pub doors: Vec<(Duration, Duration)>,
    /// When the gateway is told to leave; otherwise when every client has gone.
    pub drain: Option<Duration>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A backend's answer.
    Backend,
    /// One of the gateway's own.
    Mock,
    /// Something that is not there.
    Nothing,
    /// A head that breaks a rule.
    BadHead,
    /// A body whose framing breaks.
    BadBody,
    /// A body that is too long.
    TooLarge,
}

/// One request.
pub struct Request {
    /// What it wants.
    pub goal: Goal,
    /// `GET` …
    pub method: &'static str,
    /// What a backend is to see behind its prefix.
    pub rest: String,
    /// The body without its framing.
    pub payload: Vec<u8>,
    /// All its bytes.
    pub wire: Vec<u8>,
    /// Of these, the head.
    pub head_length: usize,
    /// Whether the client waits for `100 Continue`.
    pub waits: bool,
    /// Whether the gateway looks into its body.
    pub is_mapped: bool,
    /// Whether the client speaks HTTP/1.0.
    pub is_old: bool,
    /// Whether it is the connection's last.
    pub is_last: bool,
    /// How the calls that it makes are answered: the first, and any other.
    pub answers: [AnswerPlan; 2],
}

impl Request {
    /// Whether it may be sent to a backend twice.
    pub fn is_idempotent(&self) -> bool {
        self.method != "POST" && self.method != "PATCH"
    }
}

/// When a backend begins to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// When the request is there.
    Whole,
    /// When its head is there.
    Head,
}

/// How the end of an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// By its length.
    Length,
    /// By the last chunk; chunks of so many bytes.
    Chunked(usize),
    /// By the end of the connection.
    UntilClose,
    /// It has no body: 204 or 304.
    Bodiless(u16),
}

/// What happens at its end, or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The connection is kept.
    Keep,
    /// It is announced that the connection ends, and it does.
    Close,
    /// Kept at first, closed after a while.
    CloseLater(Duration),
    /// Closed before the end: after so many thousandths.
    Cut(usize),
    /// Likewise, by a reset.
    Reset(usize),
    /// Nothing more comes after so many thousandths.
    Stall(usize),
    /// A head that breaks a rule.
    BadHead(u8),
    /// A body whose framing breaks.
    BadBody,
    /// Bytes behind the end.
    Extra,
}

/// How one call is answered.
#[derive(Clone, Copy, Debug)]
pub struct AnswerPlan {
    /// From when on.
    pub begin: Begin,
    /// How long the backend thinks.
    pub delay: Duration,
    /// Interim answers before.
    pub interim: usize,
    /// Bytes of the body.
    pub length: usize,
    /// Its framing.
    pub shape: Shape,
    /// Bytes by which its head is longer.
    pub pad: usize,
    /// Whether a chunked body has a trailer.
    pub has_trailer: bool,
    /// Its end.
    pub finish: Finish,
    /// Pieces, and the pause between two of them.
    pub pace: (usize, Duration),
}

/// What a client does, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sends up to this byte of all that it has to say.
    Send(usize),
    /// Waits a moment.
    Pause(Duration),
    /// Waits for so many answers in all.
    Await(usize),
    /// Waits for `100 Continue` or an answer, but not for ever; after an answer the body is not sent.
    Continue(usize),
    /// Says that no more comes.
    HalfClose,
    /// Leaves without a word.
    Reset,
    /// Closes.
    Close,
    /// Waits for the gateway to close.
    Linger,
}

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All that comes.
    Eager,
    /// So many bytes, and then a pause.
    Slow(usize, Duration),
    /// Nothing after so many bytes.
    Never(usize),
}

/// One client.
pub struct ClientPlan {
    /// When it connects.
    pub start: Duration,
    /// Where.
    pub door: usize,
    /// Its requests, by id.
    pub requests: Vec<usize>,
    /// What it does.
    pub steps: Vec<Step>,
    /// How it reads.
    pub reading: Reading,
    /// Whether it does something that excuses whatever becomes of its last requests.
    pub is_rude: bool,
}

/// Byte `at` of the body that belongs to a request, or to one of its answers.
pub fn body(id: usize, salt: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (id * 31 + salt * 101 + at * 7 + at / 251) as u8).collect()
}

fn millis(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range))
}

fn one_in(random: &mut Rng, n: u32) -> bool {
    random.u32(0..n) == 0
}

fn percent(random: &mut Rng, share: u8) -> bool {
    share > 0 && random.u8(0..100) < share
}

impl Weather {
    /// A fifth of all runs is calm: then nothing at all may go wrong.
    pub fn draw(random: &mut Rng) -> Weather {
        let mut weather = Weather::default();
        // Short and late completions are no trouble: every run has them.
        weather.kernel.short_reads = [0, 10, 60][random.usize(0..3)];
        weather.kernel.short_writes = [0, 10, 60][random.usize(0..3)];
        weather.kernel.late = [0, 20, 70][random.usize(0..3)];
        weather.kernel.no_buffers = [0, 0, 10][random.usize(0..3)];
        weather.kernel.interrupted = [0, 0, 5][random.usize(0..3)];
        weather.kernel.short_accepts = [0, 30][random.usize(0..2)];
        weather.kernel.no_descriptors = [0, 0, 20][random.usize(0..3)];
        if one_in(random, 5) {
            return weather;
        }
        let mut share = |most: u8| if random.bool() { random.u8(1..=most) } else { 0 };
        weather.connects = share(30);
        weather.answers = share(50);
        weather.stalls = share(20);
        weather.idle_closes = share(60);
        weather.clients = share(50);
        weather.names = share(1);
        weather.is_narrow = share(1) > 0;
        weather.kernel.aborted = share(10);
        weather
    }
}

impl Plan {
    /// Everything about a run.
    pub fn draw(random: &mut Rng) -> Plan {
        let weather = Weather::draw(random);
        let (mut requests, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..random.usize(1..=10) {
            let client = draw_client(random, &weather, &mut requests);
            clients.push(client);
        }
        let reloads = (0..random.usize(0..4)).map(|_| millis(random, 0..1500)).collect();
        let mut names = Vec::new();
        if weather.names > 0 {
            names.push((millis(random, 0..600), vec![]));
            names.push((millis(random, 600..1200), vec![2, 3]));
        } else {
            names.push((Duration::ZERO, vec![1]));
        }
        names.push((millis(random, 0..1500), vec![1, 2]));
        let pauses = (0..random.u64(0..3)).filter(|_| random.bool());
        let pauses = pauses.map(|nth| (Duration::from_millis(100 + nth * 400), nth)).collect::<Vec<_>>();
        let pauses = pauses.into_iter().map(|(at, _)| (at, millis(random, 1..250))).collect();
        let doors =
            if one_in(random, 3) { vec![(millis(random, 50..400), millis(random, 0..400))] } else { Vec::new() };
        let drain = one_in(random, 4).then(|| millis(random, 0..2000));
        Plan { weather, requests, clients, reloads, names, pauses, doors, drain }
    }
}

fn draw_client(random: &mut Rng, weather: &Weather, requests: &mut Vec<Request>) -> ClientPlan {
    let is_rude = percent(random, weather.clients);
    let count = if one_in(random, 6) { random.usize(5..10) } else { random.usize(1..5) };
    let mut own = Vec::new();
    for place in 0..count {
        let is_last = place + 1 == count;
        let id = requests.len();
        let request = draw_request(random, weather, id, (is_last, is_rude));
        own.push(id);
        let ends = request.is_last || matches!(request.goal, Goal::BadHead | Goal::BadBody);
        requests.push(request);
        if ends {
            break;
        }
    }
    let mut steps = draw_steps(random, requests, &own);
    let mut reading = match random.u8(0..6) {
        0 => Reading::Slow(random.usize(20..4_000), millis(random, 1..30)),
        _ => Reading::Eager,
    };
    if is_rude {
        match random.u8(0..6) {
            0 => break_off(random, &mut steps, Step::Reset),
            1 => break_off(random, &mut steps, Step::Close),
            2 => break_off(random, &mut steps, Step::Linger),
            3 => {
                let at = random.usize(0..steps.len());
                steps.insert(at, Step::Pause(millis(random, 900..4000)));
            }
            4 => reading = Reading::Never(random.usize(0..3_000)),
            _ => {}
        }
    }
    let door = if one_in(random, 3) { 2 } else { 1 };
    ClientPlan { start: millis(random, 0..400), door, requests: own, steps, reading, is_rude }
}

/// It says only a part, and then does something else.
fn break_off(random: &mut Rng, steps: &mut Vec<Step>, by: Step) {
    steps.truncate(random.usize(0..steps.len()) + 1);
    if let Some(Step::Send(to)) = steps.last_mut() {
        *to -= random.usize(0..(*to).min(60));
    }
    if random.bool() {
        steps.push(Step::Pause(millis(random, 0..100)));
    }
    steps.push(by);
}

fn draw_steps(random: &mut Rng, requests: &[Request], own: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    let pipelines = one_in(random, 3);
    let (mut from, mut asked) = (0, 0);
    for id in own {
        let request = &requests[*id];
        let to = from + request.wire.len();
        if request.waits {
            steps.push(Step::Await(asked));
            steps.push(Step::Send(from + request.head_length));
            steps.push(Step::Continue(asked + 1));
            from += request.head_length;
        }
        if one_in(random, 3) {
            for _ in 0..random.usize(1..5) {
                let part = random.usize(from..to.max(from + 1));
                if part > from {
                    steps.push(Step::Send(part));
                    steps.push(Step::Pause(millis(random, 0..30)));
                    from = part;
                }
            }
        }
        steps.push(Step::Send(to));
        from = to;
        asked += 1;
        if pipelines && one_in(random, 2) {
            steps.push(Step::Pause(millis(random, 0..50)));
        }
        if !pipelines || random.bool() {
            steps.push(Step::Await(asked));
            if one_in(random, 4) {
                steps.push(Step::Pause(millis(random, 0..700)));
            }
        }
    }
    if one_in(random, 5) {
        steps.push(Step::HalfClose);
    }
    steps.push(Step::Await(asked));
    steps.push(if one_in(random, 3) { Step::Linger } else { Step::Close });
    steps
}

fn draw_request(random: &mut Rng, weather: &Weather, id: usize, (is_last, is_rude): (bool, bool)) -> Request {
    let mut goal = match random.u8(0..20) {
        0 | 1 => Goal::Mock,
        2 => Goal::Nothing,
        3 => Goal::TooLarge,
        _ => Goal::Backend,
    };
    if is_rude && one_in(random, 4) {
        goal = if random.bool() { Goal::BadHead } else { Goal::BadBody };
    }
    let method = match goal {
        Goal::TooLarge | Goal::BadBody => "POST",
        // Of a head that is not understood nobody knows that it is a HEAD.
        // Nor of one that was not read, because there was no room for its client.
        _ if is_rude || weather.is_narrow => ["GET", "POST", "PUT"][random.usize(0..3)],
        _ => ["GET", "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"][random.usize(0..8)],
    };
    let rest = format!("{id}/{}", ["x", "x?q=1", "a%20b/c?x=%C3%A4&y"][random.usize(0..3)]);
    let path = match goal {
        Goal::Mock => ["/r/mock", "/h/mock"][random.usize(0..2)].to_owned(),
        Goal::Nothing => format!("{}/{rest}", ["/r/no", "/h/no", "/no"][random.usize(0..3)]),
        _ => format!("{}/{rest}", ["/r/p", "/h/p", "/h/p", "/h/n", "/r/g"][random.usize(0..5)]),
    };
    let length = match goal {
        Goal::TooLarge => BODY_MAX + random.usize(1..9_000),
        Goal::BadBody => random.usize(1..3_000),
        _ => body_length(random).min(BODY_MAX),
    };
    let has_body = matches!(method, "POST" | "PUT" | "PATCH") || goal == Goal::TooLarge;
    let has_body = has_body && (goal != Goal::Backend || !one_in(random, 4));
    let is_mapped = has_body && matches!(goal, Goal::Backend | Goal::TooLarge) && one_in(random, 6);
    let path = if is_mapped { format!("/r/m/{rest}") } else { path };
    let payload = match (has_body, is_mapped) {
        (false, _) => Vec::new(),
        (true, false) => body(id, 0, length),
        // A little longer than a plain one would be.
        (true, true) => {
            let pad = "x".repeat(if goal == Goal::TooLarge { length } else { length.min(BODY_MAX - 100) });
            format!("{{\"k\":\"{id}\",\"pad\":\"{pad}\"}}").into_bytes()
        }
    };
    let is_old = goal == Goal::Backend && one_in(random, 10);
    let version = u8::from(!is_old);
    let mut head = format!("{method} {path} HTTP/1.{version}\r\nHost: api.test\r\nX-Req: {id}\r\n");
    if one_in(random, 6) {
        // A head that comes in several receives.
        let pad = random.usize(1..5_000);
        write!(head, "X-Pad: {}\r\n", "x".repeat(pad)).expect("a text takes everything");
    }
    let mut closes = one_in(random, 8);
    if is_old {
        closes = random.bool();
        head.push_str(if closes { "" } else { "Connection: keep-alive\r\n" });
    } else if closes {
        head.push_str("Connection: close\r\n");
    }
    let waits = has_body && !payload.is_empty() && goal != Goal::BadBody && !is_old && one_in(random, 5);
    if waits {
        head.push_str("Expect: 100-continue\r\n");
    }
    let chunked = goal == Goal::BadBody || (has_body && !is_old && one_in(random, 3));
    let mut framed = Vec::new();
    if chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
        framed = chunks(&payload, random.usize(1..4_000));
        if goal == Goal::BadBody {
            framed.truncate(framed.len() - 5);
            framed.extend_from_slice(b"zz\r\n");
        } else if one_in(random, 4) {
            with_trailer(&mut framed);
        }
    } else if has_body {
        let length = payload.len();
        write!(head, "Content-Length: {length}\r\n").expect("a text takes everything");
        framed.clone_from(&payload);
    }
    if goal == Goal::BadHead {
        head.push_str(
            ["Content-Length: 1\r\nContent-Length: 2\r\n", "A b: c\r\n", "X : y\r\n", "\u{1}: y\r\n"]
                [random.usize(0..4)],
        );
    }
    head.push_str("\r\n");
    let head_length = head.len();
    let wire = [head.into_bytes(), framed].concat();
    let answers = [(); 2].map(|()| draw_answer(random, weather));
    let is_last = is_last || closes;
    Request { goal, method, rest, payload, wire, head_length, waits, is_mapped, is_old, is_last, answers }
}

fn body_length(random: &mut Rng) -> usize {
    match random.u8(0..12) {
        0 => 0,
        1..=7 => random.usize(1..2_000),
        8 | 9 => random.usize(2_000..20_000),
        10 => [4_095, 4_096, 4_097, 8_192, 32_768][random.usize(0..5)],
        _ => random.usize(20_000..120_000),
    }
}

/// Puts a field behind the last chunk.
pub fn with_trailer(framed: &mut Vec<u8>) {
    framed.truncate(framed.len() - 2);
    framed.extend_from_slice(b"X-Trailer: 1\r\n\r\n");
}

/// A body in chunks of this size.
pub fn chunks(payload: &[u8], size: usize) -> Vec<u8> {
    let mut framed = Vec::new();
    for chunk in payload.chunks(size) {
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

/// Where an answer breaks: often before its first byte.
fn share_of(random: &mut Rng) -> usize {
    if one_in(random, 3) { 0 } else { random.usize(0..1_000) }
}

fn draw_answer(random: &mut Rng, weather: &Weather) -> AnswerPlan {
    let shape = match random.u8(0..10) {
        0..=4 => Shape::Length,
        5..=7 => Shape::Chunked(random.usize(1..5_000)),
        8 => Shape::UntilClose,
        _ => Shape::Bodiless([204, 304][random.usize(0..2)]),
    };
    let mut length = body_length(random);
    let mut finish = match random.u8(0..12) {
        0 => Finish::Close,
        _ if percent(random, weather.idle_closes) => Finish::CloseLater(millis(random, 0..600)),
        _ => Finish::Keep,
    };
    if percent(random, weather.answers) {
        finish = match random.u8(0..6) {
            0 | 1 if shape != Shape::UntilClose => Finish::Cut(share_of(random)),
            2 => Finish::BadHead(random.u8(0..6)),
            3 if matches!(shape, Shape::Chunked(_)) => Finish::BadBody,
            4 if shape != Shape::UntilClose => {
                length = length.min(5_000);
                Finish::Extra
            }
            _ => Finish::Reset(share_of(random)),
        };
    }
    let mut delay = if one_in(random, 3) { millis(random, 0..60) } else { Duration::ZERO };
    if percent(random, weather.stalls) {
        if one_in(random, 3) {
            delay = TIMEOUT + millis(random, 100..1_000);
        } else {
            finish = Finish::Stall(random.usize(0..1_000));
        }
    }
    let begin = if one_in(random, 8) { Begin::Head } else { Begin::Whole };
    let pace = match (random.u8(0..3), finish) {
        (0, finish) if finish != Finish::Extra => (random.usize(2..12), millis(random, 0..40)),
        _ => (1, Duration::ZERO),
    };
    let interim = if one_in(random, 10) { random.usize(1..4) } else { 0 };
    let pad = if one_in(random, 8) { random.usize(1..8_000) } else { 0 };
    AnswerPlan { begin, delay, interim, length, shape, pad, has_trailer: one_in(random, 4), finish, pace }
}
