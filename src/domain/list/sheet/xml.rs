//! The little of XML that workbooks are made of.

use std::borrow::Cow;
use std::io::{BufReader, Read};

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesEnd, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::domain::list::ListFault;

/// Elements within elements; a workbook has about ten.
const DEPTH_MAX: usize = 100;

/// A part, node by node.
pub(super) struct Xml<R> {
    reader: Reader<BufReader<R>>,
    buffer: Vec<u8>,
    depth: usize,
}

pub(super) enum Node<'a> {
    /// An empty element comes as a start and an end.
    Start(BytesStart<'a>),
    End(BytesEnd<'a>),
    /// A text may come in several pieces.
    Text(Cow<'a, str>),
    /// Comments and the like.
    Other,
    EndOfFile,
}

impl<R: Read> Xml<R> {
    pub fn new(part: BufReader<R>) -> Self {
        let mut reader = Reader::from_reader(part);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: vec![], depth: 0 }
    }

    pub fn next(&mut self) -> Result<Node<'_>, ListFault> {
        self.buffer.clear();
        Ok(match self.reader.read_event_into(&mut self.buffer).map_err(|_| ListFault::Damaged)? {
            Event::Start(_) if self.depth == DEPTH_MAX => return Err(ListFault::Damaged),
            Event::Start(tag) => {
                self.depth += 1;
                Node::Start(tag)
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                Node::End(tag)
            }
            Event::Text(text) => Node::Text(text.xml10_content()),
            Event::CData(text) => Node::Text(text.xml10_content()),
            Event::GeneralRef(entity) => {
                let letter = entity.resolve_char_ref().map_err(|_| ListFault::Damaged)?;
                let named = || resolve_predefined_entity(&entity).map(str::to_owned);
                Node::Text(Cow::Owned(letter.map(String::from).or_else(named).ok_or(ListFault::Damaged)?))
            }
            Event::Eof => Node::EndOfFile,
            _ => Node::Other,
        })
    }
}

/// Shows each attribute of a tag: its name as it is written, and its value.
pub(super) fn attributes(tag: &BytesStart<'_>, mut show: impl FnMut(&str, Cow<'_, str>)) -> Result<(), ListFault> {
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| ListFault::Damaged)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| ListFault::Damaged)?;
        show(attribute.key.as_ref(), value);
    }
    Ok(())
}
