//! Rust source without its comments and strings.

/// `source` with comments and the insides of strings and characters left out.
pub(crate) fn code_only(source: &str) -> String {
    let mut rest = source;
    let mut code = String::with_capacity(source.len());
    while let Some(next) = rest.chars().next() {
        let skipped =
            skip_comment(rest).or_else(|| skip_raw_string(rest, &code)).or_else(|| skip_quoted(rest));
        match skipped {
            Some(length) => {
                code.push(' ');
                rest = &rest[length..];
            }
            None => {
                code.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    code
}

/// Whether `text` holds `word` with nothing wordlike right before or after it.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let wordlike =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).any(|(at, _)| {
        let ends_open = !word.ends_with(|last: char| last.is_alphanumeric());
        !wordlike(text[..at].chars().next_back())
            && (ends_open || !wordlike(text[at + word.len()..].chars().next()))
    })
}

/// Length of the comment that `rest` begins with.
fn skip_comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let bytes = rest.as_bytes();
    let (mut at, mut depth) = (2, 1);
    while at < bytes.len() && depth > 0 {
        match (bytes[at], bytes.get(at + 1)) {
            (b'*', Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            (b'/', Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    Some(at)
}

/// Length of the raw string that `rest` begins with, unless `r` ends a name.
fn skip_raw_string(rest: &str, before: &str) -> Option<usize> {
    let inside_name =
        before.chars().next_back().is_some_and(|last| last != 'b' && (last.is_alphanumeric() || last == '_'));
    let after = rest.strip_prefix('r').filter(|_| !inside_name)?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(1 + hashes + 1 + length)
}

/// Length of the string or character that `rest` begins with; lifetimes are neither.
fn skip_quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut letters = rest.char_indices().skip(1);
    if quote == '\'' {
        let (_, first) = letters.clone().next()?;
        let closed = letters.clone().nth(1).is_some_and(|(_, second)| second == '\'');
        if first != '\\' && !closed {
            return None;
        }
    }
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

#[test]
fn words_in_comments_and_strings_are_not_code() {
    let source =
        "a /* unsafe /* unsafe */ unsafe */ b // unsafe\n\"unsafe \\\" unsafe\" r#\"unsafe \" unsafe\"# c";
    assert!(!has_word(&code_only(source), "unsafe"), "{}", code_only(source));
    assert!(has_word(&code_only(source), "a") && has_word(&code_only(source), "c"));
}

#[test]
fn words_in_code_are_found_beside_lifetimes_and_characters() {
    for source in
        ["fn f<'a>(x: &'a str) { unsafe { g() } }", "let q = '\"'; unsafe {}", "let b = b'\\''; unsafe {}"]
    {
        assert!(has_word(&code_only(source), "unsafe"), "{source}");
    }
    assert!(!has_word("#![allow(unsafe_code)]", "unsafe"));
}
