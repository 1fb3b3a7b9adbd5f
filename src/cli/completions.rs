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
    if program == "crm" {
        text.extend(names(shell).as_bytes());
    }
    match std::io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(74),
    }
}

/// What the definitions do not know: names of resources and nodes, which `crm` itself looks up when Tab is pressed. Where it
/// finds nothing, what was made from the definitions is offered.
fn names(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => {
            "
_crm_with_names() {
    _crm \"$@\"
    local cur=\"${COMP_WORDS[COMP_CWORD]}\" words
    [[ \"$cur\" == -* ]] && return 0
    words=$(\"${COMP_WORDS[0]}\" --complete \"${COMP_WORDS[@]:1:COMP_CWORD-1}\" 2>/dev/null) || return 0
    [[ -n \"$words\" ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))
    return 0
}
complete -F _crm_with_names -o bashdefault -o default crm
"
        }
        Shell::Zsh => {
            "
_crm_with_names() {
    local -a found
    [[ $PREFIX == -* ]] || found=(${(f)\"$(${words[1]} --complete ${words[2,CURRENT-1]} 2>/dev/null)\"})
    if (( ${#found} )); then
        compadd -a found
    else
        _crm \"$@\"
    fi
}
compdef _crm_with_names crm
"
        }
        Shell::Fish => {
            "
complete -c crm -f -a '(crm --complete (commandline -opc)[2..-1] 2>/dev/null)'
"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example() {
        fn below(command: &Command, path: &str, without: &mut Vec<String>) {
            let shown = command
                .get_subcommands()
                .filter(|inner| !inner.is_hide_set());
            for inner in shown {
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
