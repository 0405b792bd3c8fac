//! Panics and stalls on demand, so that tests can show what one costs (attack row R17). Release builds have none of it.

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

/// Keeps the whole worker from moving for a while, as [`panic_at`] panics: `X-Drill: stall`.
#[inline]
pub fn stall(exchange: &Exchange) {
    #[cfg(debug_assertions)]
    if is_on() && asks_for("stall", exchange) {
        std::thread::sleep(STALL_TIME);
    }
    let _ = exchange;
}

/// Longer than several words to a watchdog of a test.
#[cfg(debug_assertions)]
const STALL_TIME: std::time::Duration = std::time::Duration::from_secs(3);

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
