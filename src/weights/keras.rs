//! Names in Keras 3's files. It saves variables by the class and order of their layers
//! (`layers/functional/layers/conv2d_1/vars/0`), which says little and shifts with every layer
//! added; the names of layers stand beside them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::file::Tensors;

/// Names of layers by their path in the file: `layers/functional/layers/conv2d_1` → `block1_conv2`.
pub(super) type LayerNames = BTreeMap<String, String>;

/// Layer names of a `.keras` zip, from its `config.json`. Empty where that is not as Keras 3 writes
/// it.
pub(super) fn configured(config: &[u8]) -> LayerNames {
    let mut names = LayerNames::new();
    if let Ok(model) = serde_json::from_slice::<Value>(config) {
        collect(&model, "layers", &mut names);
    }
    names
}

/// Adds the layers of a model, and those of models among them. serde_json refuses nesting beyond
/// 128 levels.
fn collect(model: &Value, path: &str, names: &mut LayerNames) {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for layer in model["config"]["layers"].as_array().into_iter().flatten() {
        let (Some(class), Some(name)) = (layer["class_name"].as_str(), layer["config"]["name"].as_str()) else { continue };
        let class = snake_case(class);
        let count = used.entry(class.clone()).and_modify(|n| *n += 1).or_insert(0);
        let place = if *count == 0 { format!("{path}/{class}") } else { format!("{path}/{class}_{count}") };
        collect(layer, &format!("{place}/layers"), names);
        names.insert(place, name.into());
    }
}

/// Keras's `naming.to_snake_case`: `SeparableConv2D` → `separable_conv2d`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut snake = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|j| letters[j]);
        let word_starts = letters.get(i + 1).is_some_and(|c| c.is_lowercase()) || before.is_some_and(|c| c.is_lowercase());
        if letter.is_uppercase() && before.is_some_and(|c| c != '_') && word_starts {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Renames variables to `MODEL/LAYER/ROLE`, as in older files: `xception/block1_conv1/kernel`.
/// Those of unnamed layers stay as they are.
pub(super) fn named(tensors: Tensors, names: &LayerNames) -> Tensors {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in tensors.keys() {
        if let Some((layer, _)) = name.split_once("/vars/") {
            *counts.entry(layer.into()).or_default() += 1;
        }
    }
    let rename = |name: &str| {
        let (path, index) = name.split_once("/vars/")?;
        let above = path.match_indices("/layers/").map(|(at, _)| &path[..at]).chain([path]);
        let layer = above.map(|p| names.get(p).map(String::as_str)).collect::<Option<Vec<_>>>()?.join("/");
        Some(format!("{layer}/{}", role(path, index, counts[path])))
    };
    tensors.into_iter().map(|(name, tensor)| (rename(&name).unwrap_or(name), tensor)).collect()
}

/// The role of a layer's variable, by its number and the number of the layer's variables.
fn role(path: &str, index: &str, count: usize) -> String {
    // `conv2d_12` → `conv2d`
    let last = path.rsplit('/').next().unwrap_or(path);
    let class = last.rsplit_once('_').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit())).map_or(last, |(class, _)| class);
    let roles: &[&str] = match class {
        _ if class.starts_with("depthwise_conv") => &["depthwise_kernel", "bias"],
        _ if class.starts_with("separable_conv") => &["depthwise_kernel", "pointwise_kernel", "bias"],
        _ if class.starts_with("conv") || class == "dense" => &["kernel", "bias"],
        // Without a scale (Inception) there is no gamma.
        "batch_normalization" if count == 3 => &["beta", "moving_mean", "moving_variance"],
        "batch_normalization" => &["gamma", "beta", "moving_mean", "moving_variance"],
        "layer_normalization" => &["gamma", "beta"],
        _ => &[],
    };
    let known = index.parse::<usize>().ok().and_then(|i| roles.get(i));
    known.map_or(format!("vars/{index}"), |role| role.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_spelled_as_keras_spells_them() {
        let cases = [
            ("Conv2D", "conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("ReLU", "re_lu"),
            ("Functional", "functional"),
            ("LSTM", "lstm"),
        ];
        for (class, snake) in cases {
            assert_eq!(snake_case(class), snake);
        }
    }

    #[test]
    fn layers_are_counted_by_class_and_models_nest() {
        let config = br#"{"class_name": "Functional", "config": {"layers": [
            {"class_name": "Dense", "config": {"name": "first"}},
            {"class_name": "Functional", "config": {"name": "base", "layers": [
                {"class_name": "Conv2D", "config": {"name": "stem"}},
                {"class_name": "Conv2D", "config": {"name": "deep"}}]}},
            {"class_name": "Dense", "config": {"name": "second"}}]}}"#;
        let names = configured(config);
        let want = [
            ("layers/dense", "first"),
            ("layers/dense_1", "second"),
            ("layers/functional", "base"),
            ("layers/functional/layers/conv2d", "stem"),
            ("layers/functional/layers/conv2d_1", "deep"),
        ];
        assert_eq!(names, want.map(|(path, name)| (path.to_string(), name.to_string())).into());
        assert!(configured(b"no json").is_empty());
    }

    #[test]
    fn roles_follow_class_and_count() {
        assert_eq!(role("layers/conv2d_12", "1", 2), "bias");
        assert_eq!(role("layers/conv2d", "0", 1), "kernel");
        assert_eq!(role("layers/depthwise_conv2d_3", "0", 1), "depthwise_kernel");
        assert_eq!(role("layers/separable_conv2d", "1", 2), "pointwise_kernel");
        assert_eq!(role("layers/dense_1", "0", 2), "kernel");
        assert_eq!(role("layers/batch_normalization_7", "3", 4), "moving_variance");
        assert_eq!(role("layers/batch_normalization_7", "0", 3), "beta");
        assert_eq!(role("layers/seed_generator", "0", 1), "vars/0");
    }
}
