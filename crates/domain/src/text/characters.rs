//! The one form of a text, and which characters it may have.
//!
//! Text is compared and stored in Unicode normalization form C, so that what looks the same is the same. Characters that
//! cannot be seen are refused: they make two texts look the same that are not. Two kinds of them change what is seen, and
//! are allowed only where they do: the joiners U+200C and U+200D between letters that join and in emoji, and variation
//! selectors after what has variants. Names that tell things apart have stricter rules, because fonts and emoji do not
//! always show them: no variation selectors, and joiners only where RFC 5892 (appendix A.1 and A.2) allows them.
//!
//! Characters to which Unicode gives no meaning are refused, as in the `FreeformClass` of RFC 8264: each font shows
//! something else for them, or nothing. They are those for private use, those that are not assigned, and noncharacters.

use std::borrow::Cow;

use unicode_joining_type::{JoiningType, get_joining_type};
use unicode_normalization::{IsNormalized, UnicodeNormalization, char::canonical_combining_class, is_nfc_quick};
use unicode_properties::{
    GeneralCategory::{
        Control, Format, LineSeparator, MathSymbol, ModifierSymbol, OtherLetter, OtherSymbol, ParagraphSeparator,
        PrivateUse, SpaceSeparator, Unassigned,
    },
    GeneralCategoryGroup, UnicodeGeneralCategory,
};

use super::TextError;

/// A text in normalization form C.
pub(crate) fn normalized(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// The text with U+0020 in place of every other space.
pub(crate) fn with_plain_spaces(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(is_other_space) { text } else { Cow::Owned(text.replace(is_other_space, " ")) }
}

/// The form of a text that is one line: normalized, with one plain space in place of each run of spaces. Idempotent.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let text = with_plain_spaces(normalized(text));
    if !text.contains("  ") {
        return text;
    }
    let mut single = String::with_capacity(text.len());
    for character in text.chars() {
        if character != ' ' || !single.ends_with(' ') {
            single.push(character);
        }
    }
    Cow::Owned(single)
}

fn is_other_space(character: char) -> bool {
    !character.is_ascii() && character.is_whitespace() && character.general_category() == SpaceSeparator
}

/// What a text is for, which decides what it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// One line that is read.
    Line,
    /// Several lines that are read.
    Lines,
    /// One line by which things are told apart.
    Distinction,
    /// One line that is typed and never shown, and may be older than the tables of this program.
    Secret,
}

/// What a character is in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Seen by itself.
    Visible,
    /// Seen on the character before it.
    Mark,
    Space,
    Joiner,
    Selector,
    LineBreak,
    Control,
    /// Not seen: a format or bidirectional control, or a filler.
    Invisible,
    /// Without a meaning, so that nothing is seen by all: for private use, or not assigned.
    Undefined,
    /// Never a character.
    Noncharacter,
}

fn kind(character: char) -> Kind {
    match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Kind::LineBreak,
        '!'..='~' | '가'..='힣' => Kind::Visible,
        '\u{200C}' | '\u{200D}' => Kind::Joiner,
        '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' => Kind::Selector,
        // What is not seen by default and has another general category than `Format`; and the blank of Braille.
        '\u{34F}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{2065}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFF8}'
        | '\u{E0000}'..='\u{E0FFF}' => Kind::Invisible,
        _ if is_noncharacter(character) => Kind::Noncharacter,
        _ => match character.general_category() {
            Control | LineSeparator | ParagraphSeparator => Kind::Control,
            Format => Kind::Invisible,
            SpaceSeparator => Kind::Space,
            PrivateUse | Unassigned => Kind::Undefined,
            _ if is_mark(character) => Kind::Mark,
            _ => Kind::Visible,
        },
    }
}

fn is_noncharacter(character: char) -> bool {
    let code = u32::from(character);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

fn is_mark(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Mark
}

/// Refuses characters that cannot be seen or have no meaning, and line breaks unless the text may have several lines.
pub(crate) fn check(text: &str, purpose: Purpose) -> Result<(), TextError> {
    let mut characters = text.char_indices().peekable();
    // The last character that is no selector: a joiner may follow what a selector has varied.
    let mut previous = None;
    let mut is_varied = false;
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let kind = kind(character);
        let joins = || match purpose {
            Purpose::Distinction => joins_surely(&text[..at], character, &text[at + character.len_utf8()..]),
            _ => previous.is_some_and(may_join) && next.is_some_and(may_join),
        };
        let varies = || {
            let has_variants = previous.is_some_and(|base| has_variants(base, character, next));
            purpose != Purpose::Distinction && !is_varied && has_variants
        };
        match kind {
            Kind::Visible | Kind::Mark | Kind::Space => {}
            Kind::LineBreak if purpose == Purpose::Lines => {}
            Kind::LineBreak | Kind::Control => return Err(TextError::ControlCharacter),
            Kind::Joiner if joins() => {}
            Kind::Selector if varies() => {}
            Kind::Joiner | Kind::Selector | Kind::Invisible => return Err(TextError::Invisible(character)),
            Kind::Undefined if purpose == Purpose::Secret => {}
            Kind::Undefined | Kind::Noncharacter => return Err(TextError::Undefined(character)),
        }
        is_varied = kind == Kind::Selector;
        if !is_varied {
            previous = Some(character);
        }
    }
    Ok(())
}

/// Whether the text has a character that is seen by itself.
pub(crate) fn is_visible(text: &str) -> bool {
    text.chars().any(|character| kind(character) == Kind::Visible)
}

/// Whether a joiner between two texts changes what is seen whatever the font, by RFC 5892: it follows a virama, or it is
/// U+200C (appendix A.1) and parts letters that would join.
fn joins_surely(before: &str, joiner: char, after: &str) -> bool {
    /// The combining class of a virama.
    const VIRAMA: u8 = 9;
    if before.chars().next_back().is_some_and(|last| canonical_combining_class(last) == VIRAMA) {
        return true;
    }
    let is_seen = |joining: &JoiningType| *joining != JoiningType::Transparent;
    let left = before.chars().rev().map(get_joining_type).find(is_seen);
    let right = after.chars().map(get_joining_type).find(is_seen);
    joiner == '\u{200C}'
        && matches!(left, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(right, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// Whether a joiner beside the character may change what is seen: it is an emoji, a mark, or a letter of a script without
/// case, other than those of East Asia.
fn may_join(character: char) -> bool {
    let is_east_asian = matches!(character,
        '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{2FFF}' | '\u{3040}'..='\u{31FF}' | '\u{3400}'..='\u{A4CF}'
        | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}'
        | '\u{20000}'..='\u{3FFFF}');
    let category = character.general_category();
    let is_joinable = matches!(category, OtherLetter | OtherSymbol | ModifierSymbol | MathSymbol);
    !character.is_ascii() && !is_east_asian && (is_joinable || is_mark(character))
}

/// Whether a variation selector may change how `base` is seen. U+FE0E and U+FE0F choose between text and emoji, and are
/// part of keycaps such as 1️⃣; the others choose a variant of an ideograph, a letter or an operator.
fn has_variants(base: char, selector: char, next: Option<char>) -> bool {
    match selector {
        '\u{FE0E}' | '\u{FE0F}' if base.is_ascii() => next == Some('\u{20E3}'),
        '\u{FE0E}' | '\u{FE0F}' => base == 'ℹ' || kind(base) == Kind::Visible && !is_letter(base),
        _ => {
            let is_hangul = matches!(base, '가'..='힣' | '\u{1100}'..='\u{11FF}');
            !is_hangul && matches!(base.general_category(), OtherLetter | MathSymbol)
        }
    }
}

fn is_letter(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Letter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_kept_text_arrives_in_more_units_than_promised() {
        let all = '\u{80}'..=char::MAX;
        let kept = all.filter(|character| std::iter::once(*character).nfc().eq([*character]));
        let units = |character| std::iter::once(character).nfd().map(char::len_utf16).sum::<usize>();
        let (most, longest) = kept.map(|character| (units(character), character)).max().unwrap();
        assert_eq!(most, crate::text::CHARACTER_UNITS_MAX, "{longest:?}");
    }

    #[test]
    fn the_form_of_a_text_is_that_of_its_equals_and_of_itself() {
        for (one, other) in [
            ("\u{1112}\u{1161}\u{11AB}\u{1100}\u{1161}\u{11BC}", "한강"),
            ("Beyonce\u{301}", "Beyoncé"),
            ("A\u{30A}", "\u{212B}"),
            ("d\u{307}\u{323}", "\u{1E0D}\u{307}"),
            ("A\u{A0}B", "A B"),
            ("東京\u{3000} ドーム", "東京 ドーム"),
            ("A   B", "A B"),
        ] {
            assert_eq!(one_line(one), one_line(other), "{one} {other}");
            assert_eq!(one_line(&one_line(one)), one_line(one), "{one}");
        }
        assert!(matches!(one_line("VIP석 나"), Cow::Borrowed("VIP석 나")), "nothing is copied");
        // What looks different stays different.
        assert_ne!(one_line("Ａ"), one_line("A"));
        assert_ne!(one_line("а"), one_line("a"));
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for hidden in [
            '\u{AD}',
            '\u{34F}',
            '\u{61C}',
            '\u{115F}',
            '\u{1160}',
            '\u{180E}',
            '\u{200B}',
            '\u{200C}',
            '\u{200D}',
            '\u{200E}',
            '\u{200F}',
            '\u{202A}',
            '\u{202E}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{2800}',
            '\u{3164}',
            '\u{FE0F}',
            '\u{FEFF}',
            '\u{FFA0}',
            '\u{FFF9}',
            '\u{E0001}',
            '\u{E0041}',
            '\u{E0100}',
        ] {
            for text in [format!("A{hidden}"), format!("{hidden}A"), format!("A{hidden}B"), format!("한{hidden}강")] {
                assert_eq!(check(&text, Purpose::Lines), Err(TextError::Invisible(hidden)), "{text:?}");
            }
        }
        for control in ['\0', '\u{7F}', '\u{85}'] {
            assert_eq!(check(&format!("A{control}B"), Purpose::Lines), Err(TextError::ControlCharacter), "{control:?}");
        }
        for lines in ["A\nB", "A\u{2028}B", "A\r\nB", "A\tB"] {
            assert_eq!(check(lines, Purpose::Lines), Ok(()));
            assert_eq!(check(lines, Purpose::Line), Err(TextError::ControlCharacter));
        }
    }

    #[test]
    fn joiners_and_selectors_are_allowed_where_scripts_and_emoji_need_them() {
        for text in [
            "می\u{200C}خواهم",
            "क\u{94D}\u{200D}ष",
            "ශ\u{DCA}\u{200D}රී",
            "👩\u{200D}💻",
            "👩🏽\u{200D}🎤 live",
            "❤\u{FE0F}\u{200D}🔥",
            "🙂\u{200D}↔\u{FE0F}",
            "1\u{FE0F}\u{20E3}",
            "葛\u{E0100}飾",
            "Ünïcödé — «ночь» 밤 夜 ليل",
        ] {
            assert_eq!(check(&normalized(text), Purpose::Line), Ok(()), "{text}");
        }
        for text in [
            "A\u{200D}B",
            "1\u{200C}2",
            "가\u{200D}나",
            "夜\u{200C}夜",
            "👩\u{200D}",
            "\u{200D}💻",
            "A\u{FE0F}",
            "1\u{FE0F}",
            "#\u{FE0F}2",
            "❤\u{FE0F}\u{FE0F}",
        ] {
            assert!(matches!(check(text, Purpose::Line), Err(TextError::Invisible(_))), "{text:?}");
        }
    }

    #[test]
    fn what_unicode_gives_no_meaning_is_refused_and_not_visible() {
        for (undefined, is_secret) in [
            ('\u{E000}', true),
            ('\u{F8FF}', true),
            ('\u{F0000}', true),
            ('\u{10FFFD}', true),
            ('\u{378}', true),
            ('\u{2FE0}', true),
            ('\u{1FBFB}', true),
            ('\u{FDD0}', false),
            ('\u{FFFF}', false),
            ('\u{10FFFE}', false),
        ] {
            let text = format!("A{undefined}B");
            for purpose in [Purpose::Line, Purpose::Lines, Purpose::Distinction] {
                assert_eq!(check(&text, purpose), Err(TextError::Undefined(undefined)), "{text:?}");
            }
            assert_eq!(check(&text, Purpose::Secret).is_ok(), is_secret, "{text:?}");
            assert!(!is_visible(&undefined.to_string()), "{undefined:?}");
        }
    }

    #[test]
    fn names_that_tell_apart_have_no_invisible_differences() {
        let invisible = ['\u{200C}', '\u{200D}', '\u{FE00}', '\u{FE0E}', '\u{FE0F}', '\u{E0100}', '\u{180B}'];
        // Letters that do not join, emoji, and a script without case; in Arabic, dal does not join what follows it.
        for name in
            ["VIP 1", "가나 2층", "かな東京", "Ложа", "👩💻❤🔥", "12#", "ⓂⓇ", "אבג", "ไทย", "درد", "कखग", "1\u{20E3}"]
        {
            assert_eq!(check(name, Purpose::Distinction), Ok(()), "{name}");
            for (at, _) in name.char_indices().chain([(name.len(), ' ')]) {
                for hidden in invisible {
                    let (before, after) = name.split_at(at);
                    let text = format!("{before}{hidden}{after}");
                    assert_eq!(check(&text, Purpose::Distinction), Err(TextError::Invisible(hidden)), "{text:?}");
                }
            }
        }
        // Where a joiner is part of how a word is written.
        for name in ["می\u{200C}خواهم", "مَ\u{200C}ّم", "क\u{94D}\u{200D}ष", "क\u{94D}\u{200C}ष", "ශ\u{DCA}\u{200D}රී"]
        {
            assert_eq!(check(name, Purpose::Distinction), Ok(()), "{name}");
        }
        assert!(check("می\u{200D}خواهم", Purpose::Distinction).is_err());
    }

    #[test]
    fn marks_and_spaces_alone_are_not_visible() {
        for text in ["", " ", "\u{301}", "\u{A0}\u{3000}", "\u{2800}", "\u{3164}", "\u{200B}"] {
            assert!(!is_visible(text), "{text:?}");
        }
        for text in ["a", "한", "?", "🎸", "e\u{301}", "夜"] {
            assert!(is_visible(text), "{text}");
        }
    }
}
