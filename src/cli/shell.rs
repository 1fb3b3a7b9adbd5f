//! One run of the shell: the cluster it speaks to, where it writes, and a configuration with changes that are not yet
//! committed.

use std::io::{IsTerminal, Write};

use crate::{
    cib::Cib,
    cli::{
        access::Access,
        args::{Configure, Later, Level, Line},
        cmd,
        failure::Failure,
        language::Document,
        terminal, tools, waiting,
    },
    terms::CrmExit,
    xml::Element,
};

/// A configuration being edited.
#[derive(Debug)]
pub struct Session {
    /// The CIB it began with.
    pub base: Cib,
    /// Its configuration with changes.
    pub document: Document,
}

impl Session {
    /// Of a CIB.
    pub fn new(base: Cib) -> Self {
        let configuration = base
            .configuration()
            .cloned()
            .unwrap_or_else(|| Element::new("configuration"));
        Session {
            document: Document::new(configuration),
            base,
        }
    }

    /// The whole CIB with the changes.
    pub fn changed(&self) -> Element {
        let mut root = self.base.root().clone();
        *root.child_or_new("configuration") = self.document.configuration().clone();
        root
    }

    /// Whether anything is not yet committed.
    pub fn is_changed(&self) -> bool {
        self.base.configuration() != Some(self.document.configuration())
    }
}

/// One run.
pub struct Shell {
    /// The cluster.
    pub access: Box<dyn Access>,
    /// Standard output.
    pub out: Box<dyn Write>,
    /// Standard error.
    pub errors: Box<dyn Write>,
    /// Errors in colour.
    pub colour: bool,
    /// Do it although there is a warning.
    pub force: bool,
    /// Wait for what follows.
    pub wait: bool,
    /// Somebody sits at the terminal and can be asked.
    pub person: bool,
    /// What is said about the changes of this line.
    pub comment: Option<String>,
    /// Changes wait for a commit: at a prompt or in a file of commands.
    pub deferred: bool,
    /// The configuration, once it was asked for.
    pub session: Option<Session>,
    /// The copy that is worked on instead of the cluster.
    pub copy: Option<String>,
    /// What of the transitions is shown.
    pub past: cmd::past::View,
}

impl Shell {
    /// On the standard streams.
    pub fn new(access: Box<dyn Access>) -> Self {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Shell {
            access,
            out: Box::new(std::io::stdout()),
            errors: Box::new(std::io::stderr()),
            colour,
            force: false,
            wait: false,
            person: false,
            comment: None,
            deferred: false,
            session: None,
            copy: None,
            past: cmd::past::View::default(),
        }
    }

    /// The configuration being edited.
    pub fn session(&mut self) -> Result<&mut Session, Failure> {
        if self.session.is_none() {
            self.session = Some(Session::new(self.access.cib()?));
        }
        Ok(self.session.as_mut().expect("a session was just begun"))
    }

    /// The CIB: with pending changes at a prompt.
    pub fn cib(&mut self) -> Result<Cib, Failure> {
        self.access.cib()
    }

    /// Write a line for the reader.
    pub fn say(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{}", text.trim_end_matches('\n')).map_err(Failure::from)
    }

    /// Write a page for the reader; at a terminal, lines are broken where it ends.
    pub fn show(&mut self, text: &str) -> Result<(), Failure> {
        match terminal::columns() {
            Some(columns) => self.say(&terminal::wrapped(text, columns)),
            None => self.say(text),
        }
    }

    /// Say something beside the result.
    pub fn warn(&mut self, text: &str) {
        // Nobody is there to read it when standard error is gone.
        let _ = writeln!(self.errors, "warning: {text}");
    }

    /// Ask yes or no; no is the default, also with Ctrl-C and when nobody answers any more.
    pub fn ask(&mut self, question: &str) -> Result<bool, Failure> {
        let answer = waiting::answer(&mut self.out, &format!("{question} [y/N]"))?;
        let answer = answer.unwrap_or_default();
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Tell a failure, and the exit code that goes with it.
    pub fn fail(&mut self, failure: &Failure) -> CrmExit {
        failure.tell(&mut *self.errors, self.colour);
        failure.exit
    }

    /// Run one line that was read from arguments, a file or a prompt.
    pub fn run(&mut self, line: Line) -> Result<(), Failure> {
        let before = (self.force, self.wait);
        self.force |= line.force;
        self.wait |= line.wait;
        let all = self.comment.clone();
        if line.comment.is_some() {
            self.comment = line.comment;
        }
        self.access
            .comment_on(self.comment.as_deref().unwrap_or_default());
        let result = self.level(line.level);
        self.comment = all;
        (self.force, self.wait) = before;
        result
    }

    fn level(&mut self, level: Level) -> Result<(), Failure> {
        match level {
            Level::Status(status) => cmd::status::run(self, &status),
            Level::Configure {
                command: Some(Later(command)),
            } => cmd::configure::run(self, command),
            Level::Resource {
                command: Some(Later(command)),
            } => cmd::resource::run(self, command),
            Level::Node {
                command: Some(Later(command)),
            } => cmd::node::run(self, command),
            Level::Cluster {
                command: Some(Later(command)),
            } => cmd::cluster::run(self, command),
            Level::Cib {
                command: Some(Later(command)),
            } => cmd::cib::run(self, command),
            Level::Apply(apply) => cmd::configure::apply(self, &apply),
            Level::Import(import) => cmd::import::run(self, &import),
            Level::Watch(watch) => cmd::watch::run(self, &watch),
            Level::Drill(drill) => cmd::drill::run(self, &drill),
            Level::Doctor(doctor) => cmd::doctor::run(self, &doctor),
            Level::Explain(explain) => cmd::explain::run(self, &explain),
            Level::History(history) => cmd::history::run(self, history),
            Level::Ra {
                command: Some(Later(command)),
            } => cmd::by_tool::ra(self, &command),
            Level::Maintenance {
                command: Some(Later(command)),
            } => cmd::by_tool::maintenance(self, command),
            Level::Site {
                command: Some(Later(command)),
            } => cmd::by_tool::site(self, &command),
            Level::Verify => cmd::configure::run(self, Configure::Verify),
            Level::Report(passed) => {
                let words: Vec<&str> = passed.words.iter().map(String::as_str).collect();
                tools::within(self, "crm_report", &words)
            }
            Level::Assist(words) => cmd::elsewhere::answer(self, "assist", &words.words),
            Level::Cibstatus(words) => cmd::elsewhere::answer(self, "cibstatus", &words.words),
            Level::Corosync(words) => cmd::elsewhere::answer(self, "corosync", &words.words),
            Level::Options(words) => cmd::elsewhere::answer(self, "options", &words.words),
            Level::Script(words) => cmd::elsewhere::answer(self, "script", &words.words),
            Level::Template(words) => cmd::elsewhere::answer(self, "template", &words.words),
            Level::Configure { command: None }
            | Level::Resource { command: None }
            | Level::Node { command: None }
            | Level::Cib { command: None }
            | Level::Ra { command: None }
            | Level::Maintenance { command: None }
            | Level::Site { command: None }
            | Level::Cluster { command: None } => {
                Err(Failure::usage("a command is missing after the level")
                    .cure("see --help, or run crm without a command for a prompt"))
            }
        }
    }
}
