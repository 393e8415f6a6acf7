//! TLS towards clients: everything that begins with `ssl_`.

use super::ssl_ciphers;
use crate::config::{SessionCache, TlsCipher, TlsGroup, TlsSettings, VerifyClient};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use crate::units;
use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("ssl_buffer_size", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        let size = directive.size(1)?;
        scope.tls().buffer_size = Some(size).filter(|&size| size > 0).ok_or_else(|| directive.invalid_value(1))?;
        Ok(())
    })
    .default("16k")
    .doc("How much of a response one TLS record holds at most, up to TLS' own 16 KiB. Smaller ones reach the client's \
          application sooner."),
    Row::new("ssl_certificate", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        let (first, file) = (scope.is_first(directive), file_template(scope, directive)?);
        push(&mut scope.tls().certificates, first, file);
        Ok(())
    })
    .repeats()
    .doc("A file with the server's certificate and those of the authorities between it and a trusted one, in PEM. One line \
          per kind of key (RSA, ECDSA). With variables (`$ssl_server_name`) the file is read when a handshake asks for it, and \
          kept; `data:$variable` takes the text itself."),
    Row::new("ssl_certificate_key", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        if directive.arg(1).starts_with("engine:") {
            return Err(Fault::at(1, "keys in hardware (\"engine:\") are not supported by Culvert"));
        }
        let (first, file) = (scope.is_first(directive), file_template(scope, directive)?);
        push(&mut scope.tls().keys, first, file);
        Ok(())
    })
    .repeats()
    .doc("The file with the key of the `ssl_certificate` at the same place, in PEM: PKCS #8, PKCS #1 or SEC 1. `data:$variable` \
          takes the text itself."),
    Row::new("ssl_ciphers", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().ciphers = ciphers(scope, directive)?;
        Ok(())
    })
    .default("HIGH:!aNULL:!MD5")
    .doc("The cipher suites of TLS 1.2, in OpenSSL's words. Culvert has six, with ECDHE and authenticated encryption; suites \
          that it has not are named in a warning, and a list that leaves none is refused. Those of TLS 1.3 are always on, as \
          with OpenSSL."),
    Row::new("ssl_client_certificate", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().client_certificate = optional_path(scope, directive);
        Ok(())
    })
    .doc("A file with the authorities that clients' certificates are trusted by. Their names are sent to clients."),
    Row::new("ssl_crl", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().crl = optional_path(scope, directive);
        Ok(())
    })
    .doc("A file with lists of revoked certificates, in PEM; each authority of a client's certificate needs one."),
    Row::new("ssl_dhparam", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().dhparam = optional_path(scope, directive);
        Ok(())
    })
    .doc("Parameters of DHE suites. Culvert has none of those, so the file is checked, and of no further use."),
    Row::new("ssl_early_data", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.tls().early_data = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether a client that comes back may send a request with its first message (TLS 1.3 early data). Such a request \
          can be replayed: pass `$ssl_early_data` on. Sessions are then kept in a cache, and not in tickets."),
    Row::new("ssl_ecdh_curve", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().groups = groups(scope, directive)?;
        Ok(())
    })
    .default("auto")
    .doc("The groups of the key exchange, most wanted first: `X25519`, `prime256v1`, `secp384r1`, `X25519MLKEM768`, \
          separated by colons."),
    Row::new("ssl_password_file", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().password_file = optional_path(scope, directive);
        Ok(())
    })
    .doc("A file with pass phrases, one a line, that are tried on encrypted keys (PKCS #8)."),
    Row::new("ssl_prefer_server_ciphers", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.tls().prefer_server_ciphers = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether the server's order of cipher suites counts, and not the client's."),
    Row::new("ssl_protocols", Contexts::HTTP_SERVER, Arity::AtLeast(1), |scope, directive| {
        let before = (scope.tls().tls_1_2, scope.tls().tls_1_3);
        let (tls_1_2, tls_1_3) = protocols(scope, directive, before)?;
        let tls = scope.tls();
        (tls.tls_1_2, tls.tls_1_3) = (tls_1_2, tls_1_3);
        Ok(())
    })
    .repeats()
    .default("TLSv1.2 TLSv1.3")
    .doc("Which versions of TLS are spoken: `TLSv1.2`, `TLSv1.3`. Older ones are broken and not offered: named beside newer ones \
          they give a warning, alone they are refused."),
    Row::new("ssl_reject_handshake", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.tls().reject_handshake = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether handshakes that ask for this server are refused (`unrecognized_name`): for the default server, so that \
          clients without a name that is known here learn nothing."),
    Row::new("ssl_session_cache", Contexts::HTTP_SERVER, Arity::Between(1, 2), session_cache)
        .default("none")
        .doc(
            "Where sessions that clients may take up again are kept: `off`, `none`, `builtin[:number]`, or \
             `shared:name:size` (about 4000 sessions per megabyte) of all servers that name it. All workers share either.",
        ),
    Row::new("ssl_session_ticket_key", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        let (first, path) = (scope.is_first(directive), scope.conf_path(directive.arg(1)));
        push(&mut scope.tls().session_ticket_keys, first, path);
        Ok(())
    })
    .repeats()
    .doc("A file of 48 or 80 random bytes that session tickets are encrypted with, for gateways that share them. The first \
          encrypts; the others decrypt what they once encrypted. Without it, keys are random and rotated."),
    Row::new("ssl_session_tickets", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.tls().session_tickets = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether clients keep their sessions themselves, in encrypted tickets (RFC 5077)."),
    Row::new("ssl_session_timeout", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        let timeout = units::seconds(directive.arg(1)).ok_or_else(|| directive.invalid_value(1))?;
        scope.tls().session_timeout = timeout;
        Ok(())
    })
    .default("5m")
    .doc("For how long a session may be taken up again."),
    Row::new("ssl_stapling", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.tls().stapling = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether the answer of the authority's OCSP responder is sent along with the certificate (OCSP stapling). It is asked for \
          at the start, once for all workers, and again before it expires. The issuer's certificate has to be in \
          `ssl_certificate` or `ssl_trusted_certificate`."),
    Row::new("ssl_stapling_file", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().stapling_file = optional_path(scope, directive);
        Ok(())
    })
    .doc("A file with the responder's answer in DER (`openssl ocsp -respout`), read at the start and at each reload. No responder \
          is asked then."),
    Row::new("ssl_stapling_responder", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().stapling_responder = Some(directive.arg(1).to_owned()).filter(|url| !url.is_empty());
        Ok(())
    })
    .doc("The URL of the OCSP responder, where it is not the one that the certificate names; `http://` alone. Its name is resolved by \
          `resolver`, or, where there is none, at the start."),
    Row::new("ssl_stapling_verify", Contexts::HTTP_SERVER, Arity::Flag, |scope, directive| {
        scope.tls().stapling_verify = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether the responder's right to answer is checked: the answer has to be signed by the certificate's issuer, or by a \
          certificate that the issuer has made for OCSP. Signature, status and times are checked in any case."),
    Row::new("ssl_trusted_certificate", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().trusted_certificate = optional_path(scope, directive);
        Ok(())
    })
    .doc("As `ssl_client_certificate`, but the names are not sent to clients."),
    Row::new("ssl_verify_client", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().verify_client = match directive.arg(1) {
            "off" => VerifyClient::Off,
            "on" => VerifyClient::On,
            "optional" => VerifyClient::Optional,
            "optional_no_ca" => VerifyClient::OptionalNoCa,
            _ => return Err(directive.invalid_word(1)),
        };
        Ok(())
    })
    .default("off")
    .doc("Whether clients have to show a certificate: `on`, `optional` (a bad one is refused), `optional_no_ca` (who signed it is \
          not asked). The result is in `$ssl_client_verify`; what is refused is 495 or 496, and clients see 400."),
    Row::new("ssl_verify_depth", Contexts::HTTP_SERVER, Arity::Exactly(1), |scope, directive| {
        scope.tls().verify_depth = directive.number(1)?;
        Ok(())
    })
    .default("1")
    .doc("How many authorities may stand between a client's certificate and a trusted one."),
];

/// A path with or without variables; without, it is made absolute.
fn file_template(scope: &mut Scope<'_>, directive: &Directive) -> Result<Template, Fault> {
    let template = scope.template(directive, 1)?;
    Ok(match template.as_literal() {
        Some(text) if !text.starts_with(b"data:") => {
            let path = scope.conf_path(directive.arg(1)).to_string_lossy().into_owned();
            Template::literal(path.into_bytes())
        }
        _ => template,
    })
}

/// A path; the empty one takes back what was inherited.
fn optional_path(scope: &Scope<'_>, directive: &Directive) -> Option<PathBuf> {
    Some(directive.arg(1)).filter(|path| !path.is_empty()).map(|path| scope.conf_path(path))
}

/// The suites that an argument leaves, with a warning for those that Culvert has not.
pub(crate) fn ciphers(scope: &mut Scope<'_>, directive: &Directive) -> Result<Arc<[TlsCipher]>, Fault> {
    let list = directive.arg(1);
    let chosen = ssl_ciphers::parse(list);
    let name = directive.name();
    if !chosen.ciphers.is_empty() {
        if !chosen.missing.is_empty() {
            let missing = chosen.missing.join(", ");
            scope.warn(
                directive,
                Fault::at(1, format!("\"{name}\" names cipher suites that Culvert does not have: {missing}")),
            );
        }
        return Ok(chosen.ciphers.into());
    }
    Err(Fault::at(
        1,
        match chosen.missing.is_empty() {
            true => format!("SSL_CTX_set_cipher_list(\"{list}\") failed (SSL: no cipher match)"),
            false => format!("\"{name}\" leaves no cipher suite that Culvert has"),
        },
    ))
}

/// Whether TLS 1.2 and TLS 1.3 are named. `before` is what an earlier line of the same block says: such lines add to each other.
pub(crate) fn protocols(
    scope: &mut Scope<'_>,
    directive: &Directive,
    before: (bool, bool),
) -> Result<(bool, bool), Fault> {
    let (mut tls_1_2, mut tls_1_3) = if scope.is_first(directive) { (false, false) } else { before };
    let mut old = Vec::new();
    for (index, word) in directive.args().iter().enumerate() {
        match word.text.as_str() {
            "TLSv1.2" => tls_1_2 = true,
            "TLSv1.3" => tls_1_3 = true,
            "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.1" => old.push(word.text.as_str()),
            _ => return Err(directive.invalid_word(index + 1)),
        }
    }
    let (old, name) = (old.join(", "), directive.name());
    if !tls_1_2 && !tls_1_3 {
        return Err(Fault::new(format!("\"{name}\" leaves no version that Culvert has: {old} are broken")));
    }
    if !old.is_empty() {
        scope.warn(directive, Fault::new(format!("\"{name}\" names versions that Culvert does not have: {old}")));
    }
    Ok((tls_1_2, tls_1_3))
}

/// nginx's default, `auto`.
pub(crate) const GROUPS: [TlsGroup; 4] = [TlsGroup::X25519MlKem768, TlsGroup::X25519, TlsGroup::P256, TlsGroup::P384];

fn groups(scope: &mut Scope<'_>, directive: &Directive) -> Result<Arc<[TlsGroup]>, Fault> {
    let list = directive.arg(1);
    if list == "auto" {
        return Ok(Arc::new(GROUPS));
    }
    let (mut groups, mut missing) = (Vec::new(), Vec::new());
    for name in list.split(':') {
        match name {
            "X25519" | "x25519" => groups.push(TlsGroup::X25519),
            "prime256v1" | "P-256" | "secp256r1" => groups.push(TlsGroup::P256),
            "secp384r1" | "P-384" => groups.push(TlsGroup::P384),
            "X25519MLKEM768" => groups.push(TlsGroup::X25519MlKem768),
            "X448" | "x448" | "secp521r1" | "P-521" | "secp256k1" | "secp224r1" | "P-224" | "ffdhe2048"
            | "ffdhe3072" | "ffdhe4096" | "ffdhe6144" | "ffdhe8192" => missing.push(name),
            _ if name.starts_with("brainpool") || name.starts_with("sect") || name.starts_with("secp") => {
                missing.push(name)
            }
            _ => return Err(Fault::at(1, format!("SSL_CTX_set1_curves_list(\"{list}\") failed"))),
        }
    }
    let missing = missing.join(", ");
    if groups.is_empty() {
        return Err(Fault::at(1, format!("\"{}\" leaves no group that Culvert has", directive.name())));
    }
    if !missing.is_empty() {
        scope.warn(
            directive,
            Fault::at(1, format!("\"{}\" names groups that Culvert does not have: {missing}", directive.name())),
        );
    }
    Ok(groups.into())
}

/// What nginx asks of a shared cache at least: eight pages.
const CACHE_BYTES_MIN: usize = 8 * 4096;

fn session_cache(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut cache = None;
    for number in 1..=directive.args().len() {
        let text = directive.arg(number);
        let invalid = || Fault::at(number, format!("invalid session cache \"{text}\""));
        match text.split_once(':') {
            None if text == "off" => cache = Some(SessionCache::Off),
            None if text == "none" => cache = Some(SessionCache::None),
            None if text == "builtin" => {
                cache.get_or_insert(SessionCache::Builtin(20_480));
            }
            Some(("builtin", number)) => {
                let number = units::number(number).and_then(|number| usize::try_from(number).ok());
                let builtin = SessionCache::Builtin(number.ok_or_else(invalid)?);
                cache.get_or_insert(builtin);
            }
            // Where both are given the shared one is asked first, and holds all that the other would.
            Some(("shared", zone)) => cache = Some(shared_cache(number, text, zone)?),
            _ => return Err(invalid()),
        }
    }
    scope.tls().session_cache = cache.expect("there is at least one argument");
    Ok(())
}

fn shared_cache(number: usize, text: &str, zone: &str) -> Result<SessionCache, Fault> {
    let invalid = || Fault::at(number, format!("invalid session cache \"{text}\""));
    let (name, size) = zone.split_once(':').unwrap_or((zone, ""));
    if name.is_empty() {
        return Err(invalid());
    }
    let bytes = units::size(size).ok_or_else(invalid)?;
    if bytes < CACHE_BYTES_MIN {
        return Err(Fault::at(number, format!("session cache \"{text}\" is too small")));
    }
    Ok(SessionCache::Shared { name: name.to_owned(), bytes })
}

/// What the directives of a server must not say together.
pub(crate) fn check(scope: &mut Scope<'_>) {
    let tls = scope.server.tls.clone();
    if tls.certificates.is_empty() {
        return;
    }
    if let Some(without) = tls.certificates.get(tls.keys.len()) {
        let text = without.as_literal().map(|text| String::from_utf8_lossy(text).into_owned());
        let name = text.unwrap_or_else(|| "with variables".into());
        let message = format!("no \"ssl_certificate_key\" is defined for certificate \"{name}\"");
        scope.fault_at_last(&["ssl_certificate", "ssl_certificate_key"], &message);
    }
    let asks = matches!(tls.verify_client, VerifyClient::On | VerifyClient::Optional);
    if asks && tls.client_certificate.is_none() && tls.trusted_certificate.is_none() {
        scope.fault_at_last(&["ssl_verify_client"], "no ssl_client_certificate for ssl_verify_client");
    }
    if tls.crl.is_some() && tls.client_certificate.is_none() && tls.trusted_certificate.is_none() {
        scope.fault_at_last(&["ssl_crl"], "no ssl_client_certificate for ssl_crl");
    }
}

/// What a server inherits where nothing is said.
pub(crate) fn defaults(folder: PathBuf, place: crate::config::Place) -> TlsSettings {
    TlsSettings {
        certificates: Arc::new([]),
        keys: Arc::new([]),
        folder: Arc::new(folder),
        password_file: None,
        tls_1_2: true,
        tls_1_3: true,
        ciphers: Arc::new(TlsCipher::ALL),
        prefer_server_ciphers: false,
        groups: Arc::new(GROUPS),
        session_cache: SessionCache::None,
        session_timeout: std::time::Duration::from_secs(300),
        session_tickets: true,
        session_ticket_keys: Arc::new([]),
        client_certificate: None,
        trusted_certificate: None,
        verify_client: VerifyClient::Off,
        verify_depth: 1,
        crl: None,
        stapling: false,
        stapling_file: None,
        stapling_responder: None,
        stapling_verify: false,
        dhparam: None,
        reject_handshake: false,
        early_data: false,
        buffer_size: 16 * 1024,
        place,
    }
}
