//! How fast a response may be sent: `limit_rate`, `limit_rate_after` and whatever overrides them for one request.

use crate::exchange::Exchange;
use crate::io::clock::now;
use culvert_conf::config::{Level, SizeValue};
use culvert_engine::pace::Pace;
use culvert_engine::template::Template;

impl Exchange {
    /// `set $limit_rate`: a size as in a configuration file.
    pub(in crate::exchange) fn set_limit_rate(&mut self, value: &[u8]) {
        match culvert_conf::size(value) {
            Some(rate) => self.limit_rate = Some(rate),
            None => {
                let value = String::from_utf8_lossy(value);
                self.log(Level::Error, format_args!("invalid $limit_rate \"{value}\""));
            }
        }
    }

    /// The pace of the response that is about to be sent. What the first response of a request settles holds for it. `doing` is
    /// what the log says of it.
    pub(super) fn pace(&mut self, doing: &str) -> Option<Pace> {
        let rate = self.limit_rate.unwrap_or_else(|| self.size(&self.location.client.limit_rate, doing));
        // Before the rest is asked for, which may be `$limit_rate`.
        self.limit_rate = Some(rate);
        let free = if rate == 0 { 0 } else { self.size(&self.location.client.limit_rate_after, doing) };
        Pace::new(rate, free, now().into_std())
    }

    /// The pace at which the response is read from the upstream (`proxy_limit_rate`).
    pub(in crate::exchange) fn upstream_pace(&self) -> Option<Pace> {
        let rate = self.size(&self.location.proxy.response.limit_rate, "");
        Pace::new(rate, 0, now().into_std())
    }

    /// A number of bytes; 0 where variables make no number.
    fn size(&self, value: &SizeValue, doing: &str) -> u64 {
        let template = match value {
            SizeValue::Fixed(bytes) => return *bytes,
            SizeValue::Rendered(template) => template,
        };
        let text = self.render(template);
        culvert_conf::size(&text).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&text);
            self.log(Level::Error, format_args!("invalid size \"{text}\"{doing}"));
            0
        })
    }

    /// Whether one of the conditions is neither empty nor `0`.
    pub(in crate::exchange) fn holds(&self, conditions: &[Template]) -> bool {
        conditions.iter().map(|condition| self.render(condition)).any(|value| !value.is_empty() && value != b"0")
    }
}
