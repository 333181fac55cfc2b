//! A TCP proxy between a worker and a broker that can delay, stall one direction or both, and cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a direction that stands still looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Network {
    /// They pass.
    Open = 0,
    /// Each piece is late.
    Slow = 1,
    /// What the worker sends goes nowhere.
    NothingUp = 2,
    /// What the broker answers goes nowhere.
    NothingDown = 3,
    /// Neither passes.
    Silent = 4,
}

/// Between a worker and one address. Its threads end with the process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Listens on this port of loopback, for what listens on `target`.
    pub fn start(port: u16, target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let proxy = Self {
            port,
            network: Arc::default(),
            open: Arc::default(),
        };
        let (network, open) = (Arc::clone(&proxy.network), Arc::clone(&proxy.open));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // The broker may be away: then the worker is told so.
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let mut all = open.lock().unwrap();
                all.retain(|stream| stream.peer_addr().is_ok());
                for (from, to, up) in [(&client, &server, true), (&server, &client, false)] {
                    all.push(from.try_clone().unwrap());
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let network = Arc::clone(&network);
                    std::thread::spawn(move || pump(from, to, up, &network));
                }
            }
        });
        proxy
    }

    /// For `bootstrap.servers`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on.
    pub fn set(&self, network: Network) {
        self.network.store(network as u8, Ordering::Relaxed);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, up: bool, network: &AtomicU8) {
    let mut buffer = vec![0; 64 << 10];
    let stalls = |now: u8| {
        let one = if up {
            Network::NothingUp
        } else {
            Network::NothingDown
        };
        now == one as u8 || now == Network::Silent as u8
    };
    while let Ok(read) = from.read(&mut buffer) {
        while stalls(network.load(Ordering::Relaxed)) {
            std::thread::sleep(LOOK);
        }
        if network.load(Ordering::Relaxed) == Network::Slow as u8 {
            std::thread::sleep(10 * LOOK);
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
