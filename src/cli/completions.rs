//! Completions for shells, made from the same definitions as the help.

use std::{io::Write, process::ExitCode};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::args::Crm;

/// Print the completions of `systole`, with the shell below it, or of `crm` alone.
pub fn print(shell: Shell, program: &str, systole: Command) -> ExitCode {
    let mut command = match program {
        "crm" => Crm::command(),
        _ => systole.mut_subcommand("crm", |_| Crm::command()),
    };
    let mut text = Vec::new();
    generate(shell, &mut command, program, &mut text);
    match std::io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(74),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example() {
        fn below(command: &Command, path: &str, without: &mut Vec<String>) {
            for inner in command.get_subcommands() {
                let path = format!("{path} {}", inner.get_name());
                if inner.get_after_help().is_none() {
                    without.push(path.clone());
                }
                below(inner, &path, without);
            }
        }
        let mut without = Vec::new();
        below(&Crm::command(), "crm", &mut without);
        assert_eq!(without, Vec::<String>::new());
    }

    #[test]
    fn completions_know_the_levels() {
        let mut text = Vec::new();
        generate(Shell::Bash, &mut Crm::command(), "crm", &mut text);
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("standby") && text.contains("rsc_defaults"));
    }
}
