//! Latin letters that stand for letters of ASCII, and do not decompose.
//!
//! A stroke, a hook or a tail is part of its letter to Unicode, unlike an accent, and so are two letters in one. Here are,
//! of the blocks Latin-1 Supplement, Latin Extended-A to D and Additional, IPA Extensions, and Phonetic Extensions: the
//! small letters and small capitals whose names in Unicode are those of a letter of ASCII with something on it ("LATIN SMALL
//! LETTER L WITH STROKE"), those whose names are several letters (AE, OE), and those that people write plainly if their
//! keyboard lacks them: ð, þ, ŋ, ĸ, ə, ɔ and the like, as in the transform Latin-ASCII of the Unicode CLDR.

/// The letters of ASCII that a small letter stands for; `None` if it stands for itself.
pub(super) fn plain(letter: char) -> Option<&'static str> {
    if letter.is_ascii() || !is_in_blocks(letter) {
        return None;
    }
    let plain = match letter {
        'ɑ' | 'ᴀ' | 'ᶏ' | 'ⱥ' => "a",
        'ƀ' | 'ƃ' | 'ɓ' | 'ʙ' | 'ᴃ' | 'ᵬ' | 'ᶀ' | 'ꞗ' => "b",
        'ƈ' | 'ȼ' | 'ɕ' | 'ᴄ' | 'ꞓ' | 'ꞔ' => "c",
        'ð' | 'đ' | 'ƌ' | 'ȡ' | 'ɖ' | 'ɗ' | 'ᴅ' | 'ᴆ' | 'ᵭ' | 'ᶁ' | 'ᶑ' | 'ꝺ' | 'ꟈ' => "d",
        'ǝ' | 'ɇ' | 'ə' | 'ɚ' | 'ɛ' | 'ᴇ' | 'ᶒ' | 'ⱸ' => "e",
        'ƒ' | 'ᵮ' | 'ᶂ' | 'ꜰ' | 'ꝼ' | 'ꞙ' => "f",
        'ǥ' | 'ɠ' | 'ɡ' | 'ɢ' | 'ɣ' | 'ʛ' | 'ᵹ' | 'ᶃ' | 'ꞡ' => "g",
        'ħ' | 'ɦ' | 'ʜ' | 'ⱨ' | 'ꞕ' => "h",
        'ɨ' | 'ɩ' | 'ɪ' | 'ᵻ' | 'ᶖ' => "i",
        'ȷ' | 'ɉ' | 'ɟ' | 'ʝ' | 'ᴊ' => "j",
        'ƙ' | 'ᴋ' | 'ᶄ' | 'ⱪ' | 'ꝁ' | 'ꝃ' | 'ꝅ' | 'ꞣ' => "k",
        'ł' | 'ƚ' | 'ȴ' | 'ɫ' | 'ɬ' | 'ɭ' | 'ʟ' | 'ᴌ' | 'ᶅ' | 'ⱡ' | 'ꝉ' | 'ꞎ' => "l",
        'ɱ' | 'ᴍ' | 'ᵯ' | 'ᶆ' => "m",
        'ŋ' | 'ƞ' | 'ȵ' | 'ɲ' | 'ɳ' | 'ɴ' | 'ᵰ' | 'ᶇ' | 'ꞑ' | 'ꞥ' => "n",
        'ø' | 'ɔ' | 'ɵ' | 'ᴏ' | 'ⱺ' | 'ꝋ' | 'ꝍ' => "o",
        'ƥ' | 'ᴘ' | 'ᵱ' | 'ᵽ' | 'ᶈ' | 'ꝑ' | 'ꝓ' | 'ꝕ' => "p",
        'ĸ' | 'ɋ' | 'ʠ' | 'ꝗ' | 'ꝙ' | 'ꞯ' => "q",
        'ɍ' | 'ɼ' | 'ɽ' | 'ɾ' | 'ʀ' | 'ᵲ' | 'ᵳ' | 'ᶉ' | 'ꞃ' | 'ꞧ' => "r",
        'ȿ' | 'ʂ' | 'ᵴ' | 'ᶊ' | 'ẜ' | 'ẝ' | 'ꜱ' | 'ꞅ' | 'ꞩ' | 'ꟊ' => "s",
        'ŧ' | 'ƫ' | 'ƭ' | 'ȶ' | 'ʈ' | 'ᴛ' | 'ᵵ' | 'ⱦ' | 'ꞇ' => "t",
        'ʉ' | 'ʊ' | 'ᴜ' | 'ᵾ' | 'ᶙ' | 'ꞹ' => "u",
        'ʋ' | 'ᴠ' | 'ᶌ' | 'ỽ' | 'ⱱ' | 'ⱴ' | 'ꝟ' => "v",
        'ƿ' | 'ᴡ' | 'ⱳ' => "w",
        'ᶍ' => "x",
        'ƴ' | 'ɏ' | 'ʏ' | 'ỿ' => "y",
        'ƶ' | 'ȥ' | 'ɀ' | 'ʐ' | 'ʑ' | 'ᴢ' | 'ᵶ' | 'ᶎ' | 'ⱬ' => "z",
        'ꜳ' => "aa",
        'æ' | 'ᴁ' | 'ꞛ' => "ae",
        'ꜵ' => "ao",
        'ꜷ' => "au",
        'ꜹ' | 'ꜻ' => "av",
        'ꜽ' => "ay",
        'ȸ' => "db",
        'ʣ' => "dz",
        'ƕ' => "hv",
        'ỻ' => "ll",
        'ʪ' => "ls",
        'ʫ' => "lz",
        'œ' | 'ɶ' | 'ꞝ' => "oe",
        'ꝏ' => "oo",
        'ȣ' => "ou",
        'ȹ' => "qp",
        'ß' => "ss",
        'þ' | 'ᵺ' | 'ꝥ' | 'ꝧ' => "th",
        'ʦ' => "ts",
        'ꜩ' => "tz",
        'ᵫ' | 'ꞟ' => "ue",
        'ꝡ' => "vy",
        _ => return None,
    };
    Some(plain)
}

/// Most characters beyond ASCII are of another script, and cost one look.
fn is_in_blocks(letter: char) -> bool {
    matches!(letter,
        '\u{DF}'..='\u{2AF}' | '\u{1D00}'..='\u{1DBF}' | '\u{1E9C}'..='\u{1EFF}' | '\u{2C60}'..='\u{2C7F}'
        | '\u{A720}'..='\u{A7FF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_stands_for_small_letters_of_ascii_and_is_no_capital() {
        let found: Vec<_> = ('\0'..=char::MAX).filter_map(|letter| Some((letter, plain(letter)?))).collect();
        assert_eq!(found.len(), 214);
        for (letter, plain) in found {
            assert!((1..=2).contains(&plain.len()) && plain.bytes().all(|byte| byte.is_ascii_lowercase()), "{letter}");
            assert!(letter.to_lowercase().eq([letter]), "{letter}");
        }
    }
}
