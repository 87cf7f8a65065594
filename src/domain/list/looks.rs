//! What a file is by its first bytes. Sources: the formats' own signatures.

/// What a file looks like that is no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    Pdf,
    Image,
    /// Sound or film.
    Media,
    /// A ZIP archive without a workbook in it.
    Archive,
    /// RAR, 7z, gzip.
    OtherArchive,
    /// A workbook of Excel 97 to 2003, `.xls`.
    OldWorkbook,
    /// A binary workbook, `.xlsb`.
    BinaryWorkbook,
    /// `.ods` and its kin.
    OpenDocument,
    /// An Office file that needs a password.
    Protected,
    /// Word, old or new, or rich text.
    Document,
    /// PowerPoint, old or new.
    Slides,
    /// A page, also where a program has named it `.xls`.
    Html,
    Xml,
    Json,
    /// Something else that is no text.
    Binary,
}

/// First bytes that no text has.
const SIGNATURES: [(&[u8], Looks); 17] = [
    (b"PK\x03\x04", Looks::Archive),
    (b"PK\x05\x06", Looks::Archive),
    (b"%PDF-", Looks::Pdf),
    (b"\x89PNG", Looks::Image),
    (b"\xff\xd8\xff", Looks::Image),
    (b"GIF87a", Looks::Image),
    (b"GIF89a", Looks::Image),
    (b"II*\0", Looks::Image),
    (b"MM\0*", Looks::Image),
    (b"\0\0\x01\0", Looks::Image),
    (b"RIFF", Looks::Media),
    (b"ID3", Looks::Media),
    (b"OggS", Looks::Media),
    (b"Rar!\x1a\x07", Looks::OtherArchive),
    (b"7z\xbc\xaf\x27\x1c", Looks::OtherArchive),
    (b"\x1f\x8b", Looks::OtherArchive),
    (b"{\\rtf", Looks::Document),
];

/// The container of Office files before 2007, and of protected ones since.
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// What lies in such a container, by the name of its stream. Protection first: it wraps the others.
const STREAMS: [(&str, Looks); 5] = [
    ("EncryptedPackage", Looks::Protected),
    ("Workbook", Looks::OldWorkbook),
    ("Book", Looks::OldWorkbook),
    ("WordDocument", Looks::Document),
    ("PowerPoint Document", Looks::Slides),
];

/// What the bytes are, where they are no text. [`Looks::Archive`] may hold a workbook.
pub(super) fn of(bytes: &[u8]) -> Option<Looks> {
    if bytes.starts_with(COMPOUND) {
        let holds = |name: &str| {
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes.windows(name.len()).any(|window| window == name)
        };
        let found = STREAMS.iter().find(|(name, _)| holds(name));
        return Some(found.map_or(Looks::Binary, |(_, looks)| *looks));
    }
    let known = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)).map(|(_, looks)| *looks);
    match known {
        Some(Looks::Media) if bytes.get(8..12) == Some(b"WEBP") => Some(Looks::Image),
        // "RIFF" and "ID3" are words as well.
        Some(Looks::Media) if !bytes.contains(&0) => None,
        Some(looks) => Some(looks),
        None if bytes.get(4..8) == Some(b"ftyp") => {
            let image = matches!(bytes.get(8..12), Some(b"heic" | b"heix" | b"mif1" | b"avif"));
            Some(if image { Looks::Image } else { Looks::Media })
        }
        None if bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]) => Some(Looks::Image),
        None => None,
    }
}

/// What a text is that is no list.
pub(super) fn of_text(text: &str) -> Option<Looks> {
    let text = text.trim();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    if ["<!doctype", "<html", "<head", "<meta", "<table"].into_iter().any(begins) {
        return Some(Looks::Html);
    }
    if begins("<?xml") {
        return Some(Looks::Xml);
    }
    let json = (text.starts_with('{') && text.ends_with('}')) || (text.starts_with('[') && text.ends_with(']'));
    json.then_some(Looks::Json)
}

/// What an archive without a workbook is, by the names of its parts.
pub(super) fn of_archive<'a>(mut parts: impl Iterator<Item = &'a str>) -> Looks {
    let known = |part: &str| match part {
        "xl/workbook.bin" => Some(Looks::BinaryWorkbook),
        "word/document.xml" => Some(Looks::Document),
        "ppt/presentation.xml" => Some(Looks::Slides),
        "content.xml" => Some(Looks::OpenDocument),
        _ => None,
    };
    parts.find_map(known).unwrap_or(Looks::Archive)
}
