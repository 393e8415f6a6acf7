//! The language of `ssl_ciphers`: OpenSSL's cipher lists (ciphers(1)), over the suites that Culvert has.

use crate::config::TlsCipher;

/// What a list comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The suites, most wanted first.
    pub(crate) ciphers: Vec<TlsCipher>,
    /// Suites that the list names and OpenSSL has, but Culvert has not.
    pub(crate) missing: Vec<String>,
    /// Words that OpenSSL has no meaning for either; it passes over them.
    pub(crate) unknown: bool,
}

/// Reads a list as OpenSSL does: words add suites at the end, `!` bans them, `-` takes them out, `+` moves them back.
pub(crate) fn parse(list: &str) -> Chosen {
    let mut chosen = Chosen { ciphers: Vec::new(), missing: Vec::new(), unknown: false };
    let mut banned = Vec::new();
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        if word.starts_with('@') {
            if word == "@STRENGTH" {
                chosen.ciphers.sort_by_key(|cipher| bits(*cipher) == 128);
            }
            continue;
        }
        let (action, name) = match word.split_at(1) {
            (action @ ("!" | "-" | "+"), name) => (action, name),
            _ => ("", word),
        };
        let Some(named) = select(name) else {
            chosen.unknown = true;
            continue;
        };
        if named.is_empty() && action.is_empty() && is_suite(name) {
            chosen.missing.push(name.to_owned());
        }
        match action {
            "!" => {
                chosen.ciphers.retain(|cipher| !named.contains(cipher));
                banned.extend(named);
            }
            "-" => chosen.ciphers.retain(|cipher| !named.contains(cipher)),
            "+" => {
                let (back, front): (Vec<_>, Vec<_>) = chosen.ciphers.iter().partition(|cipher| named.contains(cipher));
                chosen.ciphers = [front, back].concat();
            }
            _ => {
                let new = named.into_iter().filter(|cipher| !banned.contains(cipher));
                let new: Vec<_> = new.filter(|cipher| !chosen.ciphers.contains(cipher)).collect();
                chosen.ciphers.extend(new);
            }
        }
    }
    chosen
}

/// The suites that a word stands for; words joined by `+` stand for those that all of them do. `None` for a word that
/// OpenSSL does not know.
fn select(word: &str) -> Option<Vec<TlsCipher>> {
    let mut selected = TlsCipher::ALL.to_vec();
    for part in word.split('+') {
        if let Some(cipher) = TlsCipher::ALL.into_iter().find(|cipher| cipher.name() == part) {
            selected.retain(|other| *other == cipher);
        } else if is_suite(part) {
            selected.clear();
        } else {
            let is_in = class(part)?;
            selected.retain(|cipher| is_in(*cipher));
        }
    }
    Some(selected)
}

/// What a word for a class says of a suite.
fn class(word: &str) -> Option<fn(TlsCipher) -> bool> {
    Some(match word {
        "ALL"
        | "DEFAULT"
        | "COMPLEMENTOFDEFAULT"
        | "HIGH"
        | "FIPS"
        | "TLSv1.2"
        | "ECDHE"
        | "EECDH"
        | "kEECDH"
        | "kECDHE"
        | "AEAD" => match word {
            "COMPLEMENTOFDEFAULT" => |_| false,
            "FIPS" => |cipher| !is_chacha(cipher),
            _ => |_| true,
        },
        "AES" | "AESGCM" => |cipher| !is_chacha(cipher),
        "AES128" => |cipher| bits(cipher) == 128,
        "AES256" => |cipher| bits(cipher) == 256 && !is_chacha(cipher),
        "CHACHA20" => is_chacha,
        "aRSA" => is_rsa,
        "aECDSA" | "ECDSA" => |cipher| !is_rsa(cipher),
        "SUITEB128" | "SUITEB128ONLY" => |cipher| cipher == TlsCipher::EcdsaAes128,
        "SUITEB192" => |cipher| cipher == TlsCipher::EcdsaAes256,
        _ if NONE_OF_OURS.contains(&word) => |_| false,
        _ => return None,
    })
}

fn is_rsa(cipher: TlsCipher) -> bool {
    cipher.name().starts_with("ECDHE-RSA")
}

fn is_chacha(cipher: TlsCipher) -> bool {
    cipher.name().contains("CHACHA20")
}

fn bits(cipher: TlsCipher) -> u16 {
    if cipher.name().contains("AES128") { 128 } else { 256 }
}

fn is_suite(word: &str) -> bool {
    OTHER_SUITES.split(' ').any(|name| name == word)
}

/// Classes that have no suite in common with ours: old, weak, static, anonymous, or of pre-shared keys. `SHA256` and `SHA384`
/// are of suites with such a MAC, which authenticated encryption has none of.
const NONE_OF_OURS: &[&str] = &[
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "ECDH",
    "EDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "GOST89MAC",
    "GOST94",
    "IDEA",
    "KRB5",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "aDH",
    "aDSS",
    "aECDH",
    "aGOST",
    "aGOST01",
    "aNULL",
    "aPSK",
    "aSRP",
    "eNULL",
    "kDH",
    "kDHE",
    "kDHEPSK",
    "kDHd",
    "kDHr",
    "kECDH",
    "kECDHEPSK",
    "kECDHe",
    "kECDHr",
    "kEDH",
    "kGOST",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

/// OpenSSL's names of the suites that Culvert does not have.
const OTHER_SUITES: &str = "\
    ADH-AES128-GCM-SHA256 ADH-AES128-SHA ADH-AES128-SHA256 ADH-AES256-GCM-SHA384 ADH-AES256-SHA ADH-AES256-SHA256 \
    ADH-CAMELLIA128-SHA ADH-CAMELLIA128-SHA256 ADH-CAMELLIA256-SHA ADH-CAMELLIA256-SHA256 AECDH-AES128-SHA \
    AECDH-AES256-SHA AECDH-NULL-SHA AES128-CCM AES128-CCM8 AES128-GCM-SHA256 AES128-SHA AES128-SHA256 AES256-CCM \
    AES256-CCM8 AES256-GCM-SHA384 AES256-SHA AES256-SHA256 ARIA128-GCM-SHA256 ARIA256-GCM-SHA384 CAMELLIA128-SHA \
    CAMELLIA128-SHA256 CAMELLIA256-SHA CAMELLIA256-SHA256 DHE-DSS-AES128-GCM-SHA256 DHE-DSS-AES128-SHA \
    DHE-DSS-AES128-SHA256 DHE-DSS-AES256-GCM-SHA384 DHE-DSS-AES256-SHA DHE-DSS-AES256-SHA256 \
    DHE-DSS-ARIA128-GCM-SHA256 DHE-DSS-ARIA256-GCM-SHA384 DHE-DSS-CAMELLIA128-SHA DHE-DSS-CAMELLIA128-SHA256 \
    DHE-DSS-CAMELLIA256-SHA DHE-DSS-CAMELLIA256-SHA256 DHE-PSK-AES128-CBC-SHA DHE-PSK-AES128-CBC-SHA256 \
    DHE-PSK-AES128-CCM DHE-PSK-AES128-CCM8 DHE-PSK-AES128-GCM-SHA256 DHE-PSK-AES256-CBC-SHA \
    DHE-PSK-AES256-CBC-SHA384 DHE-PSK-AES256-CCM DHE-PSK-AES256-CCM8 DHE-PSK-AES256-GCM-SHA384 \
    DHE-PSK-ARIA128-GCM-SHA256 DHE-PSK-ARIA256-GCM-SHA384 DHE-PSK-CAMELLIA128-SHA256 DHE-PSK-CAMELLIA256-SHA384 \
    DHE-PSK-CHACHA20-POLY1305 DHE-PSK-NULL-SHA DHE-PSK-NULL-SHA256 DHE-PSK-NULL-SHA384 DHE-RSA-AES128-CCM \
    DHE-RSA-AES128-CCM8 DHE-RSA-AES128-GCM-SHA256 DHE-RSA-AES128-SHA DHE-RSA-AES128-SHA256 DHE-RSA-AES256-CCM \
    DHE-RSA-AES256-CCM8 DHE-RSA-AES256-GCM-SHA384 DHE-RSA-AES256-SHA DHE-RSA-AES256-SHA256 \
    DHE-RSA-ARIA128-GCM-SHA256 DHE-RSA-ARIA256-GCM-SHA384 DHE-RSA-CAMELLIA128-SHA DHE-RSA-CAMELLIA128-SHA256 \
    DHE-RSA-CAMELLIA256-SHA DHE-RSA-CAMELLIA256-SHA256 DHE-RSA-CHACHA20-POLY1305 ECDHE-ARIA128-GCM-SHA256 \
    ECDHE-ARIA256-GCM-SHA384 ECDHE-ECDSA-AES128-CCM ECDHE-ECDSA-AES128-CCM8 ECDHE-ECDSA-AES128-SHA \
    ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES256-CCM ECDHE-ECDSA-AES256-CCM8 ECDHE-ECDSA-AES256-SHA \
    ECDHE-ECDSA-AES256-SHA384 ECDHE-ECDSA-ARIA128-GCM-SHA256 ECDHE-ECDSA-ARIA256-GCM-SHA384 \
    ECDHE-ECDSA-CAMELLIA128-SHA256 ECDHE-ECDSA-CAMELLIA256-SHA384 ECDHE-ECDSA-NULL-SHA ECDHE-PSK-AES128-CBC-SHA \
    ECDHE-PSK-AES128-CBC-SHA256 ECDHE-PSK-AES256-CBC-SHA ECDHE-PSK-AES256-CBC-SHA384 ECDHE-PSK-CAMELLIA128-SHA256 \
    ECDHE-PSK-CAMELLIA256-SHA384 ECDHE-PSK-CHACHA20-POLY1305 ECDHE-PSK-NULL-SHA ECDHE-PSK-NULL-SHA256 \
    ECDHE-PSK-NULL-SHA384 ECDHE-RSA-AES128-SHA ECDHE-RSA-AES128-SHA256 ECDHE-RSA-AES256-SHA \
    ECDHE-RSA-AES256-SHA384 ECDHE-RSA-CAMELLIA128-SHA256 ECDHE-RSA-CAMELLIA256-SHA384 ECDHE-RSA-NULL-SHA NULL-MD5 \
    NULL-SHA NULL-SHA256 PSK-AES128-CBC-SHA PSK-AES128-CBC-SHA256 PSK-AES128-CCM PSK-AES128-CCM8 \
    PSK-AES128-GCM-SHA256 PSK-AES256-CBC-SHA PSK-AES256-CBC-SHA384 PSK-AES256-CCM PSK-AES256-CCM8 \
    PSK-AES256-GCM-SHA384 PSK-ARIA128-GCM-SHA256 PSK-ARIA256-GCM-SHA384 PSK-CAMELLIA128-SHA256 \
    PSK-CAMELLIA256-SHA384 PSK-CHACHA20-POLY1305 PSK-NULL-SHA PSK-NULL-SHA256 PSK-NULL-SHA384 \
    RSA-PSK-AES128-CBC-SHA RSA-PSK-AES128-CBC-SHA256 RSA-PSK-AES128-GCM-SHA256 RSA-PSK-AES256-CBC-SHA \
    RSA-PSK-AES256-CBC-SHA384 RSA-PSK-AES256-GCM-SHA384 RSA-PSK-ARIA128-GCM-SHA256 RSA-PSK-ARIA256-GCM-SHA384 \
    RSA-PSK-CAMELLIA128-SHA256 RSA-PSK-CAMELLIA256-SHA384 RSA-PSK-CHACHA20-POLY1305 RSA-PSK-NULL-SHA \
    RSA-PSK-NULL-SHA256 RSA-PSK-NULL-SHA384 SRP-AES-128-CBC-SHA SRP-AES-256-CBC-SHA SRP-DSS-AES-128-CBC-SHA \
    SRP-DSS-AES-256-CBC-SHA SRP-RSA-AES-128-CBC-SHA SRP-RSA-AES-256-CBC-SHA \
";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> String {
        parse(list).ciphers.iter().map(|cipher| cipher.name()).collect::<Vec<_>>().join(":")
    }

    #[test]
    fn a_list_names_suites_in_the_order_of_preference() {
        let list = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
        assert_eq!(names(list), list);
        assert_eq!(parse("HIGH:!aNULL:!MD5").ciphers, TlsCipher::ALL);
        assert_eq!(parse("EECDH+AESGCM:EDH+AESGCM").ciphers.len(), 4);
        assert_eq!(names("CHACHA20:!aRSA"), "ECDHE-ECDSA-CHACHA20-POLY1305");
    }

    #[test]
    fn signs_ban_take_out_and_move_suites() {
        assert_eq!(names("AES128:AES256:!ECDSA:AES128"), "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384");
        assert_eq!(names("aRSA:-AES:AES128+aRSA"), "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256");
        assert_eq!(names("aRSA+AESGCM:+AES256"), "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384");
        assert_eq!(names("AES128:AES256:@STRENGTH:!ECDSA"), "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256");
    }

    #[test]
    fn suites_that_only_openssl_has_are_told_from_those_that_nobody_has() {
        let chosen = parse("DHE-RSA-AES128-GCM-SHA256:AES128-SHA:aRSA:NO-SUCH-SUITE");
        assert_eq!(chosen.missing, ["DHE-RSA-AES128-GCM-SHA256", "AES128-SHA"]);
        assert!(chosen.unknown && chosen.ciphers.len() == 3);
    }
}
