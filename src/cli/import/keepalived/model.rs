//! What keepalived would do, of all hosts together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cli::import::note::Place;

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) globals: Globals,
    pub(super) instances: Vec<Instance>,
    pub(super) groups: Vec<SyncGroup>,
    pub(super) scripts: Vec<Script>,
}

/// `global_defs`.
#[derive(Debug, Default)]
pub(super) struct Globals {
    pub(super) mails: Vec<(Place, String)>,
    pub(super) mail_from: Option<String>,
    pub(super) announcing: Announcing,
}

/// How addresses are made known; what is not said is as the agent does it.
#[derive(Debug, Default, Clone)]
pub(super) struct Announcing {
    pub(super) again_s: Option<u32>,
    pub(super) count: Option<u32>,
    pub(super) refresh_s: Option<u32>,
}

/// `vrrp_instance`.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) router_id: Option<u32>,
    /// The interface on each host.
    pub(super) nics: BTreeMap<String, String>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
    pub(super) priorities: BTreeMap<String, (Place, i32)>,
    pub(super) nopreempt: bool,
    pub(super) dont_track_primary: bool,
    pub(super) tracks: Vec<Track>,
    pub(super) notify: Notify,
    pub(super) announcing: Announcing,
}

/// One line of `virtual_ipaddress`.
#[derive(Debug, PartialEq)]
pub(super) struct Address {
    pub(super) at: Place,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
    pub(super) dev: Option<String>,
    pub(super) label: Option<String>,
    pub(super) broadcast: Option<String>,
    pub(super) noprefixroute: bool,
    pub(super) preferred_lft: Option<String>,
}

/// One line of `virtual_routes`.
#[derive(Debug, PartialEq)]
pub(super) struct Route {
    pub(super) at: Place,
    pub(super) destination: String,
    pub(super) via: Option<String>,
    pub(super) dev: Option<String>,
    pub(super) src: Option<String>,
    pub(super) table: Option<String>,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    Script(String),
    Link(String),
}

/// A line of `track_script` or `track_interface`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    pub(super) at: Place,
    pub(super) test: Test,
    /// That of the script if not given.
    pub(super) weight: Option<i32>,
    pub(super) reverse: bool,
}

/// `vrrp_script`.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) command: String,
    pub(super) interval: String,
    pub(super) timeout: Option<String>,
    pub(super) weight: i32,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) init_fail: bool,
}

/// Programs that are told of changes.
#[derive(Debug, Default)]
pub(super) struct Notify {
    /// The parameter of our alert agent, and the command.
    pub(super) commands: BTreeMap<&'static str, (Place, String)>,
}

/// `vrrp_sync_group`.
#[derive(Debug)]
pub(super) struct SyncGroup {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) members: Vec<(Place, String)>,
    pub(super) tracks: Vec<Track>,
    pub(super) notify: Notify,
}

impl Instance {
    pub(super) fn new(at: &Place, name: &str) -> Self {
        Instance {
            at: at.clone(),
            name: name.to_owned(),
            router_id: None,
            nics: BTreeMap::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            priorities: BTreeMap::new(),
            nopreempt: false,
            dont_track_primary: false,
            tracks: Vec::new(),
            notify: Notify::default(),
            announcing: Announcing::default(),
        }
    }
}
