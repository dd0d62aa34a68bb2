//! A zip archive of a few texts, deflated: what a report is handed on as (APPNOTE 6.3, without encryption or zip64).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// 1 January 1980, the first day the format knows: a report's own files tell their times.
const DAY: u16 = 0x0021;
/// Version that can read deflated files.
const NEEDED: u16 = 20;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
const DEFLATED: u16 = 8;

/// An archive in the making.
#[derive(Debug, Default)]
pub struct Zip {
    out: Vec<u8>,
    directory: Vec<u8>,
    files: u16,
}

impl Zip {
    /// Adds a file. One that is longer than the format takes (4 GiB) is left out.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        // Memory takes all that is written to it.
        let Ok(packed) = encoder.write_all(bytes).and_then(|()| encoder.finish()) else { return };
        let sizes = (u32::try_from(packed.len()), u32::try_from(bytes.len()));
        let (Ok(packed_len), Ok(len)) = sizes else { return };
        let (Ok(name_len), Ok(offset)) = (u16::try_from(name.len()), u32::try_from(self.out.len()))
        else {
            return;
        };
        let mut entry = Vec::new();
        for field in [NEEDED, UTF8, DEFLATED, 0, DAY] {
            entry.extend_from_slice(&field.to_le_bytes());
        }
        for field in [crc32fast::hash(bytes), packed_len, len] {
            entry.extend_from_slice(&field.to_le_bytes());
        }
        entry.extend_from_slice(&name_len.to_le_bytes());
        entry.extend_from_slice(&0_u16.to_le_bytes());

        self.out.extend_from_slice(b"PK\x03\x04");
        self.out.extend_from_slice(&entry);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(&packed);

        self.directory.extend_from_slice(b"PK\x01\x02");
        self.directory.extend_from_slice(&NEEDED.to_le_bytes());
        self.directory.extend_from_slice(&entry);
        // No comment, first disk, no attributes.
        self.directory.extend_from_slice(&[0; 10]);
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.files = self.files.saturating_add(1);
    }

    /// The archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let offset = u32::try_from(self.out.len()).unwrap_or(u32::MAX);
        let size = u32::try_from(self.directory.len()).unwrap_or(u32::MAX);
        self.out.append(&mut self.directory);
        self.out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        self.out.extend_from_slice(&self.files.to_le_bytes());
        self.out.extend_from_slice(&self.files.to_le_bytes());
        self.out.extend_from_slice(&size.to_le_bytes());
        self.out.extend_from_slice(&offset.to_le_bytes());
        self.out.extend_from_slice(&[0, 0]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::DeflateDecoder;

    use super::*;

    fn number(bytes: &[u8]) -> usize {
        bytes.iter().rev().fold(0, |sum, byte| sum * 256 + usize::from(*byte))
    }

    /// Read as the format says: from the end record to the directory, from there to the files.
    #[test]
    fn files_come_back_by_way_of_the_directory() {
        let mut zip = Zip::default();
        let long = "é{}".repeat(10_000);
        zip.add("a.json", long.as_bytes());
        zip.add("ü.json", b"");
        let bytes = zip.finish();
        let end = bytes.len() - 22;
        assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
        assert_eq!(number(&bytes[end + 10..end + 12]), 2);
        let mut at = number(&bytes[end + 16..end + 20]);
        for (name, text) in [("a.json", long.as_str()), ("ü.json", "")] {
            assert_eq!(&bytes[at..at + 4], b"PK\x01\x02");
            let (packed, len) =
                (number(&bytes[at + 20..at + 24]), number(&bytes[at + 24..at + 28]));
            assert_eq!((len, number(&bytes[at + 28..at + 30])), (text.len(), name.len()));
            assert_eq!(&bytes[at + 46..at + 46 + name.len()], name.as_bytes());
            let file = number(&bytes[at + 42..at + 46]);
            assert_eq!(&bytes[file..file + 4], b"PK\x03\x04");
            let data = file + 30 + name.len();
            let mut out = String::new();
            DeflateDecoder::new(&bytes[data..data + packed]).read_to_string(&mut out).unwrap();
            assert_eq!(out, text);
            at += 46 + name.len();
        }
        assert_eq!(at, end);
        assert!(bytes.len() < 1_000);
    }
}
