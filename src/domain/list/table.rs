//! Rows of cells become targets, whichever kind of file they come from.

use std::collections::HashSet;

use crate::domain::command::{Sight, Target};
use crate::domain::list::cell::{Cell, excerpt};
use crate::domain::list::columns::{self, Column, Known};
use crate::domain::list::{List, ListFault, ROWS_MAX, Row, RowFault, Unusable};

/// Rows with something in them among which the heading is looked for: below a title, a date and a few words of
/// explanation.
const HEADING_WITHIN: usize = 5;

/// Cells of the first row that a mistake shows.
const HEADER_CELLS_MAX: usize = 10;

/// Characters of a person's name; the rest of a longer one is cut off.
const NAME_CHARS_MAX: usize = 60;

/// A table that is being read.
pub(super) struct Table {
    /// The name of the sheet, in a workbook.
    sheet: Option<String>,
    /// Whether a cell to the right of the last heading is a mistake. In a sheet it is a note beside the table; in a
    /// text it comes from a separator within a cell, and the row is out of step.
    strict_width: bool,
    form: Form,
    /// Rows with something in them, the heading and what stands above it not counted.
    data_rows: usize,
    rows: Vec<Row>,
    unusable: Vec<Unusable>,
}

enum Form {
    /// Not decided yet; the rows so far.
    Open(Vec<(u32, Vec<Cell<'static>>)>),
    Headed {
        known: Vec<Known>,
        /// Columns up to the last heading.
        width: usize,
    },
    /// The only column that has anything in it.
    Single { at: usize, header: Vec<String> },
}

impl Table {
    /// The table of a text, or of that sheet.
    pub fn new(sheet: Option<String>) -> Self {
        let form = Form::Open(Vec::with_capacity(HEADING_WITHIN));
        Self { strict_width: sheet.is_none(), sheet, form, data_rows: 0, rows: vec![], unusable: vec![] }
    }

    /// Whether nothing at all has been found so far.
    pub fn is_blank(&self) -> bool {
        matches!(&self.form, Form::Open(rows) if rows.is_empty()) && self.unusable.is_empty()
    }

    /// Takes a row; `cells` are those with something in them, from left to right.
    ///
    /// # Errors
    /// [`ListFault::NoKnownColumn`] as soon as it is sure.
    pub fn row(&mut self, line: u32, cells: &[Cell<'_>]) -> Result<(), ListFault> {
        if cells.is_empty() {
            return Ok(());
        }
        let Form::Open(rows) = &mut self.form else { return self.data(line, cells) };
        rows.push((line, cells.iter().cloned().map(Cell::into_owned).collect()));
        if rows.len() < HEADING_WITHIN { Ok(()) } else { self.decide() }
    }

    /// Takes a row that its author may not see.
    pub fn hidden_row(&mut self, line: u32, cells: &[Cell<'_>]) {
        if let Some(cell) = cells.first() {
            self.data_rows += 1;
            self.refuse(line, cell.shown(), RowFault::Hidden);
        }
    }

    /// What the table holds.
    ///
    /// # Errors
    /// The table is empty, too long, or of a form that is not known.
    pub fn finish(mut self) -> Result<List, ListFault> {
        self.decide()?;
        if self.data_rows > ROWS_MAX {
            return Err(ListFault::TooManyRows { rows: self.data_rows });
        }
        if self.data_rows == 0 {
            return Err(ListFault::Empty);
        }
        if matches!(self.form, Form::Single { .. }) {
            self.doubt_first();
        }
        let columns = match self.form {
            Form::Headed { known, .. } => known,
            Form::Open(_) | Form::Single { .. } => vec![],
        };
        let mut unusable = self.unusable;
        unusable.sort_by_key(|row| row.line);
        let (rows, repeated) = collapsed(self.rows);
        Ok(List { rows, unusable, repeated, columns, sheet: self.sheet })
    }

    /// Finds the heading, and reads the rows that waited for it.
    fn decide(&mut self) -> Result<(), ListFault> {
        let Form::Open(waiting) = &mut self.form else { return Ok(()) };
        let waiting = std::mem::take(waiting);
        let Some((_, first)) = waiting.first() else { return Ok(()) };
        let heading = waiting.iter().enumerate().find_map(|(i, (_, cells))| Some((i, heading(i, cells)?)));
        let from = match heading {
            Some((i, known)) => {
                let last = waiting.get(i).and_then(|(_, cells)| cells.last()).map_or(0, |cell| cell.at);
                self.form = Form::Headed { known, width: last + 1 };
                for (line, cells) in waiting.iter().take(i) {
                    self.refuse(*line, cells.first().map(Cell::shown).unwrap_or_default(), RowFault::AboveHeading);
                }
                i + 1
            }
            None => {
                let header = first.iter().take(HEADER_CELLS_MAX).map(Cell::shown).collect();
                // Names say nothing about whom to reach.
                if !columns::known(first).is_empty() {
                    return Err(ListFault::NoKnownColumn { header, sheet: self.sheet.clone() });
                }
                self.form = Form::Single { at: first.first().map_or(0, |cell| cell.at), header };
                0
            }
        };
        waiting.iter().skip(from).try_for_each(|(line, cells)| self.data(*line, cells))
    }

    fn data(&mut self, line: u32, cells: &[Cell<'_>]) -> Result<(), ListFault> {
        self.data_rows += 1;
        if self.data_rows > ROWS_MAX {
            // From here on they are only counted.
            (self.rows, self.unusable) = (vec![], vec![]);
            return Ok(());
        }
        let read = match &self.form {
            Form::Headed { known, width } => {
                let width = if self.strict_width { *width } else { usize::MAX };
                headed(known, width, cells)
            }
            Form::Single { at, header } => match cells {
                [cell] if cell.at == *at => {
                    cell.target(None).map(|target| (target, None)).map_err(|why| (cell.shown(), why))
                }
                _ => return Err(ListFault::NoKnownColumn { header: header.clone(), sheet: self.sheet.clone() }),
            },
            Form::Open(_) => return Ok(()),
        };
        match read {
            Ok((target, name)) => self.rows.push(Row { line, target, name }),
            Err((value, why)) => self.refuse(line, value, why),
        }
        Ok(())
    }

    fn refuse(&mut self, line: u32, value: String, why: RowFault) {
        if self.data_rows <= ROWS_MAX {
            self.unusable.push(Unusable { line, value, why });
        }
    }

    /// A first line that is a name above ids, addresses or numbers all of one kind is rather a heading in words that
    /// are not known than a department.
    fn doubt_first(&mut self) {
        let [first, second, rest @ ..] = self.rows.as_slice() else { return };
        let is_name = |row: &Row| matches!(row.target, Target::Name(_) | Target::Path(_));
        let kind = std::mem::discriminant(&second.target);
        let alike = rest.iter().all(|row| std::mem::discriminant(&row.target) == kind);
        let leads = self.unusable.iter().all(|row| row.line > first.line);
        if leads && alike && is_name(first) && !is_name(second) {
            let first = self.rows.remove(0);
            let shown = match first.target {
                Target::Name(name) => name,
                Target::Path(parts) => parts.join("/"),
                _ => return,
            };
            self.refuse(first.line, excerpt(&shown), RowFault::LikeHeading);
        }
    }
}

/// The known columns of the row at place `i`, if it is a heading. Below the first row it has to be told from data that
/// happens to read like one word of a heading.
fn heading(i: usize, cells: &[Cell<'_>]) -> Option<Vec<Known>> {
    let known = columns::known(cells);
    let names_targets = known.iter().any(|known| known.column != Column::Name);
    let sure = i == 0 || known.len() >= 2 || known.len() == cells.len();
    (names_targets && sure).then_some(known)
}

/// The target of a row below a heading, and what it is called; else what stands there and why it is none.
fn headed(known: &[Known], width: usize, cells: &[Cell<'_>]) -> Result<(Target, Option<String>), (String, RowFault)> {
    if let Some(beyond) = cells.last().filter(|cell| cell.at >= width) {
        return Err((beyond.shown(), RowFault::MoreCellsThanHeadings));
    }
    let at = |at: usize| cells.binary_search_by_key(&at, |cell| cell.at).ok().and_then(|found| cells.get(found));
    let named = known.iter().filter(|known| known.column == Column::Name);
    let name = named.filter_map(|known| at(known.at)?.text()).next().map(|name| {
        let name: String = name.split_whitespace().take(NAME_CHARS_MAX).collect::<Vec<_>>().join(" ");
        name.chars().take(NAME_CHARS_MAX).collect::<String>()
    });
    let has_people = known.iter().any(|known| known.column.is_person());
    let mut about_person = false;
    let mut fault = None;
    for Known { column, at: place, .. } in known.iter().filter(|known| known.column != Column::Name) {
        let Some(cell) = at(*place) else { continue };
        // Where people have columns of their own, a name is a person's; else only beside a department's name.
        let named_person = name.is_some() && (has_people || *column == Column::Department);
        if !column.is_person() && (about_person || named_person) {
            let shown = name.as_deref().map_or_else(|| cell.shown(), excerpt);
            fault.get_or_insert((shown, RowFault::PersonWithoutId));
            continue;
        }
        match cell.target(Some(*column)) {
            Ok(target) => return Ok((target, name)),
            Err(why) => {
                about_person |= column.is_person();
                fault.get_or_insert((cell.shown(), why));
            }
        }
    }
    Err(fault.unwrap_or_else(|| (cells.first().map(Cell::shown).unwrap_or_default(), RowFault::NothingKnown)))
}

/// Each target once, and how many rows were repeats.
fn collapsed(mut rows: Vec<Row>) -> (Vec<Row>, usize) {
    let mut seen = HashSet::with_capacity(rows.len());
    let first: Vec<bool> = rows.iter().map(|row| seen.insert(Sight::of(&row.target))).collect();
    drop(seen);
    let repeated = first.iter().filter(|first| !**first).count();
    let mut first = first.into_iter();
    rows.retain(|_| first.next().unwrap_or(true));
    (rows, repeated)
}
