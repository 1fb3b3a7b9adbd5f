//! How another machine is told to do something: a program that runs a shell there, usually ssh, is given a script.

use std::future::pending;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::process::{self, How, Spec};

/// What a machine can do.
const SCRIPT: &str = include_str!("machine.sh");
/// A CIB and a status fit.
const ANSWER_BYTES: usize = 64 << 20;

/// The way to a machine: words of which `{}` is its name.
#[derive(Debug)]
pub(super) struct Reach {
    words: Vec<String>,
    runtime: Runtime,
}

impl Reach {
    /// # Errors
    /// A way that does not name the machine leads to one and the same.
    pub(super) fn new(template: &str) -> Result<Self, String> {
        let words: Vec<String> = template.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() || !words.iter().any(|word| word.contains("{}")) {
            return Err(format!(
                "--reach `{template}` does not say which machine: put {{}} where its name belongs, as in `ssh root@{{}}`"
            ));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self { words, runtime })
    }

    /// Does something on a machine; its standard output.
    ///
    /// # Errors
    /// Why not, in the words of the machine or of the program that leads there.
    pub(super) fn ask(
        &self,
        host: &str,
        words: &[&str],
        limit: Duration,
    ) -> Result<String, String> {
        let failed = |why: String| format!("{host}: {}: {why}", words.join(" "));
        // Whoever leads there may put the words together for a shell again.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:%=,@+-".contains(c);
        if let Some(odd) = words.iter().find(|word| !word.chars().all(plain)) {
            return Err(failed(format!("`{odd}` is no word for a shell")));
        }
        let mut way = self.words.iter().map(|word| word.replace("{}", host));
        let mut spec = Spec::new(way.next().unwrap_or_default()).timeout(limit);
        spec.args.extend(way.map(Into::into));
        spec.args.extend(["sh", "-s", "--"].map(Into::into));
        spec.args.extend(words.iter().map(Into::into));
        // ssh finds its keys and its agent by these.
        spec.env = std::env::vars_os().collect();
        spec.stdin = Some(SCRIPT.into());
        spec.output_limit = ANSWER_BYTES;
        let ended = self.runtime.block_on(process::run(spec, pending()));
        match ended.how {
            How::Exited(0) => Ok(ended.stdout.text()),
            How::TimedOut => Err(failed(format!("no answer within {} s", limit.as_secs()))),
            How::CannotExec(_, why) => Err(failed(why)),
            How::Exited(_) | How::Signaled(_) | How::Stopped => {
                let err = ended.stderr.text();
                let why = err.lines().last().unwrap_or("it says nothing").trim();
                Err(failed(why.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_names_the_machine() {
        assert!(Reach::new("ssh root@somewhere").is_err());
        assert!(Reach::new("").is_err());
        assert!(Reach::new("ssh root@{}").is_ok());
    }

    #[test]
    fn words_that_a_shell_would_read_otherwise_do_not_leave() {
        let reach = Reach::new("env HOST={}").expect("it names the machine");
        let second = Duration::from_secs(5);
        let odd = reach.ask("h1", &["fail-resource", "x;reboot"], second);
        assert!(odd.is_err_and(|why| why.contains("`x;reboot`")));
    }

    #[test]
    fn what_a_machine_refuses_is_told_with_its_name() {
        let reach = Reach::new("env HOST={}").expect("it names the machine");
        let why = reach.ask("h1", &["no-such"], Duration::from_secs(5));
        assert_eq!(
            why,
            Err("h1: no-such: there is no fault no-such".to_owned())
        );
    }
}
