//! `Accept-Encoding` (RFC 9110 section 12.5.3), read as nginx reads it: the first word `gzip` decides.

/// Whether a client that sent this `Accept-Encoding` takes gzip.
pub fn takes_gzip(accept: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = find_gzip(&accept[from..]).map(|at| at + from) {
        let after = at + GZIP.len();
        if at == 0 || matches!(accept[at - 1], b',' | b' ') {
            return weight_allows(&accept[after..]);
        }
        from = after;
    }
    false
}

const GZIP: &[u8] = b"gzip";

fn find_gzip(text: &[u8]) -> Option<usize> {
    text.windows(GZIP.len()).position(|window| window.eq_ignore_ascii_case(GZIP))
}

/// What stands behind the word: nothing, the next coding, or a weight that is not zero.
fn weight_allows(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let weight = match rest.split_first() {
        None | Some((b',', _)) => return true,
        Some((b';', weight)) => weight.trim_ascii_start(),
        Some(_) => return false,
    };
    match weight.split_first() {
        None => true,
        Some((b'q' | b'Q', value)) => value.strip_prefix(b"=").is_some_and(|value| thousandths(value) > 0),
        Some(_) => false,
    }
}

/// A weight from 0 to 1 with at most three decimals; 0 for what is none. Only whether it is zero matters, so decimals are
/// summed up.
fn thousandths(value: &[u8]) -> u32 {
    let end = value.iter().position(|&b| matches!(b, b',' | b' ')).unwrap_or(value.len());
    let (whole, decimals) = match &value[..end] {
        [whole @ (b'0' | b'1')] => (*whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return 0,
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let sum = decimals.iter().map(|digit| u32::from(digit - b'0')).sum::<u32>();
    match u32::from(whole - b'0') * 100 + sum {
        too_much if too_much > 100 => 0,
        weight => weight,
    }
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn the_word_gzip_without_a_weight_of_zero_is_welcome() {
        for yes in ["gzip", "gzip, deflate, br", "deflate, gzip", "br;q=1.0, GZIP;q=0.1", "gzip ; q=1", "x-gzip, gzip"]
        {
            assert!(takes_gzip(yes.as_bytes()), "{yes}");
        }
    }

    #[test]
    fn other_codings_and_weights_of_zero_are_not() {
        for no in ["", "br", "*", "x-gzip", "gzipped", "gzip;q=0", "gzip;q=0.000", "gzip;q=2", "gzip;q=1.1", "gzip;x=1"]
        {
            assert!(!takes_gzip(no.as_bytes()), "{no}");
        }
    }
}
