//! Reads just so much of HTTP/2's frames as says which streams open and end.

/// A frame's head, and the most that is read of what follows it: the reason of a reset, the last stream of a GOAWAY.
const HEAD: usize = 9;
const MORE: usize = 4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// The headers of a stream: whether they are whole, and whether their side ends with them.
    Headers {
        stream: u32,
        is_whole: bool,
        ends: bool,
    },
    /// More of the headers that came last: whether they are whole now.
    Continues { is_whole: bool },
    /// So many bytes of a body, without what they are padded with.
    Data {
        stream: u32,
        length: usize,
        ends: bool,
    },
    /// The end of both sides, for that reason.
    Resets { stream: u32, reason: u32 },
    /// No stream above that one is served.
    Leaves { last: u32 },
    /// Nothing that matters here.
    Other,
}

/// Frames as they come, in pieces of any size.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to pass over.
    skip: usize,
    head: [u8; HEAD + MORE],
    /// How much of the head is there.
    filled: usize,
}

impl Frames {
    /// Frames that begin after so many bytes.
    pub(super) fn after(skip: usize) -> Self {
        Self {
            skip,
            head: [0; HEAD + MORE],
            filled: 0,
        }
    }

    /// Reads on, and tells each frame whose head is complete.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            let wanted = self.wanted();
            let more = (wanted - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + more].copy_from_slice(&bytes[..more]);
            self.filled += more;
            bytes = &bytes[more..];
            // Some turn out to want more once their head is there.
            if self.filled == HEAD && self.wanted() > HEAD {
                continue;
            }
            if self.filled == wanted && wanted > 0 {
                tell(self.frame());
                self.skip = self.length() - (wanted - HEAD);
                self.filled = 0;
            }
        }
    }

    /// How much of this frame has to be there.
    fn wanted(&self) -> usize {
        if self.filled < HEAD {
            return HEAD;
        }
        let more = match self.head[3] {
            RST_STREAM | GOAWAY => MORE,
            DATA if self.has(PADDED) => 1,
            _ => 0,
        };
        // One that is too short for it is the library's to refuse.
        if more <= self.length() {
            HEAD + more
        } else {
            HEAD
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.head[4] & flag != 0
    }

    fn length(&self) -> usize {
        let [high, middle, low, ..] = self.head;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    fn frame(&self) -> Frame {
        let number = |at: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|offset| self.head[at + offset]);
            u32::from_be_bytes([a, b, c, d])
        };
        let stream = number(5) & (u32::MAX >> 1);
        let ends = self.has(END_STREAM);
        let is_whole = self.has(END_HEADERS);
        match self.head[3] {
            DATA => {
                let padding = match self.has(PADDED) {
                    true => 1 + usize::from(self.head[HEAD]),
                    false => 0,
                };
                Frame::Data {
                    stream,
                    length: self.length().saturating_sub(padding),
                    ends,
                }
            }
            HEADERS => Frame::Headers {
                stream,
                is_whole,
                ends,
            },
            CONTINUATION => Frame::Continues { is_whole },
            RST_STREAM => Frame::Resets {
                stream,
                reason: number(HEAD),
            },
            GOAWAY => Frame::Leaves {
                last: number(HEAD) & (u32::MAX >> 1),
            },
            _ => Frame::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(body);
        frame
    }

    #[test]
    fn frames_are_told_in_pieces_of_any_size() {
        let headers = |stream, is_whole, ends| Frame::Headers {
            stream,
            is_whole,
            ends,
        };
        let data = |length, ends| Frame::Data {
            stream: 1,
            length,
            ends,
        };
        let table = [
            (frame(4, 0, 0, &[0; 12]), Frame::Other),
            (frame(HEADERS, 4, 1, b"headers"), headers(1, true, false)),
            (frame(DATA, 0, 1, &[0; 300]), data(300, false)),
            (frame(DATA, 0, 1, b""), data(0, false)),
            // Three bytes, of which the first says that two more are padding.
            (frame(DATA, PADDED, 1, &[2, 0, 0]), data(0, false)),
            (frame(DATA, PADDED, 1, &[1, b'x', 0]), data(1, false)),
            (frame(DATA, END_STREAM, 1, b""), data(0, true)),
            (frame(HEADERS, 5, 3, b"headers"), headers(3, true, true)),
            (
                frame(RST_STREAM, 0, 3, &8_u32.to_be_bytes()),
                Frame::Resets {
                    stream: 3,
                    reason: 8,
                },
            ),
            (frame(6, 1, 0, &[0; 8]), Frame::Other),
            // Padding and priority change nothing, nor does the bit that is reserved.
            (
                frame(HEADERS, 0x2c, 5 | 1 << 31, b"headers"),
                headers(5, true, false),
            ),
            (frame(HEADERS, 0, 7, b"head"), headers(7, false, false)),
            (
                frame(CONTINUATION, 0, 7, b"er"),
                Frame::Continues { is_whole: false },
            ),
            (
                frame(CONTINUATION, 4, 7, b"s"),
                Frame::Continues { is_whole: true },
            ),
            (
                frame(GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0, b'!']),
                Frame::Leaves { last: 5 },
            ),
        ];
        let preface = vec![b'P'; 24];
        let sent = [
            preface,
            table.iter().flat_map(|row| row.0.clone()).collect(),
        ]
        .concat();
        let meant: Vec<_> = table.iter().map(|row| row.1).collect();
        for size in 1..sent.len() {
            let mut frames = Frames::after(24);
            let mut told = Vec::new();
            for piece in sent.chunks(size) {
                frames.read(piece, |frame| told.push(frame));
            }
            assert_eq!(told, meant, "pieces of {size}");
        }
    }

    #[test]
    fn a_frame_that_is_too_short_is_no_harm() {
        let mut frames = Frames::after(0);
        let mut told = 0;
        let short = [
            frame(RST_STREAM, 0, 1, &[0; 2]),
            frame(GOAWAY, 0, 0, b""),
            frame(DATA, PADDED, 1, b""),
            frame(DATA, PADDED, 1, &[9]),
            frame(DATA, 0, 1, b"x"),
        ]
        .concat();
        frames.read(&short, |_| told += 1);
        assert_eq!(told, 5);
    }
}
