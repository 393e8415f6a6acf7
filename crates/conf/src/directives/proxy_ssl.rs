//! TLS towards servers: everything that begins with `proxy_ssl_`.

use super::ssl;
use crate::config::Handler;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::template::Template;
use std::path::PathBuf;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("proxy_ssl_certificate", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy_tls().certificate = file(scope, directive)?;
        Ok(())
    })
    .doc(
        "A file with the certificate that the gateway shows to servers that ask for one, and those of the authorities \
         behind it, in PEM. With variables it is read when a connection needs it, and kept; `data:$variable` takes the text \
         itself. An empty value, a variable's too, is none.",
    ),
    Row::new("proxy_ssl_certificate_key", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        if directive.arg(1).starts_with("engine:") {
            return Err(Fault::at(1, "keys in hardware (\"engine:\") are not supported by Culvert"));
        }
        scope.proxy_tls().key = file(scope, directive)?;
        Ok(())
    })
    .doc("The key of that certificate, in PEM: PKCS #8, PKCS #1 or SEC 1."),
    Row::new("proxy_ssl_ciphers", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy_tls().ciphers = ssl::ciphers(scope, directive)?;
        Ok(())
    })
    .default("DEFAULT")
    .doc("The cipher suites of TLS 1.2 that servers are offered, as in `ssl_ciphers`."),
    Row::new("proxy_ssl_crl", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy_tls().crl = path(scope, directive);
        Ok(())
    })
    .doc("A file with lists of revoked certificates, in PEM; each authority of a server's certificate needs one."),
    Row::new("proxy_ssl_name", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let name = scope.template(directive, 1)?;
        // The default is not rendered for each request.
        scope.proxy_tls().name = Some(name).filter(|_| directive.arg(1) != "$proxy_host");
        Ok(())
    })
    .default("$proxy_host")
    .doc("The name that the server's certificate has to prove, and that the server is asked for by `proxy_ssl_server_name`. A \
          port behind it is of no account."),
    Row::new("proxy_ssl_password_file", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy_tls().password_file = path(scope, directive);
        Ok(())
    })
    .doc("A file with pass phrases, one a line, that are tried on an encrypted key."),
    Row::new("proxy_ssl_protocols", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), |scope, directive| {
        let before = (scope.proxy_tls().tls_1_2, scope.proxy_tls().tls_1_3);
        let (tls_1_2, tls_1_3) = ssl::protocols(scope, directive, before)?;
        let tls = scope.proxy_tls();
        (tls.tls_1_2, tls.tls_1_3) = (tls_1_2, tls_1_3);
        Ok(())
    })
    .repeats()
    .default("TLSv1.2 TLSv1.3")
    .doc("Which versions of TLS servers are offered: `TLSv1.2`, `TLSv1.3`."),
    Row::new("proxy_ssl_server_name", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy_tls().server_name = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether servers are told by which name they are asked (SNI, RFC 6066). An address is no such name."),
    Row::new("proxy_ssl_session_reuse", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy_tls().session_reuse = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether sessions are taken up again, which saves most of a handshake."),
    Row::new("proxy_ssl_trusted_certificate", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy_tls().trusted_certificate = path(scope, directive);
        Ok(())
    })
    .doc("A file with the authorities that servers' certificates are trusted by, in PEM."),
    Row::new("proxy_ssl_verify", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.proxy_tls().verify = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether servers have to prove who they are: by a certificate for `proxy_ssl_name` that an authority in \
          `proxy_ssl_trusted_certificate` stands behind. If they can't, the answer is 502. Without it a connection is \
          encrypted, and anybody may be at its other end."),
    Row::new("proxy_ssl_verify_depth", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.proxy_tls().verify_depth = directive.number(1)?;
        Ok(())
    })
    .default("1")
    .doc("How many authorities may stand between a server's certificate and a trusted one."),
];

/// A file's name, absolute where it has no variables. The empty one takes back what was inherited.
fn file(scope: &mut Scope<'_>, directive: &Directive) -> Result<Option<Template>, Fault> {
    let text = directive.arg(1);
    if text.is_empty() {
        return Ok(None);
    }
    let template = scope.template(directive, 1)?;
    Ok(Some(match template.as_literal() {
        Some(literal) if !literal.starts_with(b"data:") => {
            Template::literal(scope.conf_path(text).to_string_lossy().into_owned())
        }
        _ => {
            scope.proxy_tls().folder = scope.conf_path("");
            template
        }
    }))
}

fn path(scope: &Scope<'_>, directive: &Directive) -> Option<PathBuf> {
    Some(directive.arg(1)).filter(|path| !path.is_empty()).map(|path| scope.conf_path(path))
}

/// What nginx refuses of a location that speaks TLS to its servers.
pub(crate) fn settle(scope: &mut Scope<'_>) {
    let Handler::Proxy(pass) = &scope.location.handler else { return };
    let tls = &scope.location.proxy_tls;
    if !pass.is_or_may_be_tls() {
        return;
    }
    if tls.verify && tls.trusted_certificate.is_none() {
        scope.fault_at_last(&["proxy_ssl_verify"], "no proxy_ssl_trusted_certificate for proxy_ssl_verify");
    } else if let (Some(certificate), None) = (&tls.certificate, &tls.key) {
        let shown = certificate.as_literal().map(String::from_utf8_lossy).unwrap_or_default();
        let message = format!("no \"proxy_ssl_certificate_key\" is defined for certificate \"{shown}\"");
        scope.fault_at_last(&["proxy_ssl_certificate"], &message);
    }
}
