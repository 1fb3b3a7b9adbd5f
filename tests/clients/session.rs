//! A session is a list of steps. A step that fails is noted and the session goes on, so that one run tells all that is
//! wrong; at the end it fails if anything did.

use std::time::Duration;

use systole::xml::Element;

use super::lab::{Ran, Stage};

/// Steps taken so far, and what went wrong.
pub(crate) struct Session<'a> {
    pub(crate) stage: &'a Stage<'a>,
    /// Where the commands are given.
    pub(crate) host: String,
    /// The client: the beginning of every command.
    client: Vec<String>,
    /// How long one command may take.
    limit: Duration,
    steps: usize,
    slowest: Option<Ran>,
    failures: Vec<String>,
}

/// Whether a step did what it should; the text says what is so instead.
pub(crate) type Verdict = Result<(), String>;

impl<'a> Session<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, client: &[&str], limit: Duration) -> Self {
        Self {
            stage,
            host: stage.lab.names().remove(0),
            client: client.iter().map(|&word| word.to_owned()).collect(),
            limit,
            steps: 0,
            slowest: None,
            failures: Vec::new(),
        }
    }

    /// Gives a command in the words of the client; it must succeed in time, and its effect must be so.
    pub(crate) fn step(&mut self, line: &str, check: impl FnOnce(&Stage<'_>, &Ran) -> Verdict) {
        let words = self.words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.stage.run(&self.host, &words);
        self.judge(ran, 0, check);
    }

    /// The same with a line of shell in which `$C` is the client.
    pub(crate) fn shell(&mut self, line: &str, check: impl FnOnce(&Stage<'_>, &Ran) -> Verdict) {
        let line = line.replace("$C", &self.client.join(" "));
        let ran = self.stage.sh(&self.host, &line);
        self.judge(ran, 0, check);
    }

    /// A command that must be refused; the check looks at what was said, and that nothing has changed.
    pub(crate) fn refused(&mut self, line: &str, check: impl FnOnce(&Stage<'_>, &Ran) -> Verdict) {
        let words = self.words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.stage.run(&self.host, &words);
        let code = if ran.code == 0 { 1 } else { ran.code };
        self.judge(ran, code, check);
    }

    /// Words of a line; `'...'` keeps blanks.
    fn words(&self, line: &str) -> Vec<String> {
        let mut words = self.client.clone();
        let mut quoted = false;
        let mut word: Option<String> = None;
        for c in line.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' | '\n' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    fn judge(&mut self, ran: Ran, wanted: i32, check: impl FnOnce(&Stage<'_>, &Ran) -> Verdict) {
        self.steps += 1;
        let mut wrong = Vec::new();
        if ran.code != wanted {
            wrong.push(format!("exit status {}, not {wanted}", ran.code));
        }
        if ran.took > self.limit {
            wrong.push(format!("it took {:.1} s", ran.took.as_secs_f64()));
        }
        if let Err(why) = check(self.stage, &ran) {
            wrong.push(why);
        }
        if std::env::var_os("SYSTOLE_HOLD").is_some() {
            println!("{:6.2} s  {}", ran.took.as_secs_f64(), ran.line);
        }
        if !wrong.is_empty() {
            let told = format!(
                "{}\n    {}\n    it said: {}",
                ran.line,
                wrong.join("\n    "),
                ran.text().trim_end().replace('\n', "\n    | ")
            );
            println!("FAILED: {told}");
            self.failures.push(told);
        }
        if self.slowest.as_ref().is_none_or(|old| old.took < ran.took) {
            self.slowest = Some(ran);
        }
    }

    /// The end: all failures at once.
    pub(crate) fn end(self) {
        if let Some(ran) = &self.slowest {
            let seconds = ran.took.as_secs_f64();
            println!(
                "{} commands; the slowest took {seconds:.2} s: {}",
                self.steps, ran.line
            );
        }
        assert!(
            self.failures.is_empty(),
            "{} of {} commands failed:\n\n{}",
            self.failures.len(),
            self.steps,
            self.failures.join("\n\n")
        );
    }
}

/// A condition with a name.
pub(crate) fn that(is_so: bool, what: impl Into<String>) -> Verdict {
    if is_so { Ok(()) } else { Err(what.into()) }
}

/// A text has these parts.
pub(crate) fn says(text: &str, parts: &[&str]) -> Verdict {
    match parts.iter().find(|part| !text.contains(**part)) {
        Some(part) => Err(format!("it does not say `{part}`")),
        None => Ok(()),
    }
}

/// The CIB has what an XPath finds, once.
pub(crate) fn has(path: &'static str) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    has_times(path, 1)
}

/// The CIB has what an XPath finds, so many times.
pub(crate) fn has_times(
    path: &'static str,
    times: usize,
) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    move |stage, _| {
        let found = stage.count(path);
        that(
            found == times,
            format!("{path} is {found} times in the CIB, not {times}"),
        )
    }
}

/// After the cluster has settled, a resource runs on so many hosts.
pub(crate) fn runs(rsc: &'static str, hosts: usize) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    move |stage, _| {
        stage.settle();
        match stage.instances(rsc) {
            found if found.len() == hosts => Ok(()),
            found => Err(format!(
                "{rsc} runs on {hosts} hosts was wanted, it is {found:?}"
            )),
        }
    }
}

/// Standard output has these parts.
pub(crate) fn prints(parts: &'static [&'static str]) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    move |_, ran| says(&ran.out, parts)
}

/// After the cluster has settled, a resource runs here and nowhere else.
pub(crate) fn runs_at(
    rsc: &'static str,
    host: &'static str,
) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    move |stage, _| {
        stage.settle();
        match stage.runs_on(rsc) {
            found if found == [host] => Ok(()),
            found => Err(format!("{rsc} runs on {found:?}, not on {host}")),
        }
    }
}

/// After the cluster has settled, a host runs nothing.
pub(crate) fn emptied(stage: &Stage<'_>, host: &str) -> Verdict {
    stage.settle();
    let shown = stage
        .run(host, &["crm_mon", "-1", "-n", "--output-as=xml"])
        .out;
    let shown = systole::xml::parse(&shown, &systole::xml::Limits::CIB).unwrap();
    let node = shown
        .descendants()
        .find(|e| e.is("node") && e.get("name") == Some(host));
    let count = node.and_then(|e| e.get("resources_running")).unwrap_or("?");
    that(count == "0", format!("{count} resources run on {host}"))
}

/// An attribute of an element of the CIB.
pub(crate) fn attribute(cib: &Element, id: &str, name: &str) -> Option<String> {
    cib.find_id(id)?.get(name).map(str::to_owned)
}

/// A configuration as text, without the attributes of the document.
pub(crate) fn configuration(cib: &Element) -> String {
    cib.child("configuration")
        .map(systole::xml::write::pretty)
        .unwrap_or_default()
}

/// That it succeeds, in time, is all there is to see.
pub(crate) fn succeeds(_: &Stage<'_>, _: &Ran) -> Verdict {
    Ok(())
}
