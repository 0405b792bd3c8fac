//! `load`: asks an HTTP/1.1 server for answers over kept connections, and says what they took. See `--help`.

mod framing;
mod options;
mod ring;
mod run;
mod schedule;

use std::num::NonZeroU64;
use std::process::ExitCode;

use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use crate::options::Options;
use crate::run::Outcome;

fn main() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("load: {error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match prepare(&options).and_then(|()| run::run(&options)) {
        Ok(outcome) => {
            let failed = outcome.errors.sum() > 0 || outcome.answers == 0;
            println!("{}", if options.json { json(&outcome) } else { text(&outcome) });
            ExitCode::from(u8::from(failed))
        }
        Err(error) => {
            eprintln!("load: {}: {error}", options.address);
            ExitCode::FAILURE
        }
    }
}

/// To its core; and the kernel is not to wake it later than asked for.
fn prepare(options: &Options) -> std::io::Result<()> {
    set_current_timer_slack(NonZeroU64::new(1))?;
    if let Some(core) = options.core.filter(|core| *core < CpuSet::MAX_CPU) {
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores)?;
    }
    Ok(())
}

/// Microseconds at which so many per cent had their answer.
fn at(histogram: &Histogram<u64>, percent: f64) -> f64 {
    histogram.value_at_percentile(percent) as f64 / 1000.0
}

fn rate(outcome: &Outcome) -> f64 {
    outcome.answers as f64 / outcome.wall.as_secs_f64().max(1e-9)
}

/// CPU time of this program for each answer, in microseconds.
fn cost(outcome: &Outcome) -> f64 {
    outcome.cpu.as_secs_f64() * 1e6 / outcome.answers.max(1) as f64
}

fn text(outcome: &Outcome) -> String {
    let (latency, errors) = (&outcome.latency, &outcome.errors);
    let mut lines = vec![
        format!("{} answers in {:.2} s: {:.0} a second", outcome.answers, outcome.wall.as_secs_f64(), rate(outcome)),
        format!(
            "latency us: p50 {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}",
            at(latency, 50.0),
            at(latency, 90.0),
            at(latency, 99.0),
            at(latency, 99.9),
            latency.max() as f64 / 1000.0
        ),
        format!("this program's own CPU time: {:.2} us for each answer", cost(outcome)),
    ];
    if !outcome.late.is_empty() {
        let late = &outcome.late;
        lines.push(format!("sent late, us: p50 {:.0}, p99 {:.0}", at(late, 50.0), at(late, 99.0)));
    }
    if errors.sum() > 0 {
        lines.push(format!(
            "errors: {} closed, {} refused, {} wrong answers, {} not framed ({}), {} unanswered",
            errors.closed,
            errors.refused,
            errors.wrong,
            errors.framing,
            errors.fault.unwrap_or("none"),
            errors.unanswered
        ));
    }
    lines.join("\n")
}

/// Numbers alone, and a reason without quotes in it: nothing needs escaping.
fn json(outcome: &Outcome) -> String {
    let errors = &outcome.errors;
    let times = |histogram: &Histogram<u64>| {
        let [p50, p90, p99, p999] = [50.0, 90.0, 99.0, 99.9].map(|percent| at(histogram, percent));
        let max = histogram.max() as f64 / 1000.0;
        format!(r#"{{"count":{},"p50":{p50},"p90":{p90},"p99":{p99},"p99.9":{p999},"max":{max}}}"#, histogram.len())
    };
    let fault = errors.fault.map_or("null".to_owned(), |fault| format!("\"{fault}\""));
    format!(
        concat!(
            r#"{{"answers":{},"seconds":{},"rate":{},"cpu_us":{},"busy":{},"latency_us":{},"late_us":{},"#,
            r#""errors":{{"closed":{},"refused":{},"wrong":{},"framing":{},"unanswered":{},"fault":{}}}}}"#
        ),
        outcome.answers,
        outcome.wall.as_secs_f64(),
        rate(outcome),
        cost(outcome),
        outcome.cpu.as_secs_f64() / outcome.wall.as_secs_f64().max(1e-9),
        times(&outcome.latency),
        times(&outcome.late),
        errors.closed,
        errors.refused,
        errors.wrong,
        errors.framing,
        errors.unanswered,
        fault
    )
}
