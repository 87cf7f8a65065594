//! Tables: columns with names, and rows that fill them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{CardFault, CardFaultKind, CardText, CardVersion, Counted, TextForm};
use super::{Fields, Walk, child, fault, item, known, list, object, one_of, required, schema};

/// Tables of a card. Source: contract 4.2.
const TABLES_MAX: usize = 5;

/// Columns of a table. Source: contract 4.2.
const COLUMNS_MAX: usize = 50;

/// Rows on a page. Source: contract 4.2.
const PAGE_SIZES: std::ops::RangeInclusive<i64> = 1..=10;

impl Walk {
    pub(super) fn table(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        self.shows = true;
        self.tables += 1;
        if self.tables > TABLES_MAX {
            let why = CardFaultKind::TooMany { what: Counted::Tables, most: TABLES_MAX };
            return Err(fault(path, why, &self.tables.to_string()));
        }
        if let Some(size) = fields.get("page_size")
            && !size.as_i64().is_some_and(|size| PAGE_SIZES.contains(&size))
        {
            let why = CardFaultKind::BadValue { allowed: &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] };
            return Err(fault(child(path, "page_size"), why, &super::found(size)));
        }
        let columns = list(fields, path, "columns")?;
        if columns.len() > COLUMNS_MAX {
            let why = CardFaultKind::TooMany { what: Counted::Columns, most: COLUMNS_MAX };
            return Err(fault(child(path, "columns"), why, &columns.len().to_string()));
        }
        if columns.is_empty() {
            return Err(fault(child(path, "columns"), CardFaultKind::Missing, ""));
        }
        let mut names = BTreeSet::new();
        let mut marked = BTreeSet::new();
        for (index, column) in columns.iter().enumerate() {
            let path = item(&child(path, "columns"), index);
            let column = object(column, &path)?;
            if self.version == CardVersion::Two {
                known(column, &path, schema::TABLE_COLUMN)?;
                one_of(column, &path, "data_type", schema::DATA_TYPES)?;
            }
            let name = required(column, &path, "name")?;
            names.insert(name);
            if matches!(column.get("data_type").and_then(Value::as_str), Some("markdown" | "lark_md")) {
                marked.insert(name);
            }
            if let Some(title) = column.get("display_name").and_then(Value::as_str) {
                self.keep(title, child(&path, "display_name"), TextForm::Plain);
            }
        }
        for (index, row) in list(fields, path, "rows")?.iter().enumerate() {
            let path = item(&child(path, "rows"), index);
            for (key, cell) in object(row, &path)? {
                let path = child(&path, key);
                if !names.contains(key.as_str()) {
                    return Err(fault(path, CardFaultKind::NoSuchColumn, key));
                }
                let form = if marked.contains(key.as_str()) { TextForm::Markdown } else { TextForm::Plain };
                self.cell(cell, &path, form);
            }
        }
        Ok(())
    }

    /// A number is shown as it is written, and may be that of an identity card as well as a text can.
    fn cell(&mut self, cell: &Value, path: &str, form: TextForm) {
        match cell {
            Value::Number(number) => {
                self.facts.texts.push(CardText { path: path.to_owned(), text: number.to_string(), form });
            }
            other => self.strings(other, path, form),
        }
    }
}
