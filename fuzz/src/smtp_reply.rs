//! The replies of a mail server: nothing panics, and the result does not depend on the portions in
//! which they come.
//!
//! The bytes: how long the portions are, and the replies.

use checkers::smtp::{Malformed, Reply, ReplyReader};

pub fn run(data: &[u8]) {
    let Some((length, text)) = data.split_first() else { return };
    let whole = read(text.chunks(text.len().max(1)));
    assert_eq!(read(text.chunks(usize::from(*length) + 1)), whole);
    let (replies, malformed) = whole;
    for reply in replies {
        assert!((200..600).contains(&reply.code));
        assert!(reply.to_string().is_ascii());
    }
    if let Some(malformed) = malformed {
        assert!(!malformed.to_string().is_empty());
    }
}

fn read<'a>(portions: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<Malformed>) {
    let (mut reader, mut replies) = (ReplyReader::new(), Vec::new());
    for portion in portions {
        reader.take(portion);
        loop {
            match reader.reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(malformed) => return (replies, Some(malformed)),
            }
        }
    }
    (replies, None)
}
