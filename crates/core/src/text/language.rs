//! Which language a text is in, of the three that Tidegate speaks.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// English, and every other language not named here.
    En,
    /// Chinese.
    Zh,
    /// Japanese.
    Ja,
}

impl Language {
    /// The ISO 639-1 code.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh",
            Language::Ja => "ja",
        }
    }
}

/// The language by script: English unless a fifth of what the text says is in Han or kana, then
/// Japanese where a tenth of that is kana, else Chinese. A foreign name or two do not count. A
/// guess that needs no dictionary, good enough to choose the language of a message to a person.
pub fn language_of(text: &str) -> Language {
    let (mut others, mut han, mut kana) = (0usize, 0usize, 0usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        match c {
            c if is_kana(c) => kana += 1,
            c if is_han(c) => han += 1,
            _ => others += 1,
        }
    }
    // A character of these scripts says about as much as four letters.
    if (han + kana) * 4 < others.max(1) {
        Language::En
    } else if kana * 10 >= han + kana {
        Language::Ja
    } else {
        Language::Zh
    }
}

/// Hiragana and katakana letters; the middle dot and the long-vowel mark occur in Chinese too.
fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30A1}'..='\u{30FA}' | '\u{31F0}'..='\u{31FF}'
        | '\u{FF66}'..='\u{FF6F}' | '\u{FF71}'..='\u{FF9D}')
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_languages() {
        let check = |text: &str, expected| assert_eq!(language_of(text), expected, "{text}");
        check("", Language::En);
        check("12345 ！？", Language::En);
        check("Where is my refund?", Language::En);
        check("Où est mon remboursement ?", Language::En);
        check("我的退款在哪里？", Language::Zh);
        check("订单 A-1001 的退款", Language::Zh);
        check("约翰・史密斯的订单", Language::Zh);
        check("返金はどこですか", Language::Ja);
        check("東京タワー", Language::Ja);
        check("ﾍﾝｷﾝ", Language::Ja);
        check("refund 退款 please, thank you", Language::En);
        check("What does 退款 mean on my invoice from last week, please?", Language::En);
        check("请问 refund policy 是什么", Language::Zh);
        check("優の良品 店的退货政策在哪里可以看到", Language::Zh);
        check("APIキーの再発行", Language::Ja);
    }
}
