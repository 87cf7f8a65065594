//! The rows of one sheet. What the sheet claims to hold (`dimension`) is not asked.

use std::borrow::Cow;
use std::io::Read;

use quick_xml::events::BytesStart;

use crate::domain::list::cell::Cell;
use crate::domain::list::sheet::dates::Dates;
use crate::domain::list::sheet::strings::{Rich, Strings, push, unescaped};
use crate::domain::list::sheet::xml::{Node, Xml, attributes};
use crate::domain::list::table::Table;
use crate::domain::list::{COLUMNS_MAX, ListFault, RowFault};

/// Rows of a sheet. Source: the limits of Excel.
const SHEET_ROWS_MAX: u32 = 1_048_576;

/// Whole numbers below this are stored exactly as they were typed; Excel keeps fifteen digits.
const EXACT_BELOW: f64 = 1e15;

/// Reads the rows into the table.
pub(super) fn read(
    mut xml: Xml<impl Read>,
    strings: &Strings,
    dates: &Dates,
    table: &mut Table,
) -> Result<(), ListFault> {
    let mut reader = CellReader { strings, dates, value: String::new(), rich: Rich::default() };
    let (mut line, mut hidden, mut column) = (0_u32, false, 0_usize);
    let mut cells: Vec<Cell<'_>> = vec![];
    loop {
        match xml.next()? {
            Node::Start(tag) => match tag.local_name().as_ref() {
                "row" => {
                    (line, hidden) = row(&tag, line)?;
                    column = 0;
                    cells.clear();
                }
                "c" => {
                    let head = Head::read(&tag, column)?;
                    column = head.at + 1;
                    if let Some(cell) = reader.cell(&mut xml, &head)? {
                        if cells.len() == COLUMNS_MAX {
                            return Err(ListFault::Damaged);
                        }
                        cells.push(cell);
                    }
                }
                _ => {}
            },
            Node::End(tag) => match tag.local_name().as_ref() {
                "row" => {
                    // No office program writes them in another order, or twice.
                    cells.sort_by_key(|cell| cell.at);
                    cells.dedup_by_key(|cell| cell.at);
                    if hidden { table.hidden_row(line, &cells) } else { table.row(line, &cells)? }
                }
                "sheetData" => return Ok(()),
                _ => {}
            },
            Node::EndOfFile => return Err(ListFault::Damaged),
            Node::Text(_) | Node::Other => {}
        }
    }
}

/// The number of a row, and whether it is hidden. Numbers only grow: by them a person finds what is wrong with a row.
fn row(tag: &BytesStart<'_>, last: u32) -> Result<(u32, bool), ListFault> {
    let (mut line, mut hidden) = (Some(last + 1), false);
    attributes(tag, |name, value| match name {
        "r" => line = value.parse().ok(),
        "hidden" => hidden = matches!(&*value, "1" | "true"),
        _ => {}
    })?;
    let line = line.filter(|line| *line > last && *line <= SHEET_ROWS_MAX).ok_or(ListFault::Damaged)?;
    Ok((line, hidden))
}

/// What stands in the tag of a cell.
struct Head {
    at: usize,
    style: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Shared,
    /// The text stands in the cell itself, or is what a formula comes to.
    Text,
    Bool,
    Error,
    Date,
}

impl Head {
    /// `next` is its column if it does not say which.
    fn read(tag: &BytesStart<'_>, next: usize) -> Result<Self, ListFault> {
        let (mut at, mut style, mut kind) = (Some(next), 0, Some(Kind::Number));
        attributes(tag, |name, value| match name {
            "r" => at = column(&value),
            "s" => style = value.parse().unwrap_or(0),
            "t" => {
                kind = match &*value {
                    "n" => Some(Kind::Number),
                    "s" => Some(Kind::Shared),
                    "str" | "inlineStr" => Some(Kind::Text),
                    "b" => Some(Kind::Bool),
                    "e" => Some(Kind::Error),
                    "d" => Some(Kind::Date),
                    _ => None,
                }
            }
            _ => {}
        })?;
        let at = at.filter(|at| *at < COLUMNS_MAX).ok_or(ListFault::Damaged)?;
        Ok(Self { at, style, kind: kind.ok_or(ListFault::Damaged)? })
    }
}

/// The column of a place such as `AB12`, from 0.
fn column(place: &str) -> Option<usize> {
    let letters = place.bytes().take_while(u8::is_ascii_alphabetic);
    let number =
        letters.take(4).fold(0, |number, letter| number * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1);
    number.checked_sub(1)
}

struct CellReader<'s> {
    strings: &'s Strings,
    dates: &'s Dates,
    value: String,
    rich: Rich,
}

impl<'s> CellReader<'s> {
    /// Reads the cell whose tag was read last, up to its end.
    fn cell(&mut self, xml: &mut Xml<impl Read>, head: &Head) -> Result<Option<Cell<'s>>, ListFault> {
        self.value.clear();
        self.rich.clear();
        let (mut in_value, mut in_line, mut has_value, mut has_formula) = (false, false, false, false);
        loop {
            let node = xml.next()?;
            match &node {
                Node::Start(tag) => match tag.local_name().as_ref() {
                    "v" => (in_value, has_value) = (true, true),
                    "is" => (in_line, has_value) = (true, true),
                    "f" => has_formula = true,
                    _ => {}
                },
                Node::End(tag) => match tag.local_name().as_ref() {
                    "c" => break,
                    "v" => in_value = false,
                    "is" => in_line = false,
                    _ => {}
                },
                Node::Text(text) if in_value => push(&mut self.value, text),
                Node::EndOfFile => return Err(ListFault::Damaged),
                Node::Text(_) | Node::Other => {}
            }
            if in_line {
                self.rich.take(&node);
            }
        }
        if has_formula && !has_value {
            return Ok(Some(Cell::odd(head.at, "=…".into(), RowFault::NoText)));
        }
        self.made(head)
    }

    fn made(&self, head: &Head) -> Result<Option<Cell<'s>>, ListFault> {
        let at = head.at;
        let value = self.value.trim();
        let text = |text: &str| Cell::new(at, Cow::Owned(unescaped(text).into_owned()));
        let odd = |shown: &str, why| Some(Cell::odd(at, Cow::Owned(shown.to_owned()), why));
        Ok(match head.kind {
            Kind::Text if self.rich.text.is_empty() => text(&self.value),
            Kind::Text => text(&self.rich.text),
            _ if value.is_empty() => None,
            Kind::Shared => {
                let text = value.parse().ok().and_then(|number| self.strings.get(number));
                Cell::new(at, Cow::Borrowed(text.ok_or(ListFault::Damaged)?))
            }
            Kind::Bool => odd(if matches!(value, "1" | "true") { "TRUE" } else { "FALSE" }, RowFault::NoText),
            Kind::Error => odd(value, RowFault::NoText),
            Kind::Date => odd(value, RowFault::Date),
            Kind::Number => match value.parse::<f64>() {
                Ok(number) => match self.dates.shown(number, head.style) {
                    Some(day) => odd(&day, RowFault::Date),
                    None if number.abs() >= EXACT_BELOW => odd(value, RowFault::Rounded),
                    None if number.fract() == 0.0 => Cell::new(at, Cow::Owned(number.to_string())),
                    None => text(value),
                },
                Err(_) => text(value),
            },
        })
    }
}
