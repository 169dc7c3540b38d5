//! Words for the changes that a run of `features` made to the rows of its cache.

use crate::extract::Outcome;
use crate::store::Changes;
use serde_json::{Value, json};

use crate::cli::screen::{Screen, thousands};

/// Says what changed, and loudly if most of the photos are gone.
pub(super) fn tell(outcome: &Outcome, screen: &Screen) {
    let c = &outcome.changes;
    let kinds = [
        (c.added, "added"),
        (c.renamed, "renamed"),
        (c.relabelled, "relabelled"),
        (c.resplit, "moved to another split"),
        (c.regrouped, "moved to another group"),
        (c.revived, "back again"),
        (c.deleted, "gone, marked as deleted"),
    ];
    let said: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", thousands(*n as u64))).collect();
    screen.note(format_args!("rows: {}", if said.is_empty() { "no changes".into() } else { said.join(", ") }));
    if c.ungrouped > 0 {
        screen.warn(format_args!("{} photos had a group and have none now: was --group forgotten?", thousands(c.ungrouped as u64)));
    }
    let kept = outcome.images.saturating_sub(c.added + c.revived);
    if c.deleted > kept {
        let (gone, before) = (thousands(c.deleted as u64), thousands((c.deleted + kept) as u64));
        screen.warn(format_args!(
            "{gone} of the {before} photos of the last run are gone. Is the data complete, is its disk mounted? Their features stay until `headstart gc`, \
             and count again when the photos are back"
        ));
    }
}

/// For machines.
pub(super) fn object(c: &Changes) -> Value {
    json!({ "added": c.added, "renamed": c.renamed, "relabelled": c.relabelled, "resplit": c.resplit, "regrouped": c.regrouped, "revived": c.revived, "deleted": c.deleted })
}
