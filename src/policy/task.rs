//! Names of tasks as numbers: most are one of a few fixed ones, some are what a user wrote.

use std::sync::Arc;

/// A task's name, interned: comparing two is comparing two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task(u16);

macro_rules! tasks {
    ($($name:ident = $text:literal),* $(,)?) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy)]
        enum Fixed { $($name),* }
        impl Task {
            $(#[doc = concat!("`", $text, "`")] pub const $name: Task = Task(Fixed::$name as u16);)*
            const FIXED: &'static [&'static str] = &[$($text),*];
        }
    };
}

tasks! {
    START = "start", RUNNING = "running", STOP = "stop", STOPPED = "stopped",
    PROMOTE = "promote", PROMOTED = "promoted", DEMOTE = "demote", DEMOTED = "demoted",
    NOTIFY = "notify", NOTIFIED = "notified", MONITOR = "monitor",
    MIGRATE_TO = "migrate_to", MIGRATE_FROM = "migrate_from", RELOAD = "reload-agent",
    DELETE = "delete", LRM_DELETE = "lrm_delete", CLEAR = "clear_failcount", CANCEL = "cancel",
    FENCE = "stonith", SHUTDOWN = "do_shutdown", MAINTENANCE = "maintenance_nodes",
}

impl Task {
    /// The plain task of a completed one (`running` -> `start`), itself otherwise.
    #[must_use]
    pub fn folded(self) -> Task {
        match self {
            Task::RUNNING => Task::START,
            Task::STOPPED => Task::STOP,
            Task::PROMOTED => Task::PROMOTE,
            Task::DEMOTED => Task::DEMOTE,
            Task::NOTIFIED => Task::NOTIFY,
            other => other,
        }
    }

    /// The completed form of a plain task (`start` -> `running`).
    #[must_use]
    pub fn completed(self) -> Option<Task> {
        Some(match self {
            Task::START | Task::RUNNING => Task::RUNNING,
            Task::STOP | Task::STOPPED => Task::STOPPED,
            Task::PROMOTE | Task::PROMOTED => Task::PROMOTED,
            Task::DEMOTE | Task::DEMOTED => Task::DEMOTED,
            Task::NOTIFY | Task::NOTIFIED => Task::NOTIFIED,
            _ => return None,
        })
    }

    /// The opposite of a user-orderable action. spec 3 §10.1
    #[must_use]
    pub fn inverse(self) -> Option<Task> {
        Some(match self {
            Task::START => Task::STOP,
            Task::STOP => Task::START,
            Task::PROMOTE => Task::DEMOTE,
            Task::DEMOTE => Task::PROMOTE,
            Task::RUNNING => Task::STOPPED,
            Task::STOPPED => Task::RUNNING,
            Task::PROMOTED => Task::DEMOTED,
            Task::DEMOTED => Task::PROMOTED,
            _ => return None,
        })
    }
}

/// The names of all tasks that anything has.
#[derive(Clone, Debug)]
pub struct Tasks {
    names: Vec<Arc<str>>,
}

impl Default for Tasks {
    fn default() -> Self {
        let names = Task::FIXED.iter().map(|text| Arc::from(*text));
        Self {
            names: names.collect(),
        }
    }
}

impl Tasks {
    /// The interned form of a task's name.
    pub fn task(&mut self, text: &str) -> Task {
        if let Some(known) = self.find(text) {
            return known;
        }
        self.names.push(Arc::from(text));
        Task((self.names.len() - 1) as u16)
    }

    /// The interned form, if anything has that task.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Task> {
        let at = self.names.iter().position(|name| &**name == text);
        at.map(|at| Task(at as u16))
    }

    /// A task's name.
    #[must_use]
    pub fn name(&self, task: Task) -> &Arc<str> {
        &self.names[task.0 as usize]
    }
}
