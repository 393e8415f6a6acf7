//! What a `server` block says of TLS: everything that begins with `ssl_`.

use super::Place;
use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The TLS of a server. Files are named here and read by the traffic side.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// `ssl_certificate`: a file each, or `data:` and the text itself. May have variables.
    pub certificates: Arc<[Template]>,
    /// `ssl_certificate_key`, in the order of the certificates.
    pub keys: Arc<[Template]>,
    /// Where relative paths with variables begin: the folder of the configuration file.
    pub folder: Arc<PathBuf>,
    /// `ssl_password_file`: pass phrases of the keys, one a line.
    pub password_file: Option<PathBuf>,
    /// `ssl_protocols` has TLSv1.2.
    pub tls_1_2: bool,
    /// `ssl_protocols` has TLSv1.3.
    pub tls_1_3: bool,
    /// `ssl_ciphers`: suites of TLS 1.2, most wanted first.
    pub ciphers: Arc<[TlsCipher]>,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server_ciphers: bool,
    /// `ssl_ecdh_curve`: groups of the key exchange, most wanted first.
    pub groups: Arc<[TlsGroup]>,
    /// `ssl_session_cache`.
    pub session_cache: SessionCache,
    /// `ssl_session_timeout`.
    pub session_timeout: Duration,
    /// `ssl_session_tickets`.
    pub session_tickets: bool,
    /// `ssl_session_ticket_key`: the first one encrypts, all decrypt.
    pub session_ticket_keys: Arc<[PathBuf]>,
    /// `ssl_client_certificate`: authorities that are trusted, and named to clients.
    pub client_certificate: Option<PathBuf>,
    /// `ssl_trusted_certificate`: authorities that are trusted, and not named.
    pub trusted_certificate: Option<PathBuf>,
    /// `ssl_verify_client`.
    pub verify_client: VerifyClient,
    /// `ssl_verify_depth`: how many authorities may stand between the client's certificate and a trusted one.
    pub verify_depth: u64,
    /// `ssl_crl`.
    pub crl: Option<PathBuf>,
    /// `ssl_stapling`.
    pub stapling: bool,
    /// `ssl_stapling_file`: the answer of a responder, in DER.
    pub stapling_file: Option<PathBuf>,
    /// `ssl_stapling_responder`: who is asked. `None`: whom the certificate names.
    pub stapling_responder: Option<String>,
    /// `ssl_stapling_verify`: whether a responder that is not the issuer itself has to be named by the issuer.
    pub stapling_verify: bool,
    /// `ssl_dhparam`: read and checked, of no use otherwise.
    pub dhparam: Option<PathBuf>,
    /// `ssl_reject_handshake`.
    pub reject_handshake: bool,
    /// `ssl_early_data`.
    pub early_data: bool,
    /// `ssl_buffer_size`: the longest plaintext of one record.
    pub buffer_size: usize,
    /// Where the server begins, for messages about its files.
    pub place: Place,
}

/// A cipher suite of TLS 1.2 that Culvert has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsCipher {
    /// `ECDHE-ECDSA-AES256-GCM-SHA384`.
    EcdsaAes256,
    /// `ECDHE-RSA-AES256-GCM-SHA384`.
    RsaAes256,
    /// `ECDHE-ECDSA-CHACHA20-POLY1305`.
    EcdsaChacha20,
    /// `ECDHE-RSA-CHACHA20-POLY1305`.
    RsaChacha20,
    /// `ECDHE-ECDSA-AES128-GCM-SHA256`.
    EcdsaAes128,
    /// `ECDHE-RSA-AES128-GCM-SHA256`.
    RsaAes128,
}

impl TlsCipher {
    /// All of them, in OpenSSL's order.
    pub const ALL: [TlsCipher; 6] = [
        TlsCipher::EcdsaAes256,
        TlsCipher::RsaAes256,
        TlsCipher::EcdsaChacha20,
        TlsCipher::RsaChacha20,
        TlsCipher::EcdsaAes128,
        TlsCipher::RsaAes128,
    ];

    /// OpenSSL's name.
    pub fn name(self) -> &'static str {
        match self {
            TlsCipher::EcdsaAes256 => "ECDHE-ECDSA-AES256-GCM-SHA384",
            TlsCipher::RsaAes256 => "ECDHE-RSA-AES256-GCM-SHA384",
            TlsCipher::EcdsaChacha20 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            TlsCipher::RsaChacha20 => "ECDHE-RSA-CHACHA20-POLY1305",
            TlsCipher::EcdsaAes128 => "ECDHE-ECDSA-AES128-GCM-SHA256",
            TlsCipher::RsaAes128 => "ECDHE-RSA-AES128-GCM-SHA256",
        }
    }
}

/// A group of the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsGroup {
    /// `X25519`.
    X25519,
    /// `prime256v1`.
    P256,
    /// `secp384r1`.
    P384,
    /// `X25519MLKEM768`, which resists quantum computers.
    X25519MlKem768,
}

/// `ssl_session_cache`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionCache {
    /// `off`: no session is kept, and none is taken up again by its number.
    Off,
    /// `none`, the default: the same, said more gently.
    None,
    /// `builtin`, with the number of sessions: this server's own.
    Builtin(usize),
    /// `shared:name:size`: of all servers that name it.
    Shared {
        /// Its name.
        name: String,
        /// Its size in bytes.
        bytes: usize,
    },
}

/// `ssl_verify_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyClient {
    /// No certificate is asked for.
    Off,
    /// Without a good one, requests are refused.
    On,
    /// One that is not good is refused; none is fine.
    Optional,
    /// One is asked for; who signed it is for the application to judge.
    OptionalNoCa,
}
