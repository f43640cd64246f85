//! Certificates for an API server and its clients, from an authority made on the spot.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the certificate of {subject}: {source}")]
pub struct CertificateError {
    subject: String,
    source: rcgen::Error,
}

/// A certificate authority; its key exists only in memory.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authority")
    }
}

/// A certificate with its key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs.
        formatter
            .debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish()
    }
}

impl Authority {
    /// A new authority.
    pub fn new(name: &str) -> Result<Self, CertificateError> {
        let error = |source| CertificateError {
            subject: name.to_owned(),
            source,
        };
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(error)?;
        Ok(Self(
            CertifiedIssuer::self_signed(parameters, key).map_err(error)?,
        ))
    }

    /// The authority's own certificate as PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A client: Kubernetes takes the common name as the user and the organization as a group.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity, CertificateError> {
        self.issue(user, group, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A server under these DNS names and addresses.
    pub fn server(&self, name: &str, hosts: &[&str]) -> Result<Identity, CertificateError> {
        self.issue(name, None, hosts, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn issue(
        &self,
        name: &str,
        organization: Option<&str>,
        hosts: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, CertificateError> {
        let error = |source| CertificateError {
            subject: name.to_owned(),
            source,
        };
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut parameters = CertificateParams::new(hosts).map_err(error)?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        if let Some(organization) = organization {
            parameters
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        parameters.extended_key_usages = vec![usage];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(error)?;
        let certificate = parameters.signed_by(&key, &self.0).map_err(error)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A kubeconfig that carries all it needs. It is JSON, which every reader of YAML takes.
pub(crate) fn kubeconfig(server: &str, authority: &str, identity: &Identity) -> String {
    let encoded = |text: &str| STANDARD.encode(text);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "default",
        "clusters": [{"name": "default", "cluster": {
            "server": server,
            "certificate-authority-data": encoded(authority),
        }}],
        "users": [{"name": "default", "user": {
            "client-certificate-data": encoded(&identity.certificate),
            "client-key-data": encoded(&identity.key),
        }}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
    });
    format!("{config:#}\n")
}
