//! What agents print when they are asked for metadata.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::executor::agent::{metadata, ocf};

fuzz_target!(|output: &str| {
    let _ = metadata::parse(output);
    let _ = ocf::exit_reason(output);
});
