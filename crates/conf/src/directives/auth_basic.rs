//! `auth_basic` and `auth_basic_user_file`.

use super::access::ACCESS_BLOCKS;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Row};
use crate::scope::Scope;
use crate::syntax::Directive;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("auth_basic", ACCESS_BLOCKS, Arity::Exactly(1), |scope, directive| {
        let realm = if directive.arg(1) == "off" { None } else { Some(scope.template(directive, 1)?) };
        scope.access().realm = realm;
        Ok(())
    })
    .default("off")
    .doc(
        "Asks for a name and a password (Basic authentication) with this realm, which may have variables. `off`, also as \
         a variable's value, asks for none.",
    ),
    Row::new("auth_basic_user_file", ACCESS_BLOCKS, Arity::Exactly(1), user_file).doc(
        "The file of names and hashes, lines of `name:hash` or `name:hash:comment`: bcrypt, `$apr1$`, MD5, SHA-256, \
         SHA-512 and DES crypt, `{SHA}`, `{SSHA}`, `{PLAIN}`. A relative path begins at the configuration file's folder, \
         and may have variables. A changed file is read anew; slow hashes are computed beside the workers.",
    ),
];

fn user_file(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = scope.path_beside(directive.arg(1));
    let file = scope.template_of(directive, 1, &text)?;
    scope.access().user_file = Some(file);
    Ok(())
}
