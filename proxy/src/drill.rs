//! Panics on demand, so that tests can show what one costs (attack row R17). Release builds have none of it.

use crate::exchange::Exchange;

/// Panics if the process was started with `TOLLGATE_DRILL` set, and the request asks for it at this place: `X-Drill: place`.
#[inline]
pub fn panic_at(place: &str, exchange: &Exchange) {
    #[cfg(debug_assertions)]
    assert!(
        !(is_on() && asks_for(place, exchange)),
        "a drill at {place}:\r\nthe second line, \u{1b}[31m and much more{}",
        ".".repeat(2_000)
    );
    // Only drills look at them.
    let _ = (place, exchange);
}

#[cfg(debug_assertions)]
fn is_on() -> bool {
    static ON: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var_os("TOLLGATE_DRILL").is_some())
}

#[cfg(debug_assertions)]
fn asks_for(place: &str, exchange: &Exchange) -> bool {
    let fields = exchange.scratch.head.fields.iter();
    let bytes = &*exchange.head_bytes;
    let mut drills = fields.filter(|field| field.name.of(bytes).eq_ignore_ascii_case(b"x-drill"));
    drills.any(|field| field.value.of(bytes) == place.as_bytes())
}
