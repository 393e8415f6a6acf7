//! A response as a browser understands it.

use culvert_engine::http1::{BodyDecoder, BodyLength};

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header line.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let is = |line: &&str| line.split_once(": ").is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(is).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    /// Takes the first response from `bytes`; `None` where it is not there whole. `ended`: nothing more comes.
    pub(super) fn take(bytes: &mut Vec<u8>, ended: bool) -> Option<Response> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
        let mut response = Response { status: head.split(' ').nth(1)?.parse().ok()?, head, body: Vec::new() };
        let length = match (response.header("transfer-encoding"), response.header("content-length")) {
            (Some(_), _) => BodyLength::Chunked,
            (None, Some(length)) => BodyLength::Sized(length.parse().expect("a length is a number")),
            (None, None) => BodyLength::UntilClose,
        };
        let mut decoder = BodyDecoder::new(length);
        let body = &mut response.body;
        let used = decoder.decode(&bytes[end..], 1 << 30, |data| body.extend_from_slice(data)).expect("a good body");
        let whole = decoder.is_done() || (ended && decoder.ends_with_connection());
        whole.then(|| {
            bytes.drain(..end + used);
            response
        })
    }
}
