//! Arguments as values, with nginx's words for bad ones.

use crate::diagnostic::Fault;
use crate::syntax::Directive;
use crate::units;
use std::time::Duration;

impl Directive {
    /// `on` or `off`, in either case.
    pub(crate) fn flag(&self, number: usize) -> Result<bool, Fault> {
        let text = self.arg(number);
        match text {
            _ if text.eq_ignore_ascii_case("on") => Ok(true),
            _ if text.eq_ignore_ascii_case("off") => Ok(false),
            _ => Err(Fault::at(
                number,
                format!("invalid value \"{text}\" in \"{}\" directive, it must be \"on\" or \"off\"", self.name()),
            )),
        }
    }

    /// A size in bytes, with `k` or `m`.
    pub(crate) fn size(&self, number: usize) -> Result<usize, Fault> {
        units::size(self.arg(number)).ok_or_else(|| self.invalid_value(number))
    }

    /// A length in bytes, with `k`, `m` or `g`.
    pub(crate) fn offset(&self, number: usize) -> Result<u64, Fault> {
        units::offset(self.arg(number)).ok_or_else(|| self.invalid_value(number))
    }

    /// A time in milliseconds.
    pub(crate) fn milliseconds(&self, number: usize) -> Result<Duration, Fault> {
        units::milliseconds(self.arg(number)).ok_or_else(|| self.invalid_value(number))
    }

    /// A whole number.
    pub(crate) fn number(&self, number: usize) -> Result<u64, Fault> {
        units::number(self.arg(number))
            .ok_or_else(|| Fault::at(number, format!("\"{}\" directive invalid number", self.name())))
    }

    /// `"x" directive invalid value`.
    pub(crate) fn invalid_value(&self, number: usize) -> Fault {
        Fault::at(number, format!("\"{}\" directive invalid value", self.name()))
    }

    /// `invalid value "x"`.
    pub(crate) fn invalid_word(&self, number: usize) -> Fault {
        Fault::at(number, format!("invalid value \"{}\"", self.arg(number)))
    }

    /// `invalid parameter "x"`.
    pub(crate) fn invalid_parameter(&self, number: usize) -> Fault {
        Fault::at(number, format!("invalid parameter \"{}\"", self.arg(number)))
    }

    /// A parameter that nginx has and Culvert has not.
    pub(crate) fn unsupported_parameter(&self, number: usize) -> Fault {
        let message = format!(
            "the \"{}\" parameter of the \"{}\" directive is not supported by Culvert",
            self.arg(number),
            self.name()
        );
        Fault::at(number, message)
    }
}
