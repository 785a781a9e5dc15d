//! A network between two programs that does to each connection what is drawn for it.

use crate::dice::Dice;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How long a network that swallows everything is waited for before it is gone.
const SWALLOWS: Duration = Duration::from_secs(2);
/// Bytes of a step of a slow network, and its length: 64 KB/s at most.
const STEP: (usize, Duration) = (64, Duration::from_millis(1));

/// What happens to what one side sends. Where there is a number, it is after so many bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Net {
    /// It arrives.
    Passes,
    /// Each piece arrives so many ms later.
    Delays(u64),
    /// It arrives little by little.
    Throttles,
    /// The connection is closed on both sides.
    Cuts(u64),
    /// It is reset on both sides.
    Resets(u64),
    /// Nothing more arrives, and nothing is said of it.
    Swallows(u64),
    /// This direction is closed, the other one goes on.
    HalfCloses(u64),
    /// Nothing but bytes that no text has arrives.
    Garbles(u64),
}

/// Which side's bytes it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// A proxy between clients and a server; its threads end with their connections.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    harmed: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts it before a server.
    pub(super) fn start(server: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (dice, harmed) = (Mutex::new(Dice::new(seed)), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&harmed);
        spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (side, net) = draw(&mut dice.lock().unwrap());
                let Ok(server) = TcpStream::connect(server) else { continue };
                let both = |stream: &TcpStream| stream.try_clone().unwrap();
                let (to_server, to_client) = ((both(&client), both(&server)), (server, client));
                for (sender, (from, to)) in [(Side::Client, to_server), (Side::Server, to_client)] {
                    let net = if sender == side { net } else { Net::Passes };
                    let count = Arc::clone(&count);
                    spawn(move || carry(from, to, net, &count));
                }
            }
        });
        Proxy { address, harmed }
    }

    /// Connections to which something happened.
    pub(super) fn harmed(&self) -> u64 {
        self.harmed.load(Ordering::SeqCst)
    }
}

/// Every third connection is left alone. A connection may carry several requests of some hundred
/// bytes, and answers of up to two thousand.
fn draw(dice: &mut Dice) -> (Side, Net) {
    let side = dice.one_of(&[Side::Client, Side::Server, Side::Server]);
    let at = dice.below(if side == Side::Client { 500 } else { 2_000 });
    let harms = [
        Net::Delays(1 + at % 20),
        Net::Throttles,
        Net::Cuts(at),
        Net::Resets(at),
        Net::Swallows(at),
        Net::HalfCloses(at),
        Net::Garbles(at),
    ];
    match dice.below(3) {
        0 => (side, Net::Passes),
        _ => (side, dice.one_of(&harms)),
    }
}

/// Carries what comes until either side ends or the network does what it does.
fn carry(mut from: TcpStream, mut to: TcpStream, net: Net, harmed: &AtomicU64) {
    let (mut seen, mut buffer) = (0, [0; 4_096]);
    let most = if matches!(net, Net::Throttles) { STEP.0 } else { buffer.len() };
    while let Ok(count @ 1..) = from.read(&mut buffer[..most]) {
        let piece = &mut buffer[..count];
        let before = seen;
        seen += count as u64;
        // What of the piece arrives as it is.
        let whole = |at: u64| usize::try_from(at.saturating_sub(before)).unwrap().min(count);
        let arrives = match net {
            Net::Passes => count,
            Net::Delays(ms) => {
                sleep(Duration::from_millis(ms));
                count
            }
            Net::Throttles => {
                sleep(STEP.1);
                count
            }
            Net::Cuts(at) | Net::Resets(at) | Net::Swallows(at) | Net::HalfCloses(at) => whole(at),
            Net::Garbles(at) => {
                piece[whole(at)..].fill(0xff);
                count
            }
        };
        if to.write_all(&piece[..arrives]).is_err() {
            break;
        }
        if arrives < count {
            harmed.fetch_add(1, Ordering::SeqCst);
            return ends(net, &mut from, &to);
        }
        harmed.fetch_add(
            u64::from(matches!(net, Net::Garbles(at) if before <= at && at < seen)),
            Ordering::SeqCst,
        );
    }
    // Either may be closed already.
    let _ = to.shutdown(Shutdown::Write);
}

/// What becomes of a connection whose bytes arrive no more.
fn ends(net: Net, from: &mut TcpStream, to: &TcpStream) {
    match net {
        Net::Swallows(_) => {
            sleep(SWALLOWS);
        }
        Net::HalfCloses(_) => {
            let _ = to.shutdown(Shutdown::Write);
            from.set_read_timeout(Some(SWALLOWS)).unwrap();
            while let Ok(1..) = from.read(&mut [0; 4_096]) {}
        }
        Net::Resets(_) => {
            resets(from);
            resets(to);
        }
        _ => {}
    }
    for stream in [from, to] {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Has a connection reset where it is closed, where this can be asked for.
fn resets(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}
