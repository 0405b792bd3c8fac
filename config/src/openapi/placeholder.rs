//! What documents say where there is nothing to say, because the languages want an answer with a description.

/// The description of the answer of a method that declares none; in the words of AWS.
pub fn no_response(key: &str) -> String {
    format!("Default response for {key}")
}

/// The description of an answer that has none; in the words of AWS.
pub fn no_description(status: &str) -> String {
    format!("{status} response")
}
