//! What the upstream does with one request, and what is then true of the settings.
//!
//! The rules are those of the error tables: what they call a refusal changes nothing here, and what they
//! leave open is decided by a coin.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use h2::Reason;

use super::reply::{Reply, Truth};

/// How the upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

/// How HTTP/1.1 tells where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
    ToClose,
}

/// How an exchange is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing more comes, until the peer gives up.
    Hang,
    /// The connection is closed.
    Cut,
    /// What comes is not the protocol.
    Garbage,
    /// RST_STREAM.
    Reset(Reason),
    /// GOAWAY, after which this stream hears no more.
    GoAway {
        /// Whether this stream is among those that it says may have been processed.
        covers: bool,
        reason: Reason,
        /// Whether the connection is closed after it.
        closes: bool,
    },
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Act {
    Whole {
        reply: &'static Reply,
        framing: Framing,
        /// Between the halves of the body.
        pause: Duration,
        /// A second answer for which nobody asked comes with the first.
        stray: bool,
    },
    /// The head and half the body.
    Half {
        reply: &'static Reply,
        framing: Framing,
        pause: Duration,
        loss: Loss,
    },
    Nothing(Loss),
}

#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The answer does not wait for the request's body.
    pub early: bool,
    /// Whether the settings change, provided that the request arrives whole.
    pub applies: bool,
    /// From the request to the change.
    pub before: Duration,
    /// From the change to the answer.
    pub after: Duration,
    pub act: Act,
}

// === impl Loss ===

impl Loss {
    fn any(random: &mut Rng, wire: Wire) -> Self {
        const REASONS: [Reason; 6] = [
            Reason::REFUSED_STREAM,
            Reason::CANCEL,
            Reason::INTERNAL_ERROR,
            Reason::NO_ERROR,
            Reason::ENHANCE_YOUR_CALM,
            Reason::HTTP_1_1_REQUIRED,
        ];
        if wire != Wire::Http2 {
            return match random.u8(..4) {
                0 => Self::Hang,
                1 => Self::Garbage,
                _ => Self::Cut,
            };
        }
        // What takes the whole connection down is rare, as other calls end with it.
        match random.u8(..20) {
            0..3 => Self::Hang,
            3 => Self::Cut,
            4 => Self::Garbage,
            5..10 => Self::Reset(Reason::REFUSED_STREAM),
            10..15 => Self::Reset(*random.choice(&REASONS).unwrap()),
            _ => Self::GoAway {
                covers: random.bool(),
                reason: *random.choice(&REASONS).unwrap(),
                closes: random.u8(..4) == 0,
            },
        }
    }

    pub fn leaves_uncovered(&self) -> bool {
        matches!(self, Self::GoAway { covers: false, .. })
    }
}

// === impl Behaviour ===

impl Behaviour {
    /// Any behaviour that is possible on `wire`, towards a request with one or `several` settings.
    pub fn any(random: &mut Rng, wire: Wire, several: bool) -> Self {
        let act = Act::any(random, wire);
        let early = random.u8(..8) == 0;
        let coin = random.bool();
        Self {
            early,
            applies: match &act {
                Act::Whole { reply, .. } => match reply.truth {
                    Truth::Accepted => true,
                    Truth::Refused => false,
                    Truth::RefusedAlone => several && coin && !early,
                    Truth::Doubtful => coin && !early,
                },
                Act::Half { reply, .. } => coin && !early && !reply.half_refuses(),
                Act::Nothing(loss) => coin && !early && !loss.leaves_uncovered(),
            },
            before: pause(random),
            after: pause(random),
            act,
        }
    }
}

impl Act {
    fn any(random: &mut Rng, wire: Wire) -> Self {
        let mut framing = *random
            .choice(&[Framing::Length, Framing::Chunked, Framing::ToClose])
            .unwrap();
        let kind = random.u8(..20);
        if kind >= 17 {
            return Self::Nothing(Loss::any(random, wire));
        }
        let reply = Reply::any(random);
        let pause = pause(random);
        if kind < 14 {
            let stray = framing != Framing::ToClose && random.u8(..8) == 0;
            return Self::Whole {
                reply,
                framing,
                pause: if stray { Duration::ZERO } else { pause },
                stray,
            };
        }
        let loss = Loss::any(random, wire);
        // What is lost must be seen to be lost: an end of the connection may be the end of a body, and
        // garbage may be the rest of one.
        match loss {
            Loss::Garbage => framing = Framing::Chunked,
            Loss::Cut if wire == Wire::Plain && framing == Framing::ToClose => {
                framing = Framing::Length;
            }
            _ => {}
        }
        Self::Half {
            reply,
            framing,
            pause,
            loss,
        }
    }
}

/// Mostly none, at times longer than an attempt may take.
fn pause(random: &mut Rng) -> Duration {
    let longest = match random.u8(..20) {
        0..13 => return Duration::ZERO,
        13..18 => 20,
        _ => 250,
    };
    Duration::from_millis(random.u64(1..longest))
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Whole { reply, .. } => write!(f, "{reply}"),
            Act::Half { reply, loss, .. } => write!(f, "half of {reply}, then {loss:?}"),
            Act::Nothing(loss) => write!(f, "{loss:?}"),
        }
    }
}
