//! The blocks of code of a guide, with what is to be done with each.

/// A block between fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Of its first line of code; counted from 1.
    pub(crate) line: usize,
    /// The text after the opening fence, such as `sh,system`.
    pub(crate) info: String,
    pub(crate) code: String,
}

/// The blocks, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (line, number) in text.lines().zip(1..) {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        open = match open {
            Some((_, block)) if trimmed.trim_end() == "```" => {
                blocks.push(block);
                None
            }
            Some((depth, mut block)) => {
                let blank = line.len() - line.trim_start().len();
                block.code.push_str(line.get(depth.min(blank)..).unwrap_or_default());
                block.code.push('\n');
                Some((depth, block))
            }
            None => trimmed.strip_prefix("```").map(|info| {
                let info = info.trim().to_owned();
                (indent, Block { line: number + 1, info, code: String::new() })
            }),
        };
    }
    blocks
}

/// What two translations of a block must have in common.
pub(crate) fn without_comments(block: &Block) -> String {
    let mark = match block.info.split(',').next().unwrap_or_default() {
        "sh" | "toml" | "yaml" | "ini" | "python" => "#",
        "rust" => "//",
        "sql" => "--",
        // A transcript shows what the program prints, which may be in the reader's language.
        "console" => {
            let commands = block.code.lines().filter(|line| line.starts_with("$ "));
            return commands.map(|line| code_of(line, "#")).collect::<Vec<_>>().join("\n");
        }
        "text" => return String::new(),
        _ => return block.code.clone(),
    };
    let lines = block.code.lines().map(|line| code_of(line, mark));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The line up to its comment. A `#` inside quotes or inside a word does not start one.
pub(crate) fn code_of<'a>(line: &'a str, mark: &str) -> &'a str {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        let begins = line.get(at..).is_some_and(|rest| rest.starts_with(mark));
        match quote {
            Some(open) if open == letter => quote = None,
            None if begins && before.is_whitespace() => {
                return line.get(..at).unwrap_or_default().trim_end();
            }
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            _ => {}
        }
        before = letter;
    }
    line.trim_end()
}

/// The command lines of `wharf` in a block, each with its line: what follows the program's name.
pub(crate) fn wharf_lines(block: &Block) -> Vec<(usize, Vec<String>)> {
    let is_transcript = block.info == "console";
    let mut found = Vec::new();
    let mut joined: Option<(usize, String)> = None;
    for (line, number) in block.code.lines().zip(block.line..) {
        let line = match (is_transcript, &joined) {
            (true, None) => match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                Some(line) => line,
                None => continue,
            },
            (true, Some(_)) => line.strip_prefix("> ").unwrap_or(line),
            (false, _) => line,
        };
        let (start, before) = joined.take().unwrap_or((number, String::new()));
        let whole = before + line;
        if let Some(begin) = whole.strip_suffix('\\') {
            joined = Some((start, begin.to_owned()));
            continue;
        }
        let commands = commands(&whole).into_iter().filter_map(|words| arguments(&words));
        found.extend(commands.map(|words| (start, words)));
    }
    found
}

/// What follows `wharf` in a command; `None` for the commands of other programs.
fn arguments(words: &[String]) -> Option<Vec<String>> {
    let is_assignment = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric())
        })
    };
    let mut words = words.iter().skip_while(|word| is_assignment(word)).peekable();
    if words.next_if(|word| *word == "sudo").is_some() {
        while let Some(option) = words.next_if(|word| word.starts_with('-')) {
            if option == "-u" {
                words.next();
            }
        }
    }
    (words.next()? == "wharf").then(|| words.cloned().collect())
}

/// The commands of a line of shell, in words. Supported are quotes, operators and comments.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut letters = line.chars().peekable();
    // What follows a redirection is a file.
    let mut is_file = false;
    let end = |word: &mut Option<String>, is_file: &mut bool, commands: &mut Vec<Vec<String>>| {
        let Some(word) = word.take() else { return };
        let last = commands.last_mut().filter(|_| !std::mem::take(is_file));
        if let Some(last) = last {
            last.push(word);
        }
    };
    while let Some(letter) = letters.next() {
        match letter {
            '#' if word.is_none() => break,
            ' ' | '\t' => end(&mut word, &mut is_file, &mut commands),
            '\'' | '"' => {
                let text = word.get_or_insert_default();
                while let Some(inner) = letters.next().filter(|inner| *inner != letter) {
                    text.push(inner);
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '>' | '<' => {
                // `2>` names a stream, not an argument.
                if word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
                    word = None;
                }
                end(&mut word, &mut is_file, &mut commands);
                while letters.next_if(|next| matches!(next, '>' | '<' | '&')).is_some() {}
                is_file = true;
            }
            '|' | '&' | ';' | '(' | ')' => {
                end(&mut word, &mut is_file, &mut commands);
                commands.push(Vec::new());
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    end(&mut word, &mut is_file, &mut commands);
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(info: &str, code: &str) -> Vec<(usize, String)> {
        let block = Block { line: 1, info: info.into(), code: code.into() };
        wharf_lines(&block).into_iter().map(|(line, words)| (line, words.join("|"))).collect()
    }

    #[test]
    fn blocks_have_their_place_and_kind() {
        let text = "a\n```sh,server\nb\n\n```\n- c\n  ```toml\n  d\n    e\n  ```\n```\nf\n```\n";
        let found = blocks(text);
        let found: Vec<_> = found.iter().map(|b| (b.line, &*b.info, &*b.code)).collect();
        assert_eq!(found, [(3, "sh,server", "b\n\n"), (8, "toml", "d\n  e\n"), (12, "", "f\n")]);
    }

    #[test]
    fn comments_do_not_count_in_comparisons() {
        let block =
            |info: &str, code: &str| Block { line: 1, info: info.into(), code: code.into() };
        for (info, one, other) in [
            ("sh", "# a\nwharf check   # b\n", "wharf check # 检查\n"),
            ("toml", "a = \"#b\" # c\n", "a = \"#b\"\n"),
            ("rust", "// a\nlet b; // c\n", "let b;\n"),
            ("console", "$ wharf who\nnone\n", "$ wharf who\n没有\n"),
            ("text", "a\n", "甲\n"),
        ] {
            assert_eq!(without_comments(&block(info, one)), without_comments(&block(info, other)));
        }
        for (info, one, other) in [("sh", "a#b", "a"), ("toml", "a=1", "a=2"), ("json", "1", "2")] {
            assert_ne!(without_comments(&block(info, one)), without_comments(&block(info, other)));
        }
    }

    #[test]
    fn command_lines_of_wharf_are_found_in_scripts_and_transcripts() {
        let script = "A=1 wharf user add 'b c' \\\n  --generate >x 2>&1 # d\napt-get update\n\
                      sudo -u wharf wharf check && wharf reload | cat\necho wharf x\n";
        let found = lines("sh,system", script);
        let words = ["user|add|b c|--generate", "check", "reload"];
        assert_eq!(found, [1, 4, 4].into_iter().zip(words.map(String::from)).collect::<Vec<_>>());
        assert_eq!(lines("console", "$ wharf who\nwharf x\n"), [(1, "who".to_owned())]);
    }
}
