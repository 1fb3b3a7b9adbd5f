//! Scores: what is read is written the same, and sums stay within bounds in either order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::terms::Score;

fuzz_target!(|text: &str| {
    let mut scores = Vec::new();
    for word in text.split('\n') {
        if let Some(score) = Score::parse(word) {
            assert_eq!(Score::parse(&score.to_string()), Some(score));
            scores.push(score);
        }
    }
    for pair in scores.windows(2) {
        let sum = pair[0] + pair[1];
        assert_eq!(sum, pair[1] + pair[0]);
        assert!(sum.value().abs() <= Score::INFINITY.value());
    }
});
