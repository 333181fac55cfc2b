//! A way to PostgreSQL on which the answers to some COMMITs get lost: the server has committed, and
//! the client sees its link break.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::spawn;

/// Listens until the process ends.
#[derive(Debug)]
pub struct LostAnswers {
    port: u16,
    lost: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Way {
    server: u16,
    /// COMMITs so far, of all links.
    commits: Arc<AtomicUsize>,
    /// Every so manieth answer is lost.
    every: usize,
    lost: Arc<AtomicUsize>,
}

impl LostAnswers {
    /// In front of the server on this port of loopback. Links are not encrypted.
    pub fn start(server: u16, every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lost = Arc::<AtomicUsize>::default();
        let way = Way {
            server,
            commits: Arc::default(),
            every,
            lost: Arc::clone(&lost),
        };
        spawn(move || {
            for client in listener.incoming().flatten() {
                let way = way.clone();
                spawn(move || way.link(client));
            }
        });
        Self { port, lost }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many answers were lost so far.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Way {
    fn link(&self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server)) else {
            return;
        };
        let losing = Arc::<AtomicBool>::default();
        let answers = {
            let (server, client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let losing = Arc::clone(&losing);
            spawn(move || pass_answers(server, client, &losing))
        };
        let _ = self.pass_requests(&client, &server, &losing);
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
        let _ = answers.join();
    }

    /// Message by message, as the protocol has them: a type, but for the first one, and a length that
    /// counts itself.
    fn pass_requests(
        &self,
        mut client: &TcpStream,
        mut server: &TcpStream,
        losing: &AtomicBool,
    ) -> std::io::Result<()> {
        let mut has_type = false;
        loop {
            let mut head = vec![0; if has_type { 5 } else { 4 }];
            client.read_exact(&mut head)?;
            let length = head.last_chunk::<4>().expect("four bytes");
            let length = u32::from_be_bytes(*length) as usize;
            let mut rest = vec![0; length - 4];
            client.read_exact(&mut rest)?;
            if head[0] == b'Q' && rest.starts_with(b"COMMIT") {
                let number = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
                if number.is_multiple_of(self.every) {
                    losing.store(true, Ordering::SeqCst);
                    self.lost.fetch_add(1, Ordering::SeqCst);
                }
            }
            server.write_all(&head)?;
            server.write_all(&rest)?;
            has_type = true;
        }
    }
}

/// An answer that is to be lost has come, so the server is done with the request, and ends the link.
fn pass_answers(mut server: TcpStream, mut client: TcpStream, losing: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count) = server.read(&mut bytes) {
        if count == 0 || losing.load(Ordering::SeqCst) || client.write_all(&bytes[..count]).is_err()
        {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
