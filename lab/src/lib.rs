//! Three real centers on one Linux machine: Kubernetes clusters, the links between them, and what
//! can be done to both.

pub mod ground;
pub mod load;
pub mod progress;
pub mod run;

/// The file of the lab's program: this one where it is that program, else the one beside it. Another
/// program that uses this library (the chaos engine does) starts centers and clients by it.
///
/// # Errors
/// When neither is there.
pub fn own_program() -> std::io::Result<std::path::PathBuf> {
    const NAME: &str = "lab";
    let own = std::env::current_exe()?;
    if own.file_name().is_some_and(|name| name == NAME) {
        return Ok(own);
    }
    // Tests are in a folder below that of the programs.
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file());
    beside.ok_or_else(|| {
        std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!(
                "the lab's program is not beside {}; `cargo build --package lab` makes it",
                own.display()
            ),
        )
    })
}
