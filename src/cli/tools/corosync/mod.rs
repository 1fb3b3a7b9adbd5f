//! What clients ask Corosync: who belongs to the cluster, who is there, who votes, how nodes are reached. Corosync is not
//! there; the daemon answers from its own membership, in the forms that clients read.
//! Enters: options of `corosync-quorumtool`, `corosync-cfgtool` and `corosync-cmapctl`.
//! Leaves: their texts and exit codes; `conf`, a description of the members that clients find in place of a configuration.
//! May touch: what `cli` may.

pub(crate) mod cfgtool;
pub(crate) mod cmapctl;
pub(crate) mod conf;
pub(crate) mod quorumtool;

use std::net::SocketAddr;

use crate::{
    cli::{cmd::cluster::unexpected, failure::Failure},
    raft::Member,
    rpc::{AdminAnswer, AdminRequest, ClusterStatus, PathState, PathStatus},
    terms::{CrmExit, NodeId},
};

use super::Tool;

/// The members as this node sees them.
struct Ring {
    status: ClusterStatus,
}

impl Ring {
    fn read(tool: &mut Tool) -> Result<Self, Failure> {
        match tool.access.ask(AdminRequest::Status) {
            Ok(AdminAnswer::Status(status)) => Ok(Ring { status: *status }),
            Ok(other) => Err(unexpected(&other)),
            // Clients know one code for everything that goes wrong.
            Err(failure) => Err(Failure {
                exit: CrmExit::ERROR,
                ..failure
            }),
        }
    }

    fn members(&self) -> &[Member] {
        &self.status.members
    }

    fn is_me(&self, member: &Member) -> bool {
        member.id == self.status.me
    }

    fn me(&self) -> Option<&Member> {
        self.members().iter().find(|member| self.is_me(member))
    }

    /// By which address a member is reached from here; none when it is not.
    fn path(&self, id: NodeId) -> Option<SocketAddr> {
        let (_, path) = self.status.paths.iter().find(|(node, _)| *node == id)?;
        *path
    }

    /// The path to a member over one of its addresses.
    fn link(&self, member: &Member, number: usize) -> Option<&PathStatus> {
        let address = member.addresses.get(number)?;
        let mut links = self.status.links.iter();
        links.find(|link| link.node == member.id && link.remote == *address)
    }

    /// Whether a member answers at one of its addresses. Of an address that it has not, the others tell.
    fn is_linked(&self, member: &Member, number: usize) -> bool {
        let link = self.link(member, number);
        link.map_or(self.is_here(member), |link| link.state == PathState::Up)
    }

    /// Whether a member is in the same part of the cluster as this node.
    fn is_here(&self, member: &Member) -> bool {
        self.is_me(member) || self.path(member.id).is_some()
    }

    /// Votes of all who may vote, and of those who are here.
    fn votes(&self) -> (usize, usize) {
        let voters = self.members().iter().filter(|member| member.role.votes());
        let here = voters.clone().filter(|member| self.is_here(member));
        (voters.count(), here.count())
    }

    /// Who leads, and since which election: it changes whenever the membership's view does.
    fn id(&self) -> String {
        let leader = self.status.leader.unwrap_or(self.status.me);
        format!("{leader}.{:x}", self.status.term.0)
    }
}
