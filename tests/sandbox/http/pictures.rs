//! What the first bytes of an image tell: its format, and how many pixels it has.

/// A picture whose format the platform takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    pub gif: bool,
    /// Width and height; `None` where the format keeps them elsewhere, or the bytes end before.
    pub pixels: Option<(u32, u32)>,
}

/// Brands of the HEIF family that hold a still image; other files of that shape are videos.
const HEIC: [&[u8]; 8] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"];

/// Recognizes a picture by its magic; `None` for what the platform does not take.
pub fn look(bytes: &[u8]) -> Option<Picture> {
    let still = |pixels| Some(Picture { gif: false, pixels });
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return still(pair(big(bytes, 16, 4), big(bytes, 20, 4)));
    }
    if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        return Some(Picture { gif: true, pixels: pair(little(bytes, 6, 2), little(bytes, 8, 2)) });
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return still(jpeg(bytes));
    }
    if bytes.starts_with(b"BM") {
        // A negative height means that the rows stand upside down.
        let height = little(bytes, 22, 4).map(|height| height.cast_signed().unsigned_abs());
        return still(pair(little(bytes, 18, 4), height));
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return still(webp(bytes));
    }
    let heic = bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|brand| HEIC.contains(&brand));
    let other = [b"\x00\x00\x01\x00", b"II*\x00", b"MM\x00*"].iter().any(|magic| bytes.starts_with(*magic));
    if heic || other { still(None) } else { None }
}

/// The frame header, behind segments that each say their length.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let marker = big(bytes, at, 2)?;
        match marker {
            // Fill bytes.
            0xffff => at += 1,
            0xffc4 | 0xffc8 | 0xffcc => at += 2 + usize::try_from(big(bytes, at + 2, 2)?).ok()?,
            0xffc0..=0xffcf => return pair(big(bytes, at + 7, 2), big(bytes, at + 5, 2)),
            0xff00.. => at += 2 + usize::try_from(big(bytes, at + 2, 2)?).ok()?,
            _ => return None,
        }
    }
}

fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " => pair(little(bytes, 26, 2).map(|w| w & 0x3fff), little(bytes, 28, 2).map(|h| h & 0x3fff)),
        b"VP8L" => {
            let bits = little(bytes, 21, 4)?;
            Some((1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff)))
        }
        b"VP8X" => pair(little(bytes, 24, 3).map(|w| w + 1), little(bytes, 27, 3).map(|h| h + 1)),
        _ => None,
    }
}

fn pair(width: Option<u32>, height: Option<u32>) -> Option<(u32, u32)> {
    Some((width?, height?))
}

fn big(bytes: &[u8], from: usize, length: usize) -> Option<u32> {
    let digits = bytes.get(from..from + length)?;
    Some(digits.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
}

fn little(bytes: &[u8], from: usize, length: usize) -> Option<u32> {
    let digits = bytes.get(from..from + length)?;
    Some(digits.iter().rev().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(parts: &[&[u8]]) -> Option<(u32, u32)> {
        look(&parts.concat()).expect("a picture").pixels
    }

    #[test]
    fn every_format_tells_its_size_in_its_own_place() {
        let png = pixels(&[b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"\0\0\x01\x02\0\0\x03\x04"]);
        assert_eq!(png, Some((0x102, 0x304)));
        assert_eq!(pixels(&[b"GIF89a", b"\x02\x01\x04\x03"]), Some((0x102, 0x304)));
        let jpeg: &[&[u8]] =
            &[b"\xff\xd8", b"\xff\xe0\x00\x04ab", b"\xff\xc4\x00\x02", b"\xff\xff\xc2\x00\x0b\x08\x03\x04\x01\x02"];
        assert_eq!(pixels(jpeg), Some((0x102, 0x304)));
        assert_eq!(pixels(&[b"BM", &[0; 16], b"\x02\x01\0\0", b"\xff\xff\xff\xff"]), Some((0x102, 1)));
        let extended = pixels(&[b"RIFF\0\0\0\0WEBPVP8X", &[0; 8], b"\x01\x01\0", b"\x03\x03\0"]);
        assert_eq!(extended, Some((0x102, 0x304)));
        let lossy = pixels(&[b"RIFF\0\0\0\0WEBPVP8 ", &[0; 10], b"\x02\xc1", b"\x04\x03"]);
        assert_eq!(lossy, Some((0x102, 0x304)));
        let lossless = pixels(&[b"RIFF\0\0\0\0WEBPVP8L", &[0; 5], b"\x01\xc1\xc0\x00"]);
        assert_eq!(lossless, Some((0x102, 0x304)));
    }

    #[test]
    fn what_only_looks_like_a_picture_is_none() {
        for bytes in [b"RIFF\0\0\0\0WAVE".as_slice(), b"\0\0\0\x18ftypmp42", b"GIF88a", b"%PDF", b""] {
            assert_eq!(look(bytes), None, "{bytes:?}");
        }
        assert_eq!(look(b"\0\0\0\x18ftypheic"), Some(Picture { gif: false, pixels: None }));
        for cut in
            [b"\xff\xd8\xff".as_slice(), b"\xff\xd8\xff\xe0\xff\xff", b"\x89PNG\r\n\x1a\n\0", b"BM", b"GIF89a..."]
        {
            assert_eq!(look(cut).expect("a picture").pixels, None, "{cut:?}");
        }
    }
}
