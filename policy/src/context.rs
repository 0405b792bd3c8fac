//! Identifiers of a request, as API Gateway writes them (aws-features §0.2): made from random bits that the
//! caller brings, into arrays that the caller owns.

/// Letters of base64 as used in names and addresses (RFC 4648 §5).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Each byte in two digits: half as many look-ups, and no shifts of 128 bits.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 0xf]];
        byte += 1;
    }
    pairs
};

/// Bytes of a REST API's request id.
pub const REST_REQUEST_ID_LEN: usize = 36;
/// Bytes of an extended request id, and of an HTTP API's request id.
pub const EXTENDED_REQUEST_ID_LEN: usize = 16;
/// Bytes of a trace id without parent and sampling: `Root=1-{8 hex}-{24 hex}`.
pub const TRACE_ID_LEN: usize = 40;

/// A REST or WebSocket API's `$context.requestId`: a random UUID (RFC 9562 version 4) in lower case.
pub fn rest_request_id(random: u128, out: &mut [u8; REST_REQUEST_ID_LEN]) {
    let version = (random & !(0xf << 76)) | (0x4 << 76);
    let bits = (version & !(0b11 << 62)) | (0b10 << 62);
    let mut digits = [0; 32];
    hex(bits, &mut digits);
    let (mut from, mut to) = (0, 0);
    for length in [8, 4, 4, 4, 12] {
        out[to..to + length].copy_from_slice(&digits[from..from + length]);
        (from, to) = (from + length, to + length + 1);
    }
    for dash in [8, 13, 18, 23] {
        out[dash] = b'-';
    }
}

/// `$context.extendedRequestId`: eleven random bytes in base64, which ends with `=` (§0.2).
pub fn extended_request_id(random: u128, out: &mut [u8; EXTENDED_REQUEST_ID_LEN]) {
    // 88 bits are fourteen letters of six and one of four: ten letters out of one word, four out of another.
    let (letters, last) = out.split_at_mut(EXTENDED_REQUEST_ID_LEN - 2);
    let (front, back) = letters.split_at_mut(10);
    write_letters((random >> 28) as u64, front);
    write_letters((random >> 4) as u64, back);
    last[0] = BASE64[((random & 0xf) << 2) as usize];
    last[1] = b'=';
}

/// An HTTP API's `$context.requestId`, sent as `apigw-requestid`; its extended request id is the same
/// (§12.1).
pub fn http_request_id(random: u128, out: &mut [u8; EXTENDED_REQUEST_ID_LEN]) {
    extended_request_id(random, out);
}

/// The root of a trace, as sent in `X-Amzn-Trace-Id`: `Root=1-{8 hex: seconds since 1970}-{24 hex}` (§0.2).
pub fn trace_id(epoch_seconds: u32, random: u128, out: &mut [u8; TRACE_ID_LEN]) {
    out[..7].copy_from_slice(b"Root=1-");
    out[15] = b'-';
    hex(u128::from(epoch_seconds), &mut out[7..15]);
    hex(random, &mut out[16..]);
}

/// Whether a client's `x-amzn-RequestId` is a UUID, and so may stand for ours (§0.2).
pub fn is_uuid(value: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    value.len() == REST_REQUEST_ID_LEN && value.iter().enumerate().all(fits)
}

/// The lowest bits of a number, six to a letter.
#[inline]
fn write_letters(number: u64, out: &mut [u8]) {
    let mut rest = number;
    for byte in out.iter_mut().rev() {
        *byte = BASE64[(rest & 0x3f) as usize];
        rest >>= 6;
    }
}

/// The lowest bits of a number, four to a digit; the digits are an even number.
#[inline]
fn hex(number: u128, out: &mut [u8]) {
    let bytes = number.to_be_bytes();
    let used = &bytes[bytes.len() - out.len() / 2..];
    for (pair, byte) in out.chunks_exact_mut(2).zip(used) {
        pair.copy_from_slice(&PAIRS[*byte as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uuid(random: u128) -> String {
        let mut out = [0; REST_REQUEST_ID_LEN];
        rest_request_id(random, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn extended(random: u128) -> String {
        let mut out = [0; EXTENDED_REQUEST_ID_LEN];
        extended_request_id(random, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn request_ids() {
        let cases = [
            (0, "00000000-0000-4000-8000-000000000000", "AAAAAAAAAAAAAAA="),
            (u128::MAX, "ffffffff-ffff-4fff-bfff-ffffffffffff", "______________8="),
            (0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, "01234567-89ab-4def-8123-456789abcdef", "q83vASNFZ4mrze8="),
        ];
        for (random, id, extended_id) in cases {
            assert_eq!(uuid(random), id);
            assert_eq!(extended(random), extended_id);
        }
    }

    #[test]
    fn trace_ids() {
        let mut out = [0; TRACE_ID_LEN];
        trace_id(0x5759_e988, 0xffff_ffff_bd86_2e3f_e1be_46a9_9427_2793, &mut out);
        assert_eq!(&out, b"Root=1-5759e988-bd862e3fe1be46a994272793");
        trace_id(1, 2, &mut out);
        assert_eq!(&out, b"Root=1-00000001-000000000000000000000002");
    }

    #[test]
    fn what_is_a_uuid() {
        let cases: [(&[u8], bool); 8] = [
            (b"01234567-89ab-4def-8123-456789abcdef", true),
            (b"01234567-89AB-1DEF-0123-456789ABCDEF", true),
            (b"01234567-89ab-4def-8123-456789abcde", false),
            (b"01234567-89ab-4def-8123-456789abcdef0", false),
            (b"01234567089ab-4def-8123-456789abcdef", false),
            (b"0123456g-89ab-4def-8123-456789abcdef", false),
            (b"01234567-89ab-4def-8123-456789abc\r\nf", false),
            (b"", false),
        ];
        for (value, expected) in cases {
            assert_eq!(is_uuid(value), expected, "{}", value.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn every_rest_id_is_a_uuid(random: u128) {
            let id = uuid(random);
            prop_assert!(is_uuid(id.as_bytes()));
            prop_assert_eq!(id.as_bytes()[14], b'4');
            prop_assert!(b"89ab".contains(&id.as_bytes()[19]));
        }

        #[test]
        fn extended_ids_keep_88_bits(random: u128) {
            let id = extended(random);
            let mut bits: u128 = 0;
            for letter in id.bytes().take(15) {
                bits = (bits << 6) | BASE64.iter().position(|b| *b == letter).unwrap() as u128;
            }
            prop_assert_eq!(bits >> 2, random & ((1 << 88) - 1));
            prop_assert!(id.ends_with('='));
        }
    }
}
