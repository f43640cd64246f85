//! A center's own certificate authority, what it signs, and the kubeconfigs made of that.
//!
//! Each center has an authority of its own: a certificate of one center opens nothing in another.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use super::address_plan::{API_SERVER_PORT, Center};

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate library refused.
    #[error("failed to make certificate {name}: {source}")]
    Generate {
        /// Whose it was to be.
        name: &'static str,
        /// Why not.
        source: rcgen::Error,
    },
    /// A file could not be written.
    #[error("failed to write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Who in a center has a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The API server, as a server.
    ApiServer,
    /// The API server, as a client of the kubelet.
    ApiServerToKubelet,
    /// People and programs outside, with all rights.
    Admin,
    /// The controller manager.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// kube-proxy.
    KubeProxy,
    /// The kubelet, as a client and as a server.
    Kubelet,
}

impl Identity {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ApiServer,
        Self::ApiServerToKubelet,
        Self::Admin,
        Self::ControllerManager,
        Self::Scheduler,
        Self::KubeProxy,
        Self::Kubelet,
    ];

    /// The stem of its files.
    #[must_use]
    pub const fn file_stem(self) -> &'static str {
        match self {
            Self::ApiServer => "apiserver",
            Self::ApiServerToKubelet => "apiserver-kubelet-client",
            Self::Admin => "admin",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::KubeProxy => "kube-proxy",
            Self::Kubelet => "kubelet",
        }
    }

    /// Common name and group, by which the API server's authorizers know it.
    fn subject(self, center: Center) -> (String, Option<&'static str>) {
        match self {
            Self::ApiServer => ("kube-apiserver".to_owned(), None),
            Self::ApiServerToKubelet => (
                "kube-apiserver-kubelet-client".to_owned(),
                Some("system:masters"),
            ),
            Self::Admin => ("tricenter-lab-admin".to_owned(), Some("system:masters")),
            Self::ControllerManager => ("system:kube-controller-manager".to_owned(), None),
            Self::Scheduler => ("system:kube-scheduler".to_owned(), None),
            Self::KubeProxy => ("system:kube-proxy".to_owned(), None),
            Self::Kubelet => (
                format!("system:node:{}", center.node_name()),
                Some("system:nodes"),
            ),
        }
    }

    const fn has_kubeconfig(self) -> bool {
        !matches!(self, Self::ApiServer | Self::ApiServerToKubelet)
    }

    fn server_names(self, center: Center) -> (Vec<String>, Vec<IpAddr>) {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let node = IpAddr::V4(center.node_address());
        match self {
            Self::ApiServer => (
                [
                    "localhost",
                    "kubernetes",
                    "kubernetes.default",
                    "kubernetes.default.svc",
                ]
                .map(ToOwned::to_owned)
                .to_vec(),
                vec![local, node, IpAddr::V4(center.api_service_address())],
            ),
            Self::Kubelet => (vec![center.node_name()], vec![local, node]),
            _ => (Vec::new(), Vec::new()),
        }
    }
}

/// Files of one center, as texts: name and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Certificates and keys, for the folder `pki`.
    pub pki: Vec<(String, String)>,
    /// Kubeconfigs by identity's file stem.
    pub kubeconfigs: Vec<(String, String)>,
}

/// Makes a center's authority, certificates and kubeconfigs.
pub fn generate(center: Center) -> Result<Keys, Error> {
    let failed = |name| move |source| Error::Generate { name, source };
    let authority = authority(center).map_err(failed("authority"))?;
    let mut keys = Keys {
        pki: vec![("ca.crt".to_owned(), authority.pem())],
        kubeconfigs: Vec::new(),
    };
    for identity in Identity::ALL {
        let stem = identity.file_stem();
        let (certificate, key) = issue(center, identity, &authority).map_err(failed(stem))?;
        if identity.has_kubeconfig() {
            let config = kubeconfig(center, &authority.pem(), &certificate, &key);
            keys.kubeconfigs.push((stem.to_owned(), config));
        }
        keys.pki.push((format!("{stem}.crt"), certificate));
        keys.pki.push((format!("{stem}.key"), key));
    }
    let service_accounts = KeyPair::generate().map_err(failed("service-account"))?;
    keys.pki.push((
        "service-account.key".to_owned(),
        service_accounts.serialize_pem(),
    ));
    keys.pki.push((
        "service-account.pub".to_owned(),
        service_accounts.public_key_pem(),
    ));
    Ok(keys)
}

fn authority(center: Center) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name(&format!("tricenter-lab-{center}"), None);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)
}

fn issue(
    center: Center,
    identity: Identity,
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    let (common_name, group) = identity.subject(center);
    let (dns_names, addresses) = identity.server_names(center);
    let mut parameters = CertificateParams::new(dns_names)?;
    parameters
        .subject_alt_names
        .extend(addresses.into_iter().map(rcgen::SanType::IpAddress));
    parameters.distinguished_name = name(&common_name, group);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn name(common_name: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name
}

/// A kubeconfig in JSON, which is YAML too.
fn kubeconfig(center: Center, authority: &str, certificate: &str, key: &str) -> String {
    let data = |pem: &str| ByteString(pem.as_bytes().to_vec());
    let server = format!("https://{}:{API_SERVER_PORT}", center.node_address());
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": center.name(),
        "clusters": [{"name": center.name(), "cluster": {
            "server": server, "certificate-authority-data": data(authority),
        }}],
        "users": [{"name": center.name(), "user": {
            "client-certificate-data": data(certificate), "client-key-data": data(key),
        }}],
        "contexts": [{"name": center.name(), "context": {
            "cluster": center.name(), "user": center.name(),
        }}],
    });
    format!("{config:#}\n")
}

/// Writes a file that only root may read.
pub fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    fs::write(path, content).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identity_gets_its_files_and_only_clients_a_kubeconfig() {
        let keys = generate(Center::A2).unwrap();
        let has = |name: &str| {
            keys.pki
                .iter()
                .any(|(file, text)| file == name && text.contains("BEGIN"))
        };
        for identity in Identity::ALL {
            assert!(has(&format!("{}.crt", identity.file_stem())));
            assert!(has(&format!("{}.key", identity.file_stem())));
        }
        assert!(has("ca.crt") && has("service-account.key") && has("service-account.pub"));
        let configs: Vec<_> = keys
            .kubeconfigs
            .iter()
            .map(|(stem, _)| stem.as_str())
            .collect();
        assert_eq!(
            configs,
            [
                "admin",
                "controller-manager",
                "scheduler",
                "kube-proxy",
                "kubelet"
            ]
        );
        assert!(keys.kubeconfigs[0].1.contains("https://10.99.0.12:6443"));
    }
}
