//! A backbone's own fully connected layers, handed to the sweeps, which know nothing of backbones.

use crate::backbones::{self, BuildOptions};
use crate::heads::{HiddenLayers, Layer, PretrainedLayers};
use crate::store::CacheKey;
use crate::weights::read_shaped;
use crate::{Error, Result};

/// The tap that AlexNet's and VGG's classifiers read.
const TAP: &str = "avgpool";

/// The classifier of the backbone that made features with this key, where it has hidden layers;
/// `weights` are the words that get its weights, which are opened only when a head starts from
/// them.
pub(crate) fn backbone_classifier(key: &CacheKey, weights: &str) -> Option<PretrainedLayers> {
    let info = backbones::find(&key.backbone).ok()?;
    let mut layers = info.graph(&BuildOptions::default()).classifier(TAP)?;
    let dropouts = layers.iter().map(|layer| layer.dropout).collect();
    layers.pop();
    let hidden = layers.iter().map(|layer| layer.outputs).collect();
    let (weights, digest) = (weights.to_owned(), key.weights.clone());
    let read = move || -> Result<Vec<Layer>> {
        let opened = backbones::open_weights(info, Some(&weights), &|_| ())?;
        if opened.source.digest() != digest {
            let hint = "put back the file that the features were made with, or use `init: random`";
            return Err(Error::weights(opened.source.origin(), "is not the file that the features were made with", hint));
        }
        let layer = |l: &crate::graph::ClassifierLayer| {
            let weight = read_shaped(&*opened.source, &format!("{}.weight", l.name), &[l.outputs, l.inputs])?.data;
            Ok(Layer { weight, bias: read_shaped(&*opened.source, &format!("{}.bias", l.name), &[l.outputs])?.data })
        };
        layers.iter().map(layer).collect()
    };
    Some(PretrainedLayers::new(HiddenLayers { tap: TAP.into(), hidden, dropouts }, read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{Fit, HeadKind, Params};

    const FIT: Fit<'_> = Fit { tap: TAP, shape: &[9216], classes: 3, many: false };

    #[test]
    fn alexnets_layers_become_a_head_with_a_last_layer_of_its_own() {
        let info = backbones::find("alexnet").unwrap();
        let opened = backbones::open_weights(info, Some("random:5"), &|_| ()).unwrap();
        let key = CacheKey { backbone: "alexnet".into(), weights: opened.source.digest(), ..crate::store::example_key() };
        let classifier = backbone_classifier(&key, "random:5").unwrap();
        let spec = Params::of(HeadKind::Classifier).check_with(FIT, Some(&classifier.hidden)).unwrap();
        assert_eq!(spec.dims(), [9216, 4096, 4096, 3]);
        assert_eq!(spec.dropouts(), [0.5, 0.5, 0.0]);
        let head = classifier.start(&spec).unwrap();
        assert_eq!(head.layers()[1].weight, opened.source.read("classifier.4.weight").unwrap().data);
        assert_eq!(head.layers()[0].bias, opened.source.read("classifier.1.bias").unwrap().data);
        assert_eq!(head.layers()[2].weight.len(), 4096 * 3);

        let other = backbone_classifier(&key, "random:6").unwrap().start(&spec).unwrap_err().to_string();
        assert!(other.contains("is not the file that the features were made with"), "{other}");
        assert!(backbone_classifier(&CacheKey { backbone: "resnet50".into(), ..key }, "random:5").is_none());
    }
}
