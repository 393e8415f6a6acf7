//! Whether a link may be followed, as far as variables say it: `$invalid_referer`, `$secure_link`.

use crate::exchange::Exchange;
use culvert_conf::config::Level;
use culvert_engine::access::{check_link, check_secret, expiry_of};
use culvert_engine::template::Template;
use std::time::{SystemTime, UNIX_EPOCH};

impl Exchange {
    /// `$invalid_referer`.
    pub(in crate::exchange) fn has_invalid_referer(&self) -> bool {
        let Some(referers) = &self.location.access.referers else { return false };
        let referer = self.request.head.headers.first("referer");
        referers.allows(referer).map(|allowed| !allowed).unwrap_or_else(|slow| {
            self.log(Level::Error, format_args!("{slow} in \"valid_referers\""));
            true
        })
    }

    /// `$secure_link`.
    pub(in crate::exchange) fn secure_link(&self) -> Option<Vec<u8>> {
        let settings = &self.location.access.secure_link;
        if let Some(secret) = &settings.secret {
            return check_secret(self.request.unparsed(), secret).map(<[u8]>::to_vec);
        }
        let (link, md5) = (self.render(settings.link.as_ref()?), self.render(settings.md5.as_ref()?));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        check_link(&link, &md5, now).map(<[u8]>::to_vec)
    }

    /// `$secure_link_expires`.
    pub(in crate::exchange) fn secure_link_expires(&self) -> Option<Vec<u8>> {
        let link: &Template = self.location.access.secure_link.link.as_ref()?;
        expiry_of(&self.render(link)).map(<[u8]>::to_vec)
    }
}
