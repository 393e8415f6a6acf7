//! What the fuzz targets share: settings and operations read from a fuzzer's bytes, a second opinion on where frames begin
//! and end, and the account of what went into a session and what came out.

pub mod dials;
pub mod ledger;
pub mod reference;
