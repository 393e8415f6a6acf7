//! `secure_link`, `secure_link_md5` and `secure_link_secret`.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use bytes::Bytes;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("secure_link", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let link = scope.template(directive, 1)?;
        if scope.has("secure_link_secret") {
            return Err(mixed());
        }
        let settings = &mut scope.access().secure_link;
        (settings.link, settings.secret) = (Some(link), None);
        Ok(())
    })
    .doc(
        "What of a request proves that its link was made by somebody who knows the secret: an MD5 in base64, and after a \
         comma the time in seconds when it expires. `$secure_link` is `1` for a good link, `0` for an expired one, and \
         empty for a forged one; `$secure_link_expires` is the time.",
    ),
    Row::new("secure_link_md5", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let md5 = scope.template(directive, 1)?;
        if scope.has("secure_link_secret") {
            return Err(mixed());
        }
        let settings = &mut scope.access().secure_link;
        (settings.md5, settings.secret) = (Some(md5), None);
        Ok(())
    })
    .doc("The text that the MD5 of `secure_link` is made of: the secret, and what the link has to hold for."),
    Row::new("secure_link_secret", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let secret = Bytes::copy_from_slice(directive.arg(1).as_bytes());
        if scope.has("secure_link") || scope.has("secure_link_md5") {
            return Err(mixed());
        }
        let settings = &mut scope.access().secure_link;
        (settings.link, settings.md5, settings.secret) = (None, None, Some(secret));
        Ok(())
    })
    .doc(
        "The secret of links in the older form `/prefix/MD5/link`, whose MD5, in hexadecimal, is that of the link and the \
         secret: `$secure_link` is then the link.",
    ),
];

fn mixed() -> Fault {
    Fault::new("\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"")
}
