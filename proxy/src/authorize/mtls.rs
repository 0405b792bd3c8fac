//! Callers who have proved themselves by a certificate. Without one, and with one that is not listed, it is 403: a 401 would have to name
//! what to show in a field (RFC 9110 §15.5.2), and certificates are shown elsewhere; API Gateway's mutual TLS says 403 as well (DM-10).

use policy::authorize::mtls::MtlsRule;
use policy::client_certificate::Unproven;
use policy::refusal::Refusal;

use crate::exchange::Exchange;
use crate::state::Live;
use crate::stop::Stop;

/// Who calls, by the certificate that was believed at the door.
pub fn decide(rule: &MtlsRule, exchange: &mut Exchange, live: &Live) -> Result<(), Stop> {
    let guest = exchange.guest.as_deref().filter(|_| exchange.scratch.proved);
    let Some(guest) = guest else { return Err(Refusal::Unproven(Unproven::Missing).into()) };
    let identity = guest.identity(rule, live.published.generation).ok_or(Refusal::AccessDenied)?;
    exchange.scratch.caller.identity = Some(identity);
    Ok(())
}
