//! Compiles `proto/` with protox, so that no protoc is needed, and says how the program is linked.

use std::env;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/systole.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".systole.v1.Frame.data")
        .compile_fds(descriptors)?;
    link();
    Ok(())
}

/// Agents call tools hundreds of times a minute, and half of such a call was the loader relocating 56,000 addresses of a
/// position-independent program. At a fixed address there are none. Libraries, heap and stacks stay at random places; who
/// wants the program itself there, too, builds with `SYSTOLE_PIE=1`.
fn link() {
    println!("cargo:rerun-if-env-changed=SYSTOLE_PIE");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let is_static = target("FEATURE")
        .split(',')
        .any(|feature| feature == "crt-static");
    let known = target("OS") == "linux" && target("ENV") == "gnu" && !is_static;
    if known && env::var_os("SYSTOLE_PIE").is_none() {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
