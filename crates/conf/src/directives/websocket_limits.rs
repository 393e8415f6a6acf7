//! How much a WebSocket may carry.

use super::websocket::parameter;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::websocket::{Opcode, Opcodes, OverRate, Rate};

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("websocket_byte_rate", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), byte_rate)
        .own()
        .default("off")
        .doc(
            "How many bytes a client may send, frame headers included, such as `64k/s`: after a pause so many at once, \
             and with `burst=size` so many more.",
        ),
    Row::new("websocket_max_fragments", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let number = u32::try_from(directive.number(1)?).map_err(|_| directive.invalid_value(1))?;
        scope.frame_policy().fragments_max = (number > 0).then_some(number);
        Ok(())
    })
    .own()
    .default("0")
    .doc("How many frames one message may consist of; with more the WebSocket is closed (1008). 0 is without limit."),
    Row::new("websocket_max_frame_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.frame_policy().frame_bytes_max = Some(directive.offset(1)?).filter(|&bytes| bytes > 0);
        Ok(())
    })
    .own()
    .default("0")
    .doc(
        "The longest payload of one frame as it is on the wire, compressed or not, in either direction; a longer one \
         closes the WebSocket (1009). 0 is without limit.",
    ),
    Row::new("websocket_max_message_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.frame_policy().message_bytes_max = Some(directive.offset(1)?).filter(|&bytes| bytes > 0);
        Ok(())
    })
    .own()
    .default("0")
    .doc(
        "The longest message, all its frames together, as it is on the wire, compressed or not, in either direction; a \
         longer one closes the WebSocket (1009) before the frame that passes the limit. 0 is without limit.",
    ),
    Row::new("websocket_message_rate", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), message_rate)
        .own()
        .default("off")
        .doc(
            "How many messages a client may send, such as `10r/s` or `120r/m` (a multiple of 60): after a pause what a \
             second brings at once, and with `burst=number` so many more. Pings and pongs of the client count like \
             messages, answers to the gateway's own pings do not.",
        ),
    Row::new("websocket_opcodes", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), opcodes).own().default("any").doc(
        "The kinds of frames that may pass: `text`, `binary`, `ping`, `pong`; another one closes the WebSocket (1008). \
         Continuations and Close frames always pass.",
    ),
    Row::new("websocket_over_rate", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.frame_policy().over_rate = match directive.arg(1) {
            "slow" => OverRate::Slow,
            "close" => OverRate::Close,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .own()
    .default("slow")
    .doc(
        "What happens to a client that is faster than `websocket_message_rate` or `websocket_byte_rate`: `slow` reads \
         from it later, `close` closes the WebSocket (1008).",
    ),
];

const MESSAGES: &str = "a rate is written as \"10r/s\", or as \"120r/m\" in multiples of 60";
const BYTES: &str = "a rate is written as \"64k/s\"";

fn message_rate(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.frame_policy().messages_rate = rate(directive, MESSAGES, messages_per_second, units::number)?;
    Ok(())
}

fn byte_rate(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let per_second = |text: &str| units::offset(text.strip_suffix("/s")?);
    scope.frame_policy().bytes_rate = rate(directive, BYTES, per_second, units::offset)?;
    Ok(())
}

/// `10r/s`, or `120r/m` where that is a whole number in a second.
fn messages_per_second(text: &str) -> Option<u64> {
    match text.strip_suffix("r/m") {
        Some(minute) => units::number(minute).filter(|number| number.is_multiple_of(60)).map(|number| number / 60),
        None => units::number(text.strip_suffix("r/s")?),
    }
}

/// `off`, or a rate and what may come at once on top of it.
fn rate(
    directive: &Directive,
    how: &str,
    per_second: impl Fn(&str) -> Option<u64>,
    amount: impl Fn(&str) -> Option<u64>,
) -> Result<Option<Rate>, Fault> {
    let is_on = directive.arg(1) != "off";
    let burst = parameter(directive, 2, "burst", is_on)?;
    if !is_on {
        return Ok(None);
    }
    let invalid_rate = || Fault::at(1, format!("invalid rate \"{}\"", directive.arg(1))).hint(how);
    let per_second = per_second(directive.arg(1)).filter(|&rate| rate > 0).ok_or_else(invalid_rate)?;
    let burst = burst.map(|text| amount(text).ok_or_else(|| directive.invalid_parameter(2))).transpose()?;
    Ok(Some(Rate { per_second, burst: burst.unwrap_or(0) }))
}

fn opcodes(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.arg(1) == "any" && directive.args().len() == 1 {
        scope.frame_policy().opcodes = Opcodes::ALL;
        return Ok(());
    }
    let mut named = Vec::new();
    for number in 1..=directive.args().len() {
        let opcode = match directive.arg(number) {
            "text" => Opcode::TEXT,
            "binary" => Opcode::BINARY,
            "ping" => Opcode::PING,
            "pong" => Opcode::PONG,
            "continuation" | "close" => return Err(directive.invalid_word(number).hint("these always pass")),
            _ => return Err(directive.invalid_word(number)),
        };
        if named.contains(&opcode) {
            scope.warn(directive, Fault::at(number, format!("duplicate value \"{}\"", directive.arg(number))));
        }
        named.push(opcode);
    }
    scope.frame_policy().opcodes = Opcodes::only(named);
    Ok(())
}
