//! Questions and answers of DNS (RFC 1035 §4.1): no I/O.

use std::net::IpAddr;

use config::model::checker::RecordType;
use hickory_proto::op::{self, Message, MessageType, OpCode};
use hickory_proto::rr::{self, Name, RData};

/// A question, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    id: u16,
    bytes: Vec<u8>,
}

impl Query {
    /// The question under that number, recursion desired; `None` if DNS has no such name.
    pub fn new(id: u16, record: RecordType, name: &str) -> Option<Self> {
        let mut name = Name::from_str_relaxed(name).ok()?;
        name.set_fqdn(true);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(op::Query::query(name, record_type(record)));
        Some(Self { id, bytes: message.to_vec().ok()? })
    }

    /// The datagram.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// With its length before it, for TCP.
    pub fn with_length(&self) -> Vec<u8> {
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes(), self.bytes.as_slice()].concat()
    }
}

fn record_type(record: RecordType) -> rr::RecordType {
    match record {
        RecordType::A => rr::RecordType::A,
        RecordType::Ns => rr::RecordType::NS,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Soa => rr::RecordType::SOA,
        RecordType::Mx => rr::RecordType::MX,
        RecordType::Txt => rr::RecordType::TXT,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Rrsig => rr::RecordType::RRSIG,
        RecordType::Dnskey => rr::RecordType::DNSKEY,
    }
}

/// What the first twelve bytes of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// RCODE: 0 is NOERROR.
    pub code: u8,
    /// TC: there is more than fits.
    pub truncated: bool,
    /// ANCOUNT.
    pub answers: u16,
}

/// This is no answer to our question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stray {
    /// Fewer than twelve bytes.
    #[error("of {0} bytes")]
    Short(usize),
    /// The answer to another question, or nobody's.
    #[error("with another id")]
    OtherId,
    /// A question.
    #[error("that is itself a question")]
    Question,
}

/// Reads the head of an answer to the question. The rest is not looked at: an answer without an
/// error is fine even if its records are not.
///
/// # Errors
/// It is not an answer to this question.
pub fn head(bytes: &[u8], query: &Query) -> Result<Head, Stray> {
    let [i, d, flags, code, _, _, an, count, _, _, _, _, ..] = bytes else {
        return Err(Stray::Short(bytes.len()));
    };
    if u16::from_be_bytes([*i, *d]) != query.id {
        return Err(Stray::OtherId);
    }
    if flags & 0x80 == 0 {
        return Err(Stray::Question);
    }
    Ok(Head {
        code: code & 0xf,
        truncated: flags & 0x02 != 0,
        answers: u16::from_be_bytes([*an, *count]),
    })
}

/// The data of the records in the answer section, as text; `None` if they cannot be read.
pub fn records(bytes: &[u8]) -> Option<Vec<String>> {
    let message = Message::from_vec(bytes).ok()?;
    Some(message.answers.iter().map(|record| text(&record.data)).collect())
}

fn text(data: &RData) -> String {
    match data {
        // RFC 3597 §5
        RData::Unknown { rdata, .. } => {
            let bytes = &rdata.anything;
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\# {} {digits}", bytes.len())
        }
        data => data.to_string(),
    }
}

/// Those of the expected texts that no record has. Case, quotes, runs of blanks, the dot at the end
/// of a name and the way that an address is written do not count.
pub(super) fn missing(expected: &[String], came: &[String]) -> Vec<String> {
    let came: Vec<String> = came.iter().map(|text| plain(text)).collect();
    expected.iter().filter(|text| !came.contains(&plain(text))).cloned().collect()
}

fn plain(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let word = word.trim_matches('"');
        match word.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The name of a response code.
pub(super) fn code_name(code: u8) -> String {
    let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    match names.get(usize::from(code)) {
        Some(name) => (*name).to_owned(),
        None => format!("response code {code}"),
    }
}
