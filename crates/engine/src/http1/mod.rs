//! HTTP/1 messages as bytes: where a head ends, what it says, and how its body is delimited (RFC 9112).
//!
//! Both fronts and upstream connections read with this; nothing here performs I/O. Header blocks are parsed by `httparse`;
//! what stands around it is the strictness that a proxy owes to what is behind it: one way to read a message, or none.

mod body;
mod chunked;
mod framing;
mod headers;
mod request;
mod response;

pub use body::BodyDecoder;
pub use chunked::{ChunkError, ChunkedDecoder, Progress, TRAILER_BYTES_MAX};
pub use framing::{BodyLength, FramingError, request_body, response_body};
pub use headers::{HeaderLine, Headers, push_line, push_text};
pub use request::{HeadLimits, Protocol, RequestError, RequestHead, RequestScanner};
pub use response::{ResponseError, ResponseHead, offending_start};

/// The longest head that is read at all, whatever the configuration allows.
pub const HEAD_BYTES_MAX: usize = 1 << 30;

/// The most header lines that a head may have (nginx's `max_headers`).
pub const HEADER_LINES_MAX: usize = 1000;
