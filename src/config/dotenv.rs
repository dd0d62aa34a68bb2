//! Parser of `.env` files (cli-and-deploy §4). Own, because the grammar there is stricter than the libraries': a bad line
//! stops the start, a duplicate warns, and nothing is taken from the process environment.

/// One assignment that counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// Value after quotes and expansion.
    pub value: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EnvFile {
    /// In order of first appearance; of duplicates the last value.
    pub assignments: Vec<Assignment>,
    /// Lines (from 1) with things that work but deserve a word.
    pub warnings: Vec<(usize, String)>,
}

/// A line that is not in the grammar. The text of the line is not kept: it may be a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong and how to write it.
    pub why: &'static str,
}

/// Parses a file. `earlier` gives values of files read before, for `${NAME}`.
///
/// # Errors
/// The first line that is not in the grammar.
pub fn parse(bytes: &[u8], earlier: &dyn Fn(&str) -> Option<String>) -> Result<EnvFile, BadLine> {
    let text = utf8(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut file = EnvFile::default();
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        read_line(line, number, &mut file, earlier).map_err(|why| BadLine { line: number, why })?;
    }
    Ok(file)
}

fn utf8(bytes: &[u8]) -> Result<&str, BadLine> {
    std::str::from_utf8(bytes).map_err(|e| {
        let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', good).count() + 1;
        BadLine { line, why: "is not UTF-8" }
    })
}

fn read_line(
    line: &str,
    number: usize,
    file: &mut EnvFile,
    earlier: &dyn Fn(&str) -> Option<String>,
) -> Result<(), &'static str> {
    let line = line.trim_start_matches(BLANKS);
    if line.trim_end_matches(BLANKS).is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err("holds a control character");
    }
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(BLANKS) => rest.trim_start_matches(BLANKS),
        _ => line,
    };
    let (name, rest) = line.split_once('=').ok_or("is not `KEY=value`, a comment or empty")?;
    if !is_name(name) {
        return Err("has a key that is not letters, digits and `_`, or a blank before `=`");
    }
    let mut unknown = Vec::new();
    let value = {
        let lookup = |wanted: &str| {
            let here = file.assignments.iter().find(|a| a.name == wanted);
            here.map(|a| a.value.clone()).or_else(|| earlier(wanted))
        };
        read_value(rest, &mut Expander { lookup: &lookup, unknown: &mut unknown })?
    };
    for name in unknown {
        let text = format!("`${{{name}}}` is not set earlier in the file; left as it is");
        file.warnings.push((number, text));
    }
    set(file, name, value, number);
    Ok(())
}

fn set(file: &mut EnvFile, name: &str, value: String, line: usize) {
    match file.assignments.iter_mut().find(|a| a.name == name) {
        Some(first) => {
            let text = format!("`{name}` was already set in line {}; this one counts", first.line);
            file.warnings.push((line, text));
            first.value = value;
            first.line = line;
        }
        None => file.assignments.push(Assignment { name: name.to_owned(), value, line }),
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// True when `name` can be the name of a variable.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Replaces `${NAME}` of names set earlier; others stay and are reported.
struct Expander<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unknown: &'a mut Vec<String>,
}

fn read_value(rest: &str, expander: &mut Expander<'_>) -> Result<String, &'static str> {
    let value = rest.trim_start_matches(BLANKS);
    match value.strip_prefix(['\'', '"']) {
        Some(quoted) if value.starts_with('\'') => {
            let (text, tail) = quoted.split_once('\'').ok_or("has a `'` that is never closed")?;
            nothing_behind(tail)?;
            Ok(text.to_owned())
        }
        Some(quoted) => {
            let (text, tail) = read_double_quoted(quoted, expander)?;
            nothing_behind(tail)?;
            Ok(text)
        }
        None => Ok(expand(without_comment(rest), expander)),
    }
}

fn nothing_behind(tail: &str) -> Result<(), &'static str> {
    let text = tail.trim_start_matches(BLANKS);
    let comment = text.starts_with('#') && text.len() < tail.len();
    if text.is_empty() || comment { Ok(()) } else { Err("has text behind the closing quote") }
}

/// Cuts a comment: `#` after a blank. A `#` inside a word belongs to the value.
fn without_comment(rest: &str) -> &str {
    let mut blank = false;
    let mut end = rest.len();
    for (at, c) in rest.char_indices() {
        if c == '#' && blank {
            end = at;
            break;
        }
        blank = BLANKS.contains(&c);
    }
    rest.get(..end).unwrap_or(rest).trim_matches(BLANKS)
}

fn read_double_quoted<'a>(
    quoted: &'a str,
    expander: &mut Expander<'_>,
) -> Result<(String, &'a str), &'static str> {
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((text, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => {
                let (_, escaped) = chars.next().ok_or("ends in a `\\`")?;
                text.push(unescape(escaped).ok_or(
                    "has an escape other than `\\n` `\\t` `\\\"` `\\\\` `\\$`; use single quotes",
                )?);
            }
            '$' => {
                let rest = quoted.get(at..).unwrap_or_default();
                match reference(rest) {
                    Some((name, length)) => {
                        push_expanded(&mut text, name, expander);
                        // The first byte, `$`, is already taken.
                        chars.by_ref().take(length - 1).for_each(drop);
                    }
                    None => text.push('$'),
                }
            }
            _ => text.push(c),
        }
    }
    Err("has a `\"` that is never closed")
}

fn unescape(c: char) -> Option<char> {
    match c {
        'n' => Some('\n'),
        't' => Some('\t'),
        '"' | '\\' | '$' => Some(c),
        _ => None,
    }
}

fn expand(text: &str, expander: &mut Expander<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, _)) = rest.split_once('$') {
        out.push_str(before);
        let at_dollar = rest.get(before.len()..).unwrap_or_default();
        let taken = match reference(at_dollar) {
            Some((name, length)) => {
                push_expanded(&mut out, name, expander);
                length
            }
            None => {
                out.push('$');
                1
            }
        };
        rest = at_dollar.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn push_expanded(out: &mut String, name: &str, expander: &mut Expander<'_>) {
    match (expander.lookup)(name) {
        Some(value) => out.push_str(&value),
        None => {
            expander.unknown.push(name.to_owned());
            out.push_str("${");
            out.push_str(name);
            out.push('}');
        }
    }
}

/// The name in `${NAME}` at the start of `text`, and the bytes it takes (all ASCII).
fn reference(text: &str) -> Option<(&str, usize)> {
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    is_name(name).then(|| (name, name.len() + 3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value_of(line: &str) -> Result<String, &'static str> {
        let file = parse(line.as_bytes(), &|name| (name == "EARLIER").then(|| "e e".into()))
            .map_err(|bad| bad.why)?;
        Ok(file.assignments.last().map(|a| a.value.clone()).unwrap_or("<none>".into()))
    }

    #[test]
    fn c06_lines_of_the_grammar() {
        for (line, want) in [
            ("K=value", "value"),
            ("K=", ""),
            ("K=''", ""),
            ("K=\"\"", ""),
            ("  K=value", "value"),
            ("\tK=value\t ", "value"),
            ("export K=value", "value"),
            ("export\tK=value", "value"),
            ("exported=1", "1"),
            ("export=1", "1"),
            ("_k9=x", "x"),
            ("K= value", "value"),
            ("K=two words", "two words"),
            ("K=a=b=c", "a=b=c"),
            ("K=a#b", "a#b"),
            ("K=#b", "#b"),
            ("K=a #b", "a"),
            ("K=a\t# b # c", "a"),
            ("K= # b", ""),
            ("K='a # b'", "a # b"),
            ("K=\"a # b\"", "a # b"),
            ("K='a' # b", "a"),
            ("K=\"a\"\t#b", "a"),
            ("K='lit\\n${EARLIER}$X'", "lit\\n${EARLIER}$X"),
            ("K=\"a\\nb\\tc\\\"d\\\\e\\$f\"", "a\nb\tc\"d\\e$f"),
            ("K=\"\\${EARLIER}\"", "${EARLIER}"),
            ("K=${EARLIER}!", "e e!"),
            ("K=\"<${EARLIER}>\"", "<e e>"),
            ("K=${LATER}", "${LATER}"),
            ("K=\"ä${EARLIER}ö\"", "äe eö"),
            ("K=$EARLIER", "$EARLIER"),
            ("K=$(date)", "$(date)"),
            ("K=`date`", "`date`"),
            ("K=${", "${"),
            ("K=${}", "${}"),
            ("K=${a b}", "${a b}"),
            ("K=5$", "5$"),
            ("K=it's", "it's"),
            ("K=C:\\dir\\new", "C:\\dir\\new"),
            ("K=\"it's\"", "it's"),
            ("K='say \"x\"'", "say \"x\""),
            ("A=1\nK=${A}${A}", "11"),
            ("A=1\r\nK=${A}\r\n", "1"),
            ("\u{feff}K=bom", "bom"),
            ("# only a comment", "<none>"),
            ("   # only a comment", "<none>"),
            ("", "<none>"),
            (" \t ", "<none>"),
            ("\r\n\r\n", "<none>"),
        ] {
            assert_eq!(value_of(line).as_deref(), Ok(want), "{line:?}");
        }
    }

    #[test]
    fn c06_lines_outside_the_grammar() {
        for line in [
            "K",
            "export K",
            "just words",
            "=value",
            "9K=value",
            "K-X=value",
            "K.X=value",
            "K =value",
            "Ä=1",
            "K='open",
            "K=\"open",
            "K=\"open\\",
            "K=\"open\\\"",
            "K='a'b",
            "K='a'#b",
            "K=\"a\"b",
            "K=\"bad \\x escape\"",
            "K=a\u{0}b",
            "K=a\rb",
        ] {
            assert!(value_of(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_bad_line_is_named_and_not_printed() {
        let bad = parse(b"A=1\n\n# c\nsk-secret-value\n", &|_| None).unwrap_err();
        assert_eq!(bad.to_string(), "line 4: is not `KEY=value`, a comment or empty");
        let bad = parse(b"A=1\nB=\xff\n", &|_| None).unwrap_err();
        assert_eq!(bad.to_string(), "line 2: is not UTF-8");
    }

    #[test]
    fn of_duplicates_the_last_counts_with_a_warning() {
        let file = parse(b"A=1\nB=2\nA=3\nB=${A}\n", &|_| None).unwrap();
        let values: Vec<_> =
            file.assignments.iter().map(|a| (a.name.as_str(), a.value.as_str(), a.line)).collect();
        assert_eq!(values, [("A", "3", 3), ("B", "3", 4)]);
        assert_eq!(
            file.warnings,
            [
                (3, "`A` was already set in line 1; this one counts".to_owned()),
                (4, "`B` was already set in line 2; this one counts".to_owned()),
            ]
        );
    }

    #[test]
    fn an_unknown_reference_stays_and_warns() {
        let file = parse(b"A=${HOME}/x\n", &|_| None).unwrap();
        assert_eq!(file.assignments[0].value, "${HOME}/x");
        assert_eq!(file.warnings.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes, &|_| None));
        }

        #[test]
        fn single_quotes_keep_every_character(text in "[^'\\x00-\\x1f\\x7f-\\x9f]{0,40}") {
            prop_assert_eq!(value_of(&format!("K='{text}'")), Ok(text));
        }

        #[test]
        fn escaped_text_comes_back(text in "[a-z \"\\\\$#'{}\n\t]{0,40}") {
            let mut escaped = String::new();
            for c in text.chars() {
                match c {
                    '\n' => escaped.push_str("\\n"),
                    '\t' => escaped.push_str("\\t"),
                    '"' | '\\' | '$' => { escaped.push('\\'); escaped.push(c); }
                    _ => escaped.push(c),
                }
            }
            prop_assert_eq!(value_of(&format!("K=\"{escaped}\"")), Ok(text));
        }
    }
}
