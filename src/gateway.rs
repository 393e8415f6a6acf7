//! `culvert` without a command of its own: nginx's command line on Culvert's gateway.

use crate::argv::{self, Gateway};
use crate::{PROGRAM, complain, pid_file, warn};
use culvert_conf::{Config, Diagnostic, Loaded, Options, Report, Source};
use culvert_proxy::Launch;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The prefix of an installed Culvert.
const INSTALLED_PREFIX: &str = "/etc/culvert/";

/// Where the configuration is sought under the prefix when no `-c` says so; the first is also the name in the message
/// when there is none.
const DEFAULT_FILES: [&str; 2] = ["conf/nginx.conf", "nginx.conf"];

/// Does what nginx's options say.
pub(crate) fn run(arguments: &Gateway) -> ExitCode {
    if arguments.show_version {
        show_version(arguments);
        if !arguments.test {
            return ExitCode::SUCCESS;
        }
    }
    let options = match options(arguments) {
        Ok(options) => options,
        Err(message) => return complain(&message),
    };
    match culvert_conf::load(&options) {
        Ok(loaded) => go_on(arguments, options, loaded),
        Err(report) => {
            print_report(&report);
            test_ends(arguments, &options.file, "failed");
            suggest_the_demo(arguments, &options.file);
            ExitCode::FAILURE
        }
    }
}

fn show_version(arguments: &Gateway) {
    warn(&argv::version());
    if arguments.show_help {
        warn(argv::usage());
    }
    if arguments.show_build {
        warn(&argv::build());
    }
}

/// The configuration is good: signal, test or start.
fn go_on(arguments: &Gateway, options: Options, loaded: Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        print_diagnostic(warning, &loaded.sources);
    }
    if let Some(signal) = arguments.signal {
        return match pid_file::send(signal, loaded.config.main.pid.as_deref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => complain(&message),
        };
    }
    if arguments.test {
        return test(arguments, &options.file, &loaded);
    }
    start(options, loaded.config)
}

fn test(arguments: &Gateway, file: &Path, loaded: &Loaded) -> ExitCode {
    if !arguments.quiet {
        complain(&format!("the configuration file {} syntax is ok", file.display()));
    }
    let (messages, failed) = match culvert_proxy::check(&loaded.config) {
        Ok(warnings) => (warnings, false),
        Err(errors) => (errors, true),
    };
    for message in messages {
        complain(&message);
    }
    if failed {
        test_ends(arguments, file, "failed");
        return ExitCode::FAILURE;
    }
    if !arguments.quiet {
        test_ends(arguments, file, "is successful");
    }
    match arguments.dump.then(|| dump(&loaded.sources)) {
        Some(Err(error)) => complain(&format!("writing to standard output failed: {error}")),
        _ => ExitCode::SUCCESS,
    }
}

fn test_ends(arguments: &Gateway, file: &Path, how: &str) {
    if arguments.test {
        complain(&format!("configuration file {} test {how}", file.display()));
    }
}

/// Prints every file that was read, once and in the order of reading, as nginx's `-T` does. What `-g` says is no file.
fn dump(sources: &[Source]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for source in sources.iter().filter(|source| source.path.is_absolute()) {
        writeln!(out, "# configuration file {}:", source.path.display())?;
        out.write_all(&source.text)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn start(options: Options, config: Config) -> ExitCode {
    let reload = Box::new(move || reload(&options));
    finish(culvert_proxy::run(Launch { config, reload, foreground: false, ready: None }))
}

/// Reads the configuration again; its warnings, or a bad one's errors, come as log lines.
pub(crate) fn reload(options: &Options) -> Result<(Config, Vec<String>), Vec<String>> {
    match culvert_conf::load(options) {
        Ok(loaded) => Ok((loaded.config, loaded.warnings.iter().map(ToString::to_string).collect())),
        Err(report) => Err(report.lines()),
    }
}

/// Turns the gateway's end into an exit code.
pub(crate) fn finish(end: Result<(), Vec<String>>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(messages) => {
            for message in messages {
                complain(&message);
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints what is wrong with a configuration: one line per error, and on a terminal the place in the source.
pub(crate) fn print_report(report: &Report) {
    for diagnostic in &report.diagnostics {
        print_diagnostic(diagnostic, &report.sources);
    }
}

fn print_diagnostic(diagnostic: &Diagnostic, sources: &[Source]) {
    match io::stderr().is_terminal() {
        true => warn(&diagnostic.render_terminal(sources, PROGRAM, colour_is_welcome())),
        false => warn(&format!("{PROGRAM}: {diagnostic}\n")),
    }
}

/// Any value but an empty one asks for plain text (no-color.org).
fn colour_is_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A person who starts Culvert without any configuration probably wants to see it do something.
fn suggest_the_demo(arguments: &Gateway, file: &Path) {
    let none_was_named = arguments.file.is_none() && arguments.prefix.is_none();
    if none_was_named && !file.exists() && io::stderr().is_terminal() {
        complain("no configuration yet? Try \"culvert demo\", or name a file with -c");
    }
}

/// What the language needs to know besides the file's bytes.
fn options(arguments: &Gateway) -> Result<Options, String> {
    let prefix = match &arguments.prefix {
        Some(prefix) => absolute(prefix)?,
        None if Path::new(INSTALLED_PREFIX).is_dir() => PathBuf::from(INSTALLED_PREFIX),
        None => absolute(Path::new("."))?,
    };
    Ok(Options {
        file: configuration_file(&prefix, arguments.file.as_deref()),
        // A path that ends in a slash reads as the directory that it is when it is put into a message.
        prefix: prefix.join(""),
        globals: arguments.globals.clone(),
        error_log: arguments.error_log.clone(),
        is_root: rustix::process::geteuid().is_root(),
        program: PROGRAM.to_owned(),
    })
}

/// `-c`, seen from the prefix as nginx sees it, or the first default that exists.
fn configuration_file(prefix: &Path, given: Option<&Path>) -> PathBuf {
    match given {
        Some(file) => std::path::absolute(prefix.join(file)).unwrap_or_else(|_| prefix.join(file)),
        None => {
            let mut files = DEFAULT_FILES.iter().map(|file| prefix.join(file));
            files.find(|file| file.exists()).unwrap_or_else(|| prefix.join(DEFAULT_FILES[0]))
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).map_err(|error| format!("[emerg] getcwd() failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_is_seen_from_the_prefix() {
        let prefix = Path::new("/nowhere/at/all");
        assert_eq!(configuration_file(prefix, Some(Path::new("x.conf"))), prefix.join("x.conf"));
        assert_eq!(configuration_file(prefix, Some(Path::new("/x.conf"))), Path::new("/x.conf"));
        assert_eq!(configuration_file(prefix, None), prefix.join("conf/nginx.conf"));
    }

    #[test]
    fn an_empty_prefix_is_the_current_directory() {
        let given = Gateway { prefix: Some("".into()), ..Gateway::default() };
        let options = options(&given).expect("there is a current directory");
        assert_eq!(options.prefix, std::env::current_dir().expect("there is one"));
        assert!(options.prefix.to_string_lossy().ends_with('/'));
    }
}
