//! What the kernel knows of this process, under the names that Prometheus and its dashboards have for it.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::render::Page;

/// Ticks of a second in which the kernel tells processor time (`USER_HZ`): 100 on every machine that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes the families; what cannot be read (`/proc` is hidden) is left out.
pub fn render(page: &mut Page) {
    let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    if let Some(seconds) = processor_seconds(&read("stat")) {
        page.family("process_cpu_seconds_total", "counter", "Processor time of the process, in seconds.");
        page.sample("process_cpu_seconds_total", &[], seconds);
    }
    let mut gauge = |name, help, value: Option<u64>| {
        let Some(value) = value else { return };
        page.family(name, "gauge", help);
        page.sample(name, &[], value);
    };
    let status = read("status");
    gauge("process_resident_memory_bytes", "Resident memory of the process.", bytes(&status, "VmRSS:"));
    gauge("process_virtual_memory_bytes", "Virtual memory of the process.", bytes(&status, "VmSize:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
    gauge("process_open_fds", "Open files of the process.", open);
    gauge("process_max_fds", "The most open files that the process may have.", getrlimit(Resource::Nofile).current);
}

/// User and system time of `/proc/self/stat`; the program's name in it may have blanks and brackets.
fn processor_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(f64::from(ticks()?) / TICKS_PER_SECOND + f64::from(ticks()?) / TICKS_PER_SECOND)
}

/// A field of `/proc/self/status`, which has kB.
fn bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 1234 66 0 0 20 0 1 0 100 5000 300 18446744073709551615";
        assert_eq!(processor_seconds(stat), Some(13.0));
        assert_eq!(processor_seconds(""), None);
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t     12 kB\n";
        assert_eq!((bytes(status, "VmRSS:"), bytes(status, "VmSize:")), (Some(12 * 1024), Some(2048 * 1024)));
        assert_eq!(bytes(status, "VmSwap:"), None);
    }
}
