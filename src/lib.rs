//! Systole: a cluster resource manager. The rooms, in reading order; a room imports only rooms above it.
//!
//! CIB -> policy -> graph -> coordinator -> executor/fencer -> status -> CIB.

pub mod seeded;

pub mod terms;

pub mod clock;

pub mod xml;

pub mod cib;

pub mod graph;

pub mod policy;

pub mod simulate;

pub mod process;

pub mod raft;

pub mod coordinator;
pub mod presence;

pub mod alerts;
pub mod attributes;
pub mod executor;
pub mod fencer;

pub mod agents;

pub mod vip;

pub mod rpc;

pub mod cli;

pub mod daemon;
pub mod demo;
