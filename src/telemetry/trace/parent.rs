//! A caller's span, as its metadata tell it.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId};

use crate::telemetry::traceparent::Traceparent;

/// The caller's span as a parent of ours. The library's own reader takes ids that are too short or signed,
/// and would carry them on.
pub(super) fn context_of(parent: &Traceparent, metadata: &HeaderMap) -> Option<Context> {
    let state = metadata
        .get("tracestate")
        .and_then(|state| state.to_str().ok());
    let context = SpanContext::new(
        TraceId::from_hex(parent.trace_id()).ok()?,
        SpanId::from_hex(parent.span_id()).ok()?,
        TraceFlags::default().with_sampled(parent.is_sampled()),
        true,
        state
            .and_then(|state| state.parse().ok())
            .unwrap_or_default(),
    );
    Some(Context::new().with_remote_span_context(context))
}
