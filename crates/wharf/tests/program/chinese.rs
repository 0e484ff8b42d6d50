//! `wharf check`, `wharf why` and the start panel in a Chinese session: no line has an English
//! sentence.

use std::process::Stdio;

use crate::mistakes::{ACCOUNTS, CONFIGURATIONS, SOCKET, STORES};
use crate::support::{Ran, TestFolder};

const LANGUAGE: &str = "zh_CN.UTF-8";

/// Programs that hints name; what follows them is the same in every language.
const PROGRAMS: &[&str] = &[
    "wharf ", "chmod ", "chown ", "mkdir ", "sysctl ", "systemctl ", "openssl ", "cargo ",
    "ulimit ", "umask ", "sudo ",
];

/// The lines with two English words in a row, outside of quotes, commands and excerpts of files.
fn english_lines(text: &str) -> Vec<&str> {
    let is_english = |line: &&str| {
        let mut begin = line.trim_start().split('|');
        let is_excerpt = begin.next().is_some_and(|begin| {
            let begin = begin.trim();
            !begin.is_empty() && begin.bytes().all(|byte| byte.is_ascii_digit())
        });
        !is_excerpt && !line.contains("--> ") && has_sentence(&without_code(line))
    };
    text.lines().filter(is_english).collect()
}

/// The line without quoted text and commands.
fn without_code(line: &str) -> String {
    let mut out = line.to_owned();
    for (open, close) in [('`', '`'), ('"', '"'), ('\'', '\'')] {
        while let Some((start, end)) = out.find(open).and_then(|start| {
            let length = out[start + 1..].find(close)?;
            Some((start, start + 1 + length + 1))
        }) {
            out.replace_range(start..end, "…");
        }
    }
    for program in PROGRAMS {
        while let Some(start) = out.find(program) {
            let end =
                out[start..].find(|letter: char| !letter.is_ascii()).unwrap_or(out.len() - start);
            out.replace_range(start..start + end, "…");
        }
    }
    out
}

fn has_sentence(text: &str) -> bool {
    let mut row = 0;
    text.split(' ').any(|word| {
        let bare = word.trim_end_matches([':', '.', ';']);
        let is_word = bare.len() > 1 && bare.bytes().all(|byte| byte.is_ascii_lowercase());
        row = if is_word { row + 1 } else { 0 };
        // A colon or a comma ends the row.
        let is_found = row > 1;
        if bare.len() < word.len() {
            row = 0;
        }
        is_found
    })
}

#[test]
fn an_untranslated_line_is_found_and_a_translated_one_is_not() {
    for english in [
        "error: port 21 is in use by another program",
        "错误：invalid URL of the server",
        "提示：use a range such as `30000-30999`",
        "  文件       no such file",
        "应为 a program and its arguments such as [\"/opt/hook\"]，实际为 文本",
    ] {
        assert_eq!(english_lines(english), [english]);
    }
    for other in [
        "错误：端口 21 已被占用：pid 7 (ftpd)",
        "提示：请请求 login, enter, list, read 或 STOR 之类的命令",
        "提示：添加第一个账户：  wharf user add NAME --home DIR",
        "2 | greeting = an english sentence",
        " --> a file with spaces.toml:1:2",
        "注意：`a sentence in quotes`、\"and in others\"",
        "",
    ] {
        assert_eq!(english_lines(other), [""; 0], "{other}");
    }
}

fn run(place: &TestFolder, line: &str) -> Ran {
    let words: Vec<_> = line.split(' ').collect();
    let mut command = place.command(&words);
    let output = command.env("LC_ALL", LANGUAGE).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The lines of a run with an English sentence.
fn faults(title: &str, ran: &Ran) -> Vec<String> {
    assert!(!ran.err.contains("panicked"), "{title}: {}", ran.err);
    let text = format!("{}\n{}", ran.out, ran.err);
    english_lines(&text).into_iter().map(|line| format!("{title}: {line}")).collect()
}

fn private(place: &TestFolder, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(place.path(name), mode).unwrap();
}

fn place() -> TestFolder {
    let place = TestFolder::new();
    let range = place.range();
    let ports =
        format!("[passive]\nports = \"{range}\"\n[[listen]]\naddress = \"127.0.0.1\"\nport = 0\n");
    place.write("wharf.toml", &format!("{SOCKET}{ports}"));
    place.write("users.toml", ACCOUNTS);
    private(&place, "users.toml");
    std::fs::create_dir(place.path("home")).unwrap();
    place
}

#[test]
fn check_in_chinese_has_no_english_sentence() {
    let place = place();
    let ran = run(&place, "-c wharf.toml check");
    assert!(ran.out.contains("配置有效") && ran.out.contains("磁盘"), "{ran:?}");
    let mut all = faults("check", &ran);
    for (title, text) in CONFIGURATIONS {
        place.write("bad.toml", text);
        private(&place, "bad.toml");
        let ran = run(&place, "-c bad.toml check config");
        assert!(ran.code != Some(0) && ran.err.contains("错误："), "{title}: {ran:?}");
        assert!(!ran.err.contains("error:") && !ran.err.contains("hint:"), "{title}: {ran:?}");
        all.extend(faults(title, &ran));
    }
    for (title, text) in STORES {
        place.write("users.toml", text);
        let ran = run(&place, "-c wharf.toml check users");
        assert!(ran.err.contains("错误："), "{title}: {ran:?}");
        assert!(!ran.err.contains("error:") && !ran.err.contains("hint:"), "{title}: {ran:?}");
        all.extend(faults(title, &ran));
    }
    place.write("tls.toml", "[tls]\ncertificate = \"none.pem\"\nprivate_key = \"none.pem\"\n");
    private(&place, "tls.toml");
    all.extend(faults("tls", &run(&place, "-c tls.toml check tls")));
    for line in [
        "-c none.toml check config",
        "-c wharf.toml check config --set limits.connections=many",
        "-c wharf.toml check config --set listen.port=21",
        "check --ask 127.0.0.1:1",
    ] {
        all.extend(faults(line, &run(&place, line)));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    // The same in English: the lines are what this test searches for.
    place.write("users.toml", ACCOUNTS);
    let ran = place.run(&["-c", "wharf.toml", "check"]);
    assert!(english_lines(&format!("{}{}", ran.out, ran.err)).len() > 3, "{ran:?}");
}

#[test]
fn why_in_chinese_has_no_english_sentence() {
    let place = place();
    let mut all = Vec::new();
    for (line, part) in [
        ("anna / list", "允许：anna 可以列出 /"),
        ("anna / chmod", "拒绝：anna 不能修改 / 的权限位"),
        ("anna /none read", "文件或文件夹不存在"),
        ("anna / login --ip 203.0.113.9 --plain", "而客户端未使用 TLS"),
        ("zoe / list", "错误：未知账户 `zoe`"),
        ("anna / fly", "错误：未知的操作 `fly`"),
        ("anna / delete", "是文件夹，不是文件"),
    ] {
        let ran = run(&place, &format!("-c wharf.toml why {line}"));
        assert!(format!("{}{}", ran.out, ran.err).contains(part), "{line}: {ran:?}");
        all.extend(faults(line, &ran));
    }
    place.write("bad.toml", "[limits]\nconnections = -3\n");
    private(&place, "bad.toml");
    all.extend(faults("bad", &run(&place, "-c bad.toml why anna / list")));
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn errors_of_sharing_a_folder_are_in_chinese_and_those_of_a_server_are_not() {
    let place = place();
    place.write("notes.txt", "");
    let mut all = Vec::new();
    for (line, part) in [
        ("--no-config -d none", "错误：找不到文件夹：none"),
        ("--no-config -d notes.txt", "错误：无法共享 notes.txt：不是文件夹"),
        ("--no-config -d . -u a/b", "--username `a/b` 无效"),
        ("--no-config -u me --password-file none", "错误：无法从文件 none 读取密码"),
        ("--no-config -A -w -d home", "-A -w 允许匿名用户"),
        ("--no-config -p ftp", "--port `ftp` 无效"),
        ("--no-config --tls on", "--tls `on` 无效：未知的值"),
        ("--no-config -r 31000-30000", "30000 小于 31000"),
        ("usr", "错误：未知的命令 `usr`"),
        ("-d home --set passive.prots=1-2", "未知的配置项 `passive.prots`"),
        ("--no-config -d home -i 192.0.2.1 -u me -P x", "无法监听 192.0.2.1：这不是本机的地址"),
    ] {
        let ran = run(&place, line);
        assert!(ran.code != Some(0) && ran.err.contains(part), "{line}: {ran:?}");
        assert!(!ran.err.contains("error:") && !ran.err.contains("hint:"), "{line}: {ran:?}");
        all.extend(faults(line, &ran));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    let ran = run(&place, "-c wharf.toml serve --set server.users_file=none.toml --for 1s");
    assert!(ran.err.contains("error: cannot read "), "{ran:?}");
}

/// How often the screen is read.
#[cfg(target_os = "linux")]
const SCREENS_MAX: u32 = 20_000;

/// A terminal in which a server runs.
#[cfg(target_os = "linux")]
fn panel(place: &TestFolder, columns: &str, language: &str) -> String {
    // One for each: the server of tmux keeps its socket for a while after its end.
    let socket = place.path(&format!("tmux-{columns}-{language}"));
    let socket = socket.to_str().unwrap().to_owned();
    let tmux = |words: &[&str]| {
        let mut command = std::process::Command::new("tmux");
        let output = command.args(["-u", "-S", &socket]).args(words).output();
        String::from_utf8_lossy(&output.expect("tmux is installed").stdout).into_owned()
    };
    let program = env!("CARGO_BIN_EXE_wharf");
    let (file, state) = (place.path("wharf.toml"), place.path("state"));
    let serve = format!(
        "env LC_ALL={language} WHARF__SERVER__STATE_DIR={} {program} -c {} serve; sleep 60",
        state.display(),
        file.display()
    );
    tmux(&["-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", "40", &serve]);
    let screen = |part: &str| {
        // The first start generates a key, which takes long on a busy machine.
        (0..SCREENS_MAX)
            .map(|_| tmux(&["capture-pane", "-p"]))
            .find(|text| text.contains(part))
            .unwrap_or_else(|| panic!("{part}: {}", tmux(&["capture-pane", "-p"])))
    };
    // The last words of the panel.
    let shown = screen("wharf serve --help");
    tmux(&["send-keys", "C-c"]);
    let stopped = if language == LANGUAGE { "已停止" } else { "Stopped" };
    let end = screen(stopped);
    tmux(&["kill-server"]);
    assert!(shown.lines().count() > 8, "{shown}");
    end
}

#[cfg(target_os = "linux")]
#[test]
fn the_panel_in_chinese_has_no_english_sentence_at_60_and_80_columns() {
    let place = place();
    for columns in ["60", "80"] {
        let shown = panel(&place, columns, LANGUAGE);
        assert!(shown.contains("1 个账户") && shown.contains("停止：Ctrl+C"), "{shown}");
        // The panel shows no line of the log, which is English in every session.
        assert_eq!(english_lines(&shown), [""; 0], "{shown}");
        let english = panel(&place, columns, "C.UTF-8");
        assert!(!english_lines(&english).is_empty(), "{english}");
    }
}
