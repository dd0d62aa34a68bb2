//! What the process asks of the system at start: file mode, descriptors, no core dumps.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files are ours alone (SEC-FS-1); as many descriptors as allowed (REL-RUN-6); no memory image of the
/// process, which holds tokens (SEC-KEY-4), unless `debuggable`.
pub fn harden(debuggable: bool) {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit { current: files.maximum, maximum: files.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        warn!(%error, "the limit of open files stays as it is");
    }
    if debuggable {
        return;
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warn!(%error, "core dumps could not be switched off");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        warn!(%error, "the process can be inspected by others of this user");
    }
}
