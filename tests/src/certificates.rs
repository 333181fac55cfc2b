//! A certificate authority, a server and a client certificate, made for one broker.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// PEM files, in the form that Kafka's `ssl.keystore.type=PEM` wants: key and chain in one file.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The server's key and chain.
    pub server: PathBuf,
    /// A client's key and chain.
    pub client: PathBuf,
    /// A client's key and chain by an authority that the server does not know.
    pub stranger: PathBuf,
}

impl Certificates {
    /// Writes new ones into `directory`.
    pub fn create(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let ours = authority("tests");
        let theirs = authority("elsewhere");
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            authority: write("ca.pem", ours.pem()),
            server: write("server.pem", leaf("server", &ours)),
            client: write("client.pem", leaf("client", &ours)),
            stranger: write("stranger.pem", leaf("client", &theirs)),
        }
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn parameters(name: &str) -> CertificateParams {
    let addresses = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut parameters = CertificateParams::new(addresses).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn authority(name: &str) -> Authority {
    let mut parameters = parameters(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(name: &str, authority: &Authority) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters(name).signed_by(&key, authority).unwrap();
    format!(
        "{}{}{}",
        key.serialize_pem(),
        certificate.pem(),
        authority.pem()
    )
}
