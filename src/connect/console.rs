//! Both ends of a conversation that a person or a script sees: lines in, messages out.

use crate::say;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use std::io::{IsTerminal, Write, stdin, stdout};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// Lines to send; the end of the channel is the end of the input.
pub(super) type Lines = mpsc::Receiver<String>;

/// How many lines wait for the socket before the input does.
const LINES_AHEAD: usize = 16;

/// How many bytes of a binary message a terminal shows.
const BYTES_SHOWN: usize = 32;

/// Where messages are shown.
pub(super) enum Console {
    /// A terminal with a prompt, which has to be drawn again after each message.
    Prompt { printer: Box<dyn ExternalPrinter + Send>, saved: Option<rustix::termios::Termios> },
    /// A terminal without a prompt: `< ` lines.
    Terminal,
    /// A pipe or a file: bare messages.
    Bare,
    /// What was shown, for a test.
    #[cfg(test)]
    Record(Vec<String>),
}

/// Standard input and output, as a person or a script has them.
pub(super) fn standard() -> (Console, Lines) {
    if stdin().is_terminal()
        && stdout().is_terminal()
        && let Some(prompt) = prompt()
    {
        return prompt;
    }
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(read_standard_input(sender));
    (plain(), lines)
}

/// These lines as input, and standard output.
pub(super) fn scripted(script: Vec<String>) -> (Console, Lines) {
    (plain(), channel_of(script))
}

/// These lines as input, and a record of what was shown.
#[cfg(test)]
pub(super) fn recorded(script: &[&str]) -> (Console, Lines) {
    (Console::Record(Vec::new()), channel_of(script.iter().map(|line| line.to_string()).collect()))
}

fn channel_of(script: Vec<String>) -> Lines {
    let (sender, lines) = mpsc::channel(script.len().max(1));
    for line in script {
        sender.try_send(line).expect("the channel was made as long as the script");
    }
    lines
}

fn plain() -> Console {
    if stdout().is_terminal() { Console::Terminal } else { Console::Bare }
}

/// An editable prompt. Its thread blocks on the terminal until a line is typed; the process ends without it.
fn prompt() -> Option<(Console, Lines)> {
    let saved = rustix::termios::tcgetattr(stdin()).ok();
    let mut editor = DefaultEditor::new().ok()?;
    let printer = Box::new(editor.create_external_printer().ok()?);
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        loop {
            match editor.readline("> ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    if sender.blocking_send(line).is_err() {
                        break;
                    }
                }
                Err(ReadlineError::Signal(_)) => {}
                Err(_) => break,
            }
        }
    });
    Some((Console::Prompt { printer, saved }, lines))
}

async fn read_standard_input(sender: mpsc::Sender<String>) {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        // A text message has to be UTF-8 (RFC 6455 section 5.6), so what isn't becomes a replacement character.
        let text = String::from_utf8_lossy(trimmed(&line)).into_owned();
        if sender.send(text).await.is_err() {
            break;
        }
    }
}

/// The line without its end, which may be `\n` or `\r\n`.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl Console {
    /// Shows a message; pings and pongs are no news.
    pub(super) fn show(&mut self, message: &Message) {
        match message {
            Message::Text(text) => self.print(text.as_bytes(), || text.to_string()),
            Message::Binary(bytes) => self.print(bytes, || hexadecimal(bytes)),
            _ => {}
        }
    }

    fn print(&mut self, bare: &[u8], readable: impl Fn() -> String) {
        match self {
            // What can't be drawn can't be told either.
            Console::Prompt { printer, .. } => drop(printer.print(format!("< {}\n", readable()))),
            Console::Terminal => say(&format!("< {}\n", readable())),
            Console::Bare => {
                // One write and one flush for each message: whoever reads the pipe waits for it.
                let mut out = stdout().lock();
                let _ = out.write_all(bare).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
            }
            #[cfg(test)]
            Console::Record(shown) => shown.push(readable()),
        }
    }

    /// Says something about the connection, to a person only.
    pub(super) fn note(&mut self, line: &str) {
        match self {
            Console::Prompt { printer, .. } => drop(printer.print(format!("{line}\n"))),
            _ => self.last_note(line),
        }
    }

    /// Says something after the prompt is gone, to a person only.
    pub(super) fn last_note(&self, line: &str) {
        if matches!(self, Console::Prompt { .. } | Console::Terminal) {
            say(&format!("{line}\n"));
        }
    }

    /// Leaves the terminal as it was found: the prompt's thread may still hold it in raw mode.
    pub(super) fn finish(&mut self) {
        let Console::Prompt { saved, .. } = self else { return };
        say("\r\x1b[K");
        if let Some(saved) = saved {
            let _ = rustix::termios::tcsetattr(stdin(), rustix::termios::OptionalActions::Now, saved);
        }
    }

    /// What was shown.
    #[cfg(test)]
    pub(super) fn into_record(self) -> Vec<String> {
        match self {
            Console::Record(shown) => shown,
            _ => Vec::new(),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = format!("(binary, {} bytes)", bytes.len());
    for byte in bytes.iter().take(BYTES_SHOWN) {
        text.push_str(&format!(" {byte:02x}"));
    }
    if bytes.len() > BYTES_SHOWN {
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        assert_eq!(trimmed(b"a \r\n"), b"a ");
        assert_eq!(trimmed(b"a\n"), b"a");
        assert_eq!(trimmed(b"a"), b"a");
        assert_eq!(trimmed(b"\n"), b"");
    }

    #[test]
    fn binary_is_shown_in_hexadecimal_and_cut() {
        assert_eq!(hexadecimal(&[0, 255]), "(binary, 2 bytes) 00 ff");
        assert!(hexadecimal(&[7; 33]).ends_with(" 07 …"));
    }
}
