//! What is said of a panic: one line in the log, of bounded length, and not one for each of thousands (attack rows R12, R17).
//!
//! The counter `tollgate_panics_total` has them all. With `RUST_BACKTRACE` set, the trace follows as Rust writes it.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::limits::{PANIC_TEXT_CHARS, PANICS_TOLD_ALL};

/// Panics of this process so far.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// From now on, panics are told in the log.
pub fn tell_in_the_log() {
    let traced = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        if !is_told(number) {
            return;
        }
        let thread = thread::current();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("of no text");
        tracing::error!(
            thread = thread.name(),
            place,
            panics = number,
            "a panic, a fault of this program: {}",
            line(text)
        );
        if traced {
            usual(info);
        }
    }));
}

/// Whether the panic of this number is told: the first ones, then ever fewer.
fn is_told(number: u64) -> bool {
    number <= PANICS_TOLD_ALL || number.is_power_of_two()
}

/// A text as one line: without control characters, and not longer than it may be.
fn line(text: &str) -> String {
    let cut = text.chars().nth(PANIC_TEXT_CHARS).is_some();
    let plain = text.chars().take(PANIC_TEXT_CHARS).map(|char| if char.is_control() { ' ' } else { char });
    plain.chain(cut.then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_a_text_is_one_line_of_bounded_length() {
        assert_eq!(line("index out of bounds"), "index out of bounds");
        assert_eq!(line("a\r\nb\u{1b}[31m\u{85}\u{7f}\0c"), "a  b [31m   c");
        let long = "ä".repeat(PANIC_TEXT_CHARS + 1);
        assert_eq!(line(&long).chars().count(), PANIC_TEXT_CHARS + 1);
        assert!(line(&long).ends_with('…') && !line(&long[2..]).ends_with('…'));
    }

    #[test]
    fn r17_the_first_panics_are_told_and_then_ever_fewer() {
        let told: Vec<u64> = (1..=1_000).filter(|number| is_told(*number)).collect();
        assert_eq!(told, (1..=PANICS_TOLD_ALL).chain([64, 128, 256, 512]).collect::<Vec<_>>());
    }
}
