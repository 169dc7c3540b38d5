//! How a data set is to be listed.

use super::group::GroupRule;
use super::names::SplitNames;

/// What decides how a listing is read, beyond what there is.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Which folders, or words of a CSV's column `split`, are which split; left out, their names
    /// decide.
    pub splits: Option<SplitNames>,
    /// Where the group of an image is written.
    pub group: Option<GroupRule>,
    /// Whether labels are classes although most of them are numbers, or stand at one image only.
    pub labels_are_classes: bool,
    /// Whether `a|b` in a CSV file is the name of one class.
    pub single_label: bool,
    /// Whether classes and splits do not matter: all images are listed that can be found, and
    /// nothing that is not sure is refused.
    pub lenient: bool,
}
