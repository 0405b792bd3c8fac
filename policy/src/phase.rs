//! The steps of a request's life, in order: the one list that code, logs, metrics and documents use.

/// A step between the finding of a place and the answer. The spine in `proxy` has one line for each, in this
/// order (aws-features §0.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Whether the client has proved who it is, and the connection is for this host (step 1; DM-10).
    ProveClient,
    /// What the rules of the firewall say, those of the gateway before those of the API (step 3; POL-04).
    Firewall,
    /// Whether the client is too fast by its address or by a header field (beyond TH-02).
    ThrottleAddress,
    /// A browser asks whether a page of another origin may call, and is told (step 6; CO-02).
    Preflight,
    /// The stage is known but no method fits: the refusal of RT-07 or RT-12.
    NoSuchMethod,
    /// What the resource policy says before anybody is asked who calls (step 7; POL-03).
    PolicyBefore,
    /// Whether the caller may: what its authorizer says (step 8; A rows).
    Authorize,
    /// What the resource policy says of who calls (step 8; POL-03, A-12).
    PolicyAfter,
    /// Whose key it is, and by which plan it may call this stage (step 9; KP-04).
    ApiKey,
    /// Whether the caller's key is too fast by its plan, for the method and for all; or the caller by who it is (TH-02 (1), (2)).
    ThrottlePlan,
    /// Whether the quota of the caller's key has room (step 10; KP-06).
    Quota,
    /// Whether the method or the stage gets too many requests (TH-02 (3)).
    ThrottleStage,
    /// Whether all APIs together get too many (TH-02 (4)).
    ThrottleAccount,
    /// Whether too many requests are at work.
    Concurrency,
    /// The backend's request target is made, with what is mapped into it (step 13).
    ShapeCall,
    /// Header fields of the backend's request are mapped (step 13; MP-01, MP-03).
    MapRequest,
    /// The integration answers (step 14).
    Integrate,
    /// The answer is selected and its parts are mapped (step 15; IN-16, MP-02, MP-04).
    MapResponse,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: &[Self] = &[
        Self::ProveClient,
        Self::Firewall,
        Self::ThrottleAddress,
        Self::Preflight,
        Self::NoSuchMethod,
        Self::PolicyBefore,
        Self::Authorize,
        Self::PolicyAfter,
        Self::ApiKey,
        Self::ThrottlePlan,
        Self::Quota,
        Self::ThrottleStage,
        Self::ThrottleAccount,
        Self::Concurrency,
        Self::ShapeCall,
        Self::MapRequest,
        Self::Integrate,
        Self::MapResponse,
    ];

    /// Its name in logs and metrics: lower case with underscores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProveClient => "prove_client",
            Self::Firewall => "firewall",
            Self::ThrottleAddress => "throttle_address",
            Self::Preflight => "preflight",
            Self::NoSuchMethod => "no_such_method",
            Self::PolicyBefore => "policy_before",
            Self::Authorize => "authorize",
            Self::PolicyAfter => "policy_after",
            Self::ApiKey => "api_key",
            Self::ThrottlePlan => "throttle_plan",
            Self::Quota => "quota",
            Self::ThrottleStage => "throttle_stage",
            Self::ThrottleAccount => "throttle_account",
            Self::Concurrency => "concurrency",
            Self::ShapeCall => "shape_call",
            Self::MapRequest => "map_request",
            Self::Integrate => "integrate",
            Self::MapResponse => "map_response",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        for (place, phase) in Phase::ALL.iter().enumerate() {
            assert_eq!(*phase as usize, place, "{}", phase.name());
        }
        assert!(Phase::ALL.is_sorted());
        assert_eq!(Phase::ALL.last(), Some(&Phase::MapResponse));
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = Phase::ALL.iter().map(|phase| phase.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Phase::ALL.len());
    }
}
