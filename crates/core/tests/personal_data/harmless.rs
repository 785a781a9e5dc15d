//! Numbers that only look personal: orders, parcels, parts, dates, prices.

use super::values::{Draw, Language, digits};

impl Draw {
    pub(super) fn harmless(&mut self, kind: &str) -> String {
        match kind {
            "order" => self.order(),
            "tracking" => self.tracking(),
            "part" => self.part(),
            "serial" => {
                self.filled(&["SN2023A00#####", "C02XK0AAJG5J", "00##-7781-22##", "W##KD#Q"])
            }
            "isbn" => self.isbn(),
            "ean" => self.ean("49"),
            "version" => self.filled(&[
                "#.#.##",
                "v#.1#.0-rc.#",
                "10.12.10##",
                "2025.12.2#.0#",
                "1.0.0+build.###",
            ]),
            "date" => self.date(),
            "time" => format!("{:02}:{:02}", self.below(24), self.below(60)),
            "year" => (1990 + self.below(36)).to_string(),
            "price" => self.price(),
            "percent" => self.filled(&["#.#%", "##%", "1#.##%"]),
            "count" => self.filled(&["#", "##", "1##", "1,2##", "48###", "1,234,5##"]),
            "ip" => format!("10.{}.{}.{}", self.below(256), self.below(256), self.below(256)),
            "uuid" => ["8", "4", "4", "4", "12"]
                .map(|length| self.hex(length.parse().unwrap_or(4)))
                .join("-"),
            "git" => {
                let length = if self.random.one_in(2) { 40 } else { 7 };
                self.hex(length)
            }
            "hash" => self.hex(64),
            "epoch" => self.filled(&["17########", "17###########", "17########.###"]),
            "zip" => match self.language {
                Language::English => self.filled(&["9####", "1####-####"]),
                Language::Chinese => self.filled(&["2000##", "5180##"]),
                Language::Japanese => self.filled(&["1##-00##", "5##-0###"]),
            },
            "coords" => {
                self.filled(&["48.#######, 2.#######", "31.######,121.######", "35.6###,139.6###"])
            }
            other => panic!("no kind `{other}`"),
        }
    }

    fn order(&mut self) -> String {
        self.filled(&[
            "ORD-20240115-00####",
            "202401150#####",
            "#1234###",
            "112-1234###-1234###",
            "SO138########",
            "PO-415555####",
            "A-10##",
            "2024011522001###########",
            "73102957382019#####",
            "INV/2024/0###",
            "88#####",
            "E2024######01",
        ])
    }

    fn tracking(&mut self) -> String {
        let forms: &[&str] = match self.language {
            Language::English => &[
                "1Z999AA10######784",
                "9400 1000 0000 0000 00## ##",
                "7489##########",
                "4155550###",
                "JD0002########",
            ],
            Language::Chinese => &[
                "SF1#########123",
                "7731#########",
                "YT68###########",
                "138########",
                "9896##########",
            ],
            Language::Japanese => &[
                "4###-####-####",
                "3###########",
                "1234-56##-9###",
                "090-####-####",
                "6#######-####",
            ],
        };
        self.filled(forms)
    }

    /// Some look like phone or identity numbers.
    fn part(&mut self) -> String {
        self.filled(&[
            "415-555-0###",
            "090-####-####",
            "XK-212555####",
            "45-####-5678",
            "BX-4111-##11",
            "NX0#-138########",
            "A1234#",
            "LM317T-##",
            "RC0603FR-07####L",
            "03-####-####",
            "ABC123##",
            "1N4148-##",
        ])
    }

    fn isbn(&mut self) -> String {
        match self.below(3) {
            0 => {
                let all = self.ean("978");
                [&all[..3], &all[3..4], &all[4..7], &all[7..12], &all[12..]].join("-")
            }
            1 => self.ean("978"),
            _ => self.filled(&["0-306-406##-X", "4-06-519###-7", "7-111-####1-5"]),
        }
    }

    fn ean(&mut self, start: &str) -> String {
        let body = format!("{start}{}", self.filled(&["############"]));
        let body = &body[..12];
        let sum: u32 =
            digits(body).zip([1, 3].into_iter().cycle()).map(|(d, weight)| d * weight).sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    }

    fn date(&mut self) -> String {
        let (year, month, day) = (2019 + self.below(8), 1 + self.below(12), 1 + self.below(28));
        match (self.language, self.below(5)) {
            (_, 0) => format!("{year}-{month:02}-{day:02}"),
            (_, 1) => format!("{year}/{month}/{day}"),
            (_, 2) => format!("{year}{month:02}{day:02}"),
            (Language::English, 3) => format!("{month:02}/{day:02}/{year}"),
            (Language::English, _) => format!("{day:02}-{month:02}-{year}"),
            (Language::Japanese, 3) => format!("令和{}年{month}月{day}日", year - 2018),
            (_, 3) => format!("{year}.{month:02}.{day:02}"),
            (_, _) => format!("{year}年{month}月{day}日"),
        }
    }

    fn price(&mut self) -> String {
        match self.language {
            Language::English => {
                self.filled(&["$##.99", "$1,2##.00", "€##,50", "£12,3##", "USD 4155550.##"])
            }
            Language::Chinese => {
                self.filled(&["¥1##.00", "##9元", "13,###.50元", "RMB 138###", "1380000元"])
            }
            Language::Japanese => self.filled(&["¥1,2##", "##,000円", "3980円", "￥12##", "090円"]),
        }
    }
}
