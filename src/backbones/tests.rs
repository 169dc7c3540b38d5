use super::*;

#[test]
fn names_are_unique_and_found() {
    for info in all() {
        assert_eq!(find(info.name).unwrap().name, info.name);
        assert_eq!(all().iter().filter(|b| b.name == info.name).count(), 1, "{}", info.name);
    }
    let error = find("mobilnet_v2").unwrap_err();
    assert!(error.is_unusable_input() && error.to_string().contains("`mobilenet_v2`"), "{error}");
}

#[test]
fn every_backbone_has_the_common_taps_at_its_own_size() {
    for info in all() {
        let graph = info.graph(&BuildOptions { classes: 7, ..BuildOptions::default() });
        let shapes = graph.shapes([3, info.size, info.size]).unwrap_or_else(|e| panic!("{}: {e}", info.name));
        let shape = |tap: &str| &shapes[graph.find_tap(tap).unwrap_or_else(|e| panic!("{}: {e}", info.name))];
        if let Some(classifier) = info.classifier {
            assert_eq!(shape("logits"), &vec![7], "{}", info.name);
            let classifier = graph.parameters().into_iter().find(|p| p.name == classifier);
            assert_eq!(classifier.unwrap_or_else(|| panic!("{}: no `{:?}`", info.name, info.classifier)).shape[0], 7);
        }
        assert_eq!(shape("gap").len(), 1, "{}", info.name);
        assert_eq!(shape("map").len(), 3, "{}", info.name);
        assert_eq!(shape("flat"), &vec![shape("map").iter().product::<usize>()], "{}", info.name);
    }
}

#[test]
fn parameter_names_are_unique() {
    for info in all() {
        let mut names: Vec<String> = info.graph(&BuildOptions::default()).parameters().into_iter().map(|p| p.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}", info.name);
    }
}

/// Caches are found by them: a change of a graph's text changes the key of everybody's caches.
#[test]
fn digests_of_graphs_stay() {
    let expected = [
        ("resnet50", "a106a3e10e36bdda99ede42790725e0289da79a01731a7eaae13ddae59572835"),
        ("mobilenet_v2_keras", "bcba714314150c02b41608e8a71fccd381b08abdbf975b267a4beaae333985aa"),
        ("convnext_tiny", "32e9af1ea90da54a90bf7a7919983e3005497ee2f4f02c2f8eb56ad0500092cf"),
        ("inception_v3", "2017c5f48f202ba3c6d1806bd212f74ad97dd865ff5d0df8c9839a6fd0c759db"),
        ("dinov2_vits14", "f642c3139c68f87494b5f0333515ae1badfd9bfcb92115885133e22192035eb3"),
    ];
    let digest = |name| find(name).unwrap().graph(&BuildOptions::default()).digest();
    let found = expected.map(|(name, _)| (name, digest(name)));
    assert_eq!(found.each_ref().map(|(name, digest)| (*name, digest.as_str())), expected);
}

#[test]
fn a_description_fits_its_network() {
    for info in all() {
        if let Some(twin) = info.twin {
            assert_eq!(find(twin).unwrap().twin, Some(info.name), "{}", info.name);
        }
        assert!(
            info.entries.iter().all(|entry| all().iter().any(|b| b.name == entry.backbone && b.family == info.family)),
            "{}",
            info.name
        );
        // A map leads to names that the graph has.
        let parameters = info.graph(&BuildOptions::default()).parameters();
        for map in info.naming.maps {
            assert!(parameters.iter().any(|p| p.name == map.witness), "{}: no `{}`", info.name, map.witness);
        }
        let (preprocess, _) = (info.preprocess)(info.size);
        assert_eq!(preprocess.output_size([2 * info.size, 3 * info.size]), [info.size; 2], "{}", info.name);
    }
}
