//! The books of one connection's streams.

use std::time::Duration;

use tokio::time::Instant;

use super::all::Counted;
use super::stream::{Answer, Kind, Stream, Untaken};
use super::wear::{Life, Wear};
use crate::server::frames::Frame;
use crate::server::metrics::Closing;
use crate::server::permits::Kept;

/// How long headers may take from their first frame to their last.
pub(super) const MAX_HEAD: Duration = Duration::from_secs(2);
/// How many answers a connection may leave untaken from one look to the next where memory is short.
const MIN_UNTAKEN: usize = 8;

/// The books of one connection's streams.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By number, as each new one is higher than those before.
    open: Vec<Stream>,
    /// The highest stream so far.
    highest: u32,
    /// The last that is served, once we have said so.
    last: Option<u32>,
    /// The stream whose headers are there in part, and since when.
    partial: Option<(u32, Instant)>,
    /// Whether the client has reset some in this turn, before their answers were begun.
    has_cancelled: bool,
    /// How many answers have been begun.
    begun: u64,
    /// Streams that the client may reset in a second, and at once beyond that.
    max_cancelled: f64,
    /// Those that it has reset beyond what it may in the time until the last of them.
    cancelled: f64,
    last_cancelled: Option<Instant>,
    wear: Wear,
}

impl State {
    /// The books of a client that may reset so many streams in a second, and at once beyond that.
    pub(super) fn new(max_resets: u32) -> Self {
        Self {
            max_cancelled: max_resets.into(),
            ..Self::default()
        }
    }

    /// The client has sent a frame.
    pub(super) fn received(&mut self, frame: Frame) {
        match frame {
            Frame::Headers {
                stream,
                is_whole,
                ends,
            } => self.open(stream, is_whole, ends, Instant::now()),
            Frame::Continues { is_whole: true } => self.partial = None,
            Frame::Data {
                stream, ends: true, ..
            } => self.wear.end(stream),
            Frame::Data { stream, length, .. } => self.wear.data(stream, length),
            Frame::Resets { stream, .. } => self.cancel(stream, Instant::now()),
            Frame::Continues { .. } | Frame::Leaves { .. } | Frame::Other => {}
        }
    }

    /// We have sent a frame.
    pub(super) fn sent(&mut self, frame: Frame) {
        match frame {
            Frame::Headers { stream, ends, .. } | Frame::Data { stream, ends, .. } if ends => {
                self.end(stream);
            }
            Frame::Resets { stream, reason } => {
                self.end(stream);
                self.wear.reset(stream, reason);
            }
            // Neither those to come are served nor those that came meanwhile.
            Frame::Leaves { last } => {
                self.last = Some(last);
                self.open.retain(|stream| stream.number <= last);
            }
            _ => {}
        }
    }

    /// The client has sent headers.
    fn open(&mut self, stream: u32, is_whole: bool, ends: bool, now: Instant) {
        self.partial = (!is_whole).then_some((stream, now));
        if self.last.is_some_and(|last| stream > last) {
            return;
        }
        if stream > self.highest {
            self.highest = stream;
            self.open.push(Stream {
                number: stream,
                opened: now,
                is_cancelled: false,
                answer: None,
            });
            if !ends {
                self.wear.open(stream);
            }
        } else if ends {
            self.wear.end(stream);
        }
    }

    /// A stream is over.
    fn end(&mut self, stream: u32) {
        if let Ok(at) = self.find(stream) {
            self.open.remove(at);
        }
    }

    /// The client has reset a stream.
    fn cancel(&mut self, stream: u32, now: Instant) {
        let since = self.last_cancelled.replace(now);
        let since = since.map_or(Duration::ZERO, |since| now - since);
        let allowed = since.as_secs_f64() * self.max_cancelled;
        self.cancelled = (self.cancelled - allowed).max(0.0) + 1.0;
        self.wear.end(stream);
        match self.find(stream) {
            // The library brings it to us all the same.
            Ok(at) if self.open[at].answer.is_none() => {
                self.open[at].is_cancelled = true;
                self.has_cancelled = true;
            }
            Ok(at) => _ = self.open.remove(at),
            Err(_) => {}
        }
    }

    /// An answer is begun, where the connection may have another of its kind. Returns its number.
    ///
    /// The library does not say for which stream. It brings them in their order, and has refused by then what it
    /// does not bring.
    pub(super) fn begin(&mut self, kind: Kind) -> Option<u64> {
        if let Some(max) = kind.max() {
            let answers = self.open.iter().filter_map(|stream| stream.answer.as_ref());
            let as_many = answers.filter(|answer| answer.kind == kind && !answer.is_done);
            if as_many.count() >= max {
                return None;
            }
        }
        self.begun += 1;
        let begun = |stream: &Stream| stream.answer.is_some();
        let next = self.open.iter().rposition(begun).map_or(0, |last| last + 1);
        if let Some(stream) = self.open.get_mut(next) {
            stream.answer = Some(Answer {
                number: self.begun,
                kind,
                is_done: false,
                untaken: None,
            });
        }
        Some(self.begun)
    }

    /// The library has brought all streams that have come, but for one whose headers are not whole.
    pub(super) fn end_turn(&mut self) {
        if !std::mem::take(&mut self.has_cancelled) {
            return;
        }
        // A stream that was reset may have been refused as well, and never brought: then what was taken for its answer
        // is another's.
        let cancelled = self.open.extract_if(.., |stream| stream.is_cancelled);
        let answers: Vec<_> = cancelled.filter_map(|stream| stream.answer).collect();
        let partial = self.partial.map(|(stream, _)| stream);
        let waiting = self
            .open
            .iter_mut()
            .filter(|stream| stream.answer.is_none() && Some(stream.number) != partial);
        for (stream, answer) in waiting.zip(answers) {
            stream.answer = Some(answer);
        }
    }

    /// An answer is there, and has to be taken until then.
    pub(super) fn answer(&mut self, number: u64, until: Instant, permit: Kept, counted: Counted) {
        if let Some(answer) = self.find_answer(number) {
            answer.untaken = Some(Untaken {
                since: Instant::now(),
                until,
                _permit: permit,
                _counted: counted,
            });
        }
    }

    /// An answer is done, as far as it lies with us.
    pub(super) fn finish(&mut self, number: u64) {
        if let Some(answer) = self.find_answer(number) {
            answer.is_done = true;
        }
    }

    /// How the client costs the others too much, if it does. Calls take so long at most; memory may be short.
    pub(super) fn abuse(&self, limit: Duration, is_short: bool, now: Instant) -> Option<Closing> {
        let until = |stream: &Stream| stream.until(limit).is_some_and(|until| until <= now);
        let left = |stream: &&Stream| stream.is_left(now);
        let is_left = || self.open.iter().filter(left).count() > MIN_UNTAKEN;
        if self.cancelled > self.max_cancelled {
            Some(Closing::Resets)
        } else if self
            .partial
            .is_some_and(|(_, since)| since + MAX_HEAD <= now)
        {
            Some(Closing::Headers)
        } else if self.open.iter().any(until) || (is_short && is_left()) {
            Some(Closing::Untaken)
        } else {
            None
        }
    }

    /// Whether the connection has spent what it may in such a `life`.
    pub(super) fn is_worn(&self, life: Life) -> bool {
        self.wear.is_over(life)
    }

    /// Whether there is nothing to look after.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.partial.is_none()
    }

    /// Whether a call of ours is open, or its answer has still to be taken.
    pub(super) fn has_ours(&self) -> bool {
        let mut answers = self.open.iter().filter_map(|stream| stream.answer.as_ref());
        answers.any(|answer| answer.kind == Kind::Ours)
    }

    fn find(&self, stream: u32) -> Result<usize, usize> {
        self.open
            .binary_search_by_key(&stream, |stream| stream.number)
    }

    fn find_answer(&mut self, number: u64) -> Option<&mut Answer> {
        let before = |answer: &Answer| answer.number < number;
        // They are in their order, but for those that have been moved.
        let at = self
            .open
            .partition_point(|stream| stream.answer.as_ref().is_some_and(before));
        let is_it = |stream: &Stream| {
            let answer = stream.answer.as_ref();
            answer.is_some_and(|answer| answer.number == number)
        };
        let at = match self.open.get(at).is_some_and(is_it) {
            true => at,
            false => self.open.iter().position(is_it)?,
        };
        self.open[at].answer.as_mut()
    }
}
