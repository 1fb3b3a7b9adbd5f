//! Timing the policy on a folder of CIBs. (spec 4 §12.5)

use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use super::args::{Options, Source};
use super::report::Report;
use super::{Failure, effective_time, input};
use crate::cli::show::Entry;
use crate::policy::{self, Input};

pub(super) fn run(folder: &Path, options: &Options, report: &mut Report) -> Result<(), Failure> {
    let unreadable = |error| {
        Failure::Input(input::Error::Unreadable {
            name: folder.display().to_string(),
            error,
        })
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| counts(path))
        .collect();
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let input::Taken {
            cib,
            notes,
            sanitized,
        } = input::read(&Source::File(file.clone()))?;
        report.errors.extend(notes);
        let (now_s, _) = effective_time(options, &cib, crate::clock::wall_s());
        let policy_input = Input {
            sanitized,
            causes: false,
            ..Input::at(now_s)
        };
        let before = cpu_s();
        for _ in 0..options.repeat {
            std::hint::black_box(policy::schedule(&cib, &policy_input));
        }
        let spent = cpu_s() - before;
        lines.push(Entry::Item(format!(
            "Testing {} ... {spent:.2} secs",
            file.display()
        )));
    }
    report.section("Timings", &lines);
    Ok(())
}

fn counts(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    path.is_file() && name.is_some_and(|name| name.ends_with(".xml") && !name.starts_with('.'))
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
