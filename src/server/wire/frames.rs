//! Reads just so much of HTTP/2's frames as says which streams open and end.

/// A frame's head, and the reason of a reset that follows it.
const HEAD: usize = 9;
const REASON: usize = 4;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// What a frame means for its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Headers, and more to come.
    Opens(u32),
    /// The last frame of its side; headers among them.
    Ends(u32),
    /// The end of both sides, for that reason.
    Resets(u32, u32),
    /// Nothing.
    Other,
}

/// Frames as they come, in pieces of any size.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to pass over.
    skip: usize,
    head: [u8; HEAD + REASON],
    /// How much of the head is there.
    filled: usize,
}

impl Frames {
    /// Frames that begin after so many bytes.
    pub(super) fn after(skip: usize) -> Self {
        Self {
            skip,
            head: [0; HEAD + REASON],
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
            // A reset turns out to want more once its head is there.
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
        let is_reset = self.filled >= HEAD && self.head[3] == RST_STREAM && self.length() >= REASON;
        if is_reset { HEAD + REASON } else { HEAD }
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
        let ends = self.head[4] & END_STREAM != 0;
        match self.head[3] {
            DATA | HEADERS if ends => Frame::Ends(stream),
            HEADERS => Frame::Opens(stream),
            RST_STREAM => Frame::Resets(stream, number(HEAD)),
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
        let sent = [
            vec![b'P'; 24],
            frame(4, 0, 0, &[0; 12]),
            frame(HEADERS, 4, 1, b"headers"),
            frame(DATA, 0, 1, &[0; 300]),
            frame(DATA, END_STREAM, 1, b""),
            frame(HEADERS, 5, 3, b"headers"),
            frame(RST_STREAM, 0, 3, &8_u32.to_be_bytes()),
            frame(6, 1, 0, &[0; 8]),
            // Padding and priority change nothing, nor does the bit that is reserved.
            frame(HEADERS, 0x2c, 5 | 1 << 31, b"headers"),
        ]
        .concat();
        for size in 1..sent.len() {
            let mut frames = Frames::after(24);
            let mut told = Vec::new();
            for piece in sent.chunks(size) {
                frames.read(piece, |frame| told.push(frame));
            }
            assert_eq!(
                told,
                [
                    Frame::Other,
                    Frame::Opens(1),
                    Frame::Other,
                    Frame::Ends(1),
                    Frame::Ends(3),
                    Frame::Resets(3, 8),
                    Frame::Other,
                    Frame::Opens(5),
                ],
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_reset_that_is_too_short_is_no_harm() {
        let mut frames = Frames::after(0);
        let mut told = 0;
        let short = [frame(RST_STREAM, 0, 1, &[0; 2]), frame(DATA, 0, 1, b"x")].concat();
        frames.read(&short, |_| told += 1);
        assert_eq!(told, 2);
    }
}
