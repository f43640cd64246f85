//! The calls of the control API.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, NewProxy, Proxy, Toxic};

/// The server's own limit of a call is 25 s; nothing we ask takes more than milliseconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle on one server's control API; cheap to clone.
#[derive(Debug, Clone)]
pub struct Toxiproxy {
    http: reqwest::Client,
    base: String,
}

impl Toxiproxy {
    /// A client of the server whose API listens at `address`, such as `127.0.0.1:8474`. Connects
    /// at the first call.
    pub fn new(address: impl std::fmt::Display) -> Result<Self, Error> {
        let base = format!("http://{address}");
        let http = reqwest::Client::builder()
            .timeout(CALL_TIMEOUT)
            // Links are local; a proxy of the environment must not come between.
            .no_proxy()
            .build()
            .map_err(|source| Error::Unreachable {
                url: base.clone(),
                source,
            })?;
        Ok(Self { http, base })
    }

    /// The address of the API, as a URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The server's version, such as `2.5.0`. Later servers wrap it in JSON; both are read.
    pub async fn version(&self) -> Result<String, Error> {
        let body = self
            .call(Method::GET, "/version", None::<&()>, "read the version")
            .await?;
        #[derive(Deserialize)]
        struct Wrapped {
            version: String,
        }
        Ok(serde_json::from_slice::<Wrapped>(&body).map_or_else(
            |_| {
                String::from_utf8_lossy(&body)
                    .trim()
                    .trim_start_matches("git-")
                    .to_owned()
            },
            |wrapped| wrapped.version,
        ))
    }

    /// All proxies by name.
    pub async fn proxies(&self) -> Result<BTreeMap<String, Proxy>, Error> {
        self.call_json(Method::GET, "/proxies", None::<&()>, "list the proxies")
            .await
    }

    /// One proxy.
    pub async fn proxy(&self, name: &str) -> Result<Proxy, Error> {
        let action = format!("read proxy {name:?}");
        self.call_json(Method::GET, &proxy_path(name), None::<&()>, &action)
            .await
    }

    /// Makes a proxy; a name that exists is an error.
    pub async fn create(&self, proxy: &NewProxy) -> Result<Proxy, Error> {
        let action = format!("create proxy {:?}", proxy.name);
        self.call_json(Method::POST, "/proxies", Some(proxy), &action)
            .await
    }

    /// Makes these proxies, or makes those that exist with other addresses anew. Proxies that are
    /// as asked keep their connections and toxics.
    pub async fn populate(&self, proxies: &[NewProxy]) -> Result<Vec<Proxy>, Error> {
        #[derive(Deserialize)]
        struct Populated {
            proxies: Vec<Proxy>,
        }
        let action = format!("populate {} proxies", proxies.len());
        let populated: Populated = self
            .call_json(Method::POST, "/populate", Some(&proxies), &action)
            .await?;
        Ok(populated.proxies)
    }

    /// Stops a proxy (closing its connections and refusing new ones) or starts it again.
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<Proxy, Error> {
        #[derive(Serialize)]
        struct Enabled {
            enabled: bool,
        }
        let action = format!("set proxy {name:?} enabled = {enabled}");
        self.call_json(
            Method::POST,
            &proxy_path(name),
            Some(&Enabled { enabled }),
            &action,
        )
        .await
    }

    /// Removes a proxy and closes its connections.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let action = format!("delete proxy {name:?}");
        self.call(Method::DELETE, &proxy_path(name), None::<&()>, &action)
            .await
            .map(drop)
    }

    /// Adds a toxic to a proxy; a name that exists is an error.
    pub async fn add_toxic(&self, proxy: &str, toxic: &Toxic) -> Result<Toxic, Error> {
        toxic.kind.validate()?;
        let action = format!("add toxic {:?} to proxy {proxy:?}", toxic.name);
        let path = format!("{}/toxics", proxy_path(proxy));
        self.call_json(Method::POST, &path, Some(toxic), &action)
            .await
    }

    /// Changes the figures or the share of a toxic in place, without closing connections. Its
    /// kind and direction cannot change.
    pub async fn update_toxic(&self, proxy: &str, toxic: &Toxic) -> Result<Toxic, Error> {
        toxic.kind.validate()?;
        let action = format!("update toxic {:?} of proxy {proxy:?}", toxic.name);
        self.call_json(
            Method::POST,
            &toxic_path(proxy, &toxic.name),
            Some(toxic),
            &action,
        )
        .await
    }

    /// Adds a toxic, or changes the one of that name.
    pub async fn put_toxic(&self, proxy: &str, toxic: &Toxic) -> Result<Toxic, Error> {
        match self.add_toxic(proxy, toxic).await {
            Err(error) if error.is_conflict() => self.update_toxic(proxy, toxic).await,
            answer => answer,
        }
    }

    /// Removes a toxic.
    pub async fn remove_toxic(&self, proxy: &str, toxic: &str) -> Result<(), Error> {
        let action = format!("remove toxic {toxic:?} of proxy {proxy:?}");
        self.call(
            Method::DELETE,
            &toxic_path(proxy, toxic),
            None::<&()>,
            &action,
        )
        .await
        .map(drop)
    }

    /// Enables all proxies and removes all toxics.
    pub async fn reset(&self) -> Result<(), Error> {
        self.call(Method::POST, "/reset", None::<&()>, "reset")
            .await
            .map(drop)
    }

    async fn call_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        action: &str,
    ) -> Result<T, Error> {
        let bytes = self.call(method, path, body, action).await?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Unreadable {
            action: action.to_owned(),
            source,
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        action: &str,
    ) -> Result<Vec<u8>, Error> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |source| Error::Unreachable {
            url: url.clone(),
            source,
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(bytes.to_vec());
        }
        Err(refused(action, status, &bytes))
    }
}

fn refused(action: &str, status: StatusCode, body: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Answer {
        error: String,
    }
    let message = serde_json::from_slice::<Answer>(body).map_or_else(
        |_| String::from_utf8_lossy(body).trim().to_owned(),
        |answer| answer.error,
    );
    Error::Refused {
        action: action.to_owned(),
        status: status.as_u16(),
        message,
    }
}

fn proxy_path(name: &str) -> String {
    format!("/proxies/{}", escape(name))
}

fn toxic_path(proxy: &str, toxic: &str) -> String {
    format!("{}/toxics/{}", proxy_path(proxy), escape(toxic))
}

/// Percent-encodes all but the unreserved characters: names such as `a1>a2.orders` are paths here.
fn escape(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes()
        .fold(String::with_capacity(name.len()), |mut escaped, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                // Writing to a String does not fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links_are_escaped_in_paths() {
        assert_eq!(
            toxic_path("a1>a2.orders", "cut/all"),
            "/proxies/a1%3Ea2.orders/toxics/cut%2Fall"
        );
    }

    #[test]
    fn an_error_of_the_server_keeps_its_words() {
        let error = refused(
            "x",
            StatusCode::NOT_FOUND,
            br#"{"error":"proxy not found"}"#,
        );
        assert!(error.is_not_found());
        assert_eq!(
            error.to_string(),
            "failed to x: toxiproxy answered 404: proxy not found"
        );
    }
}
