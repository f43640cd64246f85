//! Links to the other replicas: one connection out to each, frames with checksums.
//!
//! ```text
//!   core ─► queue of a peer ─► writer ══TCP══► reader ─► the other's core
//!                               ▲  ping ═════►
//!                               └── pong ◄════          a silent link is dropped and dialled again
//!
//!   frame:  │ length │ crc32 of kind and payload │ kind │ payload … │
//! ```
//!
//! Nothing here is trusted twice: what arrives is checked, and what the group's rules refuse the
//! consensus library drops. Queues are bounded; what does not fit is counted, and the consensus
//! library is told that the peer is unreachable.

use crate::config::ReplicaConfig;
use crate::core::Input;
use replica::{HashPoint, Message, append_message, decode_message};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use types::{LogIndex, Member, ReplicaId};

/// First bytes of a connection.
const MAGIC: &[u8; 8] = b"TRICORE2";
/// Longest frame: the largest snapshot that can be sent.
const FRAME_BYTES_MAX: usize = 1 << 30;
/// Messages to a peer that may wait.
const QUEUE_MESSAGES_MAX: usize = 4_096;
/// Messages written as one.
const MESSAGES_AT_ONCE: usize = 64;
/// Inbound connections at once.
const CONNECTIONS_MAX: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_millis(200);
/// A link that does not answer for so long is dropped: behind a proxy or a partition nothing else
/// would tell.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// A snapshot may take this long on a slow link before the link counts as silent.
const LARGE_FRAME_TIMEOUT: Duration = Duration::from_secs(60);
const LARGE_FRAME_BYTES: usize = 1 << 20;
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(250);

const KIND_HELLO: u8 = 1;
const KIND_MESSAGE: u8 = 2;
const KIND_HASH: u8 = 3;
const KIND_PING: u8 = 4;
const KIND_PONG: u8 = 5;
const KIND_REBUILD: u8 = 6;
/// The answer to a hello of an older generation: the own one.
const KIND_SUPERSEDED: u8 = 7;

enum Outgoing {
    Message(Box<Message>),
    Hash(HashPoint),
    Rebuild,
}

impl Outgoing {
    fn has_snapshot(&self) -> bool {
        matches!(self, Self::Message(message) if message.snapshot.is_some())
    }
}

/// What is known of the link to a peer.
#[derive(Debug, Default)]
pub struct LinkMeters {
    /// Messages that did not fit into the queue or were lost with a connection.
    pub dropped: AtomicU64,
    /// The last round trip, in microseconds; 0 when none is known.
    pub round_trip_us: AtomicU64,
    /// Connections made.
    pub connects: AtomicU64,
}

/// The sending side, held by the core.
pub struct Transport {
    queues: BTreeMap<u64, mpsc::Sender<Outgoing>>,
    meters: Arc<BTreeMap<u64, LinkMeters>>,
    dialler: Dialler,
}

/// Makes links, also to members that come later.
struct Dialler {
    hello: Hello,
    inputs: mpsc::WeakSender<Input>,
    stop: CancellationToken,
    runtime: tokio::runtime::Handle,
}

impl Transport {
    /// Puts a message into its peer's queue. Says `false` when it did not fit.
    pub fn send(&self, message: Message) -> bool {
        let to = message.to;
        self.put(to, Outgoing::Message(Box::new(message)))
    }

    /// Tells all peers a hash of the state.
    pub fn tell_hash(&self, point: HashPoint) {
        for peer in self.queues.keys() {
            self.put(*peer, Outgoing::Hash(point));
        }
    }

    /// Says to which generation of the group this replica belongs; nobody is spoken to before.
    pub fn belong_to(&self, generation: u64) {
        self.dialler.hello.generation.send_replace(Some(generation));
    }

    /// Dials members that the configuration does not name. Links to those who have left stay until
    /// the process ends: they only find closed doors.
    pub fn reach(&mut self, members: &[Member]) {
        for member in members {
            let known = self.queues.contains_key(&member.replica.0);
            if let Some(address) = &member.address
                && !known
                && member.replica != self.dialler.hello.own
            {
                self.dial(member.replica, address.replication.clone());
            }
        }
    }

    fn dial(&mut self, peer: ReplicaId, address: String) {
        let Some(inputs) = self.dialler.inputs.upgrade() else {
            return;
        };
        let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
        self.queues.insert(peer.0, sender);
        let link = Link {
            peer,
            address,
            hello: self.dialler.hello.clone(),
            meters: self.meters.clone(),
            inputs,
            answered: AtomicBool::new(false),
        };
        let stop = self.dialler.stop.clone();
        let run = stop.run_until_cancelled_owned(link.run(receiver));
        self.dialler.runtime.spawn(run);
    }

    /// Tells a leader that this replica's disk was empty.
    pub fn ask_for_rebuild(&self, leader: ReplicaId) {
        self.put(leader.0, Outgoing::Rebuild);
    }

    fn put(&self, to: u64, outgoing: Outgoing) -> bool {
        let Some(queue) = self.queues.get(&to) else {
            return false;
        };
        let fits = queue.try_send(outgoing).is_ok();
        if !fits && let Some(meters) = self.meters.get(&to) {
            meters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }
}

/// Starts listening and dialling. Ends with the token.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(
    config: &ReplicaConfig,
    inputs: mpsc::Sender<Input>,
    stop: &CancellationToken,
) -> io::Result<(Transport, Arc<BTreeMap<u64, LinkMeters>>)> {
    let listener = TcpListener::bind(config.listen.replication).await?;
    let hello = Hello {
        own: ReplicaId(config.replica),
        cluster: config.cluster.clone(),
        shard: config.shard,
        generation: watch::Sender::new(None),
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
        listener,
        hello.clone(),
        inputs.clone(),
    )));
    let meters: BTreeMap<u64, LinkMeters> = config
        .peers()
        .map(|peer| (peer.replica, LinkMeters::default()))
        .collect();
    let meters = Arc::new(meters);
    let mut transport = Transport {
        queues: BTreeMap::new(),
        meters: meters.clone(),
        dialler: Dialler {
            hello,
            inputs: inputs.downgrade(),
            stop: stop.clone(),
            runtime: tokio::runtime::Handle::current(),
        },
    };
    for peer in config.peers() {
        transport.dial(ReplicaId(peer.replica), peer.replication.clone());
    }
    Ok((transport, meters))
}

/// Who speaks, of which group.
#[derive(Clone)]
struct Hello {
    own: ReplicaId,
    cluster: String,
    shard: u16,
    /// Known once the disk has been read; 0 for a replica that joins.
    generation: watch::Sender<Option<u64>>,
}

impl Hello {
    fn encode(&self, from: ReplicaId, to: ReplicaId, generation: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&from.0.to_le_bytes());
        bytes.extend_from_slice(&to.0.to_le_bytes());
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes.extend_from_slice(&self.shard.to_le_bytes());
        bytes.extend_from_slice(self.cluster.as_bytes());
        bytes
    }

    /// Who speaks, when it speaks to us, and its generation.
    fn check(&self, bytes: &[u8]) -> Option<(ReplicaId, u64)> {
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes.get(at..at + 8)?);
            Some(u64::from_le_bytes(eight))
        };
        let (from, generation) = (ReplicaId(number(8)?), number(24)?);
        let expected = self.encode(from, self.own, generation);
        (expected == bytes).then_some((from, generation))
    }

    async fn generation(&self) -> u64 {
        let mut known = self.generation.subscribe();
        let known = known.wait_for(Option::is_some).await;
        known.ok().and_then(|known| *known).unwrap_or_default()
    }
}

/// Whether two generations may speak to each other. 0 is a replica that joins: it has nothing yet.
fn same_group(own: u64, theirs: u64) -> bool {
    own == 0 || theirs == 0 || own == theirs
}

struct Link {
    peer: ReplicaId,
    address: String,
    hello: Hello,
    meters: Arc<BTreeMap<u64, LinkMeters>>,
    inputs: mpsc::Sender<Input>,
    /// The peer has answered on the connection that stands, or stood last.
    answered: AtomicBool,
}

impl Link {
    async fn run(self, mut queue: mpsc::Receiver<Outgoing>) {
        let mut retry = RETRY_FIRST;
        // The peer had answered, and then broke the connection off.
        let mut broken = false;
        loop {
            let began = Instant::now();
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await {
                Ok(Ok(stream)) => {
                    self.answered.store(false, Ordering::Relaxed);
                    let ended = self.speak(stream, &mut queue).await;
                    if let Err(error) = &ended {
                        tracing::info!(peer = %self.peer, %error, "link to a peer ended");
                    }
                    let silent = ended.is_err_and(|e| e.kind() == io::ErrorKind::TimedOut);
                    if self.answered.load(Ordering::Relaxed) {
                        broken = !silent;
                        if broken {
                            // Asked again at once: a living process listens, a dead one does not.
                            self.forget(&mut queue).await;
                            retry = RETRY_FIRST;
                            continue;
                        }
                    } else if std::mem::take(&mut broken) {
                        // A proxy took the connection, and found nobody behind it.
                        let _ = self.inputs.send(Input::Suspect(self.peer)).await;
                    }
                }
                Ok(Err(error)) => {
                    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    if refused && std::mem::take(&mut broken) {
                        let _ = self.inputs.send(Input::Suspect(self.peer)).await;
                    }
                    tracing::debug!(peer = %self.peer, %error, "peer not reached");
                }
                Err(_) => tracing::debug!(peer = %self.peer, "peer not reached in time"),
            }
            if began.elapsed() > 2 * SILENCE_MAX {
                retry = RETRY_FIRST;
            }
            self.forget(&mut queue).await;
            sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// What waited for the lost connection is old by the time there is another.
    async fn forget(&self, queue: &mut mpsc::Receiver<Outgoing>) {
        let mut dropped = 0;
        while let Ok(outgoing) = queue.try_recv() {
            dropped += 1;
            self.tell_lost(&outgoing).await;
        }
        if let Some(meters) = self.meters.get(&self.peer.0) {
            meters.dropped.fetch_add(dropped, Ordering::Relaxed);
            meters.round_trip_us.store(0, Ordering::Relaxed);
        }
        let _ = self.inputs.send(Input::Unreachable(self.peer)).await;
    }

    async fn tell_lost(&self, outgoing: &Outgoing) {
        if outgoing.has_snapshot() {
            self.tell_snapshot(false).await;
        }
    }

    async fn tell_snapshot(&self, arrived: bool) {
        let input = Input::SnapshotSent {
            peer: self.peer,
            arrived,
        };
        // The core ends first only when the process ends.
        let _ = self.inputs.send(input).await;
    }

    async fn speak(
        &self,
        stream: TcpStream,
        queue: &mut mpsc::Receiver<Outgoing>,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let generation = self.hello.generation().await;
        let hello = self.hello.encode(self.hello.own, self.peer, generation);
        write_frame(&mut writer, KIND_HELLO, &hello).await?;
        if let Some(meters) = self.meters.get(&self.peer.0) {
            meters.connects.fetch_add(1, Ordering::Relaxed);
        }
        let origin = Instant::now();
        let last_pong_us = AtomicU64::new(0);
        let pongs = async {
            loop {
                let (kind, payload) = read_frame(&mut reader).await?;
                if kind == KIND_SUPERSEDED && payload.len() == 8 {
                    let mut theirs = [0; 8];
                    theirs.copy_from_slice(&payload);
                    let generation = u64::from_le_bytes(theirs);
                    let by = self.peer;
                    let _ = self.inputs.send(Input::Superseded { by, generation }).await;
                }
                if kind == KIND_PONG && payload.len() == 8 {
                    self.answered.store(true, Ordering::Relaxed);
                    let mut sent = [0; 8];
                    sent.copy_from_slice(&payload);
                    let now = origin.elapsed().as_micros() as u64;
                    last_pong_us.store(now, Ordering::Relaxed);
                    if let Some(meters) = self.meters.get(&self.peer.0) {
                        let round_trip = now.saturating_sub(u64::from_le_bytes(sent)).max(1);
                        meters.round_trip_us.store(round_trip, Ordering::Relaxed);
                    }
                }
            }
        };
        let write = async {
            let mut ping = interval(PING_INTERVAL);
            ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut waiting = Vec::with_capacity(MESSAGES_AT_ONCE);
            let mut frames = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    _ = ping.tick() => {
                        let now = origin.elapsed().as_micros() as u64;
                        let silent = now.saturating_sub(last_pong_us.load(Ordering::Relaxed));
                        if silent > SILENCE_MAX.as_micros() as u64 {
                            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer is silent"));
                        }
                        write_frame(&mut writer, KIND_PING, &now.to_le_bytes()).await?;
                    }
                    count = queue.recv_many(&mut waiting, MESSAGES_AT_ONCE) => {
                        if count == 0 {
                            return Ok(());
                        }
                        let sent = self.write(&mut writer, &waiting, &mut frames).await;
                        // A long frame is no silence of the peer's.
                        if waiting.iter().any(Outgoing::has_snapshot) {
                            self.tell_snapshot(sent.is_ok()).await;
                            let now = origin.elapsed().as_micros() as u64;
                            last_pong_us.store(now, Ordering::Relaxed);
                        }
                        waiting.clear();
                        sent?;
                    }
                }
            }
        };
        tokio::select! {
            ended = pongs => ended,
            ended = write => ended,
        }
    }

    /// Writes all that waited as one, so that a busy link costs one system call for many messages.
    async fn write(
        &self,
        writer: &mut (impl AsyncWriteExt + Unpin),
        waiting: &[Outgoing],
        frames: &mut Vec<u8>,
    ) -> io::Result<()> {
        frames.clear();
        for outgoing in waiting {
            match outgoing {
                Outgoing::Message(message) => {
                    append_frame(frames, KIND_MESSAGE, |payload| {
                        append_message(message, payload);
                    });
                }
                Outgoing::Rebuild => append_frame(frames, KIND_REBUILD, |_| {}),
                Outgoing::Hash(point) => append_frame(frames, KIND_HASH, |payload| {
                    payload.extend_from_slice(&point.index.0.to_le_bytes());
                    payload.extend_from_slice(&point.hash);
                }),
            }
        }
        write_all(writer, frames).await?;
        // One snapshot must not keep its memory for ever.
        frames.shrink_to(LARGE_FRAME_BYTES);
        Ok(())
    }
}

async fn accept(listener: TcpListener, hello: Hello, inputs: mpsc::Sender<Input>) {
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let (hello, inputs) = (hello.clone(), inputs.clone());
                tokio::spawn(async move {
                    if let Err(error) = listen(stream, address, &hello, &inputs).await {
                        tracing::debug!(%address, %error, "connection of a peer ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file handles, most likely: others must end first.
                tracing::warn!(%error, "failed to accept a peer's connection");
                sleep(RETRY_MAX).await;
            }
        }
    }
}

async fn listen(
    stream: TcpStream,
    address: SocketAddr,
    hello: &Hello,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let first = timeout(HELLO_TIMEOUT, read_frame(&mut reader)).await;
    let (kind, payload) = first.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let spoken = hello.check(&payload).filter(|_| kind == KIND_HELLO);
    let Some((from, theirs)) = spoken else {
        tracing::warn!(%address, "refused a connection: it is not from a replica of this shard");
        return Err(io::ErrorKind::PermissionDenied.into());
    };
    let own = hello.generation().await;
    if !same_group(own, theirs) {
        tracing::warn!(%from, own, theirs, "refused a replica of another generation of this group");
        if theirs > own {
            let (by, generation) = (from, theirs);
            let _ = inputs.send(Input::Superseded { by, generation }).await;
        } else {
            write_frame(&mut writer, KIND_SUPERSEDED, &own.to_le_bytes()).await?;
        }
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    loop {
        // The peer pings: a silent connection is a dead one.
        let frame = timeout(LARGE_FRAME_TIMEOUT, read_frame(&mut reader)).await;
        let (kind, payload) = frame.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let input = match kind {
            KIND_MESSAGE => {
                let message = decode_message(&payload).map_err(io::Error::other)?;
                if message.from != from.0 {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                Input::Peer(Box::new(message))
            }
            KIND_HASH if payload.len() == 16 => {
                let (mut index, mut hash) = ([0; 8], [0; 8]);
                index.copy_from_slice(&payload[..8]);
                hash.copy_from_slice(&payload[8..]);
                let index = LogIndex(u64::from_le_bytes(index));
                Input::Hash(from, HashPoint { index, hash })
            }
            KIND_REBUILD => Input::Rebuild(from),
            KIND_PING => {
                write_frame(&mut writer, KIND_PONG, &payload).await?;
                continue;
            }
            // Of a later version.
            _ => continue,
        };
        if inputs.send(input).await.is_err() {
            return Ok(());
        }
    }
}

/// Appends a frame whose payload `write` appends.
fn append_frame(frames: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = frames.len();
    frames.extend_from_slice(&[0; 8]);
    frames.push(kind);
    write(frames);
    let payload = &frames[begin + 9..];
    let (length, crc) = (payload.len() as u32, checksum(kind, payload));
    frames[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    frames[begin + 4..begin + 8].copy_from_slice(&crc.to_le_bytes());
}

async fn write_frame(
    writer: &mut (impl AsyncWriteExt + Unpin),
    kind: u8,
    payload: &[u8],
) -> io::Result<()> {
    let mut frame = Vec::with_capacity(9 + payload.len());
    append_frame(&mut frame, kind, |into| into.extend_from_slice(payload));
    write_all(writer, &frame).await
}

async fn write_all(writer: &mut (impl AsyncWriteExt + Unpin), frames: &[u8]) -> io::Result<()> {
    let limit = if frames.len() > LARGE_FRAME_BYTES {
        LARGE_FRAME_TIMEOUT
    } else {
        SILENCE_MAX
    };
    // A peer that does not read must not hold its own queue for ever.
    let written = timeout(limit, writer.write_all(frames)).await;
    written.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))?
}

async fn read_frame(reader: &mut (impl AsyncReadExt + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let length = reader.read_u32_le().await? as usize;
    let crc = reader.read_u32_le().await?;
    let kind = reader.read_u8().await?;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a frame is too long",
        ));
    }
    // Memory follows what arrives, not what a length claims.
    let mut payload = Vec::with_capacity(length.min(1 << 20));
    reader.take(length as u64).read_to_end(&mut payload).await?;
    if payload.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if checksum(kind, &payload) != crc {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a frame's checksum does not match",
        ));
    }
    Ok((kind, payload))
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_arrives_as_it_was_sent_or_not_at_all() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, KIND_HASH, b"payload")
            .await
            .unwrap();
        assert_eq!(
            read_frame(&mut &bytes[..]).await.unwrap(),
            (KIND_HASH, b"payload".to_vec())
        );
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read_frame(&mut &changed[..]).await.is_err(), "byte {at}");
            assert!(read_frame(&mut &bytes[..at]).await.is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_hello_of_another_installation_is_refused() {
        let hello = |own, cluster: &str| Hello {
            own: ReplicaId(own),
            cluster: cluster.into(),
            shard: 7,
            generation: watch::Sender::new(Some(1)),
        };
        let bytes = hello(2, "lab").encode(ReplicaId(2), ReplicaId(1), 4);
        let heard = hello(1, "lab").check(&bytes);
        assert_eq!(heard, Some((ReplicaId(2), 4)));
        assert_eq!(hello(3, "lab").check(&bytes), None);
        assert_eq!(hello(1, "other").check(&bytes), None);
        assert_eq!(hello(1, "lab").check(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn generations_do_not_mix_but_for_one_that_joins() {
        assert!(same_group(2, 2) && same_group(2, 0) && same_group(0, 2));
        assert!(!same_group(1, 2) && !same_group(2, 1));
    }
}
