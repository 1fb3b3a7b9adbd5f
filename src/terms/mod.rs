//! The field's words as types.
//! Enters: text of attributes, options and arguments.
//! Leaves: parsed values with one meaning each.
//! May touch: nothing; pure.
