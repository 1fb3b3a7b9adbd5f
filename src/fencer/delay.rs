//! How long a device waits before it fences, so that of two nodes that shoot each other one is later.
//! // spec cluster §16.4

use super::vocab::{Action, Delay};

/// The delay of one run; `random` is any number.
pub(super) fn delay_ms(
    action: Action,
    requested: Delay,
    (base_ms, max_ms): (u64, u64),
    random: u64,
) -> u64 {
    if !action.kills() || requested == Delay::Disabled {
        return 0;
    }
    let own = if max_ms == 0 {
        base_ms
    } else {
        let base_ms = base_ms.min(max_ms);
        let choices = (max_ms - base_ms) / 1000 + 1;
        base_ms + random % choices * 1000
    };
    own + added_ms(requested)
}

/// The longest it can be.
pub(super) fn longest_ms(action: Action, requested: Delay, (base_ms, max_ms): (u64, u64)) -> u64 {
    if !action.kills() || requested == Delay::Disabled {
        return 0;
    }
    let own = if max_ms == 0 { base_ms } else { max_ms };
    own + added_ms(requested)
}

fn added_ms(requested: Delay) -> u64 {
    match requested {
        Delay::Add(ms) => ms,
        Delay::None | Delay::Disabled => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        let off = |requested, own, random| delay_ms(Action::Off, requested, own, random);
        assert_eq!(off(Delay::None, (2000, 0), 7), 2000);
        assert_eq!(off(Delay::None, (2000, 5000), 0), 2000);
        assert_eq!(off(Delay::None, (2000, 5000), 3), 5000);
        assert_eq!(off(Delay::None, (2000, 5000), 4), 2000);
        assert_eq!(
            off(Delay::None, (9000, 5000), 4),
            5000,
            "base is lowered to max"
        );
        assert_eq!(off(Delay::Add(1500), (2000, 0), 0), 3500);
        assert_eq!(off(Delay::Disabled, (2000, 0), 0), 0);
        assert_eq!(delay_ms(Action::On, Delay::None, (2000, 0), 0), 0);
        assert_eq!(longest_ms(Action::Reboot, Delay::Add(1), (1, 7000)), 7001);
    }
}
