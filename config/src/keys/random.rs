//! Ids, values and secrets, drawn by the machine.

use aws_lc_rs::rand;

/// Of ids: as API Gateway writes them.
const LOWER: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Of values.
const ALL: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An id of ten letters and digits.
pub fn id() -> String {
    draw(LOWER, 10)
}

/// A value of forty letters and digits, as API Gateway makes them (KP-01): 238 bits.
pub fn value() -> String {
    draw(ALL, 40)
}

/// 32 bytes.
pub fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    rand::fill(&mut secret).expect("the kernel gives random bytes to every process");
    secret
}

fn draw(letters: &[u8], length: usize) -> String {
    let count = letters.len() as u8;
    // Beyond this, the first letters would come more often than the others.
    let fair = u8::MAX - u8::MAX % count;
    let mut out = String::with_capacity(length);
    while out.len() < length {
        let drawn = secret();
        let fair = drawn.iter().filter(|byte| **byte < fair).take(length - out.len());
        out.extend(fair.map(|byte| char::from(letters[usize::from(byte % count)])));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_its_form_and_differs() {
        let (one, other) = (value(), value());
        assert_eq!((one.len(), id().len()), (40, 10));
        assert_ne!(one, other);
        assert!(policy::api_key::check_value(one.as_bytes()).is_ok());
        assert!(id().bytes().all(|byte| LOWER.contains(&byte)));
    }
}
