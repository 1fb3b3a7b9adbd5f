//! A group assigns its members in order; colocations between them do the rest. spec 2 §12

use super::super::facts::Kind;
use super::super::{NodeIdx, RscIdx};
use super::Assign;

impl Assign<'_> {
    pub(super) fn assign_group(
        &mut self,
        group: RscIdx,
        prefer: Option<NodeIdx>,
        last: bool,
    ) -> Option<NodeIdx> {
        let now = &self.place.now.rscs[group];
        if !now.unassigned {
            return now.assigned;
        }
        if now.assigning {
            return None;
        }
        self.place.now.rscs[group].assigning = true;
        let members = self.place.now.rscs[group].children.clone();
        if let Some(first) = members.first() {
            self.place.now.rscs[group].orig_role = self.place.now.rscs[*first].orig_role;
        }
        self.print("pcmk__group_assign", group);
        let mut home = None;
        for member in &members {
            let node = self.assign_primitive(*member, prefer, last);
            home = home.or(node);
        }
        let next = members
            .first()
            .map(|first| self.place.now.rscs[*first].next_role);
        let now = &mut self.place.now.rscs[group];
        if let Some(next) = next {
            now.next_role = next;
        }
        now.assigning = false;
        now.unassigned = false;
        let colocated =
            matches!(&self.facts.rscs[group].kind, Kind::Group(group) if group.colocated);
        home.filter(|_| colocated)
    }
}
