//! What a process has cost since its start.

use anyhow::Context;
use procfs::{WithCurrentSystemInfo, process::Process};

/// The id of a process whose cost is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched(i32);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Seconds of one core, in the process and in the kernel for it.
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    /// The most resident memory since its start.
    pub(crate) resident_bytes_max: u64,
}

impl Watched {
    pub(crate) fn new(process_id: u32) -> anyhow::Result<Self> {
        Ok(Self(i32::try_from(process_id)?))
    }

    pub(crate) fn this() -> anyhow::Result<Self> {
        Self::new(std::process::id())
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^53")]
    pub(crate) fn cost(self) -> anyhow::Result<Cost> {
        let process = Process::new(self.0).with_context(|| format!("process {} cannot be watched", self.0))?;
        let (stat, status) = (process.stat()?, process.status()?);
        let ticks = stat.utime + stat.stime;
        Ok(Cost {
            cpu_seconds: ticks as f64 / procfs::ticks_per_second() as f64,
            resident_bytes: stat.rss_bytes().get(),
            resident_bytes_max: status.vmhwm.unwrap_or_default() * 1_024,
        })
    }
}
