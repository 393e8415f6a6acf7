//! The words of `culvert echo`, `culvert connect` and `culvert demo`.

use super::Command;
use lexopt::prelude::*;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// `culvert echo PORT`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    /// The port; 0 takes a free one.
    pub(crate) port: u16,
    /// The address to listen on.
    pub(crate) host: String,
    /// Who answers: `NAME received from client: …`.
    pub(crate) name: String,
    /// The subprotocols that it speaks.
    pub(crate) subprotocols: Vec<String>,
}

/// `culvert connect URL`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    /// Where to.
    pub(crate) url: String,
    /// Headers for the handshake, by name and value.
    pub(crate) headers: Vec<(String, String)>,
    /// The subprotocols to offer.
    pub(crate) subprotocols: Vec<String>,
    /// Messages to send instead of reading standard input.
    pub(crate) execute: Vec<String>,
    /// How long to stay after the last message before closing.
    pub(crate) wait: Duration,
}

/// `culvert demo`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Demo {
    /// The gateway's port; 0 takes a free one.
    pub(crate) port: u16,
    /// The gateway's address.
    pub(crate) host: String,
}

/// A command of Culvert's own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tool {
    Echo,
    Connect,
    Demo,
}

impl Tool {
    pub(super) fn named(word: &OsStr) -> Option<Tool> {
        match word.to_str()? {
            "echo" => Some(Tool::Echo),
            "connect" => Some(Tool::Connect),
            "demo" => Some(Tool::Demo),
            _ => None,
        }
    }

    /// Reads the words after the tool's name.
    pub(super) fn parse(self, words: impl Iterator<Item = OsString>) -> Result<Command, String> {
        let mut parser = lexopt::Parser::from_args(words);
        let (name, command) = match self {
            Tool::Echo => ("echo", echo(&mut parser)),
            Tool::Connect => ("connect", connect(&mut parser)),
            Tool::Demo => ("demo", demo(&mut parser)),
        };
        command.map_err(|error| format!("{name}: {error} (try \"culvert {name} --help\")"))
    }
}

const ECHO_HELP: &str = "\
Usage: culvert echo PORT [--host ADDRESS] [--name NAME] [--subprotocol NAME]...

A WebSocket server that answers every text message with
\"Server received from client: TEXT\" and every binary message with its own bytes.

  PORT                the port to listen on; 0 takes a free one and prints it
  --host ADDRESS      the address to listen on (default: 127.0.0.1)
  --name NAME         the name in its answers (default: Server)
  -s, --subprotocol NAME
                      a subprotocol that it speaks; may be given again. It chooses
                      the first one that the client offers and that it speaks
";

fn echo(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut port = None;
    let mut given = Echo { port: 0, host: "127.0.0.1".into(), name: "Server".into(), subprotocols: Vec::new() };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("host") => given.host = parser.value()?.string()?,
            Long("name") => given.name = parser.value()?.string()?,
            Short('s') | Long("subprotocol") => given.subprotocols.push(token(parser.value()?.string()?)?),
            Short('h' | '?') | Long("help") => return Ok(Command::ToolHelp(ECHO_HELP)),
            Value(word) if port.is_none() => port = Some(word.parse()?),
            other => return Err(other.unexpected()),
        }
    }
    given.port = port.ok_or("a port is missing")?;
    Ok(Command::Echo(given))
}

const CONNECT_HELP: &str = "\
Usage: culvert connect URL [--header 'NAME: VALUE']... [--subprotocol NAME]...
                           [--execute TEXT]... [--wait SECONDS]

A WebSocket client. On a terminal it sends the lines that you type at \"> \" and
shows what arrives as \"< \" lines; Ctrl-D or Ctrl-C closes the socket. Where standard
input is no terminal it sends each line of it as a text message and, at its end,
closes the socket. Where standard output is no terminal, messages are printed bare,
one to a line, as wscat does.

After the close was sent, what still arrives is printed until the server closes, too.
A server that answers late needs --wait.

  URL                 ws://HOST[:PORT][/PATH]; a bare HOST:PORT works too
  -H, --header 'NAME: VALUE'
                      a header for the handshake; may be given again
  -s, --subprotocol NAME
                      a subprotocol to offer; may be given again
  -x, --execute TEXT  send this and read no standard input; may be given again
  -w, --wait SECONDS  stay so long after the last message, then close (default: 0)

The exit code is 0 when the socket closed cleanly (a close frame with code 1000 or
1001, or without a code), 2 when it did not (another code, or no close frame at all),
and 1 when there was no socket: a wrong argument, no connection, a refused handshake.
";

fn connect(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut url = None;
    let mut given = Connect {
        url: String::new(),
        headers: Vec::new(),
        subprotocols: Vec::new(),
        execute: Vec::new(),
        wait: Duration::ZERO,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('H') | Long("header") => given.headers.push(header(&parser.value()?.string()?)?),
            Short('s') | Long("subprotocol") => given.subprotocols.push(token(parser.value()?.string()?)?),
            Short('x') | Long("execute") => given.execute.push(parser.value()?.string()?),
            Short('w') | Long("wait") => given.wait = seconds(&parser.value()?.string()?)?,
            Short('h' | '?') | Long("help") => return Ok(Command::ToolHelp(CONNECT_HELP)),
            Value(word) if url.is_none() => url = Some(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    given.url = with_scheme(url.ok_or("a URL is missing")?)?;
    Ok(Command::Connect(given))
}

/// `localhost:8020` means `ws://localhost:8020`, and an `http` URL is the same place.
fn with_scheme(url: String) -> Result<String, lexopt::Error> {
    match url.split_once("://") {
        None => Ok(format!("ws://{url}")),
        Some(("ws", _)) => Ok(url),
        Some(("http", rest)) => Ok(format!("ws://{rest}")),
        Some((scheme, _)) => Err(format!("\"{scheme}://\" is not supported, only ws://").into()),
    }
}

fn header(text: &str) -> Result<(String, String), lexopt::Error> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("\"{text}\" is no \"NAME: VALUE\""))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A subprotocol's name is a token (RFC 6455 section 4.1); anything else could change the list's meaning.
fn token(name: String) -> Result<String, lexopt::Error> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !name.is_empty() && name.bytes().all(is_token) {
        true => Ok(name),
        false => Err(format!("\"{name}\" is no subprotocol name").into()),
    }
}

fn seconds(text: &str) -> Result<Duration, lexopt::Error> {
    let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("\"{text}\" is no number of seconds").into())
}

const DEMO_HELP: &str = "\
Usage: culvert demo [--port PORT] [--host ADDRESS]

Starts two echo servers, and Culvert in front of them with nginx's WebSocket recipe.
Open the address that it prints in a browser, or \"culvert connect\" to it. Ctrl-C ends it.

  --port PORT         the gateway's port (default: 8020); 0 takes a free one
  --host ADDRESS      the gateway's address (default: 127.0.0.1)
";

fn demo(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut given = Demo { port: 8020, host: "127.0.0.1".into() };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('p') | Long("port") => given.port = parser.value()?.parse()?,
            Long("host") => given.host = parser.value()?.string()?,
            Short('h' | '?') | Long("help") => return Ok(Command::ToolHelp(DEMO_HELP)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Demo(given))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split('|').map(OsString::from))
    }

    #[test]
    fn echo_takes_a_port_and_its_options_in_any_order() {
        let expected = Echo {
            port: 8010,
            host: "::1".into(),
            name: "Server".into(),
            subprotocols: vec!["chat".into(), "superchat".into()],
        };
        assert_eq!(read("echo|--host|::1|8010|-s|chat|--subprotocol=superchat"), Ok(Command::Echo(expected)));
    }

    #[test]
    fn connect_takes_headers_subprotocols_and_messages() {
        let expected = Connect {
            url: "ws://localhost:8020/x".into(),
            headers: vec![("Cookie".into(), "a=b:c".into()), ("X-Empty".into(), String::new())],
            subprotocols: vec!["chat".into()],
            execute: vec!["hello".into()],
            wait: Duration::from_millis(1500),
        };
        let line = "connect|-H|Cookie: a=b:c|--header=X-Empty:|-s|chat|-x|hello|-w|1.5|localhost:8020/x";
        assert_eq!(read(line), Ok(Command::Connect(expected)));
    }

    #[test]
    fn an_http_url_is_a_websocket_url() {
        let Ok(Command::Connect(given)) = read("connect|http://127.0.0.1:8020/") else { panic!("is read") };
        assert_eq!(given.url, "ws://127.0.0.1:8020/");
    }

    #[test]
    fn the_demo_listens_on_8020_unless_told_otherwise() {
        assert_eq!(read("demo"), Ok(Command::Demo(Demo { port: 8020, host: "127.0.0.1".into() })));
        assert_eq!(read("demo|--port|9000"), Ok(Command::Demo(Demo { port: 9000, host: "127.0.0.1".into() })));
    }

    #[test]
    fn every_tool_helps() {
        for tool in ["echo", "connect", "demo"] {
            assert!(matches!(read(&format!("{tool}|--help")), Ok(Command::ToolHelp(text)) if text.contains(tool)));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_tools_name() {
        let table = [
            ("echo", "echo: a port is missing"),
            ("echo|many", "echo: cannot parse argument \"many\""),
            ("echo|65536", "echo: cannot parse argument \"65536\""),
            ("echo|1|2", "echo: unexpected argument \"2\""),
            ("echo|1|-s|a,b", "echo: \"a,b\" is no subprotocol name"),
            ("connect", "connect: a URL is missing"),
            ("connect|wss://x", "connect: \"wss://\" is not supported"),
            ("connect|x|-H|novalue", "connect: \"novalue\" is no \"NAME: VALUE\""),
            ("connect|x|-w|soon", "connect: \"soon\" is no number of seconds"),
            ("connect|x|-w|-1", "connect: \"-1\" is no number of seconds"),
            ("connect|x|--frob", "connect: invalid option '--frob'"),
            ("demo|x", "demo: unexpected argument \"x\""),
        ];
        for (line, beginning) in table {
            let message = read(line).expect_err(line);
            assert!(message.starts_with(beginning), "{line}: {message}");
        }
    }
}
