//! WebSocket frames (RFC 6455 section 5.2), as little of them as a generator and an echo need.

/// The opcode of a binary message, with the FIN bit.
const BINARY: u8 = 0x82;

/// A Close of a client's, code 1000, under the generator's mask.
pub(super) const CLOSE: [u8; 8] =
    [0x88, MASKED | 2, MASK[0], MASK[1], MASK[2], MASK[3], 0x03 ^ MASK[0], 0xe8 ^ MASK[1]];

/// A Close of a server's, code 1000.
pub(super) const SERVERS_CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xe8];

/// The MASK bit.
const MASKED: u8 = 0x80;

/// The generator's mask. It is no secret between a bench's two ends.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame: masked.
pub(super) fn from_client(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(BINARY, MASKED, payload.len());
    frame.extend(MASK);
    append_masked(&mut frame, payload, MASK);
    frame
}

/// A server's frame: not masked.
pub(super) fn from_server(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(BINARY, 0, payload.len());
    frame.extend(payload);
    frame
}

fn header(first: u8, mask_bit: u8, length: usize) -> Vec<u8> {
    match length {
        0..=125 => vec![first, mask_bit | length as u8],
        126..=65535 => [&[first, mask_bit | 126], (length as u16).to_be_bytes().as_slice()].concat(),
        _ => [&[first, mask_bit | 127], (length as u64).to_be_bytes().as_slice()].concat(),
    }
}

/// Turns the whole client frames at the beginning of `input` into server frames at the end of `output`, and says how many
/// bytes of `input` those were.
pub(super) fn echo(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut done = 0;
    while let Some((first, mask, payload, length)) = whole_frame(&input[done..]) {
        output.extend(header(first, 0, payload.len()));
        append_masked(output, payload, mask);
        done += length;
    }
    done
}

/// Appends the payload under the mask, or freed of it. In words of eight bytes, or the backend would do more than the
/// proxies.
fn append_masked(output: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    let begin = output.len();
    output.extend_from_slice(payload);
    let mask = u64::from_ne_bytes([mask, mask].concat().try_into().expect("twice four bytes are eight"));
    let (words, rest) = output[begin..].as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// The first byte, mask, payload and length of the frame at the beginning, if all of it is there.
fn whole_frame(input: &[u8]) -> Option<(u8, [u8; 4], &[u8], usize)> {
    let (&[first, second], rest) = input.split_first_chunk()?;
    let (payload_bytes, rest) = match second & !MASKED {
        126 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length) as usize, rest))?,
        length => (usize::from(length), rest),
    };
    let (mask, rest) = rest.split_first_chunk()?;
    let payload = rest.get(..payload_bytes)?;
    Some((first, *mask, payload, input.len() - rest.len() + payload_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_comes_back_as_a_servers_frame() {
        for length in [0, 1, 32, 125, 126, 65535, 65536] {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let (frame, mut output) = (from_client(&payload), Vec::new());
            assert_eq!(echo(&frame, &mut output), frame.len(), "{length}");
            assert!(output == from_server(&payload), "{length}");
        }
    }

    #[test]
    fn a_frame_is_echoed_only_when_all_of_it_is_there() {
        let frames = [from_client(b"one"), from_client(b"two")].concat();
        for cut in 0..frames.len() {
            let mut output = Vec::new();
            let done = echo(&frames[..cut], &mut output);
            let whole = if cut < frames.len() / 2 { 0 } else { 1 };
            assert_eq!((done, output.len()), (whole * frames.len() / 2, whole * 5), "{cut}");
        }
    }
}
