//! The words for a status and the built-in page of an error, after nginx's habits.

/// What stands behind `status` in a status line; empty for one that has no usual words.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// What nginx's own statuses, which clients see as 400, say in more detail.
fn detail(status: u16) -> &'static str {
    match status {
        494 => "Request Header Or Cookie Too Large",
        495 => "The SSL certificate error",
        496 => "No required SSL certificate was sent",
        497 => "The plain HTTP request was sent to HTTPS port",
        _ => "",
    }
}

/// The built-in page for `status`, signed with `product`; `None` for a status that has none.
pub(super) fn page(status: u16, product: &str) -> Option<String> {
    let (title, heading) = match status {
        301 | 302 | 303 | 307 | 308 | 400..=406 | 408..=416 | 421 | 426 | 429 | 500..=505 | 507 => {
            let title = match status {
                302 => "302 Found".into(),
                401 => "401 Authorization Required".into(),
                503 => "503 Service Temporarily Unavailable".into(),
                _ if reason(status).is_empty() => return None,
                _ => format!("{status} {}", reason(status)),
            };
            (title.clone(), title)
        }
        494..=497 => (format!("400 {}", detail(status)), "400 Bad Request".into()),
        _ => return None,
    };
    let detail = match detail(status) {
        "" => String::new(),
        detail => format!("<center>{detail}</center>\r\n"),
    };
    Some(format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{heading}</h1></center>\r\n{detail}<hr><center>{product}</center>\r\n</body>\r\n</html>\r\n"
    ))
}
