//! `stub_status`: nginx's four lines of numbers.

use crate::exchange::content::Reply;
use crate::exchange::{Exchange, Next};
use crate::observe::metrics::{Tally, sum};
use bytes::Bytes;

/// Answers `GET` and `HEAD`.
pub(in crate::exchange) fn answer(exchange: &Exchange) -> Next {
    match exchange.request.method() {
        b"GET" | b"HEAD" => Next::Reply(Box::new(Reply::text(200, Bytes::from_static(b"text/plain"), text().into()))),
        _ => Next::Status(405),
    }
}

/// With the blanks at line ends and before the second line's numbers that nginx has.
fn text() -> String {
    let [active, accepted, handled, requests] =
        [Tally::Active, Tally::Accepted, Tally::Handled, Tally::Requests].map(sum);
    let [reading, writing, waiting] = [Tally::Reading, Tally::Writing, Tally::Waiting].map(sum);
    format!(
        "Active connections: {active} \nserver accepts handled requests\n {accepted} {handled} {requests} \n\
         Reading: {reading} Writing: {writing} Waiting: {waiting} \n"
    )
}
