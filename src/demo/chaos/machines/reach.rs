//! How another machine is told to do something: a program that runs a shell there, usually ssh, is given a script.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::clock::Mono;

/// What a machine can do.
const SCRIPT: &str = include_str!("machine.sh");

/// The way to a machine: words of which `{}` is its name.
#[derive(Debug)]
pub(super) struct Reach {
    words: Vec<String>,
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
        Ok(Self { words })
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
        let argv: Vec<String> = self.words.iter().map(|w| w.replace("{}", host)).collect();
        let mut child = Command::new(&argv[0])
            .args(&argv[1..])
            .args(["sh", "-s", "--"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("{}: {e}", argv[0])))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("no pipes".to_owned()));
        };
        let writer = thread::spawn(move || stdin.write_all(SCRIPT.as_bytes()));
        let (out, err) = (read(stdout), read(stderr));
        let until = Mono::now().plus(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Mono::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(None) => {
                    // It is not waited for what it may have left behind: that would hold its pipes.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(failed(format!("no answer within {} s", limit.as_secs())));
                }
                Err(e) => return Err(failed(e.to_string())),
            }
        };
        // A machine that fails at once does not read its script to the end.
        let _ = writer.join();
        let text = |reader: thread::JoinHandle<io::Result<String>>| {
            reader.join().ok().and_then(Result::ok).unwrap_or_default()
        };
        let (out, err) = (text(out), text(err));
        if status.success() {
            return Ok(out);
        }
        let why = err.lines().last().unwrap_or("it says nothing").trim();
        Err(failed(why.to_owned()))
    }
}

fn read(mut from: impl Read + Send + 'static) -> thread::JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).map(|_| text)
    })
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
