//! A list of targets in a file: `.csv`, `.txt` or `.xlsx`, as people export it or type it.
//!
//! Pure: bytes go in, a [`List`] comes out. The content decides what a file is, never its name. Nothing is lost in
//! silence: a row that has anything in it becomes a target, a repeat, or an [`Unusable`] row with its line number. A
//! row is read strictly where a guess could address other people than its author thinks: a person whose number is
//! missing never becomes the whole department that stands beside it.
//!
//! The file comes from outside and may be made to harm: sizes, columns and rows are counted while they are read, and
//! what a file claims about itself is not believed.
//!
//! [`looks`] tells what a file is, [`text`] and [`sheet`] make rows of cells out of it, [`columns`] knows the headings,
//! [`table`] makes targets of the rows and [`cell`] of one cell.

use crate::domain::command::{Target, TargetFault};

mod cell;
mod columns;
mod looks;
mod sheet;
mod table;
mod text;

pub use columns::{Column, Known};
pub use looks::Looks;

/// Rows with something in them, the header not counted. Source: the interface, a list of at most 100,000 rows.
pub const ROWS_MAX: usize = 100_000;

/// Bytes of a file: 100,000 rows of 200 bytes, about three times what an export of people holds. Feishu itself would
/// hand out 100 MB.
pub const BYTES_MAX: usize = 20 << 20;

/// Bytes of a workbook once unpacked; a sheet of 100,000 rows and twenty columns needs about half of it.
pub const UNPACKED_MAX: u64 = 200 << 20;

/// Columns of a table. Source: the limits of Excel.
const COLUMNS_MAX: usize = 16_384;

/// What was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Each target once, in the order of the file. Empty where no row at all is usable.
    pub rows: Vec<Row>,
    /// In the order of the file.
    pub unusable: Vec<Unusable>,
    /// Rows whose target an earlier row names as well.
    pub repeated: usize,
    /// The headings that were recognised; none where the file is a single column without one.
    pub columns: Vec<Known>,
    /// The sheet that was read, where the file is a workbook.
    pub sheet: Option<String>,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As a person counts: 1 is the first line of the file, or row 1 of the sheet.
    pub line: u32,
    /// Never everyone, a file or a mention.
    pub target: Target,
    /// What the file calls them, in a column for names.
    pub name: Option<String>,
}

/// A row from which no target could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    pub line: u32,
    /// What stands there, shortened.
    pub value: String,
    pub why: RowFault,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// It cannot be a target at all, as in a command.
    Target(TargetFault),
    /// It is not what its column promises.
    Not(Column),
    /// Everyone, `file` or a mention: they mean something in a command only.
    OnlyInCommand,
    /// More than one target in a cell.
    Several,
    /// No cell of a known column has anything in it.
    NothingKnown,
    /// The row is about a person of whom no id is usable; their department is not meant.
    PersonWithoutId,
    /// More cells than headings: a separator stands within one of them.
    MoreCellsThanHeadings,
    /// The first line reads like a heading, since all others are of another kind.
    LikeHeading,
    /// It stands above the heading.
    AboveHeading,
    /// A number of which a spreadsheet has dropped digits: `1.38E+10`.
    Rounded,
    Date,
    /// The error of a formula, a formula that was never worked out, or true and false.
    NoText,
    /// The row is hidden in the sheet, by a filter for instance: its author may not know of it.
    Hidden,
    /// No department of this name, as far as its author sees. Found out by looking up.
    NotFound,
    /// Several departments are called so. Found out by looking up.
    Namesakes,
    /// Nobody with this address or number, as far as the app sees. Found out by looking up.
    Nobody,
    /// Characters are missing: the file is damaged, or was saved in another encoding.
    Garbled,
}

/// A file that is not read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFault {
    NotATable {
        looks: Looks,
    },
    /// Nothing in it, or only a header.
    Empty,
    TooManyRows {
        rows: usize,
    },
    /// More than [`BYTES_MAX`].
    TooLarge,
    /// More than [`UNPACKED_MAX`].
    UnpacksTooLarge,
    /// Several columns, and no heading that is known.
    NoKnownColumn {
        /// The first row, its cells shortened.
        header: Vec<String>,
        /// The sheet in which it stands, where the file is a workbook.
        sheet: Option<String>,
    },
    /// The quote in this line is never closed, or closed by the next one's opening: rows would be swallowed.
    UnclosedQuote {
        line: u32,
    },
    /// A workbook that cannot be opened.
    Damaged,
}

/// Reads a list. `name` is the file's: in a `.txt` a line without a known heading is one target, whatever it contains.
///
/// # Errors
/// What the file is instead, or why none of it can be relied on.
pub fn read(name: &str, bytes: &[u8]) -> Result<List, ListFault> {
    if bytes.len() > BYTES_MAX {
        return Err(ListFault::TooLarge);
    }
    match looks::of(bytes) {
        None => text::read(bytes, name.to_lowercase().ends_with(".txt")),
        Some(Looks::Archive) => sheet::read(bytes, UNPACKED_MAX),
        Some(looks) => Err(ListFault::NotATable { looks }),
    }
}

#[cfg(test)]
mod tests;
