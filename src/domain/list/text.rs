//! A text file as rows of cells: its encoding, its separator, its quotes.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, UTF_16BE, UTF_16LE};

use crate::domain::list::cell::Cell;
use crate::domain::list::table::Table;
use crate::domain::list::{COLUMNS_MAX, Column, List, ListFault, Looks, columns, looks};

/// Separators, the usual first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// Stands for no separator at all; a text holds none.
const NONE: u8 = 0;

/// Bytes from which the separator is told.
const SAMPLE_BYTES: usize = 64 << 10;

/// Rows from which the separator is told, and those among which a heading is looked for.
const SAMPLE_ROWS: usize = 50;
const SAMPLE_HEADINGS: usize = 5;

/// Reads a text. Where `plain`, a line below no known heading is one target, whatever is in it but tabs.
pub(super) fn read(bytes: &[u8], plain: bool) -> Result<List, ListFault> {
    let text = decoded(bytes).map_err(|looks| ListFault::NotATable { looks })?;
    if let Some(looks) = looks::of_text(&text) {
        return Err(ListFault::NotATable { looks });
    }
    let (declared, begin) = declared(&text);
    let body = text.get(begin..).unwrap_or_default();
    let separator = declared.unwrap_or_else(|| sniffed(body, plain));
    let too_wide = |line: &str| line.bytes().filter(|byte| *byte == separator).count() > COLUMNS_MAX;
    if body.split(['\n', '\r']).any(too_wide) {
        return Err(ListFault::NotATable { looks: Looks::Binary });
    }
    let mut table = Table::new(None);
    rows(&text, begin, separator, &mut table)?;
    table.finish()
}

/// The text in whichever encoding it is, or what it is if it is none.
fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, Looks> {
    let whole = |encoding: &'static Encoding, bytes| encoding.decode_without_bom_handling(bytes).0;
    let text = match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest),
        [0xFF, 0xFE, rest @ ..] => whole(UTF_16LE, rest),
        [0xFE, 0xFF, rest @ ..] => whole(UTF_16BE, rest),
        _ if mostly_utf8(bytes) => String::from_utf8_lossy(bytes),
        _ => match GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
            Some(text) => text,
            None => return Err(Looks::Binary),
        },
    };
    // A text has no NUL. A few other control characters come from a terminal, a few bad letters from damage.
    let strange = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let controls = text.bytes().filter(strange).count();
    let damage = text.matches('\u{FFFD}').count();
    let binary = text.contains('\0') || controls * 100 > text.len() || damage * 10 > text.chars().count();
    if binary { Err(Looks::Binary) } else { Ok(text) }
}

/// Whether it is UTF-8, perhaps damaged in a few places: text in another encoding hardly ever reads as UTF-8 ten times
/// for each time it does not.
fn mostly_utf8(bytes: &[u8]) -> bool {
    if std::str::from_utf8(bytes).is_ok() {
        return true;
    }
    let (mut letters, mut damage) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        damage += usize::from(!chunk.invalid().is_empty());
    }
    letters / 10 >= damage
}

/// The separator that the first line declares, `sep=;` as spreadsheets write it, and where the table begins.
fn declared(text: &str) -> (Option<u8>, usize) {
    let line = text.lines().next().unwrap_or_default();
    match line.trim_end().as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] if SEPARATORS.contains(separator) => {
            (Some(*separator), line.len())
        }
        _ => (None, 0),
    }
}

/// The separator under which the beginning has most known headings, else one that most rows contain.
fn sniffed(body: &str, plain: bool) -> u8 {
    let mut end = SAMPLE_BYTES.min(body.len());
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let sample = body.get(..end).unwrap_or_default();
    let mut best = (NONE, 0, false);
    for separator in SEPARATORS {
        let (known, table) = judged(sample, separator);
        let fits = known >= 2 || (table && (known == 1 || !plain || separator == b'\t'));
        if fits && (known, table) > (best.1, best.2) {
            best = (separator, known, table);
        }
    }
    best.0
}

/// The most known headings in one row under this separator, and whether most rows have several cells.
fn judged(sample: &str, separator: u8) -> (usize, bool) {
    let mut reader = reader(sample, separator);
    let mut record = csv::StringRecord::new();
    let (mut rows, mut wide, mut known) = (0, 0, 0);
    while rows < SAMPLE_ROWS && reader.read_record(&mut record).is_ok_and(|read| read) {
        let cells = cells(&record);
        if cells.is_empty() {
            continue;
        }
        rows += 1;
        wide += usize::from(record.len() > 1);
        if rows <= SAMPLE_HEADINGS {
            let found = columns::known(&cells);
            let targets = found.iter().any(|found| found.column != Column::Name);
            known = known.max(if targets { found.len() } else { 0 });
        }
    }
    (known, wide * 2 > rows)
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text.as_bytes())
}

fn cells(record: &csv::StringRecord) -> Vec<Cell<'_>> {
    record.iter().enumerate().filter_map(|(at, text)| Cell::new(at, Cow::Borrowed(text))).collect()
}

/// Reads the rows of the text that begin at `begin`, with the numbers of their first lines.
fn rows(text: &str, begin: usize, separator: u8, table: &mut Table) -> Result<(), ListFault> {
    let body = text.get(begin..).unwrap_or_default();
    let mut reader = reader(body, separator);
    let mut record = csv::StringRecord::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    let position = |reader: &csv::Reader<&[u8]>| usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
    loop {
        let from = position(&reader);
        // Only what is no UTF-8 fails, and a text is.
        if !reader.read_record(&mut record).unwrap_or(false) {
            return Ok(());
        }
        // Line ends before a record, also of blank lines, are read together with it.
        let raw = body.get(from..position(&reader)).unwrap_or_default();
        let row = raw.trim_start_matches(LINE_ENDS);
        if row.chars().all(|c| c.is_whitespace() || c == '"' || SEPARATORS.iter().any(|known| char::from(*known) == c))
        {
            continue;
        }
        let line = lines.line_at(begin + from + (raw.len() - row.len()));
        if row.trim_end_matches(LINE_ENDS).contains(LINE_ENDS) && !quotes_pair(row, separator) {
            return Err(ListFault::UnclosedQuote { line });
        }
        table.row(line, &cells(&record))?;
    }
}

const LINE_ENDS: [char; 2] = ['\r', '\n'];

/// Counts lines on the way through a text, ended by `\n`, `\r\n` or `\r`.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl Lines<'_> {
    /// The line of a place that does not lie before the last one.
    fn line_at(&mut self, at: usize) -> u32 {
        let bytes = self.text.as_bytes().get(self.at..at).unwrap_or_default();
        let mut ends = 0_u32;
        let mut last = self.at.checked_sub(1).and_then(|before| self.text.as_bytes().get(before));
        for byte in bytes {
            ends += u32::from(*byte == b'\r' || (*byte == b'\n' && last != Some(&b'\r')));
            last = Some(byte);
        }
        self.line = self.line.saturating_add(ends);
        self.at = self.at.max(at);
        self.line
    }
}

/// Whether each quote that opens a cell of this row closes right before a separator or the row's end. Where one does
/// not, it was never meant to hold the lines that it swallows.
fn quotes_pair(row: &str, separator: u8) -> bool {
    enum At {
        Begin,
        Plain,
        Quoted,
        /// Behind a quote that closes, or is the first of two that stand for one.
        Quote,
    }
    let mut at = At::Begin;
    for byte in row.bytes() {
        at = match (at, byte) {
            (At::Begin | At::Quote, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) => At::Quoted,
            (At::Begin | At::Plain | At::Quote, byte) if byte == separator => At::Begin,
            (At::Quote, byte) if byte != b'\r' && byte != b'\n' => return false,
            (At::Begin | At::Plain | At::Quote, _) => At::Plain,
        };
    }
    !matches!(at, At::Quoted)
}
