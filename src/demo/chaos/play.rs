//! Plays a script on one connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::receive::Incoming;
use super::{PATIENCE, Reading, Shared, Step};

/// Between two looks at a connection on which nothing happens.
const LOOK: Duration = Duration::from_millis(5);

/// What becomes of the connection after a step.
enum After {
    Next,
    Ended,
}

/// Serves one connection until its script or the client ends it.
pub(super) fn connection(mut socket: TcpStream, number: usize, shared: &Shared) {
    let client_gone = serve(&mut socket, number, shared).is_err();
    // Both handles of the socket must go before anybody is told, or the close is not on the wire.
    shared.log().connections.iter_mut().skip(number).take(1).for_each(|c| c.socket = None);
    drop(socket);
    shared.note(number, |c| c.client_gone = client_gone);
}

/// An error when the client ended it.
fn serve(socket: &mut TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let mut incoming = Incoming::default();
    let mut nth = 0;
    // A socket that refuses these options is refused by the reads that follow.
    let _set = socket.set_nodelay(true);
    loop {
        let request = incoming.request(socket, shared.reading)?;
        let request = {
            let mut log = shared.log();
            let index = log.requests.len();
            let request = super::Received { index, connection: number, nth, ..request };
            log.requests.push(request.clone());
            request
        };
        shared.changed.notify_all();
        nth += 1;
        for step in (shared.plan)(&request) {
            match play(&step, socket, number, shared)? {
                After::Next => {}
                After::Ended => return Ok(()),
            }
        }
        if shared.reading == Reading::Nothing {
            return Ok(());
        }
    }
}

fn play(step: &Step, socket: &mut TcpStream, number: usize, shared: &Shared) -> io::Result<After> {
    let write = |socket: &mut TcpStream, bytes: &[u8]| -> io::Result<()> {
        socket.write_all(bytes)?;
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        shared.note(number, |c| c.written += count);
        Ok(())
    };
    match step {
        Step::Send(bytes) => write(socket, bytes)?,
        Step::Pieces { bytes, size } => {
            for piece in bytes.chunks((*size).max(1)) {
                write(socket, piece)?;
            }
        }
        Step::Drip { bytes, pause } => {
            for byte in bytes.chunks(1) {
                if !stay(socket, *pause, shared)? {
                    return Ok(After::Next);
                }
                write(socket, byte)?;
            }
        }
        Step::Repeat { bytes, times } => {
            for _ in 0..*times {
                write(socket, bytes)?;
            }
        }
        Step::Hold => while !shared.log().released && stay(socket, LOOK, shared)? {},
        Step::AwaitClient => while stay(socket, PATIENCE, shared)? {},
        Step::Reset => {
            // A zero linger turns the close into RST.
            rustix::net::sockopt::set_socket_linger(&*socket, Some(Duration::ZERO))?;
            return Ok(After::Ended);
        }
        Step::Close => {
            socket.shutdown(std::net::Shutdown::Both)?;
            return Ok(After::Ended);
        }
    }
    Ok(After::Next)
}

/// Waits for `pause`. An error when the client is gone, false when the upstream is stopping.
/// What the client sends meanwhile is dropped: it has no business sending.
fn stay(socket: &mut TcpStream, pause: Duration, shared: &Shared) -> io::Result<bool> {
    socket.set_read_timeout(Some(pause.max(LOOK)))?;
    let mut scratch = [0; 1024];
    let read = socket.read(&mut scratch);
    socket.set_read_timeout(None)?;
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(!shared.stopping.load(Ordering::SeqCst))
        }
        Err(e) => Err(e),
    }
}
