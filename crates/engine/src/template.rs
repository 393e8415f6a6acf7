//! A [`Template`] is a directive's argument with variables in it, taken apart once so that rendering it is a walk.

use crate::variable::Variable;
use bytes::Bytes;

/// Text with variables: what `"$scheme://$host"` becomes when the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

/// One stretch of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes that stand as they are.
    Text(Bytes),
    /// A variable to evaluate.
    Value(Variable),
}

/// What is wrong with the variables of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A dollar sign that no name follows. nginx: `invalid variable name`.
    InvalidName,
    /// `${name` without its closing brace. nginx: `the closing bracket in "name" variable is missing`.
    MissingBrace(String),
}

impl Template {
    /// Takes `text` apart. `name` turns each variable's name (no dollar sign, no braces) into a [`Variable`]; `$1` … `$9`
    /// become [`Variable::Capture`] without asking it.
    pub fn parse(text: &str, mut name: impl FnMut(&str) -> Variable) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            push_text(&mut parts, &rest[..dollar]);
            rest = &rest[dollar + 1..];
            if rest.as_bytes().first().is_some_and(|digit| (b'1'..=b'9').contains(digit)) {
                parts.push(Part::Value(Variable::Capture(rest.as_bytes()[0] - b'0')));
                rest = &rest[1..];
                continue;
            }
            let braced = rest.starts_with('{');
            rest = rest.strip_prefix('{').unwrap_or(rest);
            let end = rest.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_')).unwrap_or(rest.len());
            let found = &rest[..end];
            rest = &rest[end..];
            if braced {
                rest = rest.strip_prefix('}').ok_or_else(|| TemplateError::MissingBrace(found.into()))?;
            }
            match found.as_bytes() {
                [] => return Err(TemplateError::InvalidName),
                [digit @ b'1'..=b'9'] => parts.push(Part::Value(Variable::Capture(digit - b'0'))),
                _ => parts.push(Part::Value(name(found))),
            }
        }
        push_text(&mut parts, rest);
        Ok(Template { parts })
    }

    /// A template without variables.
    pub fn literal(text: impl Into<Bytes>) -> Template {
        let text = text.into();
        Template { parts: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] } }
    }

    /// The parts, in order. An empty argument has none.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The whole text where there is no variable in it, so that callers can skip rendering.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Writes the text with every variable's value; `value` appends one variable's value, or nothing where it has none.
    pub fn render(&self, out: &mut Vec<u8>, mut value: impl FnMut(&Variable, &mut Vec<u8>)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Value(variable) => value(variable, out),
            }
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(Bytes::copy_from_slice(text.as_bytes())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, TemplateError> {
        Template::parse(text, |name| Variable::Member(crate::variable::Family::Http, name.into()))
    }

    fn render(text: &str) -> String {
        let mut out = Vec::new();
        parse(text).expect("a good template").render(&mut out, |variable, out| match variable {
            Variable::Member(_, name) => out.extend_from_slice(format!("<{name}>").as_bytes()),
            Variable::Capture(number) => out.extend_from_slice(format!("<{number}>").as_bytes()),
            other => panic!("unexpected {other:?}"),
        });
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn variables_end_where_their_name_ends() {
        assert_eq!(render("$scheme://${host}x:$port/$1a$uri"), "<scheme>://<host>x:<port>/<1>a<uri>");
    }

    #[test]
    fn a_text_without_variables_is_a_literal() {
        assert_eq!(parse("plain").expect("good").as_literal(), Some(&b"plain"[..]));
        assert_eq!(parse("").expect("good").as_literal(), Some(&b""[..]));
        assert_eq!(parse("$a").expect("good").as_literal(), None);
    }

    #[test]
    fn a_dollar_without_a_name_is_refused() {
        assert_eq!(parse("a$"), Err(TemplateError::InvalidName));
        assert_eq!(parse("a$-b"), Err(TemplateError::InvalidName));
        assert_eq!(parse("${open"), Err(TemplateError::MissingBrace("open".into())));
    }
}
