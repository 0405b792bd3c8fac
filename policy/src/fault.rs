//! What can break while a request is served: whose doing it is, whether the call may be tried again, and the
//! one function that turns it into the refusal that a client may see.

use codec::http1::misbehave::Misbehaviour;

use crate::refusal::Refusal;

/// Something broke: ours, the upstream's, or the client's connection. Never text that is parsed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No connection to the upstream: refused, unreachable, reset while it was made.
    ConnectFailed,
    /// No connection to the upstream within its connect time.
    ConnectTimedOut,
    /// The upstream's name has no address.
    NameNotResolved,
    /// The upstream's pool holds all the connections that it may.
    PoolExhausted,
    /// The upstream has as much under way as its breaker allows.
    BreakerOpen,
    /// The upstream's connection ended before the first byte of its answer.
    ClosedBeforeAnswer,
    /// The upstream's connection ended within the head of its answer.
    ClosedInHead,
    /// The head of the upstream's answer did not come in time (IN-12).
    AnswerTimedOut,
    /// The upstream broke the protocol in the head of its answer.
    BadAnswer(Misbehaviour),
    /// The upstream's body ended early or its framing broke, after its head went to the client.
    AnswerCutShort,
    /// The upstream's body paused longer than the idle limit, after its head went to the client.
    AnswerStalled,
    /// The client broke the protocol, in its head or in the framing of its body.
    ClientMisbehaved(Misbehaviour),
    /// The client's body is larger than the limit.
    BodyTooLarge,
    /// The client's head or body did not come in time, or its body too slowly (R01).
    ClientStalled,
    /// The client left before it had its answer.
    ClientGone,
    /// The client took its answer too slowly, or not at all (R01).
    ClientReadsSlowly,
    /// No connection to the upstream, because this machine has no descriptor, memory or port left.
    ResourcesShort,
    /// The upstream's certificate was issued by nobody who is believed.
    TlsUntrusted,
    /// The upstream's certificate is for another name.
    TlsNameMismatch,
    /// The upstream's certificate has expired, or does not hold yet.
    TlsExpired,
    /// The upstream does not take our TLS: it wants a certificate, another one, or another version.
    TlsRefused,
    /// The TLS handshake with the upstream broke: it speaks no TLS, or closed.
    TlsFailed,
}

/// Who is the cause of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client.
    Client,
    /// The machine behind us.
    Upstream,
    /// This gateway.
    Gateway,
}

/// Whether the call may be made once more, on another connection or server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Never: the upstream may have acted, or the answer would be the same.
    Never,
    /// Always: no byte of the request reached an upstream.
    Always,
    /// Only if the verb is idempotent and the request's body can be sent again (RFC 9110 §9.2.2): the connection
    /// ended, of old age or with its machine, and nothing of an answer went to the client.
    IfIdempotent,
}

impl Fault {
    /// Names by [`Fault::index`], so that metrics can register all of them at start.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "connect_failed",
        "connect_timed_out",
        "name_not_resolved",
        "pool_exhausted",
        "closed_before_answer",
        "closed_in_head",
        "answer_timed_out",
        "bad_answer",
        "answer_cut_short",
        "answer_stalled",
        "client_misbehaved",
        "body_too_large",
        "client_stalled",
        "client_gone",
        "breaker_open",
        "client_reads_slowly",
        "resources_short",
        "tls_untrusted",
        "tls_name_mismatch",
        "tls_expired",
        "tls_refused",
        "tls_failed",
    ];

    /// How many kinds of fault there are.
    pub const COUNT: usize = 22;

    /// A dense number below [`Fault::COUNT`].
    pub const fn index(self) -> usize {
        match self {
            Self::ConnectFailed => 0,
            Self::ConnectTimedOut => 1,
            Self::NameNotResolved => 2,
            Self::PoolExhausted => 3,
            Self::ClosedBeforeAnswer => 4,
            Self::ClosedInHead => 5,
            Self::AnswerTimedOut => 6,
            Self::BadAnswer(_) => 7,
            Self::AnswerCutShort => 8,
            Self::AnswerStalled => 9,
            Self::ClientMisbehaved(_) => 10,
            Self::BodyTooLarge => 11,
            Self::ClientStalled => 12,
            Self::ClientGone => 13,
            Self::BreakerOpen => 14,
            Self::ClientReadsSlowly => 15,
            Self::ResourcesShort => 16,
            Self::TlsUntrusted => 17,
            Self::TlsNameMismatch => 18,
            Self::TlsExpired => 19,
            Self::TlsRefused => 20,
            Self::TlsFailed => 21,
        }
    }

    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Whose doing it is.
    pub const fn blame(self) -> Blame {
        match self {
            Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::NameNotResolved
            | Self::ClosedBeforeAnswer
            | Self::ClosedInHead
            | Self::AnswerTimedOut
            | Self::BadAnswer(_)
            | Self::AnswerCutShort
            | Self::AnswerStalled
            | Self::TlsUntrusted
            | Self::TlsNameMismatch
            | Self::TlsExpired
            | Self::TlsRefused
            | Self::TlsFailed => Blame::Upstream,
            Self::ClientMisbehaved(_)
            | Self::BodyTooLarge
            | Self::ClientStalled
            | Self::ClientGone
            | Self::ClientReadsSlowly => Blame::Client,
            Self::PoolExhausted | Self::BreakerOpen | Self::ResourcesShort => Blame::Gateway,
        }
    }

    /// Whether the call may be made once more.
    pub const fn retry(self) -> Retry {
        match self {
            Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::NameNotResolved
            | Self::PoolExhausted
            | Self::TlsUntrusted
            | Self::TlsNameMismatch
            | Self::TlsExpired
            | Self::TlsRefused
            | Self::TlsFailed => Retry::Always,
            Self::ClosedBeforeAnswer | Self::ClosedInHead => Retry::IfIdempotent,
            Self::BreakerOpen
            | Self::AnswerTimedOut
            | Self::BadAnswer(_)
            | Self::AnswerCutShort
            | Self::AnswerStalled
            | Self::ClientMisbehaved(_)
            | Self::BodyTooLarge
            | Self::ClientStalled
            | Self::ClientGone
            | Self::ClientReadsSlowly
            | Self::ResourcesShort => Retry::Never,
        }
    }
}

/// The refusal that a client sees for a fault, as long as no byte of an answer went out (IN-13). After that
/// nothing but the end of the connection can tell, and the refusal only counts.
pub const fn refusal_of(fault: Fault) -> Refusal {
    match fault {
        Fault::ConnectTimedOut | Fault::AnswerTimedOut => Refusal::IntegrationTimeout,
        Fault::ConnectFailed
        | Fault::ClosedBeforeAnswer
        | Fault::ClosedInHead
        | Fault::TlsUntrusted
        | Fault::TlsNameMismatch
        | Fault::TlsExpired
        | Fault::TlsRefused
        | Fault::TlsFailed => Refusal::IntegrationFailure,
        Fault::NameNotResolved => Refusal::InvalidEndpoint,
        Fault::PoolExhausted | Fault::BreakerOpen | Fault::ResourcesShort => Refusal::Overloaded,
        Fault::BadAnswer(_) | Fault::AnswerCutShort | Fault::AnswerStalled => Refusal::BadAnswer,
        Fault::ClientMisbehaved(how) => Refusal::Misbehaved(how),
        Fault::BodyTooLarge => Refusal::RequestTooLarge,
        Fault::ClientStalled => Refusal::RequestTimeout,
        Fault::ClientGone | Fault::ClientReadsSlowly => Refusal::ClientGone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Misbehaviour = Misbehaviour::ALL[0];

    #[test]
    fn every_fault_has_its_blame_its_retry_and_its_refusal() {
        use Fault as F;
        let cases = [
            (F::ConnectFailed, Blame::Upstream, Retry::Always, Refusal::IntegrationFailure),
            (F::ConnectTimedOut, Blame::Upstream, Retry::Always, Refusal::IntegrationTimeout),
            (F::NameNotResolved, Blame::Upstream, Retry::Always, Refusal::InvalidEndpoint),
            (F::PoolExhausted, Blame::Gateway, Retry::Always, Refusal::Overloaded),
            (F::ClosedBeforeAnswer, Blame::Upstream, Retry::IfIdempotent, Refusal::IntegrationFailure),
            (F::ClosedInHead, Blame::Upstream, Retry::IfIdempotent, Refusal::IntegrationFailure),
            (F::AnswerTimedOut, Blame::Upstream, Retry::Never, Refusal::IntegrationTimeout),
            (F::BadAnswer(SOME), Blame::Upstream, Retry::Never, Refusal::BadAnswer),
            (F::AnswerCutShort, Blame::Upstream, Retry::Never, Refusal::BadAnswer),
            (F::AnswerStalled, Blame::Upstream, Retry::Never, Refusal::BadAnswer),
            (F::ClientMisbehaved(SOME), Blame::Client, Retry::Never, Refusal::Misbehaved(SOME)),
            (F::BodyTooLarge, Blame::Client, Retry::Never, Refusal::RequestTooLarge),
            (F::ClientStalled, Blame::Client, Retry::Never, Refusal::RequestTimeout),
            (F::ClientGone, Blame::Client, Retry::Never, Refusal::ClientGone),
            (F::BreakerOpen, Blame::Gateway, Retry::Never, Refusal::Overloaded),
            (F::ClientReadsSlowly, Blame::Client, Retry::Never, Refusal::ClientGone),
            (F::ResourcesShort, Blame::Gateway, Retry::Never, Refusal::Overloaded),
            (F::TlsUntrusted, Blame::Upstream, Retry::Always, Refusal::IntegrationFailure),
            (F::TlsNameMismatch, Blame::Upstream, Retry::Always, Refusal::IntegrationFailure),
            (F::TlsExpired, Blame::Upstream, Retry::Always, Refusal::IntegrationFailure),
            (F::TlsRefused, Blame::Upstream, Retry::Always, Refusal::IntegrationFailure),
            (F::TlsFailed, Blame::Upstream, Retry::Always, Refusal::IntegrationFailure),
        ];
        assert_eq!(cases.len(), Fault::COUNT);
        for (place, (fault, blame, retry, refusal)) in cases.into_iter().enumerate() {
            assert_eq!(fault.index(), place, "{fault:?}");
            assert_eq!(fault.blame(), blame, "{fault:?}");
            assert_eq!(fault.retry(), retry, "{fault:?}");
            assert_eq!(refusal_of(fault), refusal, "{fault:?}");
        }
    }

    #[test]
    fn names_are_the_variants_in_snake_case() {
        for (fault, name) in [
            (Fault::ConnectFailed, "connect_failed"),
            (Fault::BadAnswer(SOME), "bad_answer"),
            (Fault::ClientMisbehaved(SOME), "client_misbehaved"),
        ] {
            assert_eq!(fault.name(), name);
        }
        let mut names = Fault::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::COUNT);
    }

    #[test]
    fn nothing_that_reached_an_upstream_is_always_tried_again() {
        for fault in [Fault::ClosedInHead, Fault::AnswerTimedOut, Fault::BadAnswer(SOME), Fault::AnswerCutShort] {
            assert_ne!(fault.retry(), Retry::Always, "{}", fault.name());
        }
    }
}
