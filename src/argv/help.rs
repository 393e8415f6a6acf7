//! What `-h`, `-v` and `-V` print.

use crate::{PROGRAM, VERSION};

/// The line of `-v`.
pub(crate) fn version() -> String {
    format!("{PROGRAM} version: {PROGRAM}/{VERSION}\n")
}

/// The lines that `-V` adds.
pub(crate) fn build() -> String {
    format!(
        "built by {} for {} ({})\nconfiguration language: nginx {}\n",
        env!("CULVERT_RUSTC"),
        env!("CULVERT_TARGET"),
        env!("CULVERT_PROFILE"),
        culvert_proxy::NGINX_VERSION,
    )
}

/// The text of `-h`.
pub(crate) fn usage() -> &'static str {
    "\
Usage: culvert [-?hvVtTq] [-s signal] [-p prefix]
               [-e filename] [-c filename] [-g directives]
       culvert echo|connect|demo [--help]

Options, as nginx has them:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and what it was built with, then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a running gateway: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: /etc/culvert/ if it exists,
                  otherwise the current directory)
  -e filename   : set error log file (default: logs/error.log; stderr is a name, too)
  -c filename   : set configuration file, relative to the prefix
                  (default: conf/nginx.conf, or nginx.conf where that is missing)
  -g directives : set global directives out of configuration file

Commands:
  echo PORT     : a WebSocket server that answers what it receives
  connect URL   : a WebSocket client for the terminal and for scripts
  demo          : two echo servers, Culvert in front, and a page to talk through it

"
}
