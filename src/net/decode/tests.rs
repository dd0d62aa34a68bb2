//! Codings: whole, split anywhere, cut, corrupt, stacked, exploding.

use std::io::Read;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const CAP: usize = 64 * 1024 * 1024;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ::brotli::CompressorReader::new(data, 4096, 5, 22).read_to_end(&mut out).unwrap();
    out
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(data, 3).unwrap()
}

fn codings(data: &[u8]) -> [(Coding, Vec<u8>); 5] {
    [
        (Coding::Gzip, gzip(data)),
        (Coding::Deflate, zlib(data)),
        (Coding::Deflate, raw_deflate(data)),
        (Coding::Brotli, brotli(data)),
        (Coding::Zstd, zstd(data)),
    ]
}

/// Text that compresses, but not absurdly.
fn text(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + u8::try_from(state >> 29).unwrap()
        })
        .collect()
}

fn decode(coding: Coding, parts: &[&[u8]]) -> Result<Vec<u8>, DecodeError> {
    let mut inflater = Inflater::new(coding);
    let mut whole = Vec::new();
    for part in parts {
        let mut input = Bytes::copy_from_slice(part);
        loop {
            let out = inflater.step(&mut input)?;
            assert!(out.len() <= 8 * WINDOW, "{coding:?}: a window of {} bytes", out.len());
            if out.is_empty() && input.is_empty() {
                break;
            }
            whole.extend_from_slice(&out);
        }
    }
    inflater.finish()?;
    Ok(whole)
}

#[test]
fn every_coding_gives_the_bytes_back() {
    for size in [0, 1, 1000, 300_000] {
        let data = text(size);
        for (coding, coded) in codings(&data) {
            assert!(decode(coding, &[&coded]) == Ok(data.clone()), "{coding:?} of {size}");
        }
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let data = text(3000);
    for (coding, coded) in codings(&data) {
        let parts: Vec<&[u8]> = coded.chunks(1).collect();
        assert!(decode(coding, &parts) == Ok(data.clone()), "{coding:?}");
    }
}

#[test]
fn output_is_not_held_back_until_more_input_comes() {
    // A server-sent event that fits a flush point must leave at once.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let data = text(200_000);
    encoder.write_all(&data).unwrap();
    encoder.flush().unwrap();
    let mut input = Bytes::copy_from_slice(encoder.get_ref());
    let mut inflater = Inflater::new(Coding::Gzip);
    let mut made = 0;
    loop {
        let out = inflater.step(&mut input).unwrap();
        if out.is_empty() && input.is_empty() {
            break;
        }
        made += out.len();
    }
    assert_eq!(made, data.len());
}

#[test]
fn a_body_cut_anywhere_is_truncated() {
    let data = text(2000);
    for (coding, coded) in codings(&data) {
        for cut in 1..coded.len() {
            assert!(decode(coding, &[&coded[..cut]]).is_err(), "{coding:?} cut at {cut}");
        }
    }
}

#[test]
fn corrupt_bytes_are_refused() {
    let data = text(5000);
    for (coding, coded) in codings(&data) {
        let mut extra = coded.clone();
        extra.extend_from_slice(b"trailing bytes");
        assert!(decode(coding, &[&extra]).is_err(), "{coding:?} with trailing bytes");
    }
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        assert!(decode(coding, &[b"{\"plain\": \"text\"}"]).is_err(), "{coding:?}");
    }
    let mut wrong_sum = gzip(&data);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    assert!(decode(Coding::Gzip, &[&wrong_sum]).is_err());
}

#[test]
fn gzip_members_and_zstd_frames_may_follow_each_other() {
    let both = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(decode(Coding::Gzip, &[&both]).unwrap(), b"one two");
    let both = [zstd(b"one "), zstd(b"two")].concat();
    assert_eq!(decode(Coding::Zstd, &[&both]).unwrap(), b"one two");
}

#[test]
fn t_res_19_a_bomb_is_noticed_while_it_is_small() {
    let data = vec![0; 200 * 1024 * 1024];
    for (name, coded) in [("gzip", gzip(&data)), ("br", brotli(&data)), ("zstd", zstd(&data))] {
        let got = decode_request_body(Bytes::from(coded), Some(name), CAP);
        assert_eq!(got, Err(DecodeError::Bomb), "{name}");
    }
}

#[test]
fn a_small_body_may_expand_as_it_likes() {
    let data = vec![b' '; 1_000_000];
    let got = decode_request_body(Bytes::from(gzip(&data)), Some("gzip"), CAP).unwrap();
    assert_eq!(got.len(), data.len());
}

#[test]
fn the_decoded_size_counts_against_the_limit() {
    let data = text(100_000);
    let coded = Bytes::from(gzip(&data));
    assert_eq!(
        decode_request_body(coded.clone(), Some("gzip"), 99_999),
        Err(DecodeError::TooLarge)
    );
    assert!(decode_request_body(coded, Some("gzip"), 100_000).is_ok());
    assert_eq!(
        decode_request_body(Bytes::from_static(b"abc"), None, 2),
        Err(DecodeError::TooLarge)
    );
}

#[test]
fn names_of_codings() {
    let of = |value: &str| Coding::of([value].into_iter());
    let table = [
        ("", Ok(None)),
        ("identity", Ok(None)),
        ("Identity, identity", Ok(None)),
        ("gzip", Ok(Some(Coding::Gzip))),
        ("X-GZIP", Ok(Some(Coding::Gzip))),
        (" br ", Ok(Some(Coding::Brotli))),
        ("zstd", Ok(Some(Coding::Zstd))),
        ("deflate", Ok(Some(Coding::Deflate))),
        ("gzip, identity", Ok(Some(Coding::Gzip))),
        ("deflate, gzip", Err(DecodeError::Stacked)),
        ("gzip,gzip", Err(DecodeError::Stacked)),
        ("compress", Err(DecodeError::Unknown)),
        ("aes128gcm", Err(DecodeError::Unknown)),
    ];
    for (value, want) in table {
        assert_eq!(of(value), want, "{value}");
    }
    assert_eq!(Coding::of(["gzip", "br"].into_iter()), Err(DecodeError::Stacked));
    assert_eq!(
        decode_request_body(Bytes::from_static(b"x"), Some("deflate"), CAP),
        Err(DecodeError::Unknown)
    );
}

#[test]
fn identity_is_handed_through_without_a_copy() {
    let body = Bytes::from(text(10));
    let got = decode_request_body(body.clone(), Some("identity"), CAP).unwrap();
    assert_eq!(got.as_ptr(), body.as_ptr());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn splits_do_not_matter(len in 0_usize..5000, cuts in prop::collection::vec(0_usize..6000, 0..6)) {
        let data = text(len);
        for (coding, coded) in codings(&data) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(coded.len())).collect();
            cuts.sort_unstable();
            let (mut parts, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([coded.len()]) {
                parts.push(&coded[from..cut]);
                from = cut;
            }
            prop_assert!(decode(coding, &parts) == Ok(data.clone()), "{:?}", coding);
        }
    }

    #[test]
    fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            let _any = decode(coding, &[&data]);
        }
    }
}
