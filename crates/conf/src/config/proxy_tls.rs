//! What a location says of TLS towards its servers: everything that begins with `proxy_ssl_`.

use super::TlsCipher;
use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;

/// TLS towards servers. Files are named here and read by the traffic side.
#[derive(Debug, Clone)]
pub struct ProxyTls {
    /// `proxy_ssl_name`: what the server is asked for and has to prove to be. `None`: the host of `proxy_pass`.
    pub name: Option<Template>,
    /// `proxy_ssl_server_name`: whether it is asked for by that name (SNI).
    pub server_name: bool,
    /// `proxy_ssl_verify`.
    pub verify: bool,
    /// `proxy_ssl_verify_depth`: how many authorities may stand between the server's certificate and a trusted one.
    pub verify_depth: u64,
    /// `proxy_ssl_trusted_certificate`.
    pub trusted_certificate: Option<PathBuf>,
    /// `proxy_ssl_crl`.
    pub crl: Option<PathBuf>,
    /// `proxy_ssl_certificate`: a file, or `data:` and the text itself. May have variables.
    pub certificate: Option<Template>,
    /// `proxy_ssl_certificate_key`.
    pub key: Option<Template>,
    /// Where relative paths with variables begin: the folder of the configuration file.
    pub folder: PathBuf,
    /// `proxy_ssl_password_file`: pass phrases of the key, one a line.
    pub password_file: Option<PathBuf>,
    /// `proxy_ssl_protocols` has TLSv1.2.
    pub tls_1_2: bool,
    /// `proxy_ssl_protocols` has TLSv1.3.
    pub tls_1_3: bool,
    /// `proxy_ssl_ciphers`: suites of TLS 1.2, most wanted first.
    pub ciphers: Arc<[TlsCipher]>,
    /// `proxy_ssl_session_reuse`.
    pub session_reuse: bool,
}
