//! From text to a tree of values with places, before anything is known about their meaning.

pub mod alt_names;
pub mod authorities;
mod builder;
pub mod certificate;
pub mod file;
mod json;
pub mod node;
pub mod secret;
pub mod slips;
mod tags;
pub mod truststore;
pub mod x509;
