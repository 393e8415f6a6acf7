//! `geo`.

use super::access::network;
use crate::config::{Geo, SlotKind};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use bytes::Bytes;
use culvert_engine::access::{Added, GeoNetworks, GeoRanges, Network, RangeError, parse_range};

/// The rows of this module.
pub(crate) const ROWS: &[Row] =
    &[Row::block("geo", Contexts::HTTP, Arity::Between(1, 2), Phase::Definition, geo).repeats().doc(
        "Defines a variable by the client's address, or by the one that another variable holds: `geo [$address] \
         $variable`. Each line is a network and its value, the most specific one wins; `default` is for all others, \
         `delete` takes a network away, `include` reads lines from files. With `ranges` in front the lines are ranges \
         `first-last` of IPv4. `proxy` trusts a network's `X-Forwarded-For`, `proxy_recursive` follows it, `volatile` looks \
         the value up anew each time.",
    )];

fn geo(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let last = directive.args().len();
    for number in 1..=last {
        if !directive.arg(number).starts_with('$') {
            return Err(Fault::at(number, format!("invalid variable name \"{}\"", directive.arg(number))));
        }
    }
    let source = if last == 2 { Some(scope.template(directive, 1)?) } else { None };
    let index = scope.world.tables.geos.len();
    scope.world.variables.define(directive, last, SlotKind::Geo(index))?;
    let mut lines = Lines::default();
    for line in directive.items() {
        if let Err(fault) = lines.add(scope, line) {
            scope.fault(line, fault);
        }
    }
    let Lines { entries, proxies, proxy_recursive, volatile } = lines;
    let table = match entries {
        Entries::None => GeoNetworks::default().finish(),
        Entries::Networks(networks) => networks.finish(),
        Entries::Ranges(ranges) => ranges.finish(),
    };
    let proxies = proxies.into();
    scope.world.tables.geos.push(Geo { source, table, proxies, proxy_recursive, volatile });
    Ok(())
}

#[derive(Default)]
struct Lines {
    entries: Entries,
    proxies: Vec<Network>,
    proxy_recursive: bool,
    volatile: bool,
}

#[derive(Default)]
enum Entries {
    #[default]
    None,
    Networks(GeoNetworks),
    Ranges(GeoRanges),
}

impl Lines {
    fn add(&mut self, scope: &mut Scope<'_>, line: &Directive) -> Result<(), Fault> {
        if line.block.is_some() {
            return Err(Fault::new("unexpected \"{\""));
        }
        match (line.name(), line.words.len()) {
            ("ranges", 1) => return self.begin_ranges(),
            ("proxy_recursive", 1) => self.proxy_recursive = true,
            ("volatile", 1) => self.volatile = true,
            (_, 2) => return self.add_pair(scope, line),
            _ => return Err(Fault::new("invalid number of the geo parameters")),
        }
        Ok(())
    }

    fn begin_ranges(&mut self) -> Result<(), Fault> {
        match &self.entries {
            Entries::None => self.entries = Entries::Ranges(GeoRanges::default()),
            Entries::Ranges(_) => {}
            Entries::Networks(_) => {
                let message = "the \"ranges\" directive must be the first directive inside \"geo\" block";
                return Err(Fault::new(message));
            }
        }
        Ok(())
    }

    fn add_pair(&mut self, scope: &mut Scope<'_>, line: &Directive) -> Result<(), Fault> {
        if line.name() == "proxy" {
            self.proxies.push(geo_network(scope, line, 1)?);
            return Ok(());
        }
        if matches!(self.entries, Entries::None) {
            self.entries = Entries::Networks(GeoNetworks::default());
        }
        match &mut self.entries {
            Entries::Ranges(ranges) => add_range(ranges, scope, line),
            Entries::Networks(networks) => add_network(networks, scope, line),
            Entries::None => Ok(()),
        }
    }
}

fn value_of(line: &Directive) -> Bytes {
    Bytes::copy_from_slice(line.arg(1).as_bytes())
}

fn add_network(networks: &mut GeoNetworks, scope: &mut Scope<'_>, line: &Directive) -> Result<(), Fault> {
    if line.name() == "delete" {
        let network = geo_network(scope, line, 1)?;
        if !networks.remove(&network) {
            scope.warn(line, Fault::at(1, format!("no network \"{}\" to delete", line.arg(1))));
        }
        return Ok(());
    }
    let targets = match line.name() {
        "default" => vec![Network::V4(0, 0), Network::V6(0, 0)],
        _ => vec![geo_network(scope, line, 0)?],
    };
    for network in targets {
        if let Added::Replaced(old) = networks.insert(network, value_of(line)) {
            warn_of_duplicate(scope, line, "duplicate network", &old);
        }
    }
    Ok(())
}

fn geo_network(scope: &mut Scope<'_>, line: &Directive, number: usize) -> Result<Network, Fault> {
    match network(scope, line, number, "network")? {
        Network::Unix => Err(Fault::at(number, format!("invalid network \"{}\"", line.arg(number)))),
        network => Ok(network),
    }
}

fn warn_of_duplicate(scope: &mut Scope<'_>, line: &Directive, what: &str, old: &[u8]) {
    let old = String::from_utf8_lossy(old);
    let message = format!("{what} \"{}\", value: \"{}\", old value: \"{old}\"", line.name(), line.arg(1));
    scope.warn(line, Fault::new(message));
}

fn add_range(ranges: &mut GeoRanges, scope: &mut Scope<'_>, line: &Directive) -> Result<(), Fault> {
    if line.name() == "default" {
        if let Added::Replaced(old) = ranges.set_default(value_of(line)) {
            let old = String::from_utf8_lossy(&old);
            let message = format!("duplicate default geo range value: \"{}\", old value: \"{old}\"", line.arg(1));
            scope.warn(line, Fault::new(message));
        }
        return Ok(());
    }
    let number = usize::from(line.name() == "delete");
    let text = &line.words[number].text;
    let (start, end) = parse_range(text).ok_or_else(|| Fault::at(number, format!("invalid range \"{text}\"")))?;
    if number == 1 {
        if !ranges.remove(start, end) {
            scope.warn(line, Fault::at(1, format!("no address range \"{text}\" to delete")));
        }
        return Ok(());
    }
    match ranges.insert(start, end, &value_of(line)) {
        Ok(Added::New) => Ok(()),
        Ok(Added::Replaced(old)) => {
            warn_of_duplicate(scope, line, "duplicate range", &old);
            Ok(())
        }
        Err(RangeError { start, end }) => Err(Fault::new(format!("range \"{text}\" overlaps \"{start}-{end}\""))),
    }
}
