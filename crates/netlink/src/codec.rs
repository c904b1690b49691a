//! Netlink framing: messages and attributes, written and read.
//!
//! Integers are in host byte order unless a method says otherwise. Reading never panics: what does
//! not fit into its frame ends the iteration.

use std::net::IpAddr;

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// Flag on attributes that contain attributes.
const NESTED: u16 = 0x8000;
/// What is left of an attribute's type without its two flag bits.
const TYPE_MASK: u16 = 0x3fff;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;

pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;

const fn align(len: usize) -> usize {
    (len + 3) & !3
}

/// Writes messages one after the other into one buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    start: usize,
    overflow: bool,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), start: 0, overflow: false }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.overflow = false;
    }

    /// Begins a message; its length is filled in by [`Writer::end`].
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, seq: u32) {
        self.start = self.bytes.len();
        self.overflow = false;
        let mut header = [0; HEADER];
        header[4..6].copy_from_slice(&kind.to_ne_bytes());
        header[6..8].copy_from_slice(&flags.to_ne_bytes());
        header[8..12].copy_from_slice(&seq.to_ne_bytes());
        self.put(&header);
    }

    /// Ends the message. When an attribute was too long for its length field, the message is
    /// taken back and `false` returned.
    pub(crate) fn end(&mut self) -> bool {
        let Ok(len) = u32::try_from(self.bytes.len() - self.start) else {
            self.overflow = true;
            self.abandon();
            return false;
        };
        if self.overflow {
            self.abandon();
            return false;
        }
        self.bytes[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
        self.pad();
        true
    }

    /// Takes back the message that was begun.
    pub(crate) fn abandon(&mut self) {
        self.bytes.truncate(self.start);
    }

    pub(crate) fn put_u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn put_u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn put_u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn attr(&mut self, kind: u16, data: &[u8]) {
        let at = self.open(kind);
        self.put(data);
        self.close(at);
    }

    pub(crate) fn attr_u8(&mut self, kind: u16, value: u8) {
        self.attr_word(kind, 1, [value, 0, 0, 0]);
    }

    pub(crate) fn attr_u16(&mut self, kind: u16, value: u16) {
        let [a, b] = value.to_ne_bytes();
        self.attr_word(kind, 2, [a, b, 0, 0]);
    }

    /// A 16-bit integer in network byte order.
    pub(crate) fn attr_be16(&mut self, kind: u16, value: u16) {
        let [a, b] = value.to_be_bytes();
        self.attr_word(kind, 2, [a, b, 0, 0]);
    }

    pub(crate) fn attr_u32(&mut self, kind: u16, value: u32) {
        self.attr_word(kind, 4, value.to_ne_bytes());
    }

    /// An attribute of up to four bytes, padding included, in one go: most are no longer, and a large
    /// table has half a million of them.
    #[inline]
    fn attr_word(&mut self, kind: u16, len: u16, data: [u8; 4]) {
        let [a, b] = (4 + len).to_ne_bytes();
        let [c, d] = kind.to_ne_bytes();
        let [e, f, g, h] = data;
        self.put(&[a, b, c, d, e, f, g, h]);
    }

    /// A string with the terminating NUL that the kernel expects.
    pub(crate) fn attr_str(&mut self, kind: u16, value: &str) {
        let at = self.open(kind);
        self.put(value.as_bytes());
        self.put_u8(0);
        self.close(at);
    }

    pub(crate) fn attr_ip(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.attr(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attr(kind, &ip.octets()),
        }
    }

    /// An attribute whose content is what `fill` writes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let at = self.open(kind | NESTED);
        fill(self);
        self.close(at);
    }

    /// Likewise, without the flag that says "nested": for content that is not only attributes.
    pub(crate) fn enclose(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let at = self.open(kind);
        fill(self);
        self.close(at);
    }

    /// A 16-bit length field in front of what `fill` writes, counting itself: `struct rtnexthop`.
    pub(crate) fn length_prefixed(&mut self, fill: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.put_u16(0);
        fill(self);
        self.close(at);
    }

    fn open(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.put_u16(0);
        self.put_u16(kind);
        at
    }

    fn close(&mut self, at: usize) {
        match u16::try_from(self.bytes.len() - at) {
            Ok(len) => self.bytes[at..at + 2].copy_from_slice(&len.to_ne_bytes()),
            Err(_) => self.overflow = true,
        }
        self.pad();
    }

    fn pad(&mut self) {
        let len = align(self.bytes.len());
        if len > self.bytes.len() {
            self.bytes.resize(len, 0);
        }
    }
}

/// One message of a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let len = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let frame = self.0.get(..len)?;
        let message = Message {
            kind: u16_at(frame, 4)?,
            flags: u16_at(frame, 6)?,
            seq: u32_at(frame, 8)?,
            payload: frame.get(HEADER..)?,
        };
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some(message)
    }
}

/// What an `NLMSG_ERROR` or `NLMSG_DONE` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Positive error number, 0 for success.
    pub(crate) errno: i32,
    pub(crate) message: Option<String>,
}

impl<'a> Message<'a> {
    /// Reads the result that an acknowledgement or the end of a dump carries.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let code = i32::from_ne_bytes(*self.payload.first_chunk::<4>()?);
        let mut outcome = Outcome { errno: code.checked_neg().unwrap_or(0).max(0), message: None };
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return Some(outcome);
        }
        let skip = if self.kind == NLMSG_DONE {
            4
        } else if self.flags & NLM_F_CAPPED != 0 {
            4 + HEADER
        } else {
            // The request itself comes back, header included.
            4 + align(usize::try_from(u32_at(self.payload, 4)?).ok()?)
        };
        for attribute in Attributes(self.payload.get(skip..).unwrap_or_default()) {
            const MSG: u16 = 1;
            if attribute.kind == MSG {
                outcome.message = Some(attribute.text());
            }
        }
        Some(outcome)
    }

    /// The fixed part of the payload and the attributes behind it.
    pub(crate) fn split(&self, fixed: usize) -> Option<(&'a [u8], Attributes<'a>)> {
        let head = self.payload.get(..fixed)?;
        Some((head, Attributes(self.payload.get(align(fixed)..).unwrap_or_default())))
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) data: &'a [u8],
}

impl<'a> Attribute<'a> {
    pub(crate) fn u8(&self) -> Option<u8> {
        self.data.first().copied()
    }

    pub(crate) fn u16(&self) -> Option<u16> {
        u16_at(self.data, 0)
    }

    pub(crate) fn u32(&self) -> Option<u32> {
        u32_at(self.data, 0)
    }

    /// An address, told apart by its length.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip(self.data)
    }

    /// Text up to the first NUL; what is not UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        let text = self.data.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes(self.data)
    }
}

/// The attributes in a stretch of bytes.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let len = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE_MASK;
        let data = self.0.get(ATTRIBUTE_HEADER..len)?;
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some(Attribute { kind, data })
    }
}

/// A 16-bit integer at an offset.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|chunk| u16::from_ne_bytes(*chunk))
}

/// A 32-bit integer at an offset.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// An address of 4 or 16 bytes.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::default();
        writer.begin(20, NLM_F_REQUEST, 7);
        writer.put(&[1, 2, 3, 4]);
        writer.attr_str(3, "eth0");
        writer.nest(5, |inner| inner.attr_u16(1, 0x1234));
        assert!(writer.end());
        writer.begin(21, 0, 8);
        assert!(writer.end());

        let messages: Vec<_> = Messages(writer.bytes()).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].kind, messages[0].seq, messages[1].seq), (20, 7, 8));
        let (head, attributes) = messages[0].split(4).unwrap();
        assert_eq!(head, [1, 2, 3, 4]);
        let attributes: Vec<_> = attributes.collect();
        assert_eq!(attributes.len(), 2);
        assert_eq!(attributes[0].text(), "eth0");
        assert_eq!(attributes[1].kind, 5);
        assert_eq!(attributes[1].nested().next().unwrap().u16(), Some(0x1234));
    }

    #[test]
    fn an_attribute_that_is_too_long_takes_its_message_back() {
        let mut writer = Writer::default();
        writer.begin(20, 0, 1);
        assert!(writer.end());
        let before = writer.len();
        writer.begin(20, 0, 2);
        writer.attr(1, &vec![0; 70_000]);
        assert!(!writer.end());
        assert_eq!(writer.len(), before);
        writer.begin(20, 0, 3);
        assert!(writer.end(), "the next message is not affected");
    }

    #[test]
    fn extended_errors_are_found_behind_a_capped_and_an_uncapped_request() {
        for capped in [true, false] {
            let mut writer = Writer::default();
            writer.begin(NLMSG_ERROR, NLM_F_ACK_TLVS | if capped { NLM_F_CAPPED } else { 0 }, 1);
            writer.put(&(-17_i32).to_ne_bytes());
            writer.put_u32(24);
            writer.put(&[0; 12]);
            if !capped {
                writer.put(&[0xff; 8]);
            }
            writer.attr_str(1, "exists");
            assert!(writer.end());
            let outcome = Messages(writer.bytes()).next().unwrap().outcome().unwrap();
            assert_eq!(outcome, Outcome { errno: 17, message: Some("exists".into()) });
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut count = 0;
            for message in Messages(&bytes) {
                count += 1;
                let _ = message.outcome();
                for attribute in Attributes(message.payload) {
                    let _ = (attribute.text(), attribute.ip(), attribute.nested().count());
                }
            }
            prop_assert!(count <= bytes.len() / HEADER);
        }
    }
}
