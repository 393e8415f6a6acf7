//! What one measurement yields, and which figures can be read off it.

use super::statistics::percentile;
use std::time::Duration;

/// One measurement. What a load doesn't measure stays zero or empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// Sockets that were opened to be measured.
    pub(super) sockets: usize,
    /// Answers that came while time was taken.
    pub(super) answers: u64,
    /// The proxy's CPU time, user and system.
    pub(super) cpu: Duration,
    /// The time that passed.
    pub(super) elapsed: Duration,
    /// What the sockets added to the proxy's memory, in bytes.
    pub(super) memory_bytes: u64,
    /// How long each answer took, ascending, in nanoseconds.
    pub(super) latencies: Vec<u32>,
}

/// Something that can be read off a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantity {
    /// The proxy's CPU time per answer, in µs.
    CpuPerAnswer,
    /// The proxy's CPU time, in ms.
    Cpu,
    /// The proxy's memory per socket, in KB (1,000 bytes).
    MemoryPerSocket,
    /// The latency that this share of the answers did not exceed, in µs.
    Latency {
        /// 0.99 is the 99th percentile.
        share: f64,
    },
}

impl Quantity {
    /// What it is counted in.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Quantity::CpuPerAnswer | Quantity::Latency { .. } => "µs",
            Quantity::Cpu => "ms",
            Quantity::MemoryPerSocket => "KB",
        }
    }

    /// Its value in a sample.
    pub(super) fn of(self, sample: &Sample) -> f64 {
        match self {
            Quantity::CpuPerAnswer => sample.cpu.as_secs_f64() * 1e6 / sample.answers as f64,
            Quantity::Cpu => sample.cpu.as_secs_f64() * 1e3,
            Quantity::MemoryPerSocket => sample.memory_bytes as f64 / 1e3 / sample.sockets as f64,
            Quantity::Latency { share } => {
                percentile(&sample.latencies, share).map_or(f64::NAN, |ns| f64::from(ns) / 1e3)
            }
        }
    }

    /// A value with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match value.is_nan() {
            true => "–".to_owned(),
            false if value >= 100.0 => format!("{value:.0} {}", self.unit()),
            false => format!("{value:.2} {}", self.unit()),
        }
    }
}

impl Sample {
    /// How busy the proxy was, in words.
    pub(super) fn pace(&self) -> String {
        if self.answers == 0 {
            return format!("{} sockets", self.sockets);
        }
        let (cpu, elapsed) = (self.cpu.as_secs_f64(), self.elapsed.as_secs_f64());
        format!("{:.0} answers/s, {:.0} % of a core", self.answers as f64 / elapsed, cpu / elapsed * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_off_in_their_units() {
        let sample = Sample {
            sockets: 1000,
            answers: 500,
            cpu: Duration::from_millis(5),
            memory_bytes: 1_500_000,
            latencies: vec![1000, 2000, 3000],
            ..Sample::default()
        };
        assert_eq!(Quantity::CpuPerAnswer.of(&sample), 10.0);
        assert_eq!(Quantity::Cpu.of(&sample), 5.0);
        assert_eq!(Quantity::MemoryPerSocket.of(&sample), 1.5);
        assert_eq!(Quantity::Latency { share: 0.5 }.of(&sample), 2.0);
        assert_eq!(Quantity::Cpu.show(5.0), "5.00 ms");
        assert_eq!(Quantity::Latency { share: 0.5 }.show(Quantity::Latency { share: 0.5 }.of(&Sample::default())), "–");
    }
}
