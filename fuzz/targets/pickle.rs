//! The pickle of a PyTorch file, in an otherwise sound zip.
#![no_main]

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn torch_zip(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let values = [0_u8; 64];
    for (name, bytes) in [("data.pkl", pickle), ("data/0", &values), ("data/1", &values), ("version", b"3\n")] {
        zip.start_file(format!("archive/{name}"), options).expect("in memory");
        zip.write_all(bytes).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| headstart_fuzz::read_weights("weights.pth", &torch_zip(data)));
