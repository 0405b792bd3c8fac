//! `tollgate compile`: the snapshot, written ahead of time.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use config::{Loaded, Loader, Part, snapshot_file};

use super::{bad_document, colours, complain, count, exit, fail, say};

/// Compiles a document to a file. The file appears whole or not at all: a running gateway may be told to load it at any moment.
pub fn compile(path: &Path, to: &Path) -> ExitCode {
    let began = Instant::now();
    let mut read = began;
    let Loaded { snapshot, diagnostics, files: _ } = Loader::default().load(path, |part| {
        if part == Part::Read {
            read = Instant::now();
        }
    });
    let compiled = Instant::now();
    complain(&diagnostics.render(colours(&io::stderr())));
    let Some(snapshot) = snapshot else { return ExitCode::from(bad_document(path)) };
    let bytes = snapshot_file::encode(&snapshot, path.parent().unwrap_or(Path::new("")));
    if let Err(error) = write_whole(to, &bytes) {
        return fail(exit::UNAVAILABLE, &format!("cannot write {}: {error}", to.display()));
    }
    let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1_000.0;
    say(&format!(
        "{}: {} KiB, {} in {}; read {:.1} ms, compiled {:.1} ms\nserve it with `tollgate run {}`\n",
        to.display(),
        bytes.len().div_ceil(1024),
        count(snapshot.methods(), "route"),
        count(snapshot.stages.len(), "stage"),
        ms(began, read),
        ms(read, compiled),
        to.display()
    ))
}

/// A temporary file beside it takes its name once the disk has its bytes.
fn write_whole(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = to.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = to.with_file_name(name);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&temporary, to));
    if moved.is_err() {
        // The name was ours alone; what cannot be removed is not worth another message.
        let _ = std::fs::remove_file(&temporary);
    }
    moved
}
