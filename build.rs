//! Compiles `proto/` with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/systole.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".systole.v1.Frame.data")
        .compile_fds(descriptors)?;
    Ok(())
}
