//! Toxiproxy on a link's proxies.
//!
//! A probe connection of our own goes through each struck proxy, before and during: a toxic that is
//! listed and does nothing is not seen to act. The probe speaks just enough HTTP/2 (preface, settings,
//! pings) to be answered by replicas and entries; a replication port closes on it, which is timed too.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use chaos_scenario::{LinkToxic, LinkTraffic, LinkWay};
use lab::ground::address_plan::{Direction, Link, LinkProxy, Traffic};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use toxiproxy_client::{Stream, Toxic, ToxicKind, Toxiproxy};

/// Longest wait of a probe connection.
const TOUCH_LIMIT: Duration = Duration::from_millis(2_500);
/// Pings of a probe that needs volume; 17 bytes each.
const PINGS: usize = 400;
const PING_BYTES: usize = 17;

/// A toxic on one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strike {
    /// Such as `a1-a2`.
    pub link: String,
    /// The toxic's name on every proxy, without its side.
    pub name: String,
    /// What it does.
    pub toxic: LinkToxic,
    /// The proxies, and which of their streams are struck.
    pub proxies: Vec<StruckProxy>,
}

/// One proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StruckProxy {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddrV4,
    /// What flows from who dials.
    pub strikes_upstream: bool,
    /// What flows back.
    pub strikes_downstream: bool,
    /// Whether a server of HTTP/2 is behind it.
    pub speaks_http2: bool,
}

/// What the probes said before the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inverse {
    /// By proxy.
    pub before: Vec<Touch>,
}

/// What a probe connection met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Touch {
    /// Nobody listens.
    Refused,
    /// It was reset.
    Reset,
    /// Nothing came.
    Silent,
    /// It was answered in full.
    Answered {
        /// After so many milliseconds.
        ms: u64,
    },
    /// It was closed before it was answered in full.
    Closed {
        /// After so many milliseconds.
        ms: u64,
    },
}

impl Strike {
    /// A toxic on the link between two ends.
    pub(crate) fn new(
        from: &str,
        to: &str,
        traffic: LinkTraffic,
        way: LinkWay,
        toxic: LinkToxic,
        id: &str,
    ) -> Result<Self, String> {
        let end = |name: &str| name.parse().map_err(|error| format!("{error}"));
        let there = Direction {
            from: end(from)?,
            to: end(to)?,
        };
        let link = Link::of(there).ok_or_else(|| {
            format!(
                "there is no link {there}: accepted are {}",
                Link::ALL.map(|link| link.to_string()).join(", ")
            )
        })?;
        let is_struck = |proxy: &LinkProxy| match traffic {
            LinkTraffic::All => true,
            LinkTraffic::Replication => proxy.traffic == Traffic::Replication,
            LinkTraffic::Orders => proxy.traffic == Traffic::Orders,
        };
        let proxies = link
            .proxies()
            .into_iter()
            .filter(is_struck)
            .map(|proxy| {
                let dials_there = proxy.direction == there;
                StruckProxy {
                    strikes_upstream: match way {
                        LinkWay::Both => true,
                        LinkWay::There => dials_there,
                        LinkWay::Back => !dials_there,
                    },
                    strikes_downstream: match way {
                        LinkWay::Both => true,
                        LinkWay::There => !dials_there,
                        LinkWay::Back => dials_there,
                    },
                    speaks_http2: proxy.traffic != Traffic::Replication,
                    name: proxy.name,
                    listen: proxy.listen,
                }
            })
            .collect();
        Ok(Self {
            link: link.to_string(),
            name: format!("chaos-{id}"),
            toxic,
            proxies,
        })
    }

    pub(crate) fn target(&self) -> String {
        format!("link {}", self.link)
    }

    fn server(&self) -> Result<Toxiproxy, String> {
        let link: Link = self.link.parse().map_err(|error| format!("{error}"))?;
        Toxiproxy::new(link.api_address()).map_err(|error| error.to_string())
    }

    fn is_down(&self) -> bool {
        matches!(self.toxic, LinkToxic::Down {})
    }

    /// The toxics by their proxy; none for a link that is switched off.
    #[must_use]
    pub fn toxics(&self) -> Vec<(String, Toxic)> {
        let Some(kind) = kind(self.toxic) else {
            return Vec::new();
        };
        let mut toxics = Vec::new();
        for proxy in &self.proxies {
            let sides = [
                (proxy.strikes_upstream, Stream::Upstream, "up"),
                (proxy.strikes_downstream, Stream::Downstream, "down"),
            ];
            for (_, stream, side) in sides.into_iter().filter(|(is_struck, ..)| *is_struck) {
                let toxic = Toxic::new(format!("{}-{side}", self.name), stream, kind);
                toxics.push((proxy.name.clone(), toxic));
            }
        }
        toxics
    }

    pub(crate) async fn prepare(&self) -> Result<Inverse, String> {
        let listed = self
            .server()?
            .proxies()
            .await
            .map_err(|it| it.to_string())?;
        for proxy in &self.proxies {
            let found = listed
                .get(&proxy.name)
                .ok_or_else(|| format!("its Toxiproxy has no proxy {}", proxy.name))?;
            if !found.enabled {
                return Err(format!("proxy {} is switched off already", proxy.name));
            }
        }
        Ok(Inverse {
            before: self.touch_all().await,
        })
    }

    async fn touch_all(&self) -> Vec<Touch> {
        let mut touches = Vec::new();
        for proxy in &self.proxies {
            touches.push(touch(proxy.listen, self.toxic).await);
        }
        touches
    }

    pub(crate) async fn apply(&self) -> Result<(), String> {
        let server = self.server()?;
        for (proxy, toxic) in self.toxics() {
            server
                .put_toxic(&proxy, &toxic)
                .await
                .map_err(|error| error.to_string())?;
        }
        if self.is_down() {
            for proxy in &self.proxies {
                server
                    .set_enabled(&proxy.name, false)
                    .await
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    pub(crate) async fn observe(
        &self,
        inverse: &Inverse,
        limit: Duration,
    ) -> Result<String, String> {
        let until = Instant::now() + limit;
        loop {
            let mut seen = Vec::new();
            let mut not_seen = Vec::new();
            for (proxy, before) in self.proxies.iter().zip(&inverse.before) {
                let now = touch(proxy.listen, self.toxic).await;
                let said = format!(
                    "{}: {} before, now {}",
                    proxy.name,
                    before.text(),
                    now.text()
                );
                if shows(self.toxic, *before, now, proxy.speaks_http2) {
                    seen.push(said);
                } else {
                    not_seen.push(said);
                }
            }
            if !seen.is_empty() {
                return Ok(seen.join("; "));
            }
            if Instant::now() >= until {
                return Err(not_seen.join("; "));
            }
        }
    }

    pub(crate) async fn recover(&self) -> Result<(), String> {
        let server = self.server()?;
        for (proxy, toxic) in self.toxics() {
            match server.remove_toxic(&proxy, &toxic.name).await {
                Err(error) if !error.is_not_found() => return Err(error.to_string()),
                _ => {}
            }
        }
        if self.is_down() {
            for proxy in &self.proxies {
                server
                    .set_enabled(&proxy.name, true)
                    .await
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    pub(crate) async fn prove(&self) -> Result<String, String> {
        let listed = self
            .server()?
            .proxies()
            .await
            .map_err(|it| it.to_string())?;
        for proxy in &self.proxies {
            let Some(found) = listed.get(&proxy.name) else {
                return Err(format!("proxy {} is not listed any more", proxy.name));
            };
            if !found.enabled {
                return Err(format!("proxy {} is still switched off", proxy.name));
            }
            if let Some(left) = found
                .toxics
                .iter()
                .find(|it| it.name.starts_with(&self.name))
            {
                return Err(format!("toxic {} is still on {}", left.name, proxy.name));
            }
        }
        Ok(format!(
            "{} proxies are on and list no toxic of ours",
            self.proxies.len()
        ))
    }
}

fn kind(toxic: LinkToxic) -> Option<ToxicKind> {
    Some(match toxic {
        LinkToxic::Latency {
            latency_ms,
            jitter_ms,
        } => ToxicKind::Latency {
            latency_ms,
            jitter_ms,
        },
        LinkToxic::Bandwidth {
            kilobytes_per_second,
        } => ToxicKind::Bandwidth {
            rate_kilobytes_per_second: kilobytes_per_second,
        },
        LinkToxic::SlowClose { delay_ms } => ToxicKind::SlowClose { delay_ms },
        LinkToxic::Timeout { after_ms } => ToxicKind::Timeout {
            timeout_ms: after_ms,
        },
        LinkToxic::ResetPeer { after_ms } => ToxicKind::ResetPeer {
            timeout_ms: after_ms,
        },
        LinkToxic::Slicer {
            mean_bytes,
            pause_us,
        } => ToxicKind::Slicer {
            average_size_bytes: mean_bytes,
            size_variation_bytes: mean_bytes / 2,
            delay_us: pause_us,
        },
        LinkToxic::LimitData { bytes } => ToxicKind::LimitData { bytes },
        LinkToxic::Down {} => return None,
    })
}

/// How much a probe must carry to show a toxic.
const fn pings(toxic: LinkToxic) -> usize {
    match toxic {
        LinkToxic::Bandwidth { .. } | LinkToxic::Slicer { .. } | LinkToxic::LimitData { .. } => {
            PINGS
        }
        _ => 1,
    }
}

/// Whether the difference between two probes is what the toxic should make. Pure.
#[must_use]
pub fn shows(toxic: LinkToxic, before: Touch, now: Touch, speaks_http2: bool) -> bool {
    let took = |touch: Touch| match touch {
        Touch::Answered { ms } | Touch::Closed { ms } => Some(ms),
        Touch::Refused | Touch::Reset | Touch::Silent => None,
    };
    let longer_by = |ms: u64| match (took(before), took(now)) {
        (Some(before), Some(now)) => now >= before + ms,
        (Some(_), None) => now == Touch::Silent,
        _ => false,
    };
    let volume = (PINGS * PING_BYTES) as u64;
    let was_well = took(before).is_some();
    match toxic {
        LinkToxic::Latency {
            latency_ms,
            jitter_ms,
        } => longer_by(((latency_ms - jitter_ms) * 8 / 10).max(1)),
        LinkToxic::Bandwidth {
            kilobytes_per_second,
        } => speaks_http2 && longer_by((volume * 7 / 10 / kilobytes_per_second).max(2)),
        LinkToxic::SlowClose { delay_ms } => longer_by(delay_ms * 8 / 10),
        LinkToxic::Timeout { .. } => {
            was_well
                && (now == Touch::Silent
                    || (speaks_http2 && !matches!(now, Touch::Answered { .. })))
        }
        LinkToxic::ResetPeer { .. } => was_well && now == Touch::Reset,
        LinkToxic::Slicer {
            mean_bytes,
            pause_us,
        } => {
            let pauses = volume / u64::from(mean_bytes.max(1));
            speaks_http2 && longer_by((pauses * u64::from(pause_us) / 2_000).max(2))
        }
        LinkToxic::LimitData { .. } => {
            speaks_http2
                && matches!(before, Touch::Answered { .. })
                && matches!(now, Touch::Closed { .. } | Touch::Reset)
        }
        LinkToxic::Down {} => was_well && now == Touch::Refused,
    }
}

impl Touch {
    fn text(self) -> String {
        match self {
            Self::Refused => "refused".to_owned(),
            Self::Reset => "reset".to_owned(),
            Self::Silent => "silent".to_owned(),
            Self::Answered { ms } => format!("answered after {ms} ms"),
            Self::Closed { ms } => format!("closed after {ms} ms"),
        }
    }
}

/// Dials and speaks a little HTTP/2.
async fn touch(listen: SocketAddrV4, toxic: LinkToxic) -> Touch {
    let began = Instant::now();
    let ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let waits_for_close = matches!(toxic, LinkToxic::SlowClose { .. });
    let speaking = async {
        let mut stream = match TcpStream::connect(listen).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Touch::Reset;
            }
            Err(_) => return Touch::Refused,
        };
        // A small segment must not wait for the answer to the one before.
        let _ = stream.set_nodelay(true);
        let count = pings(toxic);
        if let Err(error) = stream.write_all(&hello(count)).await {
            return broken(&error, ms());
        }
        // The server's settings, the answer to ours, and the answers to all pings.
        let wanted = count * PING_BYTES;
        let mut answered = 0;
        let mut buffer = [0; 4_096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return Touch::Closed { ms: ms() },
                Ok(bytes) => answered += bytes,
                Err(error) => return broken(&error, ms()),
            }
            if answered >= wanted + 9 {
                if !waits_for_close {
                    return Touch::Answered { ms: ms() };
                }
                if stream.shutdown().await.is_err() {
                    return Touch::Reset;
                }
            }
        }
    };
    let limit = match toxic {
        LinkToxic::Bandwidth { .. } | LinkToxic::SlowClose { .. } | LinkToxic::Latency { .. } => {
            TOUCH_LIMIT * 4
        }
        _ => TOUCH_LIMIT,
    };
    timeout(limit, speaking).await.unwrap_or(Touch::Silent)
}

fn broken(error: &std::io::Error, ms: u64) -> Touch {
    match error.kind() {
        std::io::ErrorKind::ConnectionReset => Touch::Reset,
        _ => Touch::Closed { ms },
    }
}

/// The preface of HTTP/2, empty settings, and pings.
fn hello(pings: usize) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for number in 0..pings {
        bytes.extend_from_slice(&[0, 0, 8, 6, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&(number as u64).to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strike(way: LinkWay, traffic: LinkTraffic) -> Strike {
        let toxic = LinkToxic::Latency {
            latency_ms: 50,
            jitter_ms: 0,
        };
        Strike::new("a1", "b1", traffic, way, toxic, "net-001-0").unwrap()
    }

    #[test]
    fn one_way_strikes_the_data_that_flows_that_way_whoever_dialled() {
        let toxics = strike(LinkWay::There, LinkTraffic::All).toxics();
        let names: Vec<String> = toxics
            .iter()
            .map(|(proxy, toxic)| format!("{proxy} {}", toxic.name))
            .collect();
        assert_eq!(
            names,
            [
                "a1>b1.replication chaos-net-001-0-up",
                "a1>b1.orders chaos-net-001-0-up",
                "b1>a1.replication chaos-net-001-0-down",
                "b1>a1.orders chaos-net-001-0-down",
            ]
        );
    }

    #[test]
    fn a_kind_of_traffic_is_struck_alone() {
        let struck = strike(LinkWay::Both, LinkTraffic::Orders);
        assert_eq!(struck.proxies.len(), 2);
        assert!(
            struck
                .proxies
                .iter()
                .all(|proxy| proxy.name.ends_with(".orders"))
        );
    }

    #[test]
    fn a_link_that_is_not_there_is_told_which_there_are() {
        let down = LinkToxic::Down {};
        let error = Strike::new("a1", "a1", LinkTraffic::All, LinkWay::Both, down, "x");
        assert!(error.unwrap_err().contains("a1-a2, a1-b1"));
    }

    #[test]
    fn a_delay_that_is_not_measured_is_not_seen() {
        let latency = LinkToxic::Latency {
            latency_ms: 100,
            jitter_ms: 0,
        };
        let answered = |ms| Touch::Answered { ms };
        assert!(shows(latency, answered(2), answered(104), true));
        assert!(!shows(latency, answered(2), answered(40), true));
        assert!(
            !shows(latency, Touch::Silent, Touch::Silent, true),
            "it was silent before"
        );
        let cut = LinkToxic::Timeout { after_ms: 0 };
        assert!(shows(cut, answered(2), Touch::Silent, true));
        assert!(!shows(cut, Touch::Refused, Touch::Silent, true));
        let down = LinkToxic::Down {};
        assert!(shows(down, answered(2), Touch::Refused, true));
        assert!(!shows(down, answered(2), answered(2), true));
    }
}
