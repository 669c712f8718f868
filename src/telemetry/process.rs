//! The process as the operating system sees it, under the names that dashboards read. Read when asked.

use procfs::process::{LimitValue, Process as Proc};
use procfs::{ProcResult, page_size, ticks_per_second};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads `/proc/self` for each page.
#[derive(Debug)]
pub(super) struct Process;

struct Reading {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    started: u64,
    open_files: u64,
    most_open_files: u64,
}

impl Reading {
    fn take() -> ProcResult<Self> {
        let process = Proc::myself()?;
        let stat = process.stat()?;
        let per_second = ticks_per_second();
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / per_second as f64,
            resident_bytes: stat.rss * page_size(),
            virtual_bytes: stat.vsize,
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            started: procfs::boot_time_secs()? + stat.starttime / per_second,
            open_files: process.fd_count()? as u64,
            most_open_files: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(limit) => limit,
                LimitValue::Unlimited => u64::MAX,
            },
        })
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Without /proc, there is nothing to say.
        let Ok(reading) = Reading::take() else {
            return Ok(());
        };
        let cpu = ("process_cpu_seconds", "CPU time used, in seconds");
        let cpu_encoder = encoder.encode_descriptor(cpu.0, cpu.1, None, MetricType::Counter)?;
        ConstCounter::new(reading.cpu_seconds).encode(cpu_encoder)?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory in use",
                reading.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Address space in use",
                reading.virtual_bytes,
            ),
            ("process_threads", "Threads", reading.threads),
            (
                "process_start_time_seconds",
                "Start of the process, since 1970",
                reading.started,
            ),
            (
                "process_open_fds",
                "Open files and sockets",
                reading.open_files,
            ),
            (
                "process_max_fds",
                "Most files and sockets that may be open",
                reading.most_open_files,
            ),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value as f64).encode(encoder)?;
        }
        Ok(())
    }
}
