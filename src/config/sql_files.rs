//! Reads the files of SQL that a configuration names.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::ConfigError;
use crate::sql::SourceFile;

/// Largest file of SQL, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most files in one folder.
const FILES_MAX: usize = 10_000;

/// The file, or the folder's `.sql` files by name.
pub(super) fn read(key: &'static str, path: &Path) -> Result<Vec<SourceFile>, ConfigError> {
    let fail = |path: &Path, source| ConfigError::Sql { key, path: path.to_owned(), source };
    let is_folder = fs::metadata(path).map_err(|e| fail(path, e))?.is_dir();
    let paths =
        if is_folder { sql_files(path).map_err(|e| fail(path, e))? } else { vec![path.to_owned()] };
    if paths.is_empty() {
        return Err(ConfigError::NoSql { key, path: path.to_owned() });
    }
    paths.into_iter().map(|path| read_file(&path).map_err(|e| fail(&path, e))).collect()
}

/// Like [`read`], but nothing where there is no such folder.
pub(super) fn read_if_there(path: &Path) -> Result<Vec<SourceFile>, ConfigError> {
    match read("pipeline.streams", path) {
        Err(ConfigError::NoSql { .. }) => Ok(Vec::new()),
        Err(ConfigError::Sql { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        other => other,
    }
}

fn sql_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} .sql files")));
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_file(path: &Path) -> io::Result<SourceFile> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(SourceFile { path: path.display().to_string(), text })
}
