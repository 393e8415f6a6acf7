//! `http` and `server` blocks, and what belongs to a server as a whole.

use crate::config::{AccessLog, AccessTarget, ErrorLog, HeaderLimits, Location, LogTarget, Server};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::{Scope, World};
use crate::syntax::Directive;
use crate::{defaults, units};
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::block("server", Contexts::HTTP, Arity::Exactly(0), Phase::Child, server).repeats().doc(
        "A virtual server: chosen by the address that a request came to (`listen`) and its host name \
             (`server_name`).",
    ),
    Row::new("listen", Contexts::SERVER, Arity::AtLeast(1), super::listen::listen).repeats().doc(
        "An address to accept connections at: `address:port`, a port alone (of all IPv4 addresses), `*:port`, \
         `[IPv6]:port`, a range of ports, a host name, or `unix:/path`. Parameters: `default_server`, `backlog=N`, \
         `ipv6only=on|off`, `so_keepalive=on|off`; `reuseport` and `bind` are how Culvert listens anyway. A server without it listens at `*:80`, or \
         `*:8000` when not started as root. `ssl` makes it speak TLS; `http2` is the old way to say `http2 on`. \
         `proxy_protocol` expects the PROXY protocol's header, version 1 or 2, in front of each connection. `quic` and \
         the other parameters are not supported.",
    ),
    Row::new("server_name", Contexts::SERVER, Arity::AtLeast(1), super::server_name::server_name).repeats().doc(
        "The server's host names: exact, with a mask for a whole label at one end (`*.example.com`, `.example.com`, \
         `www.example.*`), or a regular expression after `~` whose named groups become variables. Exact names win over \
         the longest leading mask, over the longest trailing mask, over the first expression.",
    ),
    Row::new("client_header_timeout", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.server.client_header_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long a client may take to send a request's head; after that 408 and the connection is closed."),
    Row::new("client_header_buffer_size", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.server.header_limits.first = directive.size(1)?;
        Ok(())
    })
    .default("1k")
    .doc("The size of the first buffer for a request's head."),
    Row::new("large_client_header_buffers", Contexts::HTTP_SERVER, Arity::Exactly(2), header_buffers)
        .default("4 8k")
        .doc(
            "How many buffers of which size a request's head may fill. A request line longer than one buffer is 414, a \
             header longer than one, or more of them than all buffers hold, is 400.",
        ),
    Row::new("merge_slashes", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.server.merge_slashes = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether `//` in a path counts as `/` when a location is chosen."),
    Row::new("ignore_invalid_headers", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.server.ignore_invalid_headers = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether headers with unusual names (not letters, digits, dashes) are dropped."),
    Row::new("underscores_in_headers", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.server.underscores_in_headers = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether an underscore in a header's name is usual."),
];

/// The smallest header buffer that nginx takes: its `connection_pool_size`.
const HEADER_BUFFER_MIN: usize = 512;

fn header_buffers(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let number = units::number(directive.arg(1)).filter(|&number| number > 0).and_then(|n| usize::try_from(n).ok());
    let number = number.ok_or_else(|| directive.invalid_value(1))?;
    let size = units::size(directive.arg(2)).filter(|&size| size > 0).ok_or_else(|| directive.invalid_value(2))?;
    if size < HEADER_BUFFER_MIN {
        let message =
            "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"";
        return Err(Fault::at(2, message));
    }
    let first = scope.server.header_limits.first;
    scope.server.header_limits = HeaderLimits { first, number, size };
    Ok(())
}

/// The `http` block.
pub(crate) fn http(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let root = http_defaults(scope.world);
    scope.server = defaults::server(&root, scope.conf_path(""));
    scope.location = root;
    let mut child = scope.child(Contexts::HTTP);
    child.walk(directive.items());
    super::server_name::check_conflicts(scope.world);
    super::charset::check(scope.world);
    Ok(())
}

fn http_defaults(world: &World) -> Location {
    let error_logs: Arc<[ErrorLog]> = world.main.error_log.clone();
    let mut location = defaults::location(&world.options, error_logs);
    let target = AccessTarget::Fixed(LogTarget::File(world.options.prefix.join("logs/access.log")));
    location.access_logs =
        Arc::new([AccessLog { target, format: world.formats.combined(), condition: None, batch: None }]);
    location
}

fn server(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut child = scope.child(Contexts::SERVER);
    child.location.place = directive.place.clone();
    child.walk(directive.items());
    if child.server.listens.is_empty() {
        let port = if child.world.options.is_root { 80 } else { 8000 };
        child.server.listens.push(super::listen::unasked(port, directive.place.clone()));
    }
    super::ssl::check(&mut child);
    let server = finish(&mut child, directive);
    scope.world.servers.push(Arc::new(server));
    Ok(())
}

fn finish(scope: &mut Scope<'_>, directive: &Directive) -> Server {
    let mut server = scope.server.clone();
    let mut root = scope.location.clone();
    server.rewrite = std::mem::take(&mut root.rewrite);
    server.root = Arc::new(root);
    server.locations = std::mem::take(&mut scope.locations).into_iter().flatten().collect();
    server.tree = std::mem::take(&mut scope.tree);
    server.place = directive.place.clone();
    Arc::make_mut(&mut server.tls).place = directive.place.clone();
    server
}
