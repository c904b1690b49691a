//! The answer of a web server: nothing panics, the result does not depend on the portions in which
//! the answer comes, and what is made of it can be told.
//!
//! The bytes: how long the portions are (two lengths in turn), which expression is wanted, and the
//! answer.

use checkers::http::response::{End, Malformed, Piece, Progress, Response};
use checkers::http::{HttpFailure, Judge};
use checkers::regex::Expression;
use config::model::checker::{Regex, Url};

const EXPRESSIONS: [&str; 4] = ["ok", "^a*b$", "(?<=x)y", r#"{"status": ?"(fine|well)"}"#];

pub fn run(data: &[u8]) {
    let Some((&[one, two, expression], text)) = data.split_first_chunk() else { return };
    let url = Url {
        path: "/".to_owned(),
        digest: Some([expression; 16]),
        status: vec![(100, 599)],
        virtualhost: None,
        regex: Some(Box::new(Regex {
            pattern: EXPRESSIONS[usize::from(expression) % EXPRESSIONS.len()].to_owned(),
            negate: expression & 0x80 != 0,
            options: Vec::new(),
            min_offset: 0,
            max_offset: None,
            stack: None,
        })),
        tls_compliant: None,
    };
    let whole = read(&url, &mut [text].into_iter());
    let (mut rest, mut turn) = (text, 0);
    let mut portions = std::iter::from_fn(|| {
        let length = usize::from([one, two][turn % 2]) + 1;
        turn += 1;
        let (portion, after) = rest.split_at(rest.len().min(length));
        rest = after;
        (!portion.is_empty()).then_some(portion)
    });
    assert_eq!(read(&url, &mut portions), whole);
    let (_, body, _, judged) = whole;
    assert!(body.len() <= text.len());
    match judged {
        Ok(()) => {}
        Err(failure) => assert!(!failure.to_string().is_empty()),
    }
}

type Read = (Vec<u8>, Vec<u8>, Result<End, Malformed>, Result<(), HttpFailure>);

fn read(url: &Url, portions: &mut dyn Iterator<Item = &[u8]>) -> Read {
    let (mut response, mut judge) = (Response::new(), Judge::new(url));
    let (mut head, mut body) = (Vec::new(), Vec::new());
    let mut ended = None;
    for portion in portions {
        let taken = response.take(portion, &mut |piece| {
            judge.take(&piece);
            match piece {
                Piece::Head(part) => head.extend_from_slice(part),
                Piece::Body(part) => body.extend_from_slice(part),
                Piece::Framing(_) => {}
            }
        });
        match taken {
            Ok(Progress::More) => {}
            Ok(Progress::Complete) => {
                ended = Some(Ok(End::Complete));
                break;
            }
            Err(error) => {
                ended = Some(Err(error));
                break;
            }
        }
    }
    let end = ended.unwrap_or_else(|| response.end());
    let judged = end.clone().map_err(HttpFailure::from).and_then(|end| {
        judge.status(response.status().expect("headers are complete"))?;
        let Some(search) = judge.body(end)? else { return Ok(()) };
        let expression = url.regex.as_ref().expect("there is one");
        let expression = Expression::new(expression).expect("it is fine");
        let found = expression.find_in_answer(&search.answer, search.head);
        judge.found(found.map_err(Into::into), end)
    });
    (head, body, end, judged)
}
