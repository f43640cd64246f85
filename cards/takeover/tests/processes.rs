//! A simulated card and the decoder as processes: what breaks on the card loses and doubles nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the whole file is a test; clippy knows only functions marked as one"
)]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use card_health::{CardAddress, Verdict};
use card_simulated::{Fault, Faults, socket_path, write_faults};
use marketdata::itch::{Generator, Mix};
use marketdata::mold::{PacketBuilder, Session};

const PATIENCE: Duration = Duration::from_secs(60);

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that prints where its feed comes in.
fn start(command: &mut Command) -> (Process, SocketAddr, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let feed = line.rsplit(' ').next().unwrap().trim().parse().unwrap();
    (Process(child), feed, lines)
}

/// The simulated card's program, which cargo does not build for another package's tests.
fn build_simulated_card() {
    let mut cargo = Command::new(env!("CARGO"));
    // As the whole workspace is built for its tests, so that nothing is compiled twice.
    cargo.args(["build", "--quiet", "--locked", "--workspace"]);
    cargo.args(["--bin", "tricenter-simulated-card"]);
    lab_parts::leave_package(&mut cargo);
    assert!(cargo.status().unwrap().success());
}

/// Sends the same packets to both until told to stop; gives the last number sent.
fn send(to: [SocketAddr; 2], runs: Arc<AtomicBool>, sent: Arc<AtomicU64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut day = Generator::new(1, 4, Mix::default());
    let (mut next, mut bytes) = (1_u64, Vec::new());
    while runs.load(Ordering::Relaxed) {
        let mut packet = PacketBuilder::new(Session(*b"0000000001"), next, 1_400);
        for message in day.by_ref().take(10) {
            bytes.clear();
            message.encode(&mut bytes);
            assert!(packet.push(&bytes));
            next += 1;
        }
        let packet = packet.finish();
        for address in to {
            socket.send_to(&packet, address).unwrap();
        }
        sent.store(next - 1, Ordering::Relaxed);
        // The feed's pace.
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn verdict(path: &Path, is_usable: bool, beat: u64) {
    let address: CardAddress = "0000:81:00.0".parse().unwrap();
    let mut verdict = Verdict::new(address, None, beat);
    verdict.is_usable = is_usable;
    let new = path.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(&verdict).unwrap()).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Runs the decoder on the card, breaks the card, and gives the lines that the decoder printed.
fn run(fault: Fault, says: &str) -> (Vec<String>, u64) {
    build_simulated_card();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let program = Path::new(env!("CARGO_BIN_EXE_tricenter-decoder"));
    let (_card, card_feed, _) = start(
        Command::new(program.with_file_name("tricenter-simulated-card"))
            .args(["run", "--address", "0000:81:00.0"])
            .args([
                Path::new("--root"),
                &path("root"),
                Path::new("--faults"),
                &path("faults"),
            ]),
    );
    verdict(&path("verdict"), true, 1);
    let ring = socket_path(&path("root"), &"0000:81:00.0".parse().unwrap());
    let (decoder, feed, lines) = start(
        Command::new(program)
            .args([
                "--soak-ms",
                "100",
                "--soak-messages",
                "200",
                "--silence-ms",
                "300",
            ])
            .args(["--verdict-age-ms-max", "600000"])
            .args([
                Path::new("--ring"),
                &ring,
                Path::new("--verdict"),
                &path("verdict"),
            ]),
    );
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        lines
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| told.send(line))
    });
    let (runs, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let feeding = std::thread::spawn({
        let (runs, sent) = (Arc::clone(&runs), Arc::clone(&sent));
        move || send([card_feed, feed], runs, sent)
    });
    let mut said = Vec::new();
    let mut until = |text: &str| {
        while !said.last().is_some_and(|line: &String| line.contains(text)) {
            let line = heard.recv_timeout(PATIENCE);
            said.push(line.unwrap_or_else(|_| panic!("{text} never came after {said:?}")));
        }
    };
    until("now OnCard");
    write_faults(&path("faults"), &Faults::from([fault])).unwrap();
    until(says);
    runs.store(false, Ordering::Relaxed);
    feeding.join().unwrap();
    // The last packets are in the decoder's socket before the signal is.
    terminate(&decoder);
    until("end delivered");
    println!("{fault:?}: {said:#?}");
    let all = sent.load(Ordering::Relaxed);
    (said, all)
}

/// Asks a process to end.
fn terminate(process: &Process) {
    let ended = Command::new("kill")
        .arg(process.0.id().to_string())
        .status()
        .unwrap();
    assert!(ended.success());
}

fn assert_each_once(said: &[String], all: u64) {
    let end = said.last().unwrap();
    assert!(end.contains("out_of_order 0"), "{end}");
    let delivered: u64 = end.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(delivered <= all, "{delivered} of {all}: some came twice");
    let by_card: u64 = end.split(' ').nth(4).unwrap().parse().unwrap();
    assert!(by_card > 0, "{end}");
}

#[test]
fn a_stalled_ring_is_replaced_by_software_and_each_message_comes_once() {
    let (said, all) = run(Fault::DmaStall, "why Silence");
    assert_each_once(&said, all);
}

#[test]
fn a_card_that_drops_is_replaced_at_the_hole() {
    let (said, all) = run(Fault::Dropping, "why Hole");
    assert_each_once(&said, all);
}

#[test]
fn a_card_that_decodes_wrongly_is_replaced_at_the_first_difference() {
    let (said, all) = run(Fault::DecodeMismatch, "why Difference");
    assert_each_once(&said, all);
}
