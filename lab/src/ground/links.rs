//! The links between centers and from clients to entries: one Toxiproxy server each.
//!
//! ```text
//!   a1 pod ─▶ 10.99.0.1:17131 ─[ a1>b1.replication ]─▶ 10.99.0.13:30701 ─▶ b1 pod
//!                                upstream toxic:   what flows a1 → b1
//!                                downstream toxic: what flows b1 → a1
//! ```
//!
//! A *direction* of a link is the data's, not the dial's: what flows from a1 to b1 is upstream in
//! `a1>b1.*` and downstream in `b1>a1.*`. So a round trip is the same for a stream that only ever
//! flows one way on each of two connections (replication) and for a call and its answer on one
//! connection (orders), and a cut of one direction leaves the other flowing.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use toxiproxy_client::{NewProxy, Proxy, Stream, Toxic, ToxicKind, Toxiproxy};

use super::address_plan::{Direction, Link, LinkProxy, UnknownName};
use super::state::{Folder, ProcessIdentity};

const DELAY: &str = "delay";
const CUT: &str = "cut";
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Beyond this a link is as good as cut, and cuts have a command of their own.
pub const ROUND_TRIP_MS_MAX: u32 = 60_000;

/// Why a link could not be made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its Toxiproxy said no, or does not run.
    #[error("failed to work on link {link}: {source}")]
    Toxiproxy {
        /// The link.
        link: Link,
        /// Why.
        source: toxiproxy_client::Error,
    },
    /// The server could not be started.
    #[error("failed to start the Toxiproxy of link {link} ({program}): {source}")]
    Start {
        /// The link.
        link: Link,
        /// The server.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server ended or stays silent.
    #[error(
        "failed to see the Toxiproxy of link {link} serve: {reason}; its log is {log}. If an \
         address is in use, end the program that has it (`ss -ltnp` names it)"
    )]
    NotServing {
        /// The link.
        link: Link,
        /// What is known.
        reason: String,
        /// The log.
        log: PathBuf,
    },
    /// The direction is not one of the link's.
    #[error(
        "failed to cut direction {direction} of link {link}: accepted are {} and {}",
        link.directions()[0], link.directions()[1]
    )]
    ForeignDirection {
        /// The direction.
        direction: Direction,
        /// The link.
        link: Link,
    },
    /// A figure out of range.
    #[error("failed to use {field} = {value}: {accepted}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// What would be accepted.
        accepted: String,
    },
    /// A name that no link has.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
}

/// A link's delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Delay {
    /// Both ways together.
    pub round_trip_ms: u32,
    /// How far the round trip may stray, either way.
    pub jitter_ms: u32,
}

impl Delay {
    /// A delay, if the figures make sense.
    pub fn new(round_trip_ms: u32, jitter_ms: u32) -> Result<Self, Error> {
        if round_trip_ms > ROUND_TRIP_MS_MAX {
            return Err(Error::BadValue {
                field: "ROUND_TRIP_MS",
                value: round_trip_ms,
                accepted: format!(
                    "0 to {ROUND_TRIP_MS_MAX} are accepted; to stop all data use `lab link cut`"
                ),
            });
        }
        if jitter_ms > round_trip_ms {
            return Err(Error::BadValue {
                field: "jitter_ms",
                value: jitter_ms,
                accepted: format!("0 to the round trip, here {round_trip_ms}, are accepted"),
            });
        }
        Ok(Self {
            round_trip_ms,
            jitter_ms,
        })
    }

    /// What the link has in an undisturbed lab.
    #[must_use]
    pub const fn default_of(link: Link) -> Self {
        Self {
            round_trip_ms: link.round_trip_ms_default(),
            jitter_ms: 0,
        }
    }

    /// The share of one way. Toxiproxy counts whole milliseconds, so of an odd round trip the way
    /// there has the odd one.
    const fn one_way(self, is_way_there: bool) -> ToxicKind {
        let odd = if is_way_there { 1 } else { 0 };
        ToxicKind::Latency {
            latency_ms: (self.round_trip_ms as u64 + odd) / 2,
            jitter_ms: (self.jitter_ms as u64 + odd) / 2,
        }
    }
}

/// A toxic on a proxy of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyToxic {
    /// The proxy's name.
    pub proxy: String,
    /// The toxic.
    pub toxic: Toxic,
}

/// The stream of a proxy in which data of this direction flows.
fn stream(proxy: &LinkProxy, direction: Direction) -> Stream {
    if proxy.direction == direction {
        Stream::Upstream
    } else {
        Stream::Downstream
    }
}

fn toxic_name(kind: &str, stream: Stream) -> String {
    let side = match stream {
        Stream::Upstream => "upstream",
        Stream::Downstream => "downstream",
    };
    format!("{kind}-{side}")
}

fn plan(link: Link, name: &str, directions: &[(Direction, ToxicKind)]) -> Vec<ProxyToxic> {
    let mut toxics = Vec::new();
    for proxy in link.proxies() {
        for (direction, kind) in directions {
            let stream = stream(&proxy, *direction);
            let toxic = Toxic::new(toxic_name(name, stream), stream, *kind);
            toxics.push(ProxyToxic {
                proxy: proxy.name.clone(),
                toxic,
            });
        }
    }
    toxics
}

/// The toxics that delay a link, those of no delay included.
#[must_use]
pub fn plan_delay(link: Link, delay: Delay) -> Vec<ProxyToxic> {
    let [there, back] = link.directions();
    plan(
        link,
        DELAY,
        &[(there, delay.one_way(true)), (back, delay.one_way(false))],
    )
}

/// The toxics that swallow all that flows in a direction, or in both.
pub fn plan_cut(link: Link, direction: Option<Direction>) -> Result<Vec<ProxyToxic>, Error> {
    let cut = ToxicKind::Timeout { timeout_ms: 0 };
    match direction {
        None => Ok(plan(
            link,
            CUT,
            &link.directions().map(|direction| (direction, cut)),
        )),
        Some(direction) if link.directions().contains(&direction) => {
            Ok(plan(link, CUT, &[(direction, cut)]))
        }
        Some(direction) => Err(Error::ForeignDirection { direction, link }),
    }
}

/// How one direction of a link is now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DirectionStatus {
    /// Such as `a1>b1`.
    pub direction: String,
    /// The delay one way.
    pub delay_ms: u64,
    /// How far it strays.
    pub jitter_ms: u64,
    /// Whether everything is swallowed.
    pub is_cut: bool,
}

/// Reads the two directions of a link from its proxies. Pure.
#[must_use]
pub fn directions_of(link: Link, proxies: &[Proxy]) -> Vec<DirectionStatus> {
    link.directions()
        .into_iter()
        .map(|direction| direction_of(link, direction, proxies))
        .collect()
}

fn direction_of(link: Link, direction: Direction, proxies: &[Proxy]) -> DirectionStatus {
    let (mut delay_ms, mut jitter_ms, mut is_cut) = (0, 0, false);
    for planned in link.proxies() {
        let side = stream(&planned, direction);
        let Some(proxy) = proxies.iter().find(|proxy| proxy.name == planned.name) else {
            continue;
        };
        is_cut |= !proxy.enabled || proxy.toxic(&toxic_name(CUT, side)).is_some();
        if let Some(ToxicKind::Latency {
            latency_ms,
            jitter_ms: jitter,
        }) = proxy
            .toxic(&toxic_name(DELAY, side))
            .map(|toxic| toxic.kind)
        {
            delay_ms = delay_ms.max(latency_ms);
            jitter_ms = jitter_ms.max(jitter);
        }
    }
    DirectionStatus {
        direction: direction.to_string(),
        delay_ms,
        jitter_ms,
        is_cut,
    }
}

/// A handle on a running link.
#[derive(Debug, Clone)]
pub struct LinkControl {
    link: Link,
    server: Toxiproxy,
}

impl LinkControl {
    /// A handle on this link; says nothing to it yet.
    pub fn new(link: Link) -> Result<Self, Error> {
        let server = Toxiproxy::new(link.api_address())
            .map_err(|source| Error::Toxiproxy { link, source })?;
        Ok(Self { link, server })
    }

    fn failed(&self) -> impl Fn(toxiproxy_client::Error) -> Error + use<> {
        let link = self.link;
        move |source| Error::Toxiproxy { link, source }
    }

    /// Delays the link. Connections stay.
    pub async fn set_delay(&self, delay: Delay) -> Result<(), Error> {
        for ProxyToxic { proxy, toxic } in plan_delay(self.link, delay) {
            self.server
                .put_toxic(&proxy, &toxic)
                .await
                .map_err(self.failed())?;
        }
        Ok(())
    }

    /// Swallows all that flows in a direction, or both, silently: connections stay open and
    /// nothing arrives.
    pub async fn cut(&self, direction: Option<Direction>) -> Result<(), Error> {
        for ProxyToxic { proxy, toxic } in plan_cut(self.link, direction)? {
            self.server
                .put_toxic(&proxy, &toxic)
                .await
                .map_err(self.failed())?;
        }
        Ok(())
    }

    /// Ends cuts of a direction, or both; delays stay. Connections that lost bytes are closed.
    pub async fn heal(&self, direction: Option<Direction>) -> Result<(), Error> {
        for ProxyToxic { proxy, toxic } in plan_cut(self.link, direction)? {
            match self.server.remove_toxic(&proxy, &toxic.name).await {
                Err(error) if !error.is_not_found() => return Err(self.failed()(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Both directions as they are now.
    pub async fn status(&self) -> Result<Vec<DirectionStatus>, Error> {
        let proxies = self.server.proxies().await.map_err(self.failed())?;
        Ok(directions_of(
            self.link,
            &proxies.into_values().collect::<Vec<_>>(),
        ))
    }

    /// Makes the proxies that are not there, and gives all the delay of an undisturbed lab.
    async fn furnish(&self) -> Result<(), Error> {
        let proxies: Vec<NewProxy> = self
            .link
            .proxies()
            .into_iter()
            .map(|it| NewProxy::new(it.name, it.listen.to_string(), it.upstream.to_string()))
            .collect();
        self.server
            .populate(&proxies)
            .await
            .map_err(self.failed())?;
        self.set_delay(Delay::default_of(self.link)).await
    }
}

/// Starts a link's Toxiproxy and furnishes it, or takes the one that runs and serves.
pub async fn start(
    link: Link,
    folder: &Folder,
    program: &Path,
) -> Result<Option<ProcessIdentity>, Error> {
    let failed = |source| Error::Start {
        link,
        program: program.to_owned(),
        source,
    };
    let log_path = folder.link_log(link);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(failed)?;
    let api = link.api_address();
    let own_program = crate::own_program().map_err(failed)?;
    let mut child = tokio::process::Command::new(own_program)
        .args(["in-group", "links", "--"])
        .arg(program)
        .args([
            "-host",
            &api.ip().to_string(),
            "-port",
            &api.port().to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let control = LinkControl::new(link)?;
    let deadline = Instant::now() + START_TIMEOUT;
    let not_serving = |reason: String| Error::NotServing {
        link,
        reason,
        log: log_path.clone(),
    };
    while let Err(error) = control.server.version().await {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Err(not_serving(format!(
                "it ended with {status}: {}",
                last_line(&log_path)
            )));
        }
        if Instant::now() > deadline {
            return Err(not_serving(error.to_string()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    control.furnish().await?;
    Ok(pid.and_then(ProcessIdentity::of))
}

fn last_line(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .next_back()
        .unwrap_or("nothing was said")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str) -> Link {
        name.parse().unwrap()
    }

    fn rows(toxics: &[ProxyToxic]) -> Vec<String> {
        toxics
            .iter()
            .map(|it| match it.toxic.kind {
                ToxicKind::Latency {
                    latency_ms,
                    jitter_ms,
                } => {
                    format!(
                        "{} {:?} {latency_ms}±{jitter_ms}",
                        it.proxy, it.toxic.stream
                    )
                }
                _ => format!("{} {:?} cut", it.proxy, it.toxic.stream),
            })
            .collect()
    }

    #[test]
    fn both_ways_of_every_connection_share_the_round_trip() {
        let toxics = plan_delay(link("a1-b1"), Delay::new(30, 4).unwrap());
        assert_eq!(
            rows(&toxics)[..4],
            [
                "a1>b1.replication Upstream 15±2",
                "a1>b1.replication Downstream 15±2",
                "a1>b1.orders Upstream 15±2",
                "a1>b1.orders Downstream 15±2",
            ]
        );
    }

    #[test]
    fn an_odd_round_trip_is_odd_on_the_way_there_whoever_dialled() {
        let rows = rows(&plan_delay(link("a1-a2"), Delay::new(1, 0).unwrap()));
        assert!(
            rows.contains(&"a1>a2.orders Upstream 1±0".to_owned()),
            "{rows:?}"
        );
        assert!(
            rows.contains(&"a1>a2.orders Downstream 0±0".to_owned()),
            "{rows:?}"
        );
        assert!(
            rows.contains(&"a2>a1.orders Upstream 0±0".to_owned()),
            "{rows:?}"
        );
        assert!(
            rows.contains(&"a2>a1.orders Downstream 1±0".to_owned()),
            "{rows:?}"
        );
    }

    #[test]
    fn cutting_one_direction_swallows_its_data_on_connections_dialled_either_way() {
        let direction = "b1>a1".parse().unwrap();
        let rows = rows(&plan_cut(link("a1-b1"), Some(direction)).unwrap());
        assert_eq!(
            rows,
            [
                "a1>b1.replication Downstream cut",
                "a1>b1.orders Downstream cut",
                "b1>a1.replication Upstream cut",
                "b1>a1.orders Upstream cut",
            ]
        );
    }

    #[test]
    fn a_direction_of_another_link_is_refused_with_the_right_ones() {
        let error = plan_cut(link("a1-a2"), Some("a1>b1".parse().unwrap())).unwrap_err();
        assert!(
            error.to_string().ends_with("accepted are a1>a2 and a2>a1"),
            "{error}"
        );
    }

    #[test]
    fn delays_out_of_range_are_refused() {
        assert!(Delay::new(60_001, 0).is_err());
        assert!(Delay::new(5, 6).unwrap_err().to_string().contains("here 5"));
    }

    #[test]
    fn status_reads_back_what_was_planned() {
        let link = link("a2-b1");
        let mut proxies: Vec<Proxy> = link
            .proxies()
            .into_iter()
            .map(|it| Proxy {
                name: it.name,
                listen: it.listen.to_string(),
                upstream: it.upstream.to_string(),
                enabled: true,
                toxics: Vec::new(),
            })
            .collect();
        let mut toxics = plan_delay(link, Delay::new(60, 10).unwrap());
        toxics.extend(plan_cut(link, Some("a2>b1".parse().unwrap())).unwrap());
        for planned in toxics {
            let proxy = proxies
                .iter_mut()
                .find(|it| it.name == planned.proxy)
                .unwrap();
            proxy.toxics.push(planned.toxic);
        }
        let status = directions_of(link, &proxies);
        assert_eq!(
            (status[0].delay_ms, status[0].jitter_ms, status[0].is_cut),
            (30, 5, true)
        );
        assert_eq!(
            (status[1].delay_ms, status[1].jitter_ms, status[1].is_cut),
            (30, 5, false)
        );
    }
}
