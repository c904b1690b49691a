//! The answer of a name server: nothing panics, a head is what the first bytes say, and records can
//! be told.

use checkers::dns::{Query, Stray, head, records};
use config::model::checker::RecordType;

pub fn run(data: &[u8]) {
    let id = data.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let query = Query::new(id, RecordType::A, "www.example.com").expect("a name");
    match head(data, &query) {
        Ok(head) => {
            assert!(data.len() >= 12 && data[2] & 0x80 != 0);
            assert!(head.code < 16);
        }
        Err(stray) => {
            assert!(stray != Stray::OtherId, "the id is that of the question");
            assert!(!stray.to_string().is_empty());
        }
    }
    if let Some(records) = records(data) {
        // A record has at least eleven bytes.
        assert!(records.len() * 11 <= data.len());
    }
}
