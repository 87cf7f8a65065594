//! A workbook (`.xlsx`) as rows of cells: the first visible sheet that has anything in it.
//!
//! Read as a stream by `zip` and `quick-xml`. A finished reader of workbooks would be shorter, but the one there is
//! (calamine) reserves as much memory as a workbook says it needs, and a workbook may say anything. Here every byte
//! that comes out of the archive is counted against one budget, and nothing else decides how much is kept.
//!
//! Source of the format: ECMA-376, parts 1 (SpreadsheetML) and 2 (packages).

use std::cell::Cell as Counter;
use std::io::{self, BufReader, Cursor, Read};

use zip::ZipArchive;

use crate::domain::list::table::Table;
use crate::domain::list::{List, ListFault, Looks, looks};

mod cells;
mod dates;
mod strings;
mod xml;

use dates::Dates;
use strings::Strings;
use xml::{Node, Xml, attributes};

/// Parts of a workbook, sheets of it, and references to them; one with a hundred sheets, charts and pictures has a few hundred.
const PARTS_MAX: usize = 10_000;

/// How an entry of an archive's directory begins.
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";

/// Reads a workbook of which at most so many bytes are unpacked.
pub(super) fn read(bytes: &[u8], unpacked_max: u64) -> Result<List, ListFault> {
    let left = Counter::new(unpacked_max);
    sheet(bytes, &left).map_err(|fault| match fault {
        // Where the budget ends, a part ends too early.
        ListFault::Damaged if left.get() == 0 => ListFault::UnpacksTooLarge,
        fault => fault,
    })
}

fn sheet(bytes: &[u8], left: &Counter<u64>) -> Result<List, ListFault> {
    let mut package = Package::open(bytes, left)?;
    let looks = looks::of_archive(package.parts.iter().map(String::as_str));
    let not_a_table = ListFault::NotATable { looks };
    if looks != Looks::Archive {
        return Err(not_a_table);
    }
    let package_relations = package.relations("")?;
    let main = package_relations.iter().find(|relation| relation.is("officeDocument"));
    let main = main.map_or("xl/workbook.xml", |relation| &relation.target);
    let Some(workbook) = Workbook::read(&mut package, main)? else { return Err(not_a_table) };
    let strings = match package.part(&workbook.strings)? {
        Some(part) => Strings::read(part)?,
        None => Strings::default(),
    };
    let dates = match package.part(&workbook.styles)? {
        Some(part) => Dates::read(part, workbook.since_1904)?,
        None => Dates::default(),
    };
    for (name, path) in workbook.sheets {
        let part = package.part(&path)?.ok_or(ListFault::Damaged)?;
        let mut table = Table::new(Some(name));
        cells::read(part, &strings, &dates, &mut table)?;
        if !table.is_blank() {
            return table.finish();
        }
    }
    Err(ListFault::Empty)
}

/// The archive and its parts.
struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// The names of the parts as [`plain`], in the order of the archive.
    parts: Vec<String>,
    /// Bytes that may still come out of the archive.
    left: &'a Counter<u64>,
}

impl<'a> Package<'a> {
    fn open(bytes: &'a [u8], left: &'a Counter<u64>) -> Result<Self, ListFault> {
        if bytes.windows(DIRECTORY_ENTRY.len()).filter(|window| *window == DIRECTORY_ENTRY).count() > PARTS_MAX {
            return Err(ListFault::Damaged);
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| ListFault::Damaged)?;
        let parts = archive.file_names().map(|name| name.map(|name| plain(&name)).unwrap_or_default()).collect();
        Ok(Self { archive, parts, left })
    }

    /// The part of that name, if there is one.
    fn part(&mut self, path: &str) -> Result<Option<Xml<impl Read + use<'_, 'a>>>, ListFault> {
        let path = plain(path);
        let Some(at) = self.parts.iter().position(|part| *part == path) else { return Ok(None) };
        let part = self.archive.by_index(at).map_err(|_| ListFault::Damaged)?;
        Ok(Some(Xml::new(BufReader::new(Counted { part, left: self.left }))))
    }

    /// What the part of that name, or the package, refers to.
    fn relations(&mut self, path: &str) -> Result<Vec<Relation>, ListFault> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(mut xml) = self.part(&format!("{folder}/_rels/{name}.rels"))? else { return Ok(vec![]) };
        let mut relations = vec![];
        loop {
            match xml.next()? {
                Node::Start(tag) if tag.local_name().as_ref() == "Relationship" => {
                    let mut relation = Relation::default();
                    attributes(&tag, |name, value| match name {
                        "Id" => relation.id = value.into_owned(),
                        "Type" => relation.kind = value.into_owned(),
                        "Target" => relation.target = joined(folder, &value),
                        _ => {}
                    })?;
                    relations.push(relation);
                    if relations.len() > PARTS_MAX {
                        return Err(ListFault::Damaged);
                    }
                }
                Node::EndOfFile => return Ok(relations),
                _ => {}
            }
        }
    }
}

/// A name as names of parts are compared: without regard to case, and `/` whatever the writer's system uses.
fn plain(name: &str) -> String {
    name.replace('\\', "/").trim_start_matches('/').to_lowercase()
}

/// Where a target lies that is written relative to a folder.
fn joined(folder: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[derive(Default)]
struct Relation {
    id: String,
    kind: String,
    target: String,
}

impl Relation {
    /// Whether it is of that kind, in either namespace of the standard.
    fn is(&self, kind: &str) -> bool {
        self.kind.rsplit('/').next() == Some(kind)
    }
}

/// Which part is what.
struct Workbook {
    /// The visible sheets: names and parts.
    sheets: Vec<(String, String)>,
    strings: String,
    styles: String,
    /// Whether days are counted from 1904, as on old Macs.
    since_1904: bool,
}

impl Workbook {
    fn read(package: &mut Package<'_>, path: &str) -> Result<Option<Self>, ListFault> {
        let relations = package.relations(path)?;
        let of = |kind: &str| relations.iter().find(|relation| relation.is(kind)).map(|found| found.target.clone());
        let mut workbook = Self {
            sheets: vec![],
            strings: of("sharedStrings").unwrap_or_default(),
            styles: of("styles").unwrap_or_default(),
            since_1904: false,
        };
        let Some(mut xml) = package.part(path)? else { return Ok(None) };
        let mut sheets = 0;
        loop {
            match xml.next()? {
                Node::Start(tag) if tag.local_name().as_ref() == "workbookPr" => attributes(&tag, |name, value| {
                    workbook.since_1904 |= name == "date1904" && matches!(&*value, "1" | "true");
                })?,
                Node::Start(tag) if tag.local_name().as_ref() == "sheet" => {
                    sheets += 1;
                    if sheets > PARTS_MAX {
                        return Err(ListFault::Damaged);
                    }
                    let (mut name, mut id, mut visible) = (String::new(), String::new(), true);
                    attributes(&tag, |key, value| match key {
                        "name" => name = value.into_owned(),
                        "state" => visible = value == "visible",
                        key if key.rsplit(':').next() == Some("id") => id = value.into_owned(),
                        _ => {}
                    })?;
                    let found = relations.iter().find(|relation| relation.id == id && relation.is("worksheet"));
                    if let Some(relation) = found.filter(|_| visible) {
                        workbook.sheets.push((name, relation.target.clone()));
                    }
                }
                Node::EndOfFile => return Ok(Some(workbook)),
                _ => {}
            }
        }
    }
}

/// Reads a part as long as the budget lasts, whatever size the archive declares.
struct Counted<'a, R> {
    part: R,
    left: &'a Counter<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.part.read(into)?;
        let left = self.left.get().saturating_sub(read as u64);
        self.left.set(left);
        if left == 0 { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(read) }
    }
}
