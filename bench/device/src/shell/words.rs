//! The grammar of the device's shell: text in, commands out. Pure; nothing is run and nothing is expanded here.
//!
//! ```text
//!   script   := simple { (";" | newline | "&&" | "||") simple }
//!   simple   := { NAME=word } { word } { [1|2] (">" | ">>") word | [1|2] ">&" (1|2) }
//!   word     := letters · 'quoted' · "quoted, with $NAME" · \x · $NAME · ${NAME} · $?
//! ```
//!
//! A small part of mksh, Android's shell, and strict about the rest: pipes, background jobs, substitutions, globs and
//! input redirection are refused with a message instead of being taken for letters.

use std::iter::Peekable;
use std::str::Chars;

/// Longest script in bytes. Longer ones are refused.
pub const MAX_SCRIPT: usize = 64 * 1024;
/// Most commands in one script. More are refused.
pub const MAX_COMMANDS: usize = 256;

/// When a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// In any case.
    Always,
    /// After success (`&&`).
    IfOk,
    /// After failure (`||`).
    IfFailed,
}

/// One command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simple {
    /// Variables: for the command only, or for the rest of the script when there are no words.
    pub assignments: Vec<(String, Word)>,
    /// Name and arguments.
    pub words: Vec<Word>,
    /// Redirections in their order.
    pub redirects: Vec<Redirect>,
}

/// A word before expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    parts: Vec<Part>,
    /// A quoted word stays even when it expands to nothing.
    quoted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// Where one of the two outputs goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Which.
    pub from: Fd,
    /// Where to.
    pub to: Target,
}

/// One of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fd {
    /// 1
    Stdout,
    /// 2
    Stderr,
}

/// The goal of a redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file that is emptied first.
    File(Word),
    /// A file that is kept.
    Append(Word),
    /// Where the other one goes at this point.
    Same(Fd),
}

/// Why a script is not run at all. The text is what the shell prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxError {
    /// Something stands where a command or word should.
    #[error("syntax error: unexpected '{0}'")]
    Unexpected(String),
    /// The script ends in a quote.
    #[error("no closing quote")]
    OpenQuote,
    /// A part of the language that this shell does not have.
    #[error("'{0}' is not supported by the simulated device's shell")]
    Unsupported(&'static str),
    /// Longer than [`MAX_SCRIPT`] or [`MAX_COMMANDS`].
    #[error("script too long")]
    TooLong,
}

impl Word {
    /// The word's text, `None` when nothing is left of it.
    #[must_use]
    pub fn expand(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name) => text.push_str(&value(name).unwrap_or_default()),
            }
        }
        (self.quoted || !text.is_empty()).then_some(text)
    }

    fn push(&mut self, letter: char) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push(letter),
            _ => self.parts.push(Part::Text(letter.into())),
        }
    }

    /// The text so far, when it is nothing but unquoted text.
    fn plain(&self) -> Option<&str> {
        match (self.quoted, self.parts.as_slice()) {
            (false, [Part::Text(text)]) => Some(text),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        !self.quoted && self.parts.is_empty()
    }
}

/// Reads a script.
///
/// # Errors
/// [`SyntaxError`], with the text that the shell prints.
pub fn parse(script: &str) -> Result<Vec<(Join, Simple)>, SyntaxError> {
    if script.len() > MAX_SCRIPT {
        return Err(SyntaxError::TooLong);
    }
    let mut parser = Parser {
        letters: script.chars().peekable(),
        commands: Vec::new(),
        join: Join::Always,
    };
    loop {
        let more = parser.command()?;
        // Also the last one is counted.
        if parser.commands.len() > MAX_COMMANDS {
            return Err(SyntaxError::TooLong);
        }
        if !more {
            return Ok(parser.commands);
        }
    }
}

struct Parser<'a> {
    letters: Peekable<Chars<'a>>,
    commands: Vec<(Join, Simple)>,
    join: Join,
}

impl Parser<'_> {
    /// Reads one command and the separator after it; false at the end of the script.
    fn command(&mut self) -> Result<bool, SyntaxError> {
        let mut command = Simple::default();
        let next = loop {
            match self.letters.peek().copied() {
                Some(' ' | '\t' | '\r') => self.skip(),
                Some('#') => while self.letters.next_if(|letter| *letter != '\n').is_some() {},
                Some('>') => self.redirect(&mut command, Fd::Stdout)?,
                Some('<') => return Err(SyntaxError::Unsupported("<")),
                Some('(' | ')') => return Err(SyntaxError::Unsupported("(")),
                next @ (None | Some(';' | '\n' | '&' | '|')) => break next,
                Some(_) => self.word_of(&mut command)?,
            }
        };
        let empty = command == Simple::default();
        let (next_join, text) = self.separator(next)?;
        let may_be_empty = self.join == Join::Always && matches!(next, None | Some('\n'));
        if empty && !may_be_empty {
            return Err(SyntaxError::Unexpected(text.to_owned()));
        }
        if !empty {
            self.commands.push((self.join, command));
        }
        // A line may end after `&&`; the command is then on the next one.
        self.join = next_join;
        Ok(next.is_some())
    }

    fn separator(&mut self, next: Option<char>) -> Result<(Join, &'static str), SyntaxError> {
        self.skip();
        let doubled = next.is_some() && self.letters.peek().copied() == next;
        match next {
            None => Ok((Join::Always, "newline")),
            Some('&') if doubled => {
                self.skip();
                Ok((Join::IfOk, "&&"))
            }
            Some('|') if doubled => {
                self.skip();
                Ok((Join::IfFailed, "||"))
            }
            Some('&') => Err(SyntaxError::Unsupported("&")),
            Some('|') => Err(SyntaxError::Unsupported("|")),
            Some('\n') => Ok((Join::Always, "newline")),
            Some(_) => Ok((Join::Always, ";")),
        }
    }

    /// Reads a word, which may turn out to be an assignment or the number of a redirection.
    fn word_of(&mut self, command: &mut Simple) -> Result<(), SyntaxError> {
        let mut word = Word::default();
        let mut name = None;
        loop {
            match self.letters.peek().copied() {
                None | Some(' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '(' | ')') => break,
                Some('>') => {
                    let from = match word.plain() {
                        Some("1") => Fd::Stdout,
                        Some("2") => Fd::Stderr,
                        _ => break,
                    };
                    return self.redirect(command, from);
                }
                Some('=')
                    if name.is_none() && command.words.is_empty() && word.plain().is_some_and(is_name) =>
                {
                    self.skip();
                    name = word.plain().map(str::to_owned);
                    word = Word::default();
                }
                Some(_) => self.piece(&mut word)?,
            }
        }
        match name {
            Some(name) => command.assignments.push((name, word)),
            None => command.words.push(word),
        }
        Ok(())
    }

    /// Reads one letter, quote or variable of a word.
    fn piece(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        match self.letters.next() {
            Some('\'') => {
                word.quoted = true;
                loop {
                    match self.letters.next().ok_or(SyntaxError::OpenQuote)? {
                        '\'' => return Ok(()),
                        letter => word.push(letter),
                    }
                }
            }
            Some('"') => {
                word.quoted = true;
                self.double_quoted(word)
            }
            Some('\\') => {
                match self.letters.next() {
                    // A line that is continued.
                    Some('\n') => {}
                    letter => word.push(letter.unwrap_or('\\')),
                }
                Ok(())
            }
            Some('$') => self.variable(word),
            Some('`') => Err(SyntaxError::Unsupported("`")),
            Some(letter) => {
                word.push(letter);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        loop {
            match self.letters.next().ok_or(SyntaxError::OpenQuote)? {
                '"' => return Ok(()),
                '$' => self.variable(word)?,
                '`' => return Err(SyntaxError::Unsupported("`")),
                '\\' => match self.letters.next().ok_or(SyntaxError::OpenQuote)? {
                    letter @ ('"' | '\\' | '$' | '`') => word.push(letter),
                    '\n' => {}
                    letter => {
                        word.push('\\');
                        word.push(letter);
                    }
                },
                letter => word.push(letter),
            }
        }
    }

    /// Reads what follows a `$`.
    fn variable(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        let mut name = String::new();
        match self.letters.peek().copied() {
            Some('(') => return Err(SyntaxError::Unsupported("$(")),
            Some('?') => {
                self.skip();
                name.push('?');
            }
            Some('{') => {
                self.skip();
                loop {
                    match self.letters.next().ok_or(SyntaxError::OpenQuote)? {
                        '}' => break,
                        letter => name.push(letter),
                    }
                }
                if !is_name(&name) {
                    return Err(SyntaxError::Unsupported("${"));
                }
            }
            _ => {
                while let Some(letter) = self
                    .letters
                    .next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                {
                    name.push(letter);
                }
            }
        }
        if name.is_empty() {
            word.push('$');
        } else {
            word.parts.push(Part::Variable(name));
        }
        Ok(())
    }

    /// Reads a redirection from its `>` on.
    fn redirect(&mut self, command: &mut Simple, from: Fd) -> Result<(), SyntaxError> {
        self.skip();
        let to = match self.letters.peek() {
            Some('&') => {
                self.skip();
                match self.letters.next() {
                    Some('1') => Target::Same(Fd::Stdout),
                    Some('2') => Target::Same(Fd::Stderr),
                    other => return Err(unexpected(other)),
                }
            }
            Some('>') => {
                self.skip();
                Target::Append(self.file_name()?)
            }
            _ => Target::File(self.file_name()?),
        };
        command.redirects.push(Redirect { from, to });
        Ok(())
    }

    fn file_name(&mut self) -> Result<Word, SyntaxError> {
        while self
            .letters
            .next_if(|letter| matches!(letter, ' ' | '\t'))
            .is_some()
        {}
        let mut word = Word::default();
        while !matches!(
            self.letters.peek(),
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
        ) {
            self.piece(&mut word)?;
        }
        if word.is_empty() {
            Err(unexpected(self.letters.peek().copied()))
        } else {
            Ok(word)
        }
    }

    fn skip(&mut self) {
        self.letters.next();
    }
}

fn unexpected(letter: Option<char>) -> SyntaxError {
    SyntaxError::Unexpected(letter.map_or_else(|| "newline".to_owned(), String::from))
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Entry point for fuzzing: any text as a script, and what is read of it expanded.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let commands = parse(&String::from_utf8_lossy(bytes)).unwrap_or_default();
    assert!(commands.len() <= MAX_COMMANDS, "{} commands", commands.len());
    for word in commands.iter().flat_map(|(_, command)| &command.words) {
        let _ = word.expand(|name| Some(name.to_owned()));
    }
}

#[cfg(test)]
mod tests;
