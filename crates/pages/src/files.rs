//! The files of the pages, their addresses, and their compressed forms.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use bytes::Bytes;
use rust_embed::RustEmbed;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::language::Language;

#[derive(RustEmbed)]
#[folder = "static"]
struct Embedded;

/// The page around every view.
const PAGE: &str = "index.html";
/// In a folder with a brand: texts for each language, by their keys.
const TEXTS: &str = "texts.json";
/// The text that is the name of the shop.
const NAME: &str = "brand";

/// Why a brand cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum BrandError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file or the folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the folder stands for none of the pages.
    #[error("{} stands for none of the files of the pages", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The texts are no texts.
    #[error("{} must be an object with texts for `en` and `ko`, by keys that the pages have: {what}", path.display())]
    Texts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
    Brotli,
}

impl Coding {
    /// The smallest form that the fields of `Accept-Encoding` accept; the plain one may always be sent (RFC 9110, section
    /// 12.5.3).
    pub(crate) fn accepted<'f>(fields: impl Iterator<Item = &'f str>) -> Self {
        let mut best = Self::Plain;
        for item in fields.flat_map(|field| field.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let refused = parts.any(|part| {
                let weight = part.strip_prefix("q=").map(|weight| weight.trim_end_matches('0').trim_end_matches('.'));
                weight.is_some_and(|weight| weight.is_empty() || weight == "0")
            });
            match name.as_str() {
                _ if refused => {}
                "br" => best = Self::Brotli,
                "gzip" if best == Self::Plain => best = Self::Gzip,
                _ => {}
            }
        }
        best
    }

    /// Its name in `Content-Encoding`.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// One file, with the forms that were asked for.
pub(crate) struct File {
    media_type: &'static str,
    digest: String,
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

impl File {
    fn new(name: &str, content: impl Into<Bytes>) -> Self {
        let plain = content.into();
        let digest = hex::encode(&Sha256::digest(&plain)[..12]);
        let media_type = media_type(name);
        Self { media_type, digest, plain, gzip: OnceLock::new(), brotli: OnceLock::new() }
    }

    pub(crate) fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// Its content in a coding; plain where that is shorter.
    pub(crate) fn coded(&self, coding: Coding) -> (Bytes, Coding) {
        let coded = match coding {
            Coding::Plain => &self.plain,
            Coding::Gzip => self.gzip.get_or_init(|| gzip(&self.plain)),
            Coding::Brotli => self.brotli.get_or_init(|| brotli(&self.plain)),
        };
        if coded.len() < self.plain.len() { (coded.clone(), coding) } else { (self.plain.clone(), Coding::Plain) }
    }

    /// Its entity tag in a coding.
    pub(crate) fn tag(&self, coding: Coding) -> String {
        format!("\"{}-{}\"", self.digest, coding.name().unwrap_or("plain"))
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory does not fail.
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.map_or_else(|_| Bytes::copy_from_slice(plain), Bytes::from)
}

fn brotli(plain: &[u8]) -> Bytes {
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    let mut coded = Vec::new();
    let written = brotli::BrotliCompress(&mut &*plain, &mut coded, &parameters);
    written.map_or_else(|_| Bytes::copy_from_slice(plain), |_| Bytes::from(coded))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// All files of one version.
pub(crate) struct Files {
    /// The digest of all of them.
    version: String,
    assets: BTreeMap<String, File>,
    /// The page in each language.
    pages: [File; Language::ALL.len()],
}

impl Files {
    /// The files in the program, with those of a brand.
    pub(crate) fn load(brand: Option<&Path>) -> Result<Self, BrandError> {
        let embedded = |name: Cow<'static, str>| Some((name.to_string(), Embedded::get(&name)?.data.into_owned()));
        let mut contents: BTreeMap<String, Vec<u8>> = Embedded::iter().filter_map(embedded).collect();
        if let Some(folder) = brand {
            apply_brand(&mut contents, folder)?;
        }
        let page = String::from_utf8(contents.remove(PAGE).unwrap_or_default()).unwrap_or_default();
        let mut digest = Sha256::new();
        for (name, content) in &contents {
            digest.update(Sha256::digest(name));
            digest.update(Sha256::digest(content));
        }
        let version = hex::encode(&digest.finalize()[..8]);
        let pages = Language::ALL.map(|language| {
            let texts = contents.get(&format!("{}.json", language.tag())).map(Vec::as_slice).unwrap_or_default();
            let texts: Map<String, Value> = serde_json::from_slice(texts).unwrap_or_default();
            let name = texts.get(NAME).and_then(Value::as_str).unwrap_or_default();
            let page = page.replace("{language}", language.tag()).replace("{assets}", &format!("/assets/{version}"));
            File::new(PAGE, page.replace("{name}", &escaped(name)))
        });
        let assets = contents.into_iter().map(|(name, content)| (name.clone(), File::new(&name, content))).collect();
        Ok(Self { version, assets, pages })
    }

    /// The address of a file.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("/assets/{}/{path}", self.version)
    }

    /// A file of this version.
    pub(crate) fn asset(&self, version: &str, path: &str) -> Option<&File> {
        self.assets.get(path).filter(|_| version == self.version)
    }

    pub(crate) fn page(&self, language: Language) -> &File {
        let [english, korean] = &self.pages;
        match language {
            Language::English => english,
            Language::Korean => korean,
        }
    }
}

/// A text as it stands in markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Puts the files of a folder in place of those of the pages.
fn apply_brand(contents: &mut BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<(), BrandError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| BrandError::Unreadable { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = std::fs::read(&path).map_err(unreadable(&path))?;
        if name == TEXTS {
            apply_texts(contents, &content).map_err(|what| BrandError::Texts { path, what })?;
        } else if let Some(replaced) = contents.get_mut(&name) {
            *replaced = content;
        } else {
            return Err(BrandError::Unknown { path });
        }
    }
    Ok(())
}

fn apply_texts(contents: &mut BTreeMap<String, Vec<u8>>, content: &[u8]) -> Result<(), String> {
    let given: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(content).map_err(|error| error.to_string())?;
    for (language, mut texts) in given {
        // What all views say, and what only those of organisers say.
        for name in [format!("{language}.json"), format!("organiser.{language}.json")] {
            let file = contents.get_mut(&name).ok_or_else(|| format!("`{language}` is not shown"))?;
            let mut all: Map<String, Value> = serde_json::from_slice(file).map_err(|error| error.to_string())?;
            texts.retain(|key, text| {
                let Some(known) = all.get_mut(key) else { return true };
                *known = Value::String(std::mem::take(text));
                false
            });
            *file = serde_json::to_vec(&all).map_err(|error| error.to_string())?;
        }
        if let Some(key) = texts.keys().next() {
            return Err(format!("there is no text `{key}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_form_that_a_client_accepts_is_chosen() {
        for (field, coding) in [
            ("gzip, deflate, br, zstd", Coding::Brotli),
            ("br;q=0.1, gzip", Coding::Brotli),
            ("br;q=0, gzip", Coding::Gzip),
            ("br;q=0.000, GZIP;q=0.5", Coding::Gzip),
            ("identity", Coding::Plain),
            ("gzip;q=0", Coding::Plain),
            ("", Coding::Plain),
        ] {
            assert_eq!(Coding::accepted([field].into_iter()), coding, "{field}");
        }
    }

    #[test]
    fn forms_hold_the_same_and_have_tags_of_their_own() {
        let text = "the same text again and again, ".repeat(100);
        let file = File::new("a.js", text.clone());
        let mut unpacked = Vec::new();
        let (gzip, coding) = file.coded(Coding::Gzip);
        assert_eq!(coding, Coding::Gzip);
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*gzip), &mut unpacked).unwrap();
        assert_eq!(unpacked, text.as_bytes());
        let (brotli, coding) = file.coded(Coding::Brotli);
        assert_eq!(coding, Coding::Brotli);
        unpacked.clear();
        brotli::BrotliDecompress(&mut &*brotli, &mut unpacked).unwrap();
        assert_eq!(unpacked, text.as_bytes());
        assert!(brotli.len() < gzip.len());
        let tags = [Coding::Plain, Coding::Gzip, Coding::Brotli].map(|coding| file.tag(coding));
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
        assert_eq!(File::new("a.js", "a").coded(Coding::Brotli).1, Coding::Plain, "what is short grows");
    }
}
