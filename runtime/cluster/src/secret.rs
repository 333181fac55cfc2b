//! Secrets that pass through Kafka: sealed with a key that only the workers have (AES-256-GCM), and
//! what workers ask of each other: signed with a session key that travels sealed (KIP-507).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tidegate_model::config_log::SessionKey;

/// As Connect calls it.
const ALGORITHM: &str = "HmacSHA256";

/// Why a secret cannot be sealed or opened. Never names the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key of the configuration.
    #[error(
        "tidegate.secret.key is not 32 bytes in base64: make one with head -c 32 /dev/urandom | base64, \
         and give all workers of the cluster the same"
    )]
    Key,
    /// Sealed with another key, or damaged.
    #[error(
        "open a secret from the config topic: it was sealed with another tidegate.secret.key; all workers of \
         the cluster need the same"
    )]
    Sealed,
    /// The machine has no randomness.
    #[error("take random bytes from the operating system")]
    Random,
}

/// What secrets are sealed with.
#[derive(Clone)]
pub struct SecretKey(LessSafeKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey([hidden])")
    }
}

impl SecretKey {
    /// From the configuration.
    ///
    /// # Errors
    /// [`SecretError::Key`].
    pub fn parse(base64: &str) -> Result<Self, SecretError> {
        let bytes = STANDARD.decode(base64.trim());
        let bytes = bytes.map_err(|_| SecretError::Key)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| SecretError::Key)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    fn seal(&self, secret: &[u8]) -> Result<String, SecretError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = secret.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let done = self
            .0
            .seal_in_place_append_tag(unique, Aad::empty(), &mut sealed);
        done.map_err(|_| SecretError::Sealed)?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    fn open(&self, sealed: &str) -> Result<Vec<u8>, SecretError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| SecretError::Sealed)?;
        let (nonce, sealed) = bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SecretError::Sealed)?;
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::empty(), &mut buffer);
        opened
            .map(|bytes| bytes.to_vec())
            .map_err(|_| SecretError::Sealed)
    }

    /// A new session key, sealed for the config log.
    ///
    /// # Errors
    /// [`SecretError::Random`].
    pub fn new_session_key(&self, now_ms: i64) -> Result<SessionKey, SecretError> {
        Ok(SessionKey {
            key: self.seal(&random::<32>()?)?,
            algorithm: ALGORITHM.to_owned(),
            creation_timestamp: now_ms,
        })
    }

    /// Signs and checks with this session key.
    ///
    /// # Errors
    /// [`SecretError::Sealed`].
    pub fn signer(&self, session: &SessionKey) -> Result<Signer, SecretError> {
        let key = self.open(&session.key)?;
        Ok(Signer(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }
}

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| SecretError::Random)?;
    Ok(bytes)
}

/// Signs and checks what workers ask of each other.
#[derive(Debug, Clone)]
pub struct Signer(hmac::Key);

impl Signer {
    /// The name of the algorithm, for the header that Connect has for it.
    pub const ALGORITHM: &'static str = ALGORITHM;

    /// The signature of a request, in base64: of method and path too, so that it cannot be put on
    /// another.
    pub fn sign(&self, method: &str, path: &str, body: &[u8]) -> String {
        STANDARD.encode(hmac::sign(&self.0, &signed(method, path, body)))
    }

    /// Whether the signature is right; takes the same time for every wrong one.
    pub fn is_right(&self, method: &str, path: &str, body: &[u8], signature: &str) -> bool {
        let signature = STANDARD.decode(signature).unwrap_or_default();
        hmac::verify(&self.0, &signed(method, path, body), &signature).is_ok()
    }
}

fn signed(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    [method.as_bytes(), b"\n", path.as_bytes(), b"\n", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::parse(&STANDARD.encode([byte; 32])).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_only() {
        let sealed = key(1).seal(b"secret").unwrap();
        assert_eq!(key(1).open(&sealed).unwrap(), b"secret");
        assert_eq!(key(2).open(&sealed), Err(SecretError::Sealed));
        assert_eq!(key(1).open("c2hvcnQ="), Err(SecretError::Sealed));
        assert_ne!(sealed, key(1).seal(b"secret").unwrap(), "no two are alike");
        assert!(SecretKey::parse("c2hvcnQ=").is_err());
    }

    #[test]
    fn a_signature_is_of_one_request() {
        let session = key(1).new_session_key(0).unwrap();
        let signer = key(1).signer(&session).unwrap();
        let signature = signer.sign("PUT", "/a", b"x");
        assert!(signer.is_right("PUT", "/a", b"x", &signature));
        for (method, path, body) in [("POST", "/a", "x"), ("PUT", "/b", "x"), ("PUT", "/a", "y")] {
            assert!(!signer.is_right(method, path, body.as_bytes(), &signature));
        }
        assert!(!signer.is_right("PUT", "/a", b"x", "nonsense"));
        let other = key(1).new_session_key(0).unwrap();
        let other = key(1).signer(&other).unwrap();
        assert!(!other.is_right("PUT", "/a", b"x", &signature));
    }
}
