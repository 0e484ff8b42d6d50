//! The result of a proof that is run from here, in the format of `wharf-prove`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A finished proof.
pub(crate) struct ProofOutcome<'a> {
    pub(crate) name: &'a str,
    pub(crate) about: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) count: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: u64,
}

impl ProofOutcome<'_> {
    /// Writes `target/prove/NAME.json`.
    pub(crate) fn write(&self, root: &Path) -> Result<(), String> {
        let Self { name, about, unit, count, failed, seconds } = self;
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let processor = model.map_or("?", |(_, name)| name.trim());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let kernel = read("/proc/sys/kernel/osrelease");
        let kernel = kernel.trim();
        let commit = commit(root);
        let passed = count.saturating_sub(*failed);
        let text = format!(
            "{{\n  \"name\": \"{name}\",\n  \"about\": \"{about}\",\n  \"unit\": \"{unit}\",\n  \
             \"form\": \"long\",\n  \"count\": {count},\n  \"passed\": {passed},\n  \
             \"failed\": {failed},\n  \"seconds\": {seconds},\n  \"machine\": {{\n    \
             \"processor\": \"{processor}\",\n    \"cores\": {cores},\n    \
             \"kernel\": \"{kernel}\"\n  }},\n  \"commit\": \"{commit}\"\n}}\n"
        );
        let folder = target(root).join("prove");
        let file = folder.join(format!("{name}.json"));
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&file, text))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }
}

/// Where cargo builds.
pub(crate) fn target(root: &Path) -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| root.join("target"), |target| root.join(target))
}

/// The commit of the checkout.
fn commit(root: &Path) -> String {
    let mut git = Command::new("git");
    git.current_dir(root).args(["rev-parse", "--short=12", "HEAD"]);
    let output = git.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|| "?".to_owned())
}
