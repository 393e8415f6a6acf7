//! The command line: words in, one [`Command`] or a message out.
//!
//! The gateway's own options follow nginx's grammar, which is no common one: letters may be glued (`-tq`), an option's
//! argument is the rest of its word or the next word (`-p/x`, `-p /x`), `=` has no meaning, a lone `-` says nothing, and
//! a word that doesn't begin with `-` is refused. So that part is read here by hand, and the three tools, whose grammar is
//! the usual one, are read by `lexopt` in [`tools`].

mod help;
mod tools;

pub(crate) use help::{build, usage, version};
pub(crate) use tools::{Connect, Demo, Echo};

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What one run of the binary is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Start, test, dump or signal the gateway.
    Gateway(Gateway),
    /// `culvert echo`.
    Echo(Echo),
    /// `culvert connect`.
    Connect(Connect),
    /// `culvert demo`.
    Demo(Demo),
    /// `--help` of one of the tools: print this.
    ToolHelp(&'static str),
}

/// nginx's options, as given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// `-t` or `-T`: test the configuration and exit.
    pub(crate) test: bool,
    /// `-T`: print the configuration's files as well.
    pub(crate) dump: bool,
    /// `-q`: say nothing but errors while testing.
    pub(crate) quiet: bool,
    /// `-v`, `-V` or `-h`: print the version.
    pub(crate) show_version: bool,
    /// `-V`: print what the binary was built with.
    pub(crate) show_build: bool,
    /// `-h` or `-?`: print the usage.
    pub(crate) show_help: bool,
    /// `-c FILE`.
    pub(crate) file: Option<PathBuf>,
    /// `-p PREFIX`.
    pub(crate) prefix: Option<PathBuf>,
    /// `-g DIRECTIVES`.
    pub(crate) globals: Option<String>,
    /// `-e FILE`.
    pub(crate) error_log: Option<String>,
    /// `-s SIGNAL`.
    pub(crate) signal: Option<Signal>,
}

/// The words of `-s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop at once.
    Stop,
    /// Stop gracefully.
    Quit,
    /// Read the configuration again.
    Reload,
    /// Open the logs again.
    Reopen,
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut words = words.into_iter().peekable();
    let tool = words.peek().and_then(|word| tools::Tool::named(word));
    match tool {
        Some(tool) => {
            words.next();
            tool.parse(words)
        }
        None => parse_gateway(words).map(Command::Gateway),
    }
}

fn parse_gateway(mut words: impl Iterator<Item = OsString>) -> Result<Gateway, String> {
    let mut given = Gateway::default();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--help" => given.ask_for(b'h'),
            b"--version" => given.ask_for(b'v'),
            [b'-', letters @ ..] => given.read_letters(letters, &mut words)?,
            _ => return Err(invalid(&word)),
        }
    }
    Ok(given)
}

impl Gateway {
    /// Reads one word's letters, up to an option that takes the rest of the word or the next word as its argument.
    fn read_letters(&mut self, letters: &[u8], words: &mut impl Iterator<Item = OsString>) -> Result<(), String> {
        for (position, &letter) in letters.iter().enumerate() {
            let rest = &letters[position + 1..];
            let mut argument = || match rest {
                [] => words.next(),
                _ => Some(OsStr::from_bytes(rest).to_owned()),
            };
            match letter {
                b'?' | b'h' | b'v' | b'V' | b't' | b'T' | b'q' => self.ask_for(letter),
                b'p' => return self.set_prefix(argument()),
                b'c' => return self.set_file(argument()),
                b'e' => return self.set_error_log(argument()),
                b'g' => return self.set_globals(argument()),
                b's' => return self.set_signal(argument()),
                _ => return Err(invalid_letter(&letters[position..])),
            }
        }
        Ok(())
    }

    fn ask_for(&mut self, letter: u8) {
        match letter {
            b'?' | b'h' => (self.show_version, self.show_help) = (true, true),
            b'v' => self.show_version = true,
            b'V' => (self.show_version, self.show_build) = (true, true),
            b't' => self.test = true,
            b'T' => (self.test, self.dump) = (true, true),
            _ => self.quiet = true,
        }
    }

    fn set_prefix(&mut self, argument: Option<OsString>) -> Result<(), String> {
        self.prefix = Some(argument.ok_or("option \"-p\" requires directory name")?.into());
        Ok(())
    }

    fn set_file(&mut self, argument: Option<OsString>) -> Result<(), String> {
        self.file = Some(argument.ok_or("option \"-c\" requires file name")?.into());
        Ok(())
    }

    fn set_error_log(&mut self, argument: Option<OsString>) -> Result<(), String> {
        self.error_log = Some(text(argument.ok_or("option \"-e\" requires file name")?)?);
        Ok(())
    }

    fn set_globals(&mut self, argument: Option<OsString>) -> Result<(), String> {
        self.globals = Some(text(argument.ok_or("option \"-g\" requires parameter")?)?);
        Ok(())
    }

    fn set_signal(&mut self, argument: Option<OsString>) -> Result<(), String> {
        let word = argument.ok_or("option \"-s\" requires parameter")?;
        self.signal = Some(match word.as_bytes() {
            b"stop" => Signal::Stop,
            b"quit" => Signal::Quit,
            b"reload" => Signal::Reload,
            b"reopen" => Signal::Reopen,
            _ => return Err(format!("invalid option: \"-s {}\"", word.display())),
        });
        Ok(())
    }
}

/// Directives and log names are text; bytes that are none could only be misread later.
fn text(argument: OsString) -> Result<String, String> {
    String::from_utf8(argument.into_vec())
        .map_err(|error| format!("invalid option: \"{}\" is not UTF-8", String::from_utf8_lossy(error.as_bytes())))
}

fn invalid(word: &OsStr) -> String {
    format!("invalid option: \"{}\"", word.display())
}

/// Names the first character of what is left of a word; it may be longer than a byte.
fn invalid_letter(letters: &[u8]) -> String {
    let left = String::from_utf8_lossy(letters);
    format!("invalid option: \"{}\"", left.chars().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(OsString::from))
    }

    fn gateway(words: &[&str]) -> Gateway {
        match read(words) {
            Ok(Command::Gateway(given)) => given,
            other => panic!("{words:?} is {other:?}"),
        }
    }

    #[test]
    fn no_words_start_the_gateway() {
        assert_eq!(gateway(&[]), Gateway::default());
    }

    #[test]
    fn letters_may_be_glued_and_the_rest_of_a_word_is_an_argument() {
        let expected = Gateway { test: true, quiet: true, prefix: Some("/x".into()), ..Gateway::default() };
        assert_eq!(gateway(&["-tq", "-p/x"]), expected);
        assert_eq!(gateway(&["-tqp/x"]), expected);
        assert_eq!(gateway(&["-t", "-q", "-p", "/x"]), expected);
        assert_eq!(gateway(&["-tqp", "/x"]), expected);
    }

    #[test]
    fn an_equals_sign_is_part_of_the_argument() {
        assert_eq!(gateway(&["-c=x"]).file, Some("=x".into()));
    }

    #[test]
    fn a_lone_dash_says_nothing() {
        assert_eq!(gateway(&["-", "-t"]), gateway(&["-t"]));
    }

    #[test]
    fn the_dump_is_a_test_too() {
        let given = gateway(&["-T"]);
        assert!(given.test && given.dump);
    }

    #[test]
    fn help_comes_with_the_version() {
        for word in ["-h", "-?", "--help"] {
            let given = gateway(&[word]);
            assert!(given.show_help && given.show_version, "{word}");
        }
    }

    #[test]
    fn every_signal_has_its_word() {
        let words =
            [("stop", Signal::Stop), ("quit", Signal::Quit), ("reload", Signal::Reload), ("reopen", Signal::Reopen)];
        for (word, signal) in words {
            assert_eq!(gateway(&["-s", word]).signal, Some(signal));
            assert_eq!(gateway(&[&format!("-s{word}")]).signal, Some(signal));
        }
    }

    #[test]
    fn the_last_of_two_equal_options_wins() {
        assert_eq!(gateway(&["-c", "a", "-c", "b"]).file, Some("b".into()));
    }

    #[test]
    fn complaints_have_the_wording_of_nginx() {
        let table = [
            (&["foo"] as &[&str], "invalid option: \"foo\""),
            (&["-x"], "invalid option: \"x\""),
            (&["-tx"], "invalid option: \"x\""),
            (&["-tü"], "invalid option: \"ü\""),
            (&["--"], "invalid option: \"-\""),
            (&["--foo"], "invalid option: \"-\""),
            (&["-t", "echo"], "invalid option: \"echo\""),
            (&["-p"], "option \"-p\" requires directory name"),
            (&["-c"], "option \"-c\" requires file name"),
            (&["-e"], "option \"-e\" requires file name"),
            (&["-g"], "option \"-g\" requires parameter"),
            (&["-s"], "option \"-s\" requires parameter"),
            (&["-s", "foo"], "invalid option: \"-s foo\""),
            (&["-sfoo"], "invalid option: \"-s foo\""),
        ];
        for (words, message) in table {
            assert_eq!(read(words), Err(message.to_owned()), "{words:?}");
        }
    }
}
