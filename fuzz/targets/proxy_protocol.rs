//! Headers of the PROXY protocol: the same however they are cut, none longer than its bound, and fields that lie within them.
#![no_main]

use culvert_engine::proxy_protocol::{HEADER_BYTES_MAX, Parsed, parse};
use libfuzzer_sys::fuzz_target;

/// The names of all fields, and some that are none.
const FIELDS: [&str; 15] = [
    "alpn",
    "authority",
    "unique_id",
    "ssl",
    "netns",
    "ssl_version",
    "ssl_cn",
    "ssl_cipher",
    "ssl_sig_alg",
    "ssl_key_alg",
    "ssl_verify",
    "0x01",
    "0xff",
    "0x",
    "nonsense",
];

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    // What a prefix is decides what all that begins with it are, unless more is to come.
    for length in 0..bytes.len().min(HEADER_BYTES_MAX) {
        match parse(&bytes[..length]) {
            Parsed::Partial => {}
            Parsed::Broken => {
                assert_eq!(whole, Parsed::Broken, "what was broken is whole with more behind it");
                break;
            }
            found => {
                assert_eq!(found, whole, "cut differently");
                break;
            }
        }
    }
    match whole {
        Parsed::Whole(header, length) => {
            assert!(length <= bytes.len() && length <= HEADER_BYTES_MAX);
            assert_eq!(header.source.is_some(), header.destination.is_some());
            for name in FIELDS {
                let longest = header.tlvs.len().max("18446744073709551615".len());
                assert!(header.tlv(name).is_none_or(|value| value.len() <= longest), "{name}");
            }
        }
        Parsed::Partial => assert!(bytes.len() < HEADER_BYTES_MAX, "nobody waits for more than that"),
        Parsed::Broken => {}
    }
});
