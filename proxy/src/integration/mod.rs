//! The manners of answering.

pub mod http;
pub mod mock;
