//! Typed events of an extraction, with words for people.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use crate::data::{Assigned, Split, SplitRule, copies_text, name_some};
use crate::extract::{self, Progress};
use crate::store::Deferred;
use crate::text::{counted, thousands};

/// Weight of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For information.
    Note,
    /// The user may have to act.
    Warning,
}

/// Something that the user of an extraction should know. [`Display`](fmt::Display) says it in a
/// sentence or two.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// How the listing was understood: folders that are splits, columns that are not used.
    Understood(&'a str),
    /// Files that were passed over, empty classes.
    PassedOver(&'a str),
    /// A rule was given for data that has splits of its own, which count.
    RuleUnused(SplitRule),
    /// The caches of this name were made from the same photos in another place.
    Moved {
        /// The caches' folder.
        caches: &'a Path,
        /// The earlier place of the photos, if it is known.
        from: Option<&'a Path>,
        /// Photos of these caches that are in the data.
        here: usize,
        /// Photos of these caches.
        of: usize,
    },
    /// A cache was made by an earlier version and cannot be used any more.
    EarlierVersion(&'a Path),
    /// Another cache of this data, whose splits should count, cannot be read.
    CacheUnread(&'a str),
    /// A rule has split the data.
    Assigned {
        /// The rule.
        rule: SplitRule,
        /// Photos of train, val and test.
        counts: [usize; 3],
        /// Photos that kept the split that a cache has for them.
        known: usize,
        /// New photos of small classes that were moved to where their class would be lacking.
        moved: usize,
    },
    /// Photos keep the split that the cache has for them, although a rule was given.
    SplitsKept(usize),
    /// No photo fell to a split.
    SplitEmpty(Split),
    /// A split has no photos of these classes.
    ClassesLacking(Split, Vec<&'a str>),
    /// How many groups there are.
    Groups(usize),
    /// Groups that stand in several splits.
    GroupsParted {
        /// Their names.
        groups: Vec<&'a str>,
        /// Whether the splits came with the data.
        own_splits: bool,
    },
    /// The same image stands in several splits or classes.
    Copies {
        /// Its URIs.
        uris: Vec<&'a str>,
        /// Whether copies are in different splits.
        across_splits: bool,
        /// Whether copies have different labels.
        across_classes: bool,
    },
    /// Copies as of [`Event::Copies`] stay in train: nobody asked for their removal.
    CopiesStay,
    /// Images that were left out of train because they stand elsewhere, too.
    CopiesLeftOut(usize),
    /// Classes that have no images left in train without copies, in words.
    ClassesEmptied(&'a str),
    /// A part of an extraction leaves this to merging.
    Deferred(Deferred),
    /// Images of test that a comparison leaves out.
    TestLeftOut(usize),
    /// A message of the pipeline: damaged shards, records that were wrong.
    Pipeline(&'a str),
}

impl Event<'_> {
    /// The weight of the event.
    pub fn level(&self) -> Level {
        match self {
            Event::Understood(_)
            | Event::Moved { .. }
            | Event::EarlierVersion(_)
            | Event::Assigned { .. }
            | Event::SplitsKept(_)
            | Event::Groups(_)
            | Event::CopiesStay
            | Event::CopiesLeftOut(_)
            | Event::Deferred(_)
            | Event::TestLeftOut(_) => Level::Note,
            Event::PassedOver(_)
            | Event::RuleUnused(_)
            | Event::CacheUnread(_)
            | Event::SplitEmpty(_)
            | Event::ClassesLacking(..)
            | Event::GroupsParted { .. }
            | Event::Copies { .. }
            | Event::ClassesEmptied(_)
            | Event::Pipeline(_) => Level::Warning,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |count: &usize| thousands(*count as u64);
        match self {
            Event::Understood(text)
            | Event::PassedOver(text)
            | Event::CacheUnread(text)
            | Event::ClassesEmptied(text)
            | Event::Pipeline(text) => f.write_str(text),
            Event::RuleUnused(rule) => write!(f, "option `split={rule}` is for data without splits; this has its own, and keeps them"),
            Event::Moved { caches, from: Some(from), here, of } => write!(
                f,
                "{} was made from {}: {} of {} photos are here, so this is the same data, moved",
                caches.display(),
                from.display(),
                n(here),
                n(of)
            ),
            Event::Moved { caches, from: None, here, of } => {
                write!(f, "{} is taken for caches of this data: {} of {} photos are here", caches.display(), n(here), n(of))
            }
            Event::EarlierVersion(folder) => {
                write!(f, "{} was made by an earlier version of headstart and cannot be used any more: it may be deleted", folder.display())
            }
            Event::Assigned { rule, counts, known, moved } => {
                let [train, val, test] = counts.each_ref().map(n);
                write!(f, "split by content, {rule}: {train} train, {val} val, {test} test")?;
                if *known > 0 {
                    write!(f, " ({} as before)", n(known))?;
                }
                write!(f, "; each photo's digest decides, so shares are met nearly")?;
                match moved {
                    0 => Ok(()),
                    moved => write!(
                        f,
                        "; {moved} new photos of small classes were moved over the border, for the sake of classes that would lack a split"
                    ),
                }
            }
            Event::SplitsKept(photos) => write!(
                f,
                "{} photos keep the split that the cache has for them, whatever option `split` says; another option `name` or option `cache` splits them anew",
                n(photos)
            ),
            Event::SplitEmpty(split) => {
                write!(f, "{split} has no photos at all: there are too few of them, or too few groups, to part any")
            }
            Event::ClassesLacking(split, classes) => write!(
                f,
                "{split} has no photos of {} classes, since those that are known keep their split: {}",
                classes.len(),
                name_some(classes.iter().copied())
            ),
            Event::Groups(groups) => {
                write!(f, "{}, none of which is parted in folds and held-out parts", counted(*groups, "group", "groups"))
            }
            Event::GroupsParted { groups, own_splits } => {
                let way = match own_splits {
                    true => "give each group one split",
                    false => "their photos were split before: another option `name` splits them anew",
                };
                write!(f, "{} groups stand in several splits: {} ({way})", groups.len(), name_some(groups.iter().copied()))
            }
            Event::Copies { uris, across_splits, across_classes } => f.write_str(&copies_text(uris, *across_splits, *across_classes)),
            Event::CopiesStay => f.write_str("help: option `dedupe` takes such images out of train"),
            Event::CopiesLeftOut(images) => write!(f, "{} left out of train", counted(*images, "duplicate", "duplicates")),
            Event::Deferred(deferred) => {
                f.write_str("a part reads its own images alone: ")?;
                f.write_str(match deferred {
                    Deferred { split: Some(_), .. } => "merging splits them and looks for copies, once it knows what all parts have read",
                    Deferred { split: None, .. } => "merging looks for copies, once it knows what all parts have read",
                })
            }
            Event::TestLeftOut(images) => write!(f, "{} left out of both ways", counted(*images, "image of test is", "images of test are")),
        }
    }
}

/// Events of a split, where the rule assigned anything; `asked`: whether the user named the rule.
pub(crate) fn events_of_split<'a>(done: &Assigned, rule: SplitRule, asked: bool, classes: &'a [String]) -> Vec<Event<'a>> {
    let mut events = vec![];
    let Assigned { counts, known, moved, .. } = *done;
    if known < counts.iter().sum() {
        events.push(Event::Assigned { rule, counts, known, moved });
    }
    if asked && known > 0 {
        events.push(Event::SplitsKept(known));
    }
    events.extend(done.empty.iter().copied().map(Event::SplitEmpty));
    for split in [Split::Train, Split::Val, Split::Test] {
        let lacking = done.lacking.iter().filter(|(_, lacks)| *lacks == split);
        let lacking: Vec<&str> = lacking.map(|(class, _)| classes[*class].as_str()).collect();
        if !lacking.is_empty() {
            events.push(Event::ClassesLacking(split, lacking));
        }
    }
    events
}

/// Hears how an extraction goes. Each method does nothing unless it is written; `()` hears nothing.
///
/// ```
/// use std::ops::ControlFlow;
/// use headstart::extraction::{Event, Level, Observer, Progress};
///
/// struct Print;
///
/// impl Observer for Print {
///     fn event(&mut self, event: &Event<'_>) {
///         if event.level() == Level::Warning {
///             eprintln!("{event}");
///         }
///     }
///
///     fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
///         eprint!("\r{} of {} images", progress.done, progress.images);
///         ControlFlow::Continue(())
///     }
/// }
/// ```
pub trait Observer {
    /// Something that the user should know.
    fn event(&mut self, _event: &Event<'_>) {}

    /// Changes are looked for among `images` images. The returned function is called for each of
    /// them, from many threads.
    fn digesting(&mut self, _images: usize) -> Box<dyn Fn() + Sync> {
        Box::new(|| ())
    }

    /// All changes are known; `read` files had to be read for that, the others have their size and
    /// time of an earlier run.
    fn digested(&mut self, _read: usize) {}

    /// The work is known: `images` to compute, `reused` to take as they are.
    fn started(&mut self, _progress: &Progress) {}

    /// Something was computed. `Break` stops: what is stored stays, and the next run goes on from
    /// there.
    fn progress(&mut self, _progress: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Observer for () {}

/// An observer as the pipeline knows it.
pub(crate) struct OfPipeline<'a>(pub &'a mut dyn Observer);

impl extract::Observer for OfPipeline<'_> {
    fn started(&mut self, progress: &Progress) {
        self.0.started(progress);
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.0.progress(progress)
    }

    fn message(&mut self, text: &str) {
        self.0.event(&Event::Pipeline(text));
    }
}
