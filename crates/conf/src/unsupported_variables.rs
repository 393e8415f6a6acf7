//! Variables of nginx, stock and commercial, that Culvert does not have, each with the reason. A name leaves this list when
//! a row for it appears in the table of variables.

/// Names that share a reason; one that ends in an underscore stands for all that begin with it.
struct Group {
    why: &'static str,
    names: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        why: "certificates are not fetched; run an ACME client beside the gateway",
        names: &["acme_certificate", "acme_certificate_key"],
    },
    Group { why: "`map $http_user_agent` tells browsers apart", names: &["ancient_browser", "modern_browser", "msie"] },
    Group {
        why: "it belongs to the `stream` module",
        names: &[
            "bytes_received",
            "mqtt_preread_clientid",
            "mqtt_preread_username",
            "protocol",
            "session_time",
            "ssl_preread_alpn_protocols",
            "ssl_preread_protocol",
            "ssl_preread_server_name",
            "upstream_first_byte_time",
            "upstream_session_time",
        ],
    },
    Group {
        why: "Culvert does not speak FastCGI to its upstreams",
        names: &["fastcgi_path_info", "fastcgi_script_name"],
    },
    Group { why: "databases of addresses are not read; `geo` takes networks", names: &["geoip_"] },
    Group { why: "HTTP/3 is not supported; `$http2` tells of HTTP/2", names: &["http3", "quic_connection"] },
    Group {
        why: "tokens are not looked into; `auth_request` may ask a service that does, and `auth_request_set` take its answer",
        names: &["jwt_claim_", "jwt_header_", "jwt_payload", "oidc_access_token", "oidc_claim_", "oidc_id_token"],
    },
    Group { why: "Culvert does not speak memcached to its upstreams", names: &["memcached_key"] },
    Group {
        why: "traces are not exported; `$request_id` ties log lines together",
        names: &["otel_parent_id", "otel_parent_sampled", "otel_span_id", "otel_trace_id"],
    },
    Group { why: "there are no session logs", names: &["session_log_binary_id", "session_log_id"] },
    Group { why: "responses are not fetched in slices", names: &["slice_range"] },
    Group { why: "SPDY is gone", names: &["spdy", "spdy_request_priority"] },
    Group {
        why: "rustls does not tell it",
        names: &["ssl_client_sigalg", "ssl_ech_outer_server_name", "ssl_ech_status", "ssl_sigalg"],
    },
    Group { why: "cookies that tell users apart are the application's", names: &["uid_got", "uid_reset", "uid_set"] },
];

/// Why nginx has a variable of this name and Culvert has not.
pub(crate) fn reason(name: &str) -> Option<&'static str> {
    let is = |known: &&str| if known.ends_with('_') { name.starts_with(known) } else { name == *known };
    GROUPS.iter().find(|group| group.names.iter().any(is)).map(|group| group.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_engine::variable::{FAMILIES, TABLE};

    #[test]
    fn every_variable_of_nginx_works_or_is_refused_by_name() {
        let index = include_str!("../tests/nginx/variables.txt");
        for name in index.lines().filter(|line| !line.starts_with('#')) {
            let works = TABLE.iter().any(|row| row.name == name)
                || FAMILIES.iter().any(|row| row.prefix == name)
                || name.starts_with("proxy_protocol_tlv_");
            assert!(works != reason(name).is_some(), "${name} works: {works}, is refused: {:?}", reason(name));
        }
    }

    #[test]
    fn no_reason_is_given_twice() {
        let names: Vec<&str> = GROUPS.iter().flat_map(|group| group.names).copied().collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name}");
        }
    }
}
