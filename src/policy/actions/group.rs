//! A group's own actions are ordering points around its members' ones. spec 3 §9.1

use super::super::RscIdx;
use super::super::assign::tree::is_true;
use super::plan::{Key, Task};
use super::{Make, request};

impl Make<'_> {
    pub(super) fn create_group(&mut self, group: RscIdx) {
        let facts = self.facts;
        for member in &facts.rscs[group].children {
            self.create(*member);
        }
        let promotable = facts.rscs[group]
            .meta
            .get("promotable")
            .is_some_and(is_true);
        let all = [
            Task::START,
            Task::RUNNING,
            Task::STOP,
            Task::STOPPED,
            Task::DEMOTE,
            Task::DEMOTED,
            Task::PROMOTE,
            Task::PROMOTED,
        ];
        for task in &all[..if promotable { 8 } else { 4 }] {
            request::pseudo(
                &mut self.plan,
                facts,
                group,
                Key::of(*task),
                *task,
                true,
                true,
            );
        }
    }
}
