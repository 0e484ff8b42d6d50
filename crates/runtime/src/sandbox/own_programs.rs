//! The files in configured command lines: programs, scripts, and files that they read.
//!
//! An argument is not always a path: shells and interpreters accept scripts, and other programs
//! paths after `=` or `@`. All parts of an argument are tried.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wharf_config::hook::ProgramLine;

use crate::os::is_executable;

/// Maximum number of parts tried per command line.
const PIECES_MAX: usize = 2000;
/// Maximum number of files per command line.
const NAMED_MAX: usize = 200;
/// Maximum number of folders per command line to which relative paths may refer.
const BASES_MAX: usize = 16;
/// The working folder of event programs.
const STARTED_IN: &str = "/";
/// Separators of paths in shells, Python and options.
const PUNCTUATION: &[char] = &[
    '"', '\'', '`', '=', ';', '|', '&', '(', ')', '<', '>', ',', '{', '}', '[', ']', '$', ':', '@',
    '\\', '!', '#', '*', '?',
];
const QUOTES: &[char] = &['"', '\'', '`'];
/// Suffixes of scripts.
const SCRIPTS: &[&str] = &[
    "sh", "bash", "py", "pl", "rb", "php", "js", "mjs", "lua", "tcl", "awk", "ps1", "bat", "cmd",
    "jar",
];
/// System folders, which contain more than event programs.
const OF_SYSTEM: &[&str] =
    &["/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc", "/nix", "/snap", "/System", "/Library"];

/// The program of a command line, and all files in its arguments: existing ones, and those that
/// could be created in an existing folder. Relative paths are resolved against the working folder
/// of programs, the folder of the configuration file, and the folders in the command line.
pub(super) fn named_by(line: &ProgramLine, config_folder: Option<&Path>) -> Vec<PathBuf> {
    let Some((program, arguments)) = line.0.split_first() else { return Vec::new() };
    let program = PathBuf::from(program);
    let pieces = arguments.iter().flat_map(|argument| pieces(argument)).take(PIECES_MAX);
    let pieces: BTreeSet<&str> = pieces.collect();
    let mut bases = vec![PathBuf::from(STARTED_IN)];
    bases.extend(config_folder.map(Path::to_path_buf));
    // As in `cd /opt/hooks && ./run`.
    let named = pieces.iter().map(Path::new).filter(|path| path.is_absolute() && path.is_dir());
    bases.extend(named.take(BASES_MAX).map(Path::to_path_buf));
    let mut found: Vec<PathBuf> = Vec::new();
    let mut add = |path: PathBuf| {
        if found.len() < NAMED_MAX && path != program && !found.contains(&path) {
            found.push(path);
        }
    };
    for piece in pieces.iter().map(Path::new) {
        if piece.file_name().is_none() {
            continue;
        }
        if piece.is_absolute() {
            if is_file_or_could_be(piece) {
                add(piece.to_owned());
            }
            continue;
        }
        let has_folder = piece.components().count() > 1;
        for path in bases.iter().map(|base| base.join(piece)) {
            // A single word is rarely a path: it counts only if the file exists.
            if path.is_file() || has_folder && is_file_or_could_be(&path) {
                add(path);
            }
        }
    }
    std::iter::once(program).chain(found).collect()
}

/// Whether a file is a program, by its permission bits or its name.
pub(super) fn is_program(path: &Path) -> bool {
    let suffix = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    path.is_file() && (is_executable(path) || SCRIPTS.contains(&suffix.as_str()))
}

/// The folders of a program, by its own path and the target of a symbolic link, that are within a
/// home but are not homes and contain none.
pub(super) fn folders_of(program: &Path, homes: &[PathBuf]) -> Vec<PathBuf> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let homes: Vec<_> = homes.iter().filter_map(|home| real(home)).collect();
    let own = program.parent().and_then(real);
    let target = real(program).and_then(|target| target.parent().map(Path::to_path_buf));
    let folders: BTreeSet<_> = own.into_iter().chain(target).collect();
    let is_of_system = |folder: &Path| OF_SYSTEM.iter().any(|known| folder.starts_with(known));
    let is_apart = |folder: &PathBuf| {
        let is_within = homes.iter().any(|home| folder != home && folder.starts_with(home));
        let is_above = homes.iter().any(|home| home.starts_with(folder));
        is_within && !is_above && !is_of_system(folder)
    };
    folders.into_iter().filter(is_apart).collect()
}

/// All parts of an argument that may be paths, the longest first.
fn pieces(argument: &str) -> impl Iterator<Item = &str> {
    let between = argument.split(QUOTES);
    let behind = argument.split_once('=').map(|(_, value)| value);
    let words = argument.split(char::is_whitespace);
    let parts =
        argument.split(|letter: char| letter.is_whitespace() || PUNCTUATION.contains(&letter));
    // `-I/opt/lib` contains a path too.
    let options = parts.clone().filter(|part| part.starts_with('-'));
    let attached = options.filter_map(|part| part.find('/').and_then(|at| part.get(at..)));
    let whole = std::iter::once(argument).chain(behind);
    whole.chain(between).chain(words).chain(parts).chain(attached).filter(|piece| !piece.is_empty())
}

fn is_file_or_could_be(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(facts) => !facts.is_dir(),
        Err(_) => path.parent().is_some_and(Path::is_dir),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with a program in `hooks`, and one more file.
    fn world() -> (tempfile::TempDir, PathBuf) {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().canonicalize().unwrap();
        fs::create_dir(dir.join("hooks")).unwrap();
        fs::create_dir(dir.join("my hooks")).unwrap();
        for name in ["hooks/h.sh", "my hooks/h.sh", "hooks/it.conf", "word"] {
            fs::write(dir.join(name), "x").unwrap();
        }
        (top, dir)
    }

    fn named(dir: &Path, words: &[&str]) -> Vec<PathBuf> {
        let shown = dir.to_str().unwrap();
        let line = words.iter().map(|word| word.replace("DIR", shown)).collect();
        named_by(&ProgramLine(line), Some(dir))
    }

    #[test]
    fn row_53_paths_within_arguments_are_found_and_words_are_ignored() {
        let (_top, dir) = world();
        for (words, name) in [
            (&["/bin/sh", "DIR/hooks/h.sh", "{file}"][..], "hooks/h.sh"),
            (&["/bin/sh", "-c", "exec DIR/hooks/h.sh"], "hooks/h.sh"),
            (&["/bin/sh", "-c", "/bin/sh DIR/hooks/h.sh"], "hooks/h.sh"),
            (&["/bin/sh", "-c", "exec 'DIR/my hooks/h.sh' \"$1\""], "my hooks/h.sh"),
            (&["/bin/sh", "-c", "x=DIR/hooks/h.sh;$x&&(true)"], "hooks/h.sh"),
            (&["/bin/sh", "-c", "cd DIR/hooks && ./h.sh"], "hooks/./h.sh"),
            (&["/bin/sh", "-c", "cat<DIR/hooks/h.sh|sh"], "hooks/h.sh"),
            (&["/usr/bin/env", "-S", "sh DIR/hooks/h.sh"], "hooks/h.sh"),
            (&["/usr/bin/python3", "-c", "exec(open('DIR/hooks/h.sh').read())"], "hooks/h.sh"),
            (&["/usr/bin/python3.12", "-u", "hooks/h.sh"], "hooks/h.sh"),
            (&["/usr/bin/python3.12", "-u", "word"], "word"),
            (&["/opt/hook", "--conf=DIR/hooks/it.conf"], "hooks/it.conf"),
            (&["/opt/hook", "--conf=DIR/my hooks/h.sh"], "my hooks/h.sh"),
            (&["/opt/hook", "-IDIR/hooks/it.conf"], "hooks/it.conf"),
            (&["/opt/hook", "@DIR/hooks/it.conf"], "hooks/it.conf"),
            (&["/opt/hook", "DIR/hooks/later"], "hooks/later"),
        ] {
            let found = named(&dir, words);
            assert_eq!(found.first(), words.first().map(PathBuf::from).as_ref());
            assert!(found.contains(&dir.join(name)), "{words:?}: {found:?}");
            assert!(!found.contains(&dir.join("hooks")) && !found.contains(&dir), "{found:?}");
        }
        // Words that are not files, and folders, are ignored.
        assert_eq!(named(&dir, &["/opt/hook", "echo upload", "DIR", "DIR/hooks", "a=b"]).len(), 1);
        assert_eq!(named(&dir, &["/opt/hook", "DIR/none/such"]).len(), 1);
        assert!(named(&dir, &[]).is_empty());
    }

    #[test]
    fn row_53_the_number_of_files_per_command_line_is_bounded() {
        let (_top, dir) = world();
        let many = "DIR/one DIR/two ".repeat(2500);
        assert!(named(&dir, &["/bin/sh", "-c", &many]).len() <= NAMED_MAX + 1);
    }

    #[test]
    fn row_53_a_folder_of_programs_within_a_home_is_denied_and_a_home_is_not() {
        let (_top, dir) = world();
        let folders = |home: &[&str]| {
            let homes: Vec<_> = home.iter().map(|home| dir.join(home)).collect();
            folders_of(&dir.join("hooks/h.sh"), &homes)
        };
        assert_eq!(folders(&[""]), [dir.join("hooks")]);
        // It is a home, contains one, or is outside of homes.
        fs::create_dir(dir.join("hooks/anna")).unwrap();
        for homes in [&["hooks"][..], &["", "hooks"], &["", "hooks/anna"], &["my hooks"]] {
            assert!(folders(homes).is_empty(), "{homes:?}");
        }
        let top = [PathBuf::from("/")];
        assert!(folders_of(Path::new("/usr/bin/env"), &top).is_empty());
    }
}
