//! A gateway and its backend, shared by the tests of a file: one pair for each driver, one test at a time on each.

use std::sync::{Mutex, PoisonError};

use super::gateway::sum;
use super::{Backend, Client, Driver, Gateway, Response, eventually, on_both_drivers, shown};

/// A REST API at every host and an HTTP API at `web.test`: all of their paths lead to the backend, but for `/mock`.
pub const BOTH_KINDS: &str = r#"
apis:
  a:
    kind: rest
    routes:
      "ANY /mock": {integration: {type: mock, body: "{}"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {s: {}}
  w:
    kind: http
    routes:
      "ANY /mock": {integration: {type: mock, body: "{}"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {$default: {}}
domains:
  "*": {mappings: {/: a/s}}
  web.test: {mappings: {/: w/$default}}
"#;

/// What the tests of a file play on.
pub struct Theatre {
    config: &'static str,
    stages: [Mutex<Option<Stage>>; 2],
}

/// A gateway, its backend, and nobody else's business on them.
pub struct Stage {
    pub gateway: Gateway,
    pub backend: Backend,
}

impl Theatre {
    /// `{{backend}}` in the document stands for the backend's address.
    pub const fn new(config: &'static str) -> Theatre {
        Theatre { config, stages: [const { Mutex::new(None) }; 2] }
    }

    /// Runs a test on both drivers. The pair is set back before each, and made anew after one that failed.
    pub fn play(&self, body: impl Fn(&Stage) + Sync) {
        on_both_drivers(|driver| {
            let mut slot = self.stages[driver as usize].lock().unwrap_or_else(PoisonError::into_inner);
            let stage = slot.take().unwrap_or_else(|| Stage::new(self.config, driver));
            stage.set_back();
            body(&stage);
            *slot = Some(stage);
        });
    }
}

/// A refusal as its client sees it.
pub struct No {
    pub status: u16,
    pub message: &'static str,
    /// `x-amzn-ErrorType`; an HTTP API has none.
    pub error_type: Option<&'static str>,
}

impl No {
    /// What is said of a head that cannot be read, before any API is known.
    pub fn of_status(status: u16) -> No {
        let (message, error_type) = match status {
            400 => ("Bad Request", "BadRequestException"),
            405 => ("Method Not Allowed", "MethodNotAllowedException"),
            408 => ("Request Timeout", "RequestTimeoutException"),
            413 => ("Request Too Long", "RequestTooLargeException"),
            414 => ("URI Too Long", "BadRequestException"),
            417 => ("Expectation Failed", "BadRequestException"),
            431 => ("Request Header Fields Too Large", "BadRequestException"),
            501 => ("Not Implemented", "NotImplementedException"),
            502 => ("Internal server error", "InternalServerErrorException"),
            505 => ("HTTP Version Not Supported", "BadRequestException"),
            _ => panic!("no words for {status}"),
        };
        No { status, message, error_type: Some(error_type) }
    }

    /// Fails unless the answer is this refusal, to the byte where AWS fixes it.
    #[track_caller]
    pub fn check(&self, response: &Response) {
        let whole = shown(&response.raw);
        assert_eq!(response.status, self.status, "{whole}");
        assert_eq!(response.text(), format!("{{\"message\":\"{}\"}}", self.message), "{whole}");
        assert_eq!(response.header("Content-Type"), Some("application/json"), "{whole}");
        assert_eq!(response.header("x-amzn-ErrorType"), self.error_type, "{whole}");
        assert_eq!(response.framing, "length", "{whole}");
        assert!(response.header("Date").is_some(), "{whole}");
    }
}

impl Stage {
    /// A pair of its own.
    pub fn new(config: &str, driver: Driver) -> Stage {
        let backend = Backend::echo();
        let gateway = Gateway::start(&config.replace("{{backend}}", backend.address()), driver);
        Stage { gateway, backend }
    }

    fn set_back(&self) {
        self.backend.script_echo();
        self.empty_pool();
        self.backend.forget();
    }

    /// Closes the connections between the two, and waits until both know.
    pub fn empty_pool(&self) {
        self.all_accepted();
        self.backend.hang_up();
        eventually("the gateway knows that its pool is empty", || self.gateway.status()["upstream"]["open"] == 0);
    }

    /// Waits until the backend has taken every connection that the gateway has made.
    #[track_caller]
    pub fn all_accepted(&self) {
        eventually("the backend takes its connections", || {
            self.gateway.status()["upstream"]["connects"] == self.backend.connections()
        });
    }

    /// Waits until no connection is left between the two.
    #[track_caller]
    pub fn all_closed(&self) {
        self.all_accepted();
        eventually("the backend's connections end", || self.backend.open() == 0);
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.gateway.client()
    }

    /// A request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        self.client().exchange(bytes)
    }

    /// Refusals by reason, those that never happened left out.
    pub fn refusals(&self) -> Vec<(String, f64)> {
        let metrics = self.gateway.metrics();
        let all =
            metrics.into_iter().filter(|(name, value)| name.starts_with("tollgate_refusals_total{") && *value > 0.0);
        all.collect()
    }

    /// Fails unless the counters of refusals differ from `before` by one refusal of this reason.
    #[track_caller]
    pub fn one_refusal_more(&self, before: &[(String, f64)], reason: &str) {
        let name = format!("tollgate_refusals_total{{reason=\"{reason}\"}}");
        let mut expected = before.to_vec();
        match expected.iter_mut().find(|(known, _)| *known == name) {
            Some((_, value)) => *value += 1.0,
            None => expected.push((name, 1.0)),
        }
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        let mut now = self.refusals();
        now.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(now, expected);
    }

    /// A head that is refused, whatever API it may have meant: the status with its words, the end of the connection, the
    /// reason's counter alone, and not one byte for the backend.
    #[track_caller]
    pub fn refuses(&self, request: impl AsRef<[u8]>, status: u16, reason: &str) {
        self.refuses_with(request, &No::of_status(status), reason);
    }

    /// As [`Stage::refuses`], in the words of a kind.
    #[track_caller]
    pub fn refuses_with(&self, request: impl AsRef<[u8]>, no: &No, reason: &str) {
        let request = request.as_ref();
        println!("{}: {}", self.gateway.driver.name(), shown(request));
        let before = self.refusals();
        let (bytes, connections) = (self.backend.byte_count(), self.backend.connections());
        let mut client = self.client();
        // A refusal may come, and the connection end, before everything was sent.
        let _ = client.try_send(request);
        let response = client.read_response();
        no.check(&response);
        assert_eq!(response.header("Connection"), Some("close"), "{}", shown(&response.raw));
        client.expect_close();
        self.one_refusal_more(&before, reason);
        assert_eq!(self.backend.byte_count(), bytes, "the backend was sent something of it");
        assert_eq!(self.backend.connections(), connections, "the backend was called");
    }

    /// A body that breaks its framing: the refusal, the end of both connections, and no whole request at the backend.
    #[track_caller]
    pub fn refuses_body(&self, request: impl AsRef<[u8]>, no: &No, reason: &str) {
        let request = request.as_ref();
        println!("{}: {}", self.gateway.driver.name(), shown(request));
        let before = self.refusals();
        self.backend.forget();
        let mut client = self.client();
        let _ = client.try_send(request);
        let response = client.read_response();
        no.check(&response);
        assert_eq!(response.header("Connection"), Some("close"), "{}", shown(&response.raw));
        client.expect_close();
        self.one_refusal_more(&before, reason);
        self.all_closed();
        assert_eq!(self.backend.requests(), 0, "{:?}", self.backend.take());
    }

    /// A counter.
    #[track_caller]
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        sum(&self.gateway.metrics(), name, labels)
    }

    /// Fails unless a fault's counter reaches `value`: it is counted after the answer was sent.
    #[track_caller]
    pub fn fault_reaches(&self, fault: &str, value: f64) {
        eventually(&format!("fault {fault} is counted"), || {
            let now = self.counter("tollgate_faults_total", &[("fault", fault)]);
            assert!(now <= value, "{fault}: {now} instead of {value}");
            (now - value).abs() < 0.5
        });
    }

    /// How often a fault has happened.
    pub fn faults(&self, fault: &str) -> f64 {
        self.counter("tollgate_faults_total", &[("fault", fault)])
    }
}
