//! A message as the parser walks through it: pieces in a row, a place to stand, and the way back to the original.
//!
//! A rich text is one row as well: its paragraphs follow each other with line breaks between them, the title is not
//! part of it. Each piece knows where it came from, so that the content can be cut out of the original with its
//! links, images and line breaks untouched.

use crate::domain::command::error::{EXCERPT_CHARS_MAX, UNDERSTOOD_CHARS_MAX, shorten};
use crate::domain::command::{CommandError, CommandErrorKind, CommandName, Said};
use crate::domain::content::pieces::{self, Link, Piece, is_blank, is_unseen};
use crate::domain::content::{Body, Content, EVERYONE, Node, Post, is_blank_paragraph, link_as_text};

/// Where a piece stands in the original. In a text only `offset` counts: characters from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    paragraph: usize,
    node: usize,
    offset: usize,
}

/// The row of pieces and how far it has been read.
pub(super) struct Line<'a> {
    said: &'a Said<'a>,
    row: Vec<(Piece, Place)>,
    at: usize,
    /// Where the leading blanks end and the command begins.
    start: usize,
    /// Set as soon as the command word is understood; mistakes carry it.
    pub(super) command: Option<CommandName>,
}

impl<'a> Line<'a> {
    pub(super) fn new(said: &'a Said<'a>) -> Self {
        let row = match said.body {
            Body::Text(text) => pieces::of_text(text, said.mentions)
                .into_iter()
                .map(|(piece, offset)| (piece, Place { paragraph: 0, node: 0, offset }))
                .collect(),
            Body::Post(post) => row_of_post(post, said),
        };
        let mut line = Self { said, row, at: 0, start: 0, command: None };
        line.skip_blanks();
        line.start = line.at;
        line
    }

    pub(super) fn here(&self) -> usize {
        self.at
    }

    pub(super) fn go(&mut self, to: usize) {
        self.at = to.min(self.row.len());
    }

    pub(super) fn end(&self) -> usize {
        self.row.len()
    }

    pub(super) fn piece(&self, at: usize) -> Option<&Piece> {
        self.row.get(at).map(|(piece, _)| piece)
    }

    pub(super) fn peek(&self) -> Option<&Piece> {
        self.piece(self.at)
    }

    /// The character at that place, if it is one.
    pub(super) fn char_at(&self, at: usize) -> Option<char> {
        match self.piece(at) {
            Some(Piece::Char(c)) => Some(*c),
            _ => None,
        }
    }

    /// Whether the bot's own mention stands there.
    pub(super) fn is_bot(&self, at: usize) -> bool {
        self.piece(at).is_some_and(|piece| piece.is(self.said.bot))
    }

    /// Whether there is nothing to read there: a blank, or the mention by which the bot is called.
    fn is_gap(&self, at: usize) -> bool {
        self.is_bot(at) || self.piece(at).is_some_and(Piece::is_blank)
    }

    /// Whether a word ends before that place: a blank, the bot, an image, or the end.
    pub(super) fn ends_word(&self, at: usize) -> bool {
        match self.piece(at) {
            None | Some(Piece::Thing) => true,
            Some(Piece::Char(c)) => c.is_whitespace(),
            Some(_) => self.is_bot(at),
        }
    }

    /// The first place from `at` on that is no gap, on the same line.
    pub(super) fn past_gap_on_line(&self, mut at: usize) -> usize {
        while self.is_gap(at) && self.char_at(at) != Some('\n') {
            at += 1;
        }
        at
    }

    /// Whether a reader sees anything, such as a blank, from `from` to before `to`.
    pub(super) fn has_gap(&self, from: usize, to: usize) -> bool {
        (from..to).any(|at| !self.char_at(at).is_some_and(is_unseen))
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_gap(self.at) {
            self.at += 1;
        }
    }

    /// Goes to where the content begins: past blanks, and past lines with nothing on them. The indentation of a line
    /// is part of the content.
    pub(super) fn skip_to_content(&mut self) {
        self.at = self.past_gap_on_line(self.at);
        while self.char_at(self.at) == Some('\n') {
            self.at += 1;
            let next = self.past_gap_on_line(self.at);
            if self.char_at(next) == Some('\n') || next == self.end() {
                self.at = next;
            }
        }
    }

    /// The pieces from `from` to before `to`, as a reader sees them.
    pub(super) fn shown(&self, from: usize, to: usize) -> String {
        self.row.iter().take(to).skip(from).map(|(piece, _)| shown(piece)).collect()
    }

    /// A mistake in the pieces from `from` to before `to`.
    pub(super) fn error(&self, kind: CommandErrorKind, from: usize, to: usize) -> CommandError {
        let missing = from >= self.end();
        CommandError {
            kind,
            command: self.command,
            understood: shorten(&self.shown(self.start, from), UNDERSTOOD_CHARS_MAX),
            at: (!missing).then(|| self.shown(0, from).chars().count()),
            excerpt: shorten(&self.shown(from, to), EXCERPT_CHARS_MAX),
        }
    }

    /// Everything from here on, as content; `None` if there is nothing to see.
    pub(super) fn rest(&self) -> Option<Content> {
        let (_, place) = self.row.get(self.at)?;
        let rest = match self.said.body {
            Body::Text(text) => {
                let rest: String = text.chars().skip(place.offset).collect();
                Body::Text(rest.trim_end_matches(is_blank).to_owned())
            }
            Body::Post(post) => Body::Post(rest_of_post(post, *place)?),
        };
        let content = Content::from_body(&rest, self.said.mentions, self.said.bot);
        Some(content).filter(|content| !content.is_blank())
    }

    /// Everything from here on, as the plain text that was typed: for card JSON, in which links and tags are meant.
    pub(super) fn rest_raw(&self) -> Option<Content> {
        let (_, place) = self.row.get(self.at)?;
        let raw: String = match self.said.body {
            Body::Text(text) => text.chars().skip(place.offset).collect(),
            Body::Post(post) => rest_of_post(post, *place)?.typed(),
        };
        let kept: String = raw.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let kept = kept.trim_end_matches(is_blank);
        (!kept.is_empty()).then(|| Content::Text(kept.to_owned()))
    }
}

fn row_of_post(post: &Post, said: &Said<'_>) -> Vec<(Piece, Place)> {
    let mut row = Vec::new();
    for (paragraph, nodes) in post.paragraphs.iter().enumerate() {
        for (node, what) in nodes.iter().enumerate() {
            let place = |offset| Place { paragraph, node, offset };
            match what {
                Node::Text { text } => {
                    row.extend(text.chars().enumerate().map(|(offset, c)| (Piece::Char(c), place(offset))));
                }
                Node::Link { text, href } => {
                    let link = Link { label: text.clone(), href: href.clone() };
                    row.push((Piece::Link(Box::new(link)), place(0)));
                }
                Node::At { key, name } => row.push((Piece::from_at(key, name, said.mentions), place(0))),
                Node::Image { .. }
                | Node::Media { .. }
                | Node::Emotion { .. }
                | Node::Rule
                | Node::Code { .. }
                | Node::Unknown { .. } => row.push((Piece::Thing, place(0))),
            }
        }
        if paragraph + 1 < post.paragraphs.len() {
            row.push((Piece::Char('\n'), Place { paragraph, node: nodes.len(), offset: 0 }));
        }
    }
    row
}

/// The post from `place` on, under its own title, without blank paragraphs and blanks at the end.
fn rest_of_post(post: &Post, place: Place) -> Option<Post> {
    let mut paragraphs: Vec<Vec<Node>> = post.paragraphs.iter().skip(place.paragraph).cloned().collect();
    if let Some(first) = paragraphs.first_mut() {
        first.drain(..place.node.min(first.len()));
        if let Some(Node::Text { text }) = first.first_mut() {
            *text = text.chars().skip(place.offset).collect();
        }
    }
    while paragraphs.last().is_some_and(|nodes| is_blank_paragraph(nodes)) {
        paragraphs.pop();
    }
    if let Some(Node::Text { text }) = paragraphs.last_mut().and_then(|nodes| nodes.last_mut()) {
        *text = text.trim_end_matches(is_blank).to_owned();
    }
    (!paragraphs.is_empty()).then(|| Post { title: post.title.clone(), paragraphs })
}

fn shown(piece: &Piece) -> String {
    match piece {
        Piece::Char(c) => c.to_string(),
        Piece::At(mention) => mention.shown(),
        Piece::Everyone => format!("@{EVERYONE}"),
        Piece::Link(link) => link_as_text(link),
        Piece::Thing => "▢".to_owned(),
    }
}
