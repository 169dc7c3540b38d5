//! The best head's answers that the page carries, some of them with photos: the most confident
//! mistakes, and a few close answers of every class.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use serde::Serialize;

use super::files::Prediction;
use super::photos::thumbnail;
use crate::data::{ImageSource, Orientation};

/// Largest number of mistakes on the page.
const MISTAKES: usize = 1000;
/// Largest number of right answers on the page, and of each class in a split.
const RIGHT: [usize; 2] = [400, 8];
/// Number of mistakes that get a photo before all others.
const FIRST_PHOTOS: usize = 24;
/// Largest number of photos on the page, of about 5 kB each.
const PHOTOS: usize = 150;

/// An answer of the best head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Answer {
    /// Path of the image.
    pub path: String,
    /// Name of the split: val or test.
    pub split: String,
    /// The image's class.
    pub class: String,
    /// The head's answer.
    pub predicted: String,
    /// Whether the two are the same.
    pub right: bool,
    /// Probability of the answer.
    pub probability: f64,
    /// Probability of the image's class.
    pub probability_of_class: Option<f64>,
    /// Data URI of a thumbnail.
    pub photo: Option<String>,
}

/// The answers that the page carries: mistakes, the most confident first, then right answers, the
/// least confident first. Photos are read from `source`.
pub(super) fn answers(predictions: &[Prediction], source: Option<&dyn ImageSource>, orientation: Orientation) -> Vec<Answer> {
    let shown = shown(predictions);
    let with_photo: HashSet<usize> = with_photo(&shown).into_iter().collect();
    let answer = |(number, p): (usize, &&Prediction)| Answer {
        path: p.path.clone(),
        split: p.split.clone(),
        class: p.class.clone(),
        predicted: p.predicted.clone(),
        right: p.correct == 1,
        probability: p.probability,
        probability_of_class: p.probability_of_class,
        photo: source.filter(|_| with_photo.contains(&number)).and_then(|source| thumbnail(source, &p.path, orientation)),
    };
    shown.par_iter().enumerate().map(answer).collect()
}

/// Whether photos of some of the first mistakes were not found.
pub(super) fn lacks_photos(answers: &[Answer]) -> bool {
    answers.iter().filter(|a| !a.right).take(FIRST_PHOTOS).any(|a| a.photo.is_none())
}

fn shown(predictions: &[Prediction]) -> Vec<&Prediction> {
    let (mut right, mut wrong): (Vec<_>, Vec<_>) = predictions.iter().partition(|p| p.correct == 1);
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    right.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    let [of_all, of_a_class] = RIGHT;
    let places = places(&right);
    let mut of_right = in_turn(&right, 0);
    of_right.retain(|&i| places[i] < of_a_class);
    let kept = |mut order: Vec<usize>, most: usize| {
        order.truncate(most);
        order.sort_unstable();
        order
    };
    let of_wrong = kept(in_turn(&wrong, FIRST_PHOTOS), MISTAKES);
    of_wrong.into_iter().map(|i| wrong[i]).chain(kept(of_right, of_all).into_iter().map(|i| right[i])).collect()
}

/// Indices of the answers that have their photo on the page.
fn with_photo(shown: &[&Prediction]) -> Vec<usize> {
    let mistakes = shown.iter().take(FIRST_PHOTOS).filter(|p| p.correct != 1).count();
    let mut order = in_turn(shown, mistakes);
    order.truncate(PHOTOS);
    order
}

/// The first answers, then one of every cell of the confusion matrices in turn.
fn in_turn(answers: &[&Prediction], first: usize) -> Vec<usize> {
    let places = places(answers);
    let mut order: Vec<usize> = (0..answers.len()).collect();
    order.sort_by_key(|&i| if i < first { 0 } else { places[i] + 1 });
    order
}

/// Each answer's place among those of the same split, class and answer.
fn places(answers: &[&Prediction]) -> Vec<usize> {
    let mut next: HashMap<[&str; 3], usize> = HashMap::new();
    let mut places = Vec::with_capacity(answers.len());
    for answer in answers {
        let next = next.entry([&answer.split, &answer.class, &answer.predicted]).or_default();
        places.push(*next);
        *next += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(class: &str, predicted: &str, probability: f64) -> Prediction {
        Prediction {
            path: format!("{class}/{probability}.png"),
            split: "val".into(),
            class: class.into(),
            predicted: predicted.into(),
            correct: u8::from(class == predicted),
            probability,
            probability_of_class: None,
        }
    }

    #[test]
    fn every_cell_has_photos_and_the_page_stays_small() {
        let mut all: Vec<Prediction> = (0..2000).map(|i| prediction("ant", "bee", 0.5 + f64::from(i) / 5000.0)).collect();
        all.extend((0..300).map(|i| prediction("bee", "bee", 0.5 + f64::from(i) / 1000.0)));
        all.push(prediction("bee", "ant", 0.51));
        let shown = shown(&all);
        assert_eq!(shown.len(), MISTAKES + RIGHT[1]);
        assert_eq!(shown[MISTAKES - 1].predicted, "ant", "a rare mistake stays where others are many");
        assert_eq!(shown[0].probability, 0.5 + 1999.0 / 5000.0, "the surest mistake comes first");
        assert_eq!(shown[MISTAKES].probability, 0.5, "the least sure of the right answers");
        let photos = with_photo(&shown);
        assert_eq!(photos.len(), PHOTOS);
        assert!((0..FIRST_PHOTOS).all(|i| photos.contains(&i)) && (MISTAKES..shown.len()).all(|i| photos.contains(&i)));
    }
}
