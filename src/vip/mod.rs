//! The VIP agent `ocf:systole:IPaddr2` sets a virtual address, watches it and tells the network, in its own process.
//! Enters: an OCF action and `OCF_RESKEY_*`; links, addresses and routes of the kernel.
//! Leaves: netlink requests, ARP and neighbour frames, an OCF exit status with its reason.
//! May touch: netlink, packet sockets, the announcer's token file; it starts only itself, as announcer.

pub mod agent;

mod param;
pub(crate) mod plan;

mod announce;
pub(crate) mod garp;
pub(crate) mod link;
mod metadata;
mod ndp;

pub use agent::main;

/// Runs the agent if the program was called as it: by the name `IPaddr2` (a link where OCF agents are found), or as
/// `systole agent IPaddr2 ACTION`. Returns the exit status then.
pub fn called_as(args: &[String]) -> Option<u8> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let action = match words.as_slice() {
        [_, "agent", "IPaddr2", rest @ ..] => rest.first(),
        [name, rest @ ..] if name.rsplit('/').next() == Some("IPaddr2") => rest.first(),
        _ => return None,
    };
    let env = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into(),
                value.to_string_lossy().into(),
            )
        })
        .collect();
    let exit = main(action.unwrap_or(&"usage"), &env);
    Some(u8::try_from(exit).unwrap_or(1))
}
