//! What a client wants of a response's content: whether at all (conditions), which parts (ranges), in which coding.

mod coding;
mod conditions;
mod date;
mod ranges;

pub use coding::takes_gzip;
pub use conditions::{IfModifiedSince, Validators, Verdict, judge};
pub use date::parse_date;
pub use ranges::{Selection, if_range_holds, select};
