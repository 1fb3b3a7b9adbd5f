//! The configuration as types, as far as more than one room asks; rules are not evaluated here.
//! Enters: elements of `<configuration>`.
//! Leaves: the table of cluster options and their values; nodes; constraints that move and ban made; fencing levels; where ids are defined.
//! May touch: nothing; pure.

pub mod daemon;
pub mod device;
pub mod moves;
pub mod node;
pub mod nvset;
pub mod options;
pub mod topology;
