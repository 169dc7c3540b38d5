//! What a bundle says of itself, its digest mended, around the tensors of a sound one.
#![no_main]

use std::sync::LazyLock;

use headstart::data::Digest;
use headstart::engine::DeviceChoice;
use headstart::model::TrainedModel;
use libfuzzer_sys::{Corpus, fuzz_target};
use safetensors::SafeTensors;

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const TENSORS: &[u8] = include_bytes!("../seeds/heads/bundle.safetensors");

static PARSED: LazyLock<SafeTensors<'static>> = LazyLock::new(|| SafeTensors::deserialize(TENSORS).expect("the seed is sound"));

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(text) = std::str::from_utf8(data).ok().filter(|text| text.contains(ZEROS)) else { return Corpus::Reject };
    let metadata = [("headstart".to_owned(), text.to_owned())];
    let mut bytes = safetensors::serialize(PARSED.iter(), Some(metadata.into())).expect("tensors as they were");
    let digest = Digest::of(&bytes).to_string();
    let place = bytes.windows(ZEROS.len()).position(|window| window == ZEROS.as_bytes());
    let Some(place) = place else { return Corpus::Reject };
    bytes[place..place + ZEROS.len()].copy_from_slice(digest.as_bytes());
    let _ = TrainedModel::open(&headstart_fuzz::file("bundle.safetensors", &bytes), DeviceChoice::Cpu, &|_| ());
    Corpus::Keep
});
