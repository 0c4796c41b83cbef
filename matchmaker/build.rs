//! Puts the built portal into the binary: a table of (path, bytes, the same compressed), sorted by path.
//! The third is empty where compression gains nothing.
//!
//! Without a built portal there is one page that says how to build it.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const PLAIN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>nearframe</title>\
<h1>The pages are not built</h1><p>This program was compiled without them. \
Run <code>make web</code> and start it again. The API is at <a href=\"/v1/openapi.json\">/v1/openapi.json</a>.</p>";

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let portal = root.join("../web-client/portal/dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed={}", portal.display());
    let mut files = Vec::new();
    if portal.join("index.html").is_file() {
        collect(&portal.canonicalize()?, "", &mut files)?;
    } else {
        let plain = out.join("plain.html");
        fs::write(&plain, PLAIN)?;
        files.push(("index.html".to_owned(), plain));
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        // A copy: the pages may be built anew while this crate compiles.
        let copy = out.join(format!("portal-{index}"));
        let content = fs::read(path)?;
        let compressed = gzip(&content)?;
        let small = out.join(format!("portal-{index}.gz"));
        fs::write(&small, if compressed.len() * 10 < content.len() * 9 { &compressed[..] } else { &[] })?;
        fs::write(&copy, content)?;
        // Writing to a String cannot fail.
        let _ = writeln!(table, "    ({name:?}, include_bytes!({copy:?}), include_bytes!({small:?})),");
    }
    table.push(']');
    fs::write(out.join("portal.rs"), table)
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
