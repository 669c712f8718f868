//! What the HTTP/2 library counts over a connection's whole life, and ends the connection for, with every call on it.
//!
//! One caller behind a proxy may spend all of it. So we count along, and make way for a new connection in time.

/// What the library charges a small DATA frame for: so many bytes, less those that it brings.
const FRAME: usize = 256;
/// DATA frames without a byte, the last of a stream left out: half of those that the library takes.
const MAX_EMPTY: usize = 50;
/// The reasons of resets that are not the library's own: no error, an error of ours, a call that is given up.
const NOT_COUNTED: [u32; 3] = [0, 2, 8];

/// How much of that a connection may spend.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Life {
    /// Charges for small DATA frames that nobody reads any more.
    pub(in crate::server) charges: usize,
    /// Resets by the library.
    pub(in crate::server) resets: usize,
}

/// What a connection has spent of it.
#[derive(Debug, Default)]
pub(super) struct Wear {
    /// Streams that the client has not ended yet, by number, each with the charges for its frames. They are given back
    /// when the frames are read, and not if we reset it.
    arriving: Vec<(u32, usize)>,
    charges: usize,
    empty: usize,
    resets: usize,
}

impl Wear {
    /// A new stream, which is higher than those before. Its client has more to send.
    pub(super) fn open(&mut self, stream: u32) {
        self.arriving.push((stream, 0));
    }

    /// So many bytes have come, and more are to come.
    pub(super) fn data(&mut self, stream: u32, length: usize) {
        if length == 0 {
            self.empty += 1;
            return;
        }
        let charge = FRAME.saturating_sub(length);
        match self.find(stream) {
            Ok(at) => self.arriving[at].1 += charge,
            Err(_) => self.charges += charge,
        }
    }

    /// The client has ended its side.
    pub(super) fn end(&mut self, stream: u32) {
        if let Ok(at) = self.find(stream) {
            self.arriving.remove(at);
        }
    }

    /// We have reset a stream, for that reason.
    pub(super) fn reset(&mut self, stream: u32, reason: u32) {
        self.resets += usize::from(!NOT_COUNTED.contains(&reason));
        if let Ok(at) = self.find(stream) {
            self.charges += self.arriving.remove(at).1;
        }
    }

    /// Whether something of that `life` is spent.
    pub(super) fn is_over(&self, life: Life) -> bool {
        self.charges >= life.charges || self.resets >= life.resets || self.empty >= MAX_EMPTY
    }

    fn find(&self, stream: u32) -> Result<usize, usize> {
        self.arriving
            .binary_search_by_key(&stream, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life {
        charges: 230_000,
        resets: 1_000,
    };

    fn over_after(mut spend: impl FnMut(&mut Wear, u32)) -> Option<u32> {
        let mut wear = Wear::default();
        (1..100_000).find(|number| {
            spend(&mut wear, 2 * number - 1);
            wear.is_over(LIFE)
        })
    }

    #[test]
    fn what_is_read_wears_nothing_out() {
        let over = over_after(|wear, stream| {
            wear.open(stream);
            wear.data(stream, 26);
            wear.end(stream);
        });
        assert_eq!(over, None);
    }

    #[test]
    fn what_the_library_counts_for_life_does() {
        let late = over_after(|wear, stream| wear.data(stream, 26));
        assert_eq!(late, Some(1_000));
        let refused = over_after(|wear, stream| {
            wear.open(stream);
            wear.data(stream, 26);
            wear.reset(stream, 0);
        });
        assert_eq!(refused, Some(1_000));
        assert_eq!(over_after(|wear, stream| wear.data(stream, 300)), None);
        assert_eq!(over_after(|wear, stream| wear.data(stream, 0)), Some(50));
        // PROTOCOL_ERROR, STREAM_CLOSED, REFUSED_STREAM; NO_ERROR, CANCEL.
        for (reason, over) in [
            (1, Some(1_000)),
            (5, Some(1_000)),
            (7, Some(1_000)),
            (0, None),
            (8, None),
        ] {
            assert_eq!(over_after(|wear, stream| wear.reset(stream, reason)), over);
        }
    }
}
