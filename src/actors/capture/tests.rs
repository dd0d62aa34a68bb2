//! Which requests leave a file, and what it costs in memory.

use bytes::Bytes;

use super::*;

const NOW: UnixMs = 1_795_545_086_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn begin(mode: CaptureMode) -> (tempfile::TempDir, Capture, Clock) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let capture = Capture::start(dir.path(), 200 << 20, clock.clone()).unwrap();
    capture.begin(Capturing { mode, until: NOW + 60_000 });
    (dir, capture, clock)
}

/// A request that ended so.
fn request(capture: &Capture, id: &str, key: Option<&KeyRecord>, status: RequestStatus) -> bool {
    let Some(tape) = capture.tape(key) else { return false };
    tape.begin(Part::ClientRequest, 0, "POST /v1".to_owned(), [("x-a", &b"b"[..])].into_iter());
    tape.add(Part::ClientRequest, &Bytes::from_static(b"{\"a\":1}"));
    let (kept, bytes) = tape.ended(id, NOW, status);
    assert_eq!(bytes, 7);
    kept
}

fn read(dir: &Path, id: &str) -> Option<String> {
    let found = files(dir).unwrap().read(NOW, id).unwrap();
    found.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn modes_choose_whose_bodies_are_kept() {
    use RequestStatus::{ClientCancelled, Error, Ok};
    let (id, other) = (KeyId::new(), KeyId::new());
    let key = KeyRecord::unlimited(id, "laptop".to_owned(), [0; 32]);
    let kept = KeyRecord { capture_bodies: true, ..key.clone() };
    for (mode, caller, status, want) in [
        (CaptureMode::All, None, Ok, true),
        (CaptureMode::Failed, None, Ok, false),
        (CaptureMode::Failed, None, ClientCancelled, false),
        (CaptureMode::Failed, Some(&key), Error, true),
        (CaptureMode::Failed, Some(&kept), Ok, true),
        (CaptureMode::Key(id), None, Error, false),
        (CaptureMode::Key(id), Some(&key), Ok, true),
        (CaptureMode::Key(other), Some(&key), Ok, false),
        (CaptureMode::Key(other), Some(&kept), Ok, true),
    ] {
        let (dir, capture, _) = begin(mode);
        assert_eq!(request(&capture, "req_1", caller, status), want, "{mode:?} {status:?}");
        assert!(capture.flush(PATIENCE));
        assert_eq!(read(dir.path(), "req_1").is_some(), want, "{mode:?} {status:?}");
    }
}

#[test]
fn nothing_is_captured_before_it_is_asked_for_and_after_its_time() {
    let (_dir, capture, clock) = begin(CaptureMode::All);
    assert!(capture.tape(None).is_some());
    assert_eq!(capture.end_if_due(clock.now_ms()), None);
    clock.advance(Duration::from_secs(60));
    assert!(capture.tape(None).is_none() && capture.running().is_none());
    assert!(capture.end_if_due(clock.now_ms()).is_some());
    assert_eq!(capture.end(), None);
    let key = KeyRecord::unlimited(KeyId::new(), "laptop".to_owned(), [0; 32]);
    assert!(capture.tape(Some(&key)).is_none());
    // A key's own switch has no end.
    let kept = KeyRecord { capture_bodies: true, ..key };
    assert!(capture.tape(Some(&kept)).is_some());
    assert!(Capture::default().tape(Some(&kept)).is_none());
}

#[test]
fn bodies_are_bounded_and_memory_is_given_back() {
    let (dir, capture, _) = begin(CaptureMode::All);
    let inner = capture.0.as_ref().unwrap();
    let piece = Bytes::from(vec![b'x'; 700_000]);
    let tape = capture.tape(None).unwrap();
    for attempt in 1..=3 {
        tape.begin(Part::UpstreamResponse, attempt, "200".to_owned(), std::iter::empty());
        tape.add(Part::UpstreamResponse, &piece);
        tape.add(Part::UpstreamResponse, &piece);
    }
    assert_eq!(inner.memory.load(Ordering::Relaxed), 3 << 20);
    assert_eq!(tape.ended("req_1", NOW, RequestStatus::Ok), (true, 3 << 20));
    // What comes after the row belongs to it.
    tape.begin(Part::ClientResponse, 0, "200".to_owned(), std::iter::empty());
    tape.add(Part::ClientResponse, &Bytes::from_static(b"last"));
    drop(tape);
    assert!(capture.flush(PATIENCE));
    assert_eq!(inner.memory.load(Ordering::Relaxed), 0);
    let text = read(dir.path(), "req_1").unwrap();
    assert!(
        text.starts_with(r#"{"v":1,"request_id":"req_1""#) && text.contains("\"truncated\":true")
    );
    assert!(text.trim_end().ends_with(r#""body":"last"}"#));
}

#[test]
fn a_folder_that_cannot_be_had_loses_bodies_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("logs"), "in the way").unwrap();
    let clock = Clock::manual(NOW);
    let capture = Capture::start(dir.path(), 1 << 20, clock).unwrap();
    capture.begin(Capturing { mode: CaptureMode::All, until: UnixMs::MAX });
    assert!(request(&capture, "req_1", None, RequestStatus::Ok));
    assert!(capture.flush(PATIENCE));
    std::fs::remove_file(dir.path().join("logs")).unwrap();
    assert!(request(&capture, "req_2", None, RequestStatus::Ok));
    assert!(capture.flush(PATIENCE));
    assert!(read(dir.path(), "req_1").is_none() && read(dir.path(), "req_2").is_some());
}

#[test]
fn t_log_03_files_beyond_the_limit_give_way() {
    let (dir, capture, _) = begin(CaptureMode::All);
    capture.set_limit(1_000);
    for n in 0..20 {
        assert!(request(&capture, &format!("req_{n:02}"), None, RequestStatus::Ok));
        assert!(capture.flush(PATIENCE));
    }
    assert!(files(dir.path()).unwrap().size().unwrap() <= 1_000);
    assert!(read(dir.path(), "req_00").is_none() && read(dir.path(), "req_19").is_some());
}
