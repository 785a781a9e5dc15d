//! Values of every kind, drawn from a seed: personal ones with their check digits, and numbers that
//! only look like them. The check digits are worked out here once more, from their standards, and
//! not by the code that is measured.

use tidegate_core::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
    Japanese,
}

/// The mark that a kind is replaced by; `None` for what is no one's.
pub(super) fn mark(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "email" => "[email]",
        "phone" | "phone_any" | "landline" => "[phone]",
        "id" | "hkid" | "twid" | "ssn" | "ssn_any" | "my_number" | "passport" => "[id]",
        "card" => "[card]",
        "iban" => "[iban]",
        "key" | "password" => "[secret]",
        _ => return None,
    })
}

pub(super) struct Draw {
    pub(super) random: Random,
    pub(super) language: Language,
}

impl Draw {
    pub(super) fn value(&mut self, kind: &str) -> String {
        match kind {
            "email" => self.email(),
            "phone" => self.phone(),
            "phone_any" => self.phone_any(),
            "landline" => self.landline(),
            "id" => self.resident_id(true),
            "bad_id" => self.resident_id(false),
            "hkid" => self.hong_kong_id(),
            "twid" => self.taiwan_id(),
            "ssn" => self.ssn("###-##-####"),
            "ssn_any" => {
                let form = self.of(&["###-##-####", "### ## ####", "#########"]);
                self.ssn(form)
            }
            "my_number" => self.my_number(true),
            "bad_my_number" => self.my_number(false),
            "passport" => self.passport(),
            "card" => self.card(true),
            "bad_card" => self.card(false),
            "iban" => self.iban(true),
            "bad_iban" => self.iban(false),
            "key" => self.key(),
            "password" => self.of(&PASSWORDS).to_owned(),
            other => self.harmless(other),
        }
    }

    pub(super) fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.random.index(items.len())]
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.random.index(n)
    }

    /// One of the forms, `#` as a digit and `~` as a digit that is neither 0 nor 1.
    pub(super) fn filled(&mut self, forms: &[&str]) -> String {
        let form = self.of(forms).to_owned();
        let fill = |c| match c {
            '#' => char::from(b'0' + self.random.index(10) as u8),
            '~' => char::from(b'2' + self.random.index(8) as u8),
            c => c,
        };
        form.chars().map(fill).collect()
    }

    pub(super) fn hex(&mut self, length: usize) -> String {
        self.chars(length, b"0123456789abcdef")
    }

    fn chars(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length).map(|_| char::from(self.of(alphabet))).collect()
    }

    /// Now and then as a Chinese or Japanese keyboard writes it.
    fn perhaps_wide(&mut self, text: String) -> String {
        if self.language == Language::English || !self.random.one_in(6) {
            return text;
        }
        let wide = |c: char| match c {
            '!'..='~' => char::from_u32(c as u32 + 0xFEE0).unwrap_or(c),
            ' ' => '\u{3000}',
            c => c,
        };
        text.chars().map(wide).collect()
    }

    fn email(&mut self) -> String {
        let name = self.of(&[
            "ann.lee",
            "zhang_san",
            "taro",
            "j.o+shop",
            "li-si88",
            "x",
            "o'neil",
            "SATO.Hanako",
            "20240115",
            "wang.xiaoming.2",
            "first.last",
            "support-eu",
        ]);
        let host = self.of(&[
            "example.com",
            "example.co.jp",
            "mail.example.cn",
            "qq.com",
            "163.com",
            "example.org",
            "sub.mail.example.co.uk",
            "gmail.com",
            "docomo.ne.jp",
            "example.io",
        ]);
        let email = format!("{name}@{host}");
        self.perhaps_wide(email)
    }

    fn phone(&mut self) -> String {
        let forms: &[&str] = match self.language {
            Language::English => &[
                "(415) ~55-01##",
                "212-~55-01##",
                "415.~55.01##",
                "+1 415 ~55 01##",
                "+1 (212) ~55-01##",
                "+1415~5501##",
                "1-212-~55-01##",
                "+44 20 7946 0###",
                "07911 12####",
                "020 7946 0###",
                "01632 960###",
                "+44 7911 123###",
                "+49 30 901820##",
                "+61 2 5550 ####",
                "(212)~55-01##",
            ],
            Language::Chinese => &[
                "138########",
                "139 #### ####",
                "186-####-####",
                "+86 150 #### ####",
                "+86-177########",
                "86-135########",
                "(+86)199########",
                "+86188########",
                "133.####.####",
                "152 ########",
                "0086 138########",
                "0086-139-####-####",
                "166####  ####",
                "+852 9### ####",
                "198########",
            ],
            Language::Japanese => &[
                "090-####-####",
                "080########",
                "070 #### ####",
                "+81-90-####-####",
                "+81 80 #### ####",
                "090(####)####",
                "090ー####ー####",
                "050-####-####",
                "+819########0",
                "080-####-####",
                "090−####−####",
                "070.####.####",
            ],
        };
        let phone = self.filled(forms);
        self.perhaps_wide(phone)
    }

    /// Also forms that only the words before them make a phone's.
    fn phone_any(&mut self) -> String {
        let forms: &[&str] = match self.language {
            Language::English => &[
                "415~5501##",
                "~~~ 01##",
                "212 ~55 01##",
                "~55-01##",
                "1 212 ~55 01##",
                "4 1 5 5 5 5 0 1 # #",
            ],
            Language::Chinese => {
                &["1 3 8 0 # # # 1 2 # #", "~#######", "~### ####", "138#### ####", "010########"]
            }
            Language::Japanese => {
                &["03########", "06 #### ####", "0 9 0 1 2 # # 5 # 7 8", "045#######"]
            }
        };
        let phone = self.filled(forms);
        self.perhaps_wide(phone)
    }

    fn landline(&mut self) -> String {
        let forms: &[&str] = match self.language {
            Language::English => &["(415) ~55-01##"],
            Language::Chinese => &[
                "010-6#######",
                "0755-2#######",
                "(021)5#######",
                "021 5### ####",
                "0571-8### ####",
                "+86 10 6### ####",
                "+86-21-5#######",
                "（010）6#######",
                "0731-8#######",
                "86-10-6#######",
            ],
            Language::Japanese => &[
                "03-####-####",
                "06-6###-####",
                "045-###-####",
                "0422-##-####",
                "03(####)####",
                "(03)####-####",
                "+81-3-####-####",
                "04-7###-####",
                "0986-##-####",
                "03 #### ####",
                "011-###-####",
            ],
        };
        let phone = self.filled(forms);
        self.perhaps_wide(phone)
    }

    fn resident_id(&mut self, is_right: bool) -> String {
        const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
        let area = self
            .of(&["110105", "310115", "440305", "510104", "330106", "420111", "650102", "320583"]);
        let (year, month, day) = (1950 + self.below(60), 1 + self.below(12), 1 + self.below(28));
        let body = format!("{area}{year}{month:02}{day:02}{:03}", self.below(1000));
        let sum: u32 =
            WEIGHTS.iter().zip(digits(&body)).map(|(weight, digit)| weight * digit).sum();
        let offset = if is_right { 0 } else { 1 + self.below(10) };
        let check = b"10X98765432"[(sum as usize + offset) % 11] as char;
        let id = match self.below(6) {
            0 => format!("{} {} {}{check}", &body[..6], &body[6..14], &body[14..]),
            1 => format!("{body}{}", check.to_ascii_lowercase()),
            _ => format!("{body}{check}"),
        };
        self.perhaps_wide(id)
    }

    fn hong_kong_id(&mut self) -> String {
        let letter = self.of(b"ABCDGHKPRZ");
        let body = self.filled(&["######"]);
        let values = [36, u32::from(letter - b'A') + 10].into_iter().chain(digits(&body));
        let sum: u32 = values.zip((2..=9).rev()).map(|(value, weight)| value * weight).sum();
        let check = match (11 - sum % 11) % 11 {
            10 => 'A',
            digit => char::from(b'0' + digit as u8),
        };
        format!("{}{body}({check})", letter as char)
    }

    fn taiwan_id(&mut self) -> String {
        let (letter, value) =
            self.of(&[('A', 10), ('B', 11), ('F', 15), ('H', 17), ('J', 18), ('N', 22)]);
        let body = format!("{}{}", self.of(&["1", "2"]), self.filled(&["#######"]));
        let weighted = digits(&body).zip((1..=8).rev()).map(|(digit, weight)| digit * weight);
        let sum = value / 10 + value % 10 * 9 + weighted.sum::<u32>();
        format!("{letter}{body}{}", (10 - sum % 10) % 10)
    }

    fn ssn(&mut self, form: &str) -> String {
        let digits = format!(
            "{:03}{:02}{:04}",
            100 + self.below(500),
            1 + self.below(99),
            1 + self.below(9999)
        );
        let mut digits = digits.chars();
        form.chars().map(|c| if c == '#' { digits.next().unwrap_or('0') } else { c }).collect()
    }

    fn my_number(&mut self, is_right: bool) -> String {
        let body = self.filled(&["###########"]);
        let weights = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
        let sum: u32 = digits(&body).zip(weights).map(|(digit, weight)| digit * weight).sum();
        let check = if sum % 11 <= 1 { 0 } else { 11 - sum % 11 };
        let check = if is_right { check } else { (check + 1 + self.below(8) as u32) % 10 };
        let all = format!("{body}{check}");
        let parts = [&all[..4], &all[4..8], &all[8..]];
        let number = match self.below(4) {
            0 => parts.join(" "),
            1 => parts.join("-"),
            _ => all,
        };
        self.perhaps_wide(number)
    }

    fn passport(&mut self) -> String {
        match self.language {
            Language::English => self.filled(&["5########", "C########", "A########", "X#######"]),
            Language::Chinese => self.filled(&["E########", "EA#######", "G########", "EJ#######"]),
            Language::Japanese => {
                self.filled(&["TR#######", "TK#######", "MU#######", "TZ#######"])
            }
        }
    }

    fn card(&mut self, is_right: bool) -> String {
        let (start, length) = match (self.language, self.below(3)) {
            (Language::Chinese, 0 | 1) => self.of(&[
                ("622202", 19),
                ("621700", 19),
                ("622848", 19),
                ("625912", 16),
                ("622588", 16),
                ("955880", 19),
            ]),
            (Language::Japanese, 0) => self.of(&[("3540", 16), ("3566", 16)]),
            _ => self.of(&[
                ("4111", 16),
                ("4539", 16),
                ("5454", 16),
                ("2221", 16),
                ("3782", 15),
                ("6011", 16),
            ]),
        };
        let mut body = start.to_owned();
        while body.len() < length - 1 {
            body.push_str(&self.filled(&["#"]));
        }
        let check = (luhn(&body) + if is_right { 0 } else { 1 + self.below(9) as u32 }) % 10;
        let all = format!("{body}{check}");
        let separator = self.of(&["", "", " ", "-"]);
        let card = match length {
            15 => [&all[..4], &all[4..10], &all[10..]].join(separator),
            16 => [&all[..4], &all[4..8], &all[8..12], &all[12..]].join(separator),
            _ => [&all[..4], &all[4..8], &all[8..12], &all[12..16], &all[16..]].join(separator),
        };
        self.perhaps_wide(card)
    }

    fn iban(&mut self, is_right: bool) -> String {
        let (country, form) = self.of(&[
            ("DE", "3704004405########"),
            ("GB", "WEST123456########"),
            ("FR", "20041010050500013M02###"),
            ("NL", "ABNA04########"),
            ("ES", "2100041845########45"),
            ("CH", "0076201162385####"),
        ]);
        let account = self.filled(&[form]);
        let code = format!("{account}{country}00");
        let rest = code.chars().fold(0, |rest, c| match c.to_digit(36).unwrap_or(0) {
            value @ 0..=9 => (rest * 10 + value) % 97,
            value => (rest * 100 + value) % 97,
        });
        let check = (98 - rest + if is_right { 0 } else { 1 + self.below(90) as u32 }) % 97;
        let all = format!("{country}{check:02}{account}");
        if self.random.one_in(2) {
            return all;
        }
        let chars: Vec<char> = all.chars().collect();
        chars.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
    }

    fn key(&mut self) -> String {
        const MIXED: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789";
        const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        match self.below(15) {
            0 => format!("sk-{}", self.chars(48, MIXED)),
            1 => format!("sk-proj-{}", self.chars(64, MIXED)),
            2 => format!("sk-ant-api03-{}-{}AA", self.chars(40, MIXED), self.chars(20, MIXED)),
            3 => format!("ghp_{}", self.chars(36, MIXED)),
            4 => format!("github_pat_{}_{}", self.chars(22, MIXED), self.chars(59, MIXED)),
            5 => format!("AKIA{}", self.chars(16, UPPER)),
            6 => format!("xoxb-{}-{}", self.filled(&["############"]), self.chars(24, MIXED)),
            7 => format!("AIza{}", self.chars(35, MIXED)),
            8 => format!("glpat-{}", self.chars(20, MIXED)),
            9 => {
                let (body, sign) = (self.chars(60, MIXED), self.chars(43, MIXED));
                format!("eyJhbGciOiJIUzI1NiJ9.eyJ{body}.{sign}")
            }
            10 => format!("hf_{}", self.chars(34, MIXED)),
            11 => format!("sk_live_{}", self.chars(24, MIXED)),
            12 => format!("LTAI5t{}", self.chars(18, MIXED)),
            13 => format!("AKID{}", self.chars(32, MIXED)),
            _ => format!("npm_{}", self.chars(36, MIXED)),
        }
    }
}

/// With digits, signs, or both; one has neither.
const PASSWORDS: [&str; 8] = [
    "hunter2x",
    "Passw0rd#9",
    "tr0ub4dor&3",
    "Zq8!mLp2",
    "qwe123456",
    "S3cret-Word",
    "xK9$vT2w",
    "letmeinplease",
];

pub(super) fn digits(text: &str) -> impl Iterator<Item = u32> + '_ {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// The check digit behind these digits (ISO/IEC 7812-1).
fn luhn(body: &str) -> u32 {
    let doubled = |(at, digit): (usize, u32)| match (at % 2 == 0, digit * 2) {
        (true, twice) if twice > 9 => twice - 9,
        (true, twice) => twice,
        (false, _) => digit,
    };
    let all: Vec<u32> = digits(body).collect();
    let sum: u32 = all.into_iter().rev().enumerate().map(doubled).sum();
    (10 - sum % 10) % 10
}
