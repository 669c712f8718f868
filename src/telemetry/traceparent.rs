//! The W3C trace context that comes with a call, read in one place for logs, spans and the upstream.

use http::{HeaderMap, HeaderValue};

use crate::names::TRACEPARENT;

const MAX_LENGTH: usize = 256;
/// Length of version 00; later versions may append.
const LENGTH: usize = 55;

/// A valid `traceparent`: version 00, or a later one that begins like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traceparent(HeaderValue);

impl Traceparent {
    /// The caller's, if it sent a valid one.
    pub fn of_call(metadata: &HeaderMap) -> Option<Self> {
        let value = metadata.get(&TRACEPARENT)?;
        is_valid(value.as_bytes()).then(|| Self(value.clone()))
    }

    /// The header, byte for byte as it came.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// The trace's id, 32 hex digits.
    pub fn trace_id(&self) -> &str {
        self.part(3, 35)
    }

    /// The id of the caller's span, 16 hex digits.
    pub fn span_id(&self) -> &str {
        self.part(36, 52)
    }

    /// Whether the caller records its trace.
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.part(53, 55), 16).is_ok_and(|flags| flags & 1 == 1)
    }

    fn part(&self, from: usize, to: usize) -> &str {
        // Visible ASCII of that length by construction, so there is always such a part.
        let text = self.0.to_str().unwrap_or_default();
        text.get(from..to).unwrap_or_default()
    }
}

fn is_valid(value: &[u8]) -> bool {
    let lower_hex = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    if value.len() < LENGTH || [2, 35, 52].iter().any(|at| value[*at] != b'-') {
        return false;
    }
    let (version, trace, span, flags) =
        (&value[..2], &value[3..35], &value[36..52], &value[53..55]);
    [version, trace, span, flags].into_iter().all(lower_hex)
        && !zero(trace)
        && !zero(span)
        && match version {
            b"ff" => false,
            b"00" => value.len() == LENGTH,
            _ => {
                value.len() <= MAX_LENGTH
                    && value.iter().all(u8::is_ascii_graphic)
                    && value.get(LENGTH).is_none_or(|byte| *byte == b'-')
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(sent: &'static str) -> Option<Traceparent> {
        let value = HeaderValue::from_static(sent);
        Traceparent::of_call(&[(TRACEPARENT.clone(), value)].into_iter().collect())
    }

    #[test]
    fn only_a_valid_traceparent_counts() {
        for (sent, valid) in [
            (PARENT, true),
            (
                "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                false,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                false,
            ),
            (
                "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                true,
            ),
            (
                "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
                false,
            ),
            (
                "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(read(sent).is_some(), valid, "{sent:?}");
        }
    }

    #[test]
    fn its_parts_are_told() {
        let parent = read(PARENT).unwrap();
        assert_eq!(parent.header(), PARENT);
        assert_eq!(parent.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id(), "b7ad6b7169203331");
        assert!(parent.is_sampled());
        let unsampled = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02");
        assert!(!unsampled.unwrap().is_sampled());
    }
}
