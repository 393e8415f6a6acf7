//! As whom and to whom a request's server is spoken to over TLS.

use crate::exchange::Exchange;
use crate::upstream::tls::{Certificate, Secure};
use culvert_engine::template::Template;

/// What the location's `proxy_ssl_` directives say for this request; `None` where its server is spoken to without TLS.
pub(super) fn wanted(exchange: &Exchange) -> Option<Secure> {
    if !exchange.proxied_by_tls {
        return None;
    }
    let settings = &exchange.location.proxy_tls;
    let tls = exchange.generation.client_tls(settings);
    // Never without TLS what is to be encrypted.
    let tls = tls.expect("a plan has loaded the TLS of all locations that may speak it");
    let name = match &settings.name {
        Some(name) => exchange.render(name),
        None => exchange.proxied.as_ref().map(|name| name.host.to_vec()).unwrap_or_default(),
    };
    Some(Secure::new(tls, &String::from_utf8_lossy(&name), certificate(exchange)))
}

/// The certificate that the gateway shows, where its name has variables.
fn certificate(exchange: &Exchange) -> Option<Certificate> {
    let settings = &exchange.location.proxy_tls;
    let (certificate, key) = (settings.certificate.as_ref()?, settings.key.as_ref()?);
    let has_variables = |template: &Template| template.as_literal().is_none();
    if !has_variables(certificate) && !has_variables(key) {
        return None;
    }
    let certificate = exchange.render(certificate);
    let key = exchange.render(key);
    (!certificate.is_empty()).then(|| Certificate { certificate: certificate.into(), key: key.into() })
}
