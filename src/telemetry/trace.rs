//! Traces: a span for each call and one for each attempt, exported by OTLP where the standard `OTEL_*`
//! variables say so. Without them, no span is ever made.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::sync::oneshot;
use tonic::Code;
use url::Url;

use super::traceparent::Traceparent;
use crate::names::{METHOD, SERVICE};

mod parent;

use parent::context_of;

/// How long the last spans may take to leave.
const MAX_FLUSH: Duration = Duration::from_secs(3);

/// Makes spans. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracing(SdkTracer);

/// Exports spans in batches, in the background, until it is dropped.
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

/// A span that is open until it is ended or dropped.
#[derive(Debug, Clone)]
pub struct Span {
    context: Context,
    tracer: Arc<SdkTracer>,
}

impl Tracing {
    /// Starts exporting if the environment names a collector; must be called within the runtime.
    ///
    /// # Errors
    /// A sentence when the environment asks for something impossible.
    pub fn from_environment() -> Result<Option<(Self, Export)>, String> {
        let names_a_collector = [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ]
        .iter()
        .any(|name| variable(name).is_some());
        let disabled = variable("OTEL_SDK_DISABLED")
            .is_some_and(|off| off.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
        if !names_a_collector || disabled {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_tonic()
            .build()
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))?;
        let mut resource = Resource::builder();
        if variable("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("meeting-control");
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracing = Self(provider.tracer("meeting-control"));
        Ok(Some((tracing, Export(provider))))
    }

    /// Opens the span of a call of our method, a child of the caller's span if it named one.
    pub fn call(&self, metadata: &HeaderMap, parent: Option<&Traceparent>) -> Span {
        let parent = parent.and_then(|parent| context_of(parent, metadata));
        let parent = parent.unwrap_or_default();
        let span = self
            .0
            .span_builder(format!("{SERVICE}/{METHOD}"))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", SERVICE),
                KeyValue::new("rpc.method", METHOD),
            ])
            .start_with_context(&self.0, &parent);
        Span {
            context: parent.with_span(span),
            tracer: Arc::new(self.0.clone()),
        }
    }
}

impl Export {
    /// Exports what is left, within a few seconds.
    pub async fn flush(self) {
        let provider = self.0.clone();
        let (tell, flushed) = oneshot::channel();
        // A thread of its own: the runtime's may all be waiting for a name server.
        let flushing = thread::Builder::new().name("flush".to_owned());
        let started = flushing.spawn(move || {
            let _ = tell.send(provider.shutdown_with_timeout(MAX_FLUSH));
        });
        if let Err(error) = started {
            tracing::warn!(cause = %error, "the last spans were not exported");
        }
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(cause = %error, "the last spans were not exported");
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // The library's own drop would wait for the exporter, for seconds. After a flush, nothing is left.
        let _ = self.0.shutdown_with_timeout(Duration::ZERO);
    }
}

impl Span {
    /// Opens the span of an attempt, the `number`th of its call, counted from 1.
    #[must_use]
    pub fn attempt(&self, number: u32, method: &Method, url: &Url) -> Self {
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("url.full", url.to_string()),
            KeyValue::new(
                "server.address",
                url.host_str().unwrap_or_default().to_owned(),
            ),
        ];
        if let Some(port) = url.port_or_known_default() {
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
        if number > 1 {
            attributes.push(KeyValue::new(
                "http.request.resend_count",
                i64::from(number - 1),
            ));
        }
        let span = self
            .tracer
            .span_builder(method.to_string())
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        self.open(span, &self.context)
    }

    /// Opens the span of obtaining a token, for however many calls: a trace of its own. The upstream gets that
    /// request id.
    #[must_use]
    pub fn token_call(&self, request_id: &str) -> Self {
        let span = self
            .tracer
            .span_builder("obtain token")
            .with_kind(SpanKind::Internal)
            .with_attributes([KeyValue::new(
                "meeting_control.request_id",
                request_id.to_owned(),
            )]);
        self.open(span, &Context::new())
    }

    fn open(&self, span: SpanBuilder, parent: &Context) -> Self {
        let span = span.start_with_context(&*self.tracer, parent);
        Self {
            context: parent.with_span(span),
            tracer: Arc::clone(&self.tracer),
        }
    }

    /// Notes that what `other` is about waits for this.
    pub fn link(&self, other: &Self) {
        let other = other.context.span().span_context().clone();
        self.context.span().add_link(other, Vec::new());
    }

    /// The trace's id, 32 hex digits.
    pub fn trace_id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// The header that makes this span the parent of what the other side does.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let span = self.context.span();
        let context = span.span_context();
        let text = format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        );
        HeaderValue::from_str(&text).ok()
    }

    /// Adds what is known by now.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Ends the span of a call, with what a failure says of the settings.
    pub fn end_call(&self, code: Code, outcome: Option<&'static str>) {
        self.set("rpc.grpc.status_code", code as i64);
        if let Some(outcome) = outcome {
            self.set("meeting_control.outcome", outcome);
            // The caller's own faults are no errors of the server.
            let of_the_server = matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            );
            if of_the_server {
                self.context.span().set_status(Status::error(""));
            }
        }
        self.context.span().end();
    }

    /// Ends the span of an attempt or of obtaining a token, with the kind of its error if it failed.
    pub fn end_with(&self, error: Option<&str>) {
        if let Some(error) = error {
            self.set("error.type", error.to_owned());
            self.context.span().set_status(Status::error(""));
        }
        self.context.span().end();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "OpenTelemetry's own variables are the standard way to configure it"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
