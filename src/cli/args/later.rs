//! Commands of a level, described only when one of them is meant: to describe all commands of all levels takes longer than
//! to do most of them.

use clap::{ArgMatches, Command, Error, FromArgMatches, Subcommand};

/// A command of a level.
#[derive(Debug)]
pub struct Later<C>(pub C);

impl<C: FromArgMatches> FromArgMatches for Later<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        C::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<C: Subcommand> Subcommand for Later<C> {
    fn augment_subcommands(command: Command) -> Command {
        command.defer(C::augment_subcommands)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        command.defer(C::augment_subcommands_for_update)
    }

    fn has_subcommand(name: &str) -> bool {
        C::has_subcommand(name)
    }
}
