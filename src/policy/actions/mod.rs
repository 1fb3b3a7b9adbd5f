//! Actions turn roles and nodes into what must be done, and in what order.
//! Enters: `Facts`, `Constraints`, `Placement`.
//! Leaves: `Plan`: actions, relations between them, and orderings that will become relations.
//! May touch: nothing; it is pure.

pub mod plan;
