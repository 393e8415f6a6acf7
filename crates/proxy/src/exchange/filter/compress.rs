//! `gzip` and `gunzip`.

use super::chain::{Chain, Link};
use super::takes_gzip;
use crate::exchange::Exchange;
use crate::exchange::client::{Coding, OutHead};
use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};
use std::io::Write;

/// Compresses what is worth it for a client that takes it.
pub(super) fn gzip(exchange: &Exchange, head: &mut OutHead, chain: &mut Chain) {
    let settings = &exchange.location.filters.gzip;
    if !settings.on
        || !matches!(head.status, 200 | 403 | 404)
        || head.coding.is_some()
        || head.content_length.is_some_and(|length| length < settings.length_min)
        || !settings.types.contain(head.headers.first("content-type"))
    {
        return;
    }
    head.varies = true;
    if !takes_gzip(exchange, head) {
        return;
    }
    head.headers.push(b"Content-Encoding", b"gzip");
    head.body_changes();
    if head.has_body {
        chain.push(Gzip { encoder: GzEncoder::new(Vec::new(), Compression::new(settings.level)), read: 0, written: 0 });
    }
}

/// Decompresses for a client that does not take it.
pub(super) fn gunzip(exchange: &Exchange, head: &mut OutHead, chain: &mut Chain) {
    if !exchange.location.filters.gunzip || head.coding != Some(Coding::Gzip) {
        return;
    }
    head.varies = true;
    if takes_gzip(exchange, head) {
        return;
    }
    head.remove("content-encoding");
    head.coding = None;
    head.body_changes();
    if head.has_body {
        chain.push(Gunzip(MultiGzDecoder::new(Vec::new())));
        chain.step_bytes = GUNZIP_STEP_BYTES;
    }
}

/// Deflate makes at most about a thousand bytes of one, so that no step brings out more than a megabyte.
const GUNZIP_STEP_BYTES: usize = 1024;

struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
    read: u64,
    written: u64,
}

impl Gzip {
    fn take(&mut self, out: &mut Vec<u8>) {
        let ready = self.encoder.get_mut();
        self.written += ready.len() as u64;
        out.append(ready);
    }
}

impl Link for Gzip {
    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.read += input.len() as u64;
        self.encoder.write_all(input).map_err(|error| format!("deflate() failed: {error}"))?;
        self.take(out);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.encoder.flush().map_err(|error| format!("deflate() failed: {error}"))?;
        self.take(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.encoder.try_finish().map_err(|error| format!("deflate() failed: {error}"))?;
        self.take(out);
        Ok(())
    }

    fn ratio(&self) -> Option<(u64, u64)> {
        Some((self.read, self.written))
    }
}

struct Gunzip(MultiGzDecoder<Vec<u8>>);

impl Link for Gunzip {
    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.0.write_all(input).map_err(|error| format!("inflate() failed: {error}"))?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.0.flush().map_err(|error| format!("inflate() failed: {error}"))?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let ended = self.0.try_finish();
        out.append(self.0.get_mut());
        ended.map_err(|error| format!("inflate() failed: {error}"))
    }
}
