//! The reference of the output of `wharf check --json`, generated from the program.

use std::fmt::Write as _;

use wharf_server::diagnostics::Cause;

use super::SUBJECTS;
use super::page::{FIELDS, LEVELS};
use wharf_testkit::assert_same;

const HEAD: &str = "\
# JSON output of `wharf check`

This page is generated from the program (`cargo xtask docs`); do not edit it.

`wharf check --json` prints one object on one line, and nothing to standard error. Names of fields
are stable; fields may be added.

| Field | Is |
|---|---|
| `findings` | the findings, in order: objects as below |
| `errors`, `warnings`, `notes` | number of findings of that level |

";

const EXITS: &str = "
Without `--json`, findings without a problem go to standard output, and others to standard error, as
`note:`, `warning:` or `error:` with `hint:` below. The texts of `what` and `hint` may change.

| Exit code | Means |
|---|---|
| 0 | no errors; with `--strict`, no warnings either |
| 1 | a check failed: a port is in use, a home is missing, a queried server fails |
| 2 | usage error: invalid command line |
| 77 | permission denied by the operating system |
| 78 | invalid configuration or certificate; with `--strict`, warnings |

If there are several kinds of errors, 78 takes precedence over 77, and 77 over 1.
";

#[test]
fn the_reference_of_check_is_up_to_date() {
    let mut page = HEAD.to_owned();
    page.push_str("| Field of a finding | Meaning |\n|---|---|\n");
    let names = SUBJECTS.iter().map(|(_, name, ..)| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    for (field, about) in FIELDS {
        let about = about.replace("{subjects}", &names);
        let _ = writeln!(page, "| `{field}` | {about} |");
    }
    page.push_str("\n| Level | Meaning |\n|---|---|\n");
    for (level, about) in LEVELS {
        let _ = writeln!(page, "| `{}` | {about} |", level.name());
    }
    page.push_str(EXITS);
    page.push_str("\n## Causes in `wharf status --json`\n\n");
    page.push_str(
        "`cause` of `passive.failures`, and of the event `data-connection-diagnosis` in the \
         log:\n\n",
    );
    page.push_str("| Cause | Observation |\n|---|---|\n");
    for cause in Cause::ALL {
        let _ = writeln!(page, "| `{}` | {} |", cause.name(), cause.words());
    }
    assert_same("docs/reference/check.md", &page);
}
