//! The multi-call door: the name it was called by picks daemon, tool or agent.

fn main() {}
