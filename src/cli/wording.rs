//! The library's words in the command's: its options as flags, its next steps as command lines.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::steps;
use regex::{Captures, Regex};

/// The command line for a step; `{}` stands for flags.
const COMMANDS: [(&str, &str); 10] = [
    (steps::EXTRACT, "run `headstart features{}`"),
    (steps::EXTRACT_AGAIN, "run `headstart features{}` again"),
    (steps::TRAIN, "train a head with `headstart sweep{}`"),
    (steps::TRAIN_AGAIN, "train the head again with `headstart sweep{}`"),
    (steps::EXPORT_AGAIN, "write it again with `headstart export{}`"),
    (steps::LIST_OF_BACKBONES, "`headstart backbones`"),
    (steps::DESCRIPTION_OF_BACKBONE, "`headstart backbones NAME`"),
    (steps::CHECK_WEIGHTS, "run `headstart weights check FILE --backbone NAME`"),
    (steps::MERGE, "join all parts with `headstart merge`"),
    (steps::SUMMARY_OF_CACHE, "`headstart inspect`"),
];

static OPTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(OPTION_WORDS).unwrap_or_else(|e| panic!("{e}")));

const OPTION_WORDS: &str = "\\boption `([a-z][a-z0-9-]*)(?:=([^`]*))?`";

/// A step with the options behind it, or an option.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let mut phrases = COMMANDS.map(|(phrase, _)| regex::escape(phrase));
    // The longest first: one phrase begins with another.
    phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    let phrases = phrases.join("|");
    Regex::new(&format!("\\b(?<step>{phrases})\\b(?<with> with {OPTION_WORDS}(?:(?:,| and|, and) {OPTION_WORDS})*)?|{OPTION_WORDS}"))
        .unwrap_or_else(|e| panic!("{e}"))
});

/// `text` as somebody at a command line can act on it: "option `size=224`" becomes `--size 224`,
/// "extract the features again with option `tap=gap`" becomes "run `headstart features --tap gap`
/// again".
pub(super) fn in_commands(text: &str) -> Cow<'_, str> {
    WORDS.replace_all(text, |found: &Captures| {
        let Some(step) = found.name("step") else { return flags(&found[0]) };
        let command = COMMANDS.iter().find(|(phrase, _)| *phrase == step.as_str()).map_or(step.as_str(), |(_, command)| command);
        let flags = found.name("with").map(|options| format!(" {}", flags(options.as_str()))).unwrap_or_default();
        command.replace("{}", &flags)
    })
}

fn flags(options: &str) -> String {
    let flag = |found: Captures| match found.get(2) {
        Some(value) => format!("--{} {}", &found[1], value.as_str()),
        None => format!("--{}", &found[1]),
    };
    OPTION.captures_iter(options).map(flag).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_flags() {
        for (says, shown) in [
            ("leave out option `size`, or use option `store=bf16`", "leave out --size, or use --store bf16"),
            ("say option `splits=train=Training,test=Testing`", "say --splits train=Training,test=Testing"),
            ("option `labels-are-classes`", "--labels-are-classes"),
            ("adoption `size` and option size stay", "adoption `size` and option size stay"),
            ("`gap` stays", "`gap` stays"),
        ] {
            assert_eq!(in_commands(says), shown);
        }
    }

    #[test]
    fn steps_become_command_lines_with_their_options() {
        for (says, shown) in [
            ("delete it and extract the features again as before", "delete it and run `headstart features` again as before"),
            ("extract the features with option `tap=gap`: it is not there", "run `headstart features --tap gap`: it is not there"),
            (
                "extract the features again with option `tap=map` and option `views=4`, or option `tap=gap`",
                "run `headstart features --tap map --views 4` again, or --tap gap",
            ),
            ("train the head again", "train the head again with `headstart sweep`"),
            ("the list of backbones names them all", "`headstart backbones` names them all"),
        ] {
            assert_eq!(in_commands(says), shown);
        }
    }

    #[test]
    fn every_step_has_a_command_line() {
        let phrases = COMMANDS.map(|(phrase, _)| phrase);
        assert_eq!(phrases, steps::ALL);
        for phrase in phrases {
            assert!(in_commands(phrase).contains("`headstart "), "{phrase}");
        }
    }
}
