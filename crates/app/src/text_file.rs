//! Text files as the programs of people write them: in UTF-8 with or without a byte order mark, or in UTF-16 with one, which
//! is what Excel calls Unicode text.

use std::io::{self, ErrorKind, Read};

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_LITTLE_ENDIAN_MARK: &[u8] = b"\xFF\xFE";
const UTF16_BIG_ENDIAN_MARK: &[u8] = b"\xFE\xFF";

/// Reads a text of at most `bytes_max` bytes, without its byte order mark.
pub(crate) fn read(source: impl Read, bytes_max: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("the file has more than {bytes_max} bytes")));
    }
    decode(bytes)
}

fn decode(bytes: Vec<u8>) -> io::Result<String> {
    if let Some(text) = bytes.strip_prefix(UTF16_LITTLE_ENDIAN_MARK) {
        return utf16(text, u16::from_le_bytes);
    }
    if let Some(text) = bytes.strip_prefix(UTF16_BIG_ENDIAN_MARK) {
        return utf16(text, u16::from_be_bytes);
    }
    let text = match bytes.strip_prefix(UTF8_MARK) {
        Some(text) => text.to_vec(),
        None => bytes,
    };
    String::from_utf8(text).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        wrong(format!("line {line} is neither UTF-8, nor UTF-16 with a byte order mark: save the file as UTF-8"))
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> io::Result<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for character in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
        let line = || 1 + text.matches('\n').count();
        text.push(character.map_err(|_| wrong(format!("line {} is not UTF-16", line())))?);
    }
    if rest.is_empty() { Ok(text) } else { Err(wrong("the last character of the file is not whole")) }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "공연,좌석\r\n🎸,é\r\n";

    fn marked(mark: &[u8], units: impl Iterator<Item = [u8; 2]>) -> Vec<u8> {
        mark.iter().copied().chain(units.flatten()).collect()
    }

    #[test]
    fn a_text_is_the_same_in_each_encoding() {
        for bytes in [
            TEXT.as_bytes().to_vec(),
            [UTF8_MARK, TEXT.as_bytes()].concat(),
            marked(UTF16_LITTLE_ENDIAN_MARK, TEXT.encode_utf16().map(u16::to_le_bytes)),
            marked(UTF16_BIG_ENDIAN_MARK, TEXT.encode_utf16().map(u16::to_be_bytes)),
        ] {
            assert_eq!(read(bytes.as_slice(), 1_000).unwrap(), TEXT);
        }
        assert_eq!(read(UTF8_MARK, 3).unwrap(), "");
    }

    #[test]
    fn what_is_no_text_is_named_by_its_line() {
        let refused = |bytes: &[u8]| read(bytes, 100).unwrap_err().to_string();
        assert!(refused(b"a\nb\n\xE9t\xE9\n").starts_with("line 3 is neither UTF-8"), "Windows-1252");
        assert_eq!(refused(b"\xFF\xFEa\0\n\0\0\xD8a\0"), "line 2 is not UTF-16");
        assert_eq!(refused(b"\xFF\xFEa\0b"), "the last character of the file is not whole");
        assert_eq!(refused(&[b'a'; 101]), "the file has more than 100 bytes");
    }
}
