//! The names of `SRV` records.

/// The name to ask for, from `service=` and the server's name: `http` becomes `_http._tcp.name` (RFC 2782), and a
/// service with a dot in it stands before the name as it is.
pub fn srv_name(service: &str, name: &str) -> String {
    if service.contains('.') { format!("{service}.{name}") } else { format!("_{service}._tcp.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_service_gets_its_protocol() {
        assert_eq!(srv_name("http", "a.example"), "_http._tcp.a.example");
        assert_eq!(srv_name("_http._tcp", "a.example"), "_http._tcp.a.example");
        assert_eq!(srv_name("server1.dc1", "a.example"), "server1.dc1.a.example");
    }
}
