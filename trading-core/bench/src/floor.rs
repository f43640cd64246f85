//! What the machine itself takes, beside every other figure: no design answers sooner than its disk
//! and its loopback allow, and a shared disk is another one from hour to hour.

use crate::load::{Latency, histogram};
use crate::machine::Watch;
use crate::processes::latency_details;
use crate::report::{Row, Target};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::time::Instant;

const BLOCK: [u8; 4_096] = [1; 4_096];
/// Blocks of a file, written before anything is measured, as a journal's segment is.
const BLOCKS: u64 = 1_000;
const ROUND_TRIPS: usize = 20_000;
const MESSAGE: [u8; 64] = [1; 64];

/// Syncs of one file, of three at once, and a round trip over loopback.
///
/// # Errors
/// When the disk or the sockets fail.
pub fn rows() -> Result<Vec<Row>> {
    Ok(vec![sync(1)?, sync(3)?, loopback()?])
}

fn sync(files: usize) -> Result<Row> {
    let watch = Watch::begin()?;
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let paths = (0..files).map(|n| folder.path().join(n.to_string()));
    let files = paths.map(prepared).collect::<Result<Vec<_>>>()?;
    let latency = std::thread::scope(|scope| -> Result<Latency> {
        let writers: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(|| overwrite(file)))
            .collect();
        let mut all = histogram()?;
        for writer in writers {
            let one = writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))?;
            all.add(one?)?;
        }
        Ok(Latency::of(&all))
    })?;
    let count = files.len();
    Ok(Row {
        id: format!("machine.sync{count}"),
        what: format!("the disk alone: {count} file(s) synced at once, p50"),
        target: Target::Stated,
        figure: Some(latency.p50_us),
        unit: "us".to_owned(),
        details: latency_details(latency),
        conditions: watch.conditions()?,
        how: format!("fdatasync after each 4 KiB written over, {BLOCKS} blocks a file"),
    })
}

fn prepared(path: std::path::PathBuf) -> Result<File> {
    let file = File::create(&path).with_context(|| format!("failed to make {}", path.display()))?;
    for block in 0..BLOCKS {
        file.write_all_at(&BLOCK, block * BLOCK.len() as u64)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn overwrite(file: &File) -> Result<hdrhistogram::Histogram<u64>> {
    let mut latencies = histogram()?;
    for block in 0..BLOCKS {
        let began = Instant::now();
        file.write_all_at(&BLOCK, block * BLOCK.len() as u64)?;
        file.sync_data()?;
        latencies.saturating_record(began.elapsed().as_nanos() as u64);
    }
    Ok(latencies)
}

fn loopback() -> Result<Row> {
    let watch = Watch::begin()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    // Ends when the near side closes its connection.
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let mut message = MESSAGE;
        while far.read_exact(&mut message).is_ok() {
            far.write_all(&message)?;
        }
        Ok(())
    });
    let mut latencies = histogram()?;
    let mut message = MESSAGE;
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        near.write_all(&message)?;
        near.read_exact(&mut message)?;
        latencies.saturating_record(began.elapsed().as_nanos() as u64);
    }
    drop(near);
    echo.join()
        .map_err(|_| anyhow::anyhow!("the echo panicked"))??;
    let latency = Latency::of(&latencies);
    Ok(Row {
        id: "machine.loopback".to_owned(),
        what: "loopback alone: a round trip of 64 bytes, p50".to_owned(),
        target: Target::Stated,
        figure: Some(latency.p50_us),
        unit: "us".to_owned(),
        details: latency_details(latency),
        conditions: watch.conditions()?,
        how: format!("two threads that block, {ROUND_TRIPS} times"),
    })
}
