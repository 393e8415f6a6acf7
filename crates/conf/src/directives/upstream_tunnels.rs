//! What becomes of live tunnels when servers come and go: Culvert's own.

use super::upstream::group;
use crate::config::OnServerDown;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::health::EarlyClose;
use culvert_engine::rebalance::{Order, Rebalance};
use std::time::Duration;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("early_close", Contexts::UPSTREAM, Arity::Between(1, 2), early_close).own().default("off").doc(
        "A tunnel that its server ends within this time counts as a failure of the server, as `max_fails` counts them: \
         who accepts every WebSocket and drops it at once is not well. `codes=` says which close codes count: without it \
         1006 (dropped without a Close), 1011, 1012 and 1013. Where frames are not read, 1006 is all that is known.",
    ),
    Row::new("on_server_down", Contexts::UPSTREAM, Arity::Between(1, 2), on_server_down).own().default("keep").doc(
        "What becomes of the live tunnels of a server that fails its health checks (without any: that is out after \
         `max_fails`) or whose address is no longer in the DNS: `keep` leaves them, `close` sends \
         their clients a Close with 1012, so that they come back to another server, at most `rate=N` a second (100).",
    ),
    Row::new("rebalance", Contexts::UPSTREAM, Arity::Between(1, 5), rebalance).own().default("off").doc(
        "Moves live tunnels to servers that joined or recovered: at most `rate=N/s` clients of servers with more than \
         their share get a Close with 1012 and come back, until the fullest and the emptiest server are at most \
         `threshold=P%` (10 %) of a fair share apart. `order=` says who goes first: `oldest` or `idlest`. The Close's \
         reason asks to come back within `jitter=TIME` (5 s), at random. `dry_run` only logs what it would do.",
    ),
];

/// How fast clients are sent away where nothing is said: a few hundred handshakes a second harm nobody.
const CLOSE_RATE: u32 = 100;

const REBALANCE: Rebalance =
    Rebalance { rate: 0, threshold_percent: 10, order: Order::Oldest, dry_run: false, jitter: Duration::from_secs(5) };

fn early_close(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let is_on = directive.arg(1) != "off";
    let codes = super::websocket::parameter(directive, 2, "codes", is_on)?;
    if !is_on {
        return Ok(());
    }
    let time = units::milliseconds(directive.arg(1)).filter(|time| !time.is_zero());
    let mut rule = EarlyClose::within(time.ok_or_else(|| directive.invalid_value(1))?);
    if let Some(codes) = codes {
        rule.codes = close_codes(codes).ok_or_else(|| directive.invalid_parameter(2))?;
    }
    group(scope).early_close = Some(rule);
    Ok(())
}

/// `1006,1011`: codes of RFC 6455 section 7.4, with those that never stand in a frame.
fn close_codes(text: &str) -> Option<Box<[u16]>> {
    let code = |text: &str| {
        let code = u16::try_from(units::number(text)?).ok()?;
        (1000..=4999).contains(&code).then_some(code)
    };
    text.split(',').map(code).collect()
}

fn on_server_down(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let closes = match directive.arg(1) {
        "keep" => false,
        "close" => true,
        _ => return Err(directive.invalid_word(1)),
    };
    let given = super::websocket::parameter(directive, 2, "rate", closes)?;
    let rate = match given {
        Some(text) => per_second(text).ok_or_else(|| directive.invalid_parameter(2))?,
        None => CLOSE_RATE,
    };
    group(scope).on_server_down = if closes { OnServerDown::Close { rate } } else { OnServerDown::Keep };
    Ok(())
}

fn rebalance(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.arg(1) == "off" {
        return match directive.args().len() {
            1 => Ok(()),
            _ => Err(directive.invalid_parameter(2)),
        };
    }
    let mut settings = REBALANCE;
    for number in 1..=directive.args().len() {
        rebalance_parameter(&mut settings, directive.arg(number)).ok_or_else(|| directive.invalid_parameter(number))?;
    }
    if settings.rate == 0 {
        return Err(Fault::new("\"rebalance\" directive has no \"rate\" parameter"));
    }
    group(scope).rebalance = settings;
    Ok(())
}

fn rebalance_parameter(settings: &mut Rebalance, text: &str) -> Option<()> {
    match text.split_once('=') {
        Some(("rate", value)) => settings.rate = per_second(value)?,
        Some(("threshold", value)) => {
            let percent = units::number(value.strip_suffix('%').unwrap_or(value))?;
            settings.threshold_percent = u32::try_from(percent).ok().filter(|&percent| percent <= 1000)?;
        }
        Some(("order", "oldest")) => settings.order = Order::Oldest,
        Some(("order", "idlest")) => settings.order = Order::Idlest,
        Some(("jitter", value)) => settings.jitter = units::milliseconds(value)?,
        None if text == "dry_run" => settings.dry_run = true,
        _ => return None,
    }
    Some(())
}

/// `10` or `10/s`; at least one.
fn per_second(text: &str) -> Option<u32> {
    let number = units::number(text.strip_suffix("/s").unwrap_or(text))?;
    u32::try_from(number).ok().filter(|&rate| rate > 0)
}
