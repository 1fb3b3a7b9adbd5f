//! The multi-call door: the name it was called by picks daemon, tool or agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    if let Some(code) = systole::vip::called_as(&args) {
        return ExitCode::from(code);
    }
    if let Some(code) = systole::cli::cmd::simulate::called_as(&args) {
        return ExitCode::from(code);
    }
    if let Some(code) = systole::demo::called_as(&args) {
        return ExitCode::from(code);
    }
    if let Some(code) = systole::cli::entry::called_as(&args) {
        return ExitCode::from(code);
    }
    ExitCode::SUCCESS
}
