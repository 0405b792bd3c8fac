//! May it pass, and in what shape: the rules that a method carries, what they may read of a request, every
//! way of saying no, and the transformations of what does pass. Pure: no sockets, no clock, nothing waits.

pub mod api_key;
pub mod authorize;
pub mod client_certificate;
pub mod context;
pub mod cors;
mod escape;
pub mod facts;
pub mod fault;
pub mod firewall;
pub mod gateway_response;
pub mod gateway_type;
pub mod grpc;
pub mod hops;
pub mod iam;
pub mod identity;
pub mod limits;
pub mod networks;
pub mod phase;
pub mod problem;
pub mod properties;
pub mod quota;
pub mod refusal;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod transform;
