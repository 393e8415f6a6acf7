//! Heads of requests and responses, and bodies in chunks: the same however they are cut, and the same when written anew.
#![no_main]

use culvert_engine::http1::{
    BodyDecoder, BodyLength, HeadLimits, Headers, RequestError, RequestHead, RequestScanner, ResponseHead,
    offending_start, push_line, request_body, response_body,
};
use culvert_engine::uri;
use culvert_fuzz::dials::Dice;
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { line_bytes_max: 512, head_bytes_max: 2048 };

/// Shows `bytes` to a scanner in growing prefixes, as they would come.
fn scan(bytes: &[u8], mut portion: impl FnMut() -> usize) -> Result<Option<usize>, RequestError> {
    let mut scanner = RequestScanner::default();
    let mut length = 0_usize;
    loop {
        length = length.saturating_add(portion()).min(bytes.len());
        let found = scanner.scan(&bytes[..length], LIMITS)?;
        if found.is_some() || length == bytes.len() {
            return Ok(found);
        }
    }
}

fn lines(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// A header block as the gateway writes one.
fn block(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    headers.iter().for_each(|(name, value)| push_line(&mut out, name, value));
    [&out[..], b"\r\n"].concat()
}

fn request(bytes: &[u8], dice: &mut Dice) {
    let whole = scan(bytes, || usize::MAX);
    let cut = scan(bytes, || dice.portion());
    // A line that is too long is noticed before its end comes, and may turn out to be wrong in another way as well.
    if let (Ok(whole), Ok(cut)) = (whole, cut) {
        assert_eq!(whole, cut, "cut differently");
    }
    let Ok(Some(length)) = whole else { return };
    assert!(length <= bytes.len() && length <= LIMITS.head_bytes_max);
    let head = match RequestHead::parse(&bytes[..length]) {
        Ok(head) => head,
        Err((error, _salvaged)) => {
            assert!((400..600).contains(&error.status()) && !error.describe().is_empty());
            return;
        }
    };
    target(head.target());
    if let Some(host) = head.headers.first("host") {
        let _ = uri::host_of(host);
    }
    let again = [head.line(), b"\r\n", &block(&head.headers)].concat();
    let again = RequestHead::parse(&again).expect("what the gateway writes can be read");
    assert_eq!((again.method(), again.target(), again.minor), (head.method(), head.target(), head.minor));
    assert_eq!(lines(&again.headers), lines(&head.headers));
    if let Ok(framing) = request_body(&head.headers, head.minor) {
        body(framing, &bytes[length..], dice);
    }
}

/// What is normal once stays so, and never climbs above the root.
fn target(target: &[u8]) {
    let Ok(parsed) = uri::parse_target(target) else { return };
    for merge in [true, false] {
        let Ok(path) = uri::normalise(parsed.path, merge) else { continue };
        assert!(path.first() == Some(&b'/') && !path.contains(&0), "{path:x?}");
        let segments = || path.split(|&byte| byte == b'/');
        assert!(segments().all(|segment| segment != b".." && segment != b"."), "{path:x?} climbs");
        let mut escaped = Vec::new();
        uri::escape_uri(&path, &mut escaped);
        assert_eq!(uri::normalise(&escaped, merge).expect("what the gateway escapes is good"), path);
    }
}

fn response(bytes: &[u8], dice: &mut Dice) {
    let parsed = match ResponseHead::parse(bytes, LIMITS.head_bytes_max) {
        Ok(parsed) => parsed,
        Err(_) => {
            offending_start(bytes);
            return;
        }
    };
    let Some((head, length)) = parsed else { return };
    assert!((100..1000).contains(&head.status) && length <= bytes.len());
    assert_eq!(lines(&Headers::parse(&block(&head.headers)).expect("good").expect("whole").0), lines(&head.headers));
    if let Ok(framing) = response_body(&head.headers, head.minor, head.status, false) {
        body(framing, &bytes[length..], dice);
    }
}

/// What a body decodes to: its bytes, trailers, how much of the input it took, and whether it ended.
type Decoded = Option<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize, bool)>;

fn decode(framing: BodyLength, bytes: &[u8], mut portion: impl FnMut() -> usize) -> Decoded {
    let mut decoder = BodyDecoder::new(framing);
    let (mut out, mut used, mut shown) = (Vec::new(), 0_usize, 0_usize);
    while !decoder.is_done() && used < bytes.len() {
        shown = used.max(shown).saturating_add(portion()).min(bytes.len());
        let (room, before) = (portion(), out.len());
        used += decoder.decode(&bytes[used..shown], room, |bytes| out.extend_from_slice(bytes)).ok()?;
        assert!(out.len() - before <= room && used <= shown);
    }
    let is_done = decoder.is_done();
    Some((out, lines(&decoder.take_trailers()), used, is_done))
}

fn body(framing: BodyLength, bytes: &[u8], dice: &mut Dice) {
    let whole = decode(framing, bytes, || usize::MAX);
    assert_eq!(whole, decode(framing, bytes, || dice.portion()), "cut differently");
    let Some((out, _, used, is_done)) = whole else { return };
    match framing {
        BodyLength::None => assert!(is_done && used == 0),
        BodyLength::Sized(length) => assert_eq!(out.len() as u64, length.min(bytes.len() as u64)),
        BodyLength::UntilClose => assert_eq!(out, bytes),
        BodyLength::Chunked => assert!(out.len() <= used),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let dice = &mut Dice::new(u64::from(seed));
    match seed & 3 {
        0 | 1 => request(bytes, dice),
        2 => response(bytes, dice),
        _ => body(BodyLength::Chunked, bytes, dice),
    }
});
