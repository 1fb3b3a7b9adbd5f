//! How long one decision takes, from a parsed CIB to the graph.
//!
//! Clusters come from the generator beside the project (`../shared/bench/gen_cib.py`, seed 1) where that and python3
//! are there, else from a plain one below. `SYSTOLE_BENCH=large` adds sizes that take
//! long to generate, `SYSTOLE_BENCH=huge` the largest ones, too.
//!
//! Expected before measuring: reading the facts looks at each history entry once, so a decision costs some
//! microseconds per entry: 3 nodes x 100 resources have 309 entries, 16 x 500 have 8 256, 16 x 2 000 have 32 256.

mod clusters;

use systole::policy::{Input, Kept, facts, schedule, schedule_again};
use systole::xml::{Element, Limits, parse};

use clusters::{cluster, sizes, text};

/// That of the program.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Expected: milliseconds at 3 x 100, tens at 16 x 500, under half a second at 16 x 2 000.
#[divan::bench(args = sizes(), sample_count = 10)]
fn decide(bencher: divan::Bencher<'_, '_>, size: (usize, usize, &'static str)) {
    let cib = cluster(size);
    let input = Input {
        causes: false,
        sanitized: true,
        ..Input::at(1_700_001_000)
    };
    bencher.bench(|| schedule(&cib, &input));
}

/// Expected: a fifth more than without at most.
#[divan::bench(args = sizes(), sample_count = 10)]
fn decide_with_causes(bencher: divan::Bencher<'_, '_>, size: (usize, usize, &'static str)) {
    let cib = cluster(size);
    let input = Input {
        sanitized: true,
        ..Input::at(1_700_001_000)
    };
    bencher.bench(|| schedule(&cib, &input));
}

/// One decision after a small change, as in a daemon: a node attribute, and one recorded result.
/// Expected: what the steps after the facts take, and a few nanoseconds per history entry.
#[divan::bench(args = sizes(), sample_count = 20)]
fn decide_after_a_change(bencher: divan::Bencher<'_, '_>, size: (usize, usize, &'static str)) {
    let before = cluster(size);
    let cibs = [before.clone(), changed(&before)];
    let input = Input {
        causes: false,
        scores: false,
        ..Input::at(1_700_001_000)
    };
    let kept = std::cell::RefCell::new(Kept::default());
    let turn = std::cell::Cell::new(0);
    for cib in &cibs {
        drop(schedule_again(cib, &input, &mut kept.borrow_mut()));
    }
    bencher.bench_local(|| {
        turn.set(1 - turn.get());
        schedule_again(&cibs[turn.get()], &input, &mut kept.borrow_mut())
    });
}

/// The same cluster after an attribute of its first node was set and one of its resources was looked at again.
fn changed(cib: &Element) -> Element {
    let mut cib = cib.clone();
    let Some(state) = cib
        .child_mut("status")
        .and_then(|status| status.child_mut("node_state"))
    else {
        return cib;
    };
    let set = Element::new("instance_attributes")
        .with("id", "changed")
        .with_child(
            Element::new("nvpair")
                .with("id", "changed-1")
                .with("name", "pingd")
                .with("value", "100"),
        );
    state.push(
        Element::new("transient_attributes")
            .with("id", "1")
            .with_child(set),
    );
    let result = state
        .child_mut("lrm")
        .and_then(|lrm| lrm.child_mut("lrm_resources"))
        .and_then(|resources| resources.child_mut("lrm_resource"))
        .and_then(|resource| resource.child_mut("lrm_rsc_op"));
    if let Some(result) = result {
        result.set("exec-time", "1");
    }
    cib
}

/// Expected: most of `decide` where nothing has to be done.
#[divan::bench(args = sizes(), sample_count = 10)]
fn read_facts(bencher: divan::Bencher<'_, '_>, size: (usize, usize, &'static str)) {
    let cib = cluster(size);
    let input = Input {
        causes: false,
        sanitized: true,
        ..Input::at(1_700_001_000)
    };
    bencher.bench(|| facts::read(&cib, &input));
}

/// Expected: a hundred megabytes a second.
#[divan::bench(args = sizes(), sample_count = 10)]
fn read_xml(bencher: divan::Bencher<'_, '_>, size: (usize, usize, &'static str)) {
    let text = text(size);
    bencher
        .counter(divan::counter::BytesCount::of_str(&text))
        .bench(|| parse(&text, &Limits::STORED).expect("generated XML is well-formed"));
}
