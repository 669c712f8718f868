//! What another process has used so far, from `/proc`.

use std::time::Duration;

use procfs::process::Process;

use crate::Failure;

/// A process that is looked at from outside.
#[derive(Debug)]
pub struct Watch(Process);

impl Watch {
    pub fn new(id: u32) -> Result<Self, Failure> {
        Ok(Self(Process::new(id.try_into()?)?))
    }

    /// Processor time, user and system, of all its threads.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let stat = self.0.stat()?;
        let ticks = stat.utime + stat.stime;
        Ok(Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second())?)
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> Result<u64, Failure> {
        let kib = self.0.status()?.vmrss.ok_or("no VmRSS in /proc")?;
        Ok(kib * 1024)
    }

    /// The most bytes of memory that it ever held.
    pub fn peak_memory(&self) -> Result<u64, Failure> {
        let kib = self.0.status()?.vmhwm.ok_or("no VmHWM in /proc")?;
        Ok(kib * 1024)
    }
}
