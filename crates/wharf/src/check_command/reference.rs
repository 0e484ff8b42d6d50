//! The reference of what `wharf check --json` prints, made of the program's own tables.

use std::fmt::Write as _;

use wharf_server::diagnostics::Cause;

use super::SUBJECTS;
use super::page::{FIELDS, LEVELS};
use crate::snapshot::assert_same;

const HEAD: &str = "\
# What `wharf check` prints for scripts

Made of the program's own tables. This page is generated (`cargo xtask docs`); do not edit it.

`wharf check --json` prints one object on one line, and nothing on standard error. Names of fields
are frozen; fields may be added.

| Field | Is |
|---|---|
| `findings` | what was found, in order: objects as below |
| `errors`, `warnings`, `notes` | how many findings of that level |

";

const EXITS: &str = "
What is fine goes to standard output without `--json`, and the rest to standard error, as `note:`,
`warning:` or `error:` with `help:` below. `what` and `help` are for people and may change.

| Exit code | Means |
|---|---|
| 0 | no errors; with `--strict`, no warnings either |
| 1 | something would not work: a port is taken, a home is missing, a server that was asked fails |
| 2 | the command line makes no sense |
| 77 | the system does not permit something |
| 78 | the configuration or the certificate is bad; with `--strict`, there are warnings |

Where there are several kinds of errors, 78 comes before 77, and that before 1.
";

#[test]
fn the_reference_of_check_is_up_to_date() {
    let mut page = HEAD.to_owned();
    page.push_str("| Field of a finding | Is |\n|---|---|\n");
    let names = SUBJECTS.iter().map(|(_, name, ..)| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    for (field, about) in FIELDS {
        let about = about.replace("{subjects}", &names);
        let _ = writeln!(page, "| `{field}` | {about} |");
    }
    page.push_str("\n| Level | Means |\n|---|---|\n");
    for (level, about) in LEVELS {
        let _ = writeln!(page, "| `{}` | {about} |", level.name());
    }
    page.push_str(EXITS);
    page.push_str("\n## Causes in `wharf status --json`\n\n");
    page.push_str(
        "`cause` of `passive.failures`, and `cause` of the line `doctor` in the log:\n\n",
    );
    page.push_str("| Cause | What was seen |\n|---|---|\n");
    for cause in Cause::ALL {
        let _ = writeln!(page, "| `{}` | {} |", cause.name(), cause.words());
    }
    assert_same("docs/reference/check.md", &page);
}
