//! TLS to a server: who is believed to be it.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{server::Server, url::Security};

/// Makes TLS connections as `server` wants them.
///
/// # Errors
/// Why there is nobody to trust.
pub(super) fn connector(server: &Server) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let config = match server.security() {
        Security::Verify => {
            let roots = match server.trusted_certificates() {
                Some(pem) => given(pem)?,
                None => well_known()?,
            };
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Security::Disable | Security::Prefer | Security::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn given(pem: &str) -> Result<RootCertStore, String> {
    let problem = |problem: &str| {
        format!(
            "the trusted certificates {problem}; give one or more certificates as PEM, from \
             -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
        )
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| problem("are not valid PEM"))?;
        let added = roots.add(certificate);
        added.map_err(|_| problem("hold something that is no X.509 certificate"))?;
    }
    if roots.is_empty() {
        return Err(problem("hold no certificate"));
    }
    Ok(roots)
}

/// Those of the operating system, to which an operator may have added some.
fn well_known() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this machine has no trusted certificates; install the package ca-certificates, or \
             give the trusted certificates in the connector's configuration"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// Believes any certificate, as `sslmode=require` does: against listeners, not against somebody
/// in between.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
