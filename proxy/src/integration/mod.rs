//! The manners of answering.

pub mod http;
pub mod mapping;
pub mod mock;
