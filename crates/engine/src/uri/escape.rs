//! Percent-encoding, with the sets of bytes that nginx 1.22 encodes.

/// Appends a decoded path in a form that a request line or a `Location` header can carry.
pub fn escape_uri(path: &[u8], out: &mut Vec<u8>) {
    escape(path, out, is_unsafe);
}

/// Appends a decoded value in a form that can stand among a request's arguments.
pub fn escape_args(value: &[u8], out: &mut Vec<u8>) {
    escape(value, out, |byte| is_unsafe(byte) || matches!(byte, b'&' | b'+' | b';'));
}

/// Whether [`escape_uri`] would change the path.
pub fn needs_escape(path: &[u8]) -> bool {
    path.iter().any(|&byte| is_unsafe(byte))
}

fn escape(bytes: &[u8], out: &mut Vec<u8>, is_unsafe: impl Fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(bytes.len());
    for &byte in bytes {
        match is_unsafe(byte) {
            true => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
            false => out.push(byte),
        }
    }
}

fn is_unsafe(byte: u8) -> bool {
    !byte.is_ascii_graphic()
        || matches!(byte, b'"' | b'#' | b'%' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::normalise;
    use proptest::prelude::*;

    fn escaped(escape: fn(&[u8], &mut Vec<u8>), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn unsafe_bytes_of_a_path_are_encoded() {
        assert_eq!(escaped(escape_uri, b"/a b?c#d%e\x7f\xc3\xa9\0"), "/a%20b%3Fc%23d%25e%7F%C3%A9%00");
        assert_eq!(escaped(escape_uri, b"\"<>\\^`{|}"), "%22%3C%3E%5C%5E%60%7B%7C%7D");
        assert_eq!(escaped(escape_uri, b"/!$&'()*+,-.:;=@[]_~aZ9"), "/!$&'()*+,-.:;=@[]_~aZ9");
    }

    #[test]
    fn a_value_among_arguments_cannot_begin_another() {
        assert_eq!(escaped(escape_args, b"a&b+c;d=/"), "a%26b%2Bc%3Bd=/");
    }

    proptest! {
        #[test]
        fn an_encoded_path_decodes_to_itself(path in prop::collection::vec(1..=255u8, 0..40)) {
            let clean = [b"/", &path[..]].concat().replace_dots();
            let encoded = escaped(escape_uri, &clean);
            prop_assert_eq!(needs_escape(&clean), encoded.as_bytes() != clean);
            let decoded = normalise(encoded.as_bytes(), false).expect("a good path");
            prop_assert_eq!(&*decoded, &*clean);
        }
    }

    trait ReplaceDots {
        /// Without dots there is nothing to resolve.
        fn replace_dots(self) -> Vec<u8>;
    }

    impl ReplaceDots for Vec<u8> {
        fn replace_dots(mut self) -> Vec<u8> {
            self.iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'x');
            self
        }
    }
}
