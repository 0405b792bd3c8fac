//! Why a request goes no further.

use policy::fault::Fault;
use policy::refusal::Refusal;

/// Why a request goes no further.
pub enum Stop {
    /// We say no.
    Refused(Refusal),
    /// Something broke.
    Broken(Fault),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Broken(fault)
    }
}
