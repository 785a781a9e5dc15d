//! The words right before a number, which say what it is: an order's number, a phone's, a person's.

/// How far before a number its label may begin, in bytes.
const LABEL_BYTES: usize = 48;

/// Words that make a number a business's, not a person's.
const OTHERS: [&str; 86] = [
    "order",
    "orders",
    "tracking",
    "invoice",
    "receipt",
    "reference",
    "ref",
    "transaction",
    "txn",
    "ticket",
    "case",
    "case id",
    "parcel",
    "shipment",
    "waybill",
    "batch",
    "serial",
    "sku",
    "isbn",
    "imei",
    "commit",
    "build",
    "version",
    "timestamp",
    "ts",
    "request",
    "trace",
    "session",
    "message",
    "job",
    "task",
    "product",
    "item",
    "model",
    "单号",
    "订单",
    "訂單",
    "单",
    "编号",
    "編號",
    "流水",
    "交易",
    "运单",
    "快递",
    "物流",
    "发票",
    "發票",
    "工单",
    "序列",
    "注文",
    "受注",
    "伝票",
    "追跡",
    "問い合わせ",
    "管理",
    "商品",
    "part",
    "part no.",
    "p/n",
    "pn",
    "mpn",
    "ean",
    "upc",
    "gtin",
    "barcode",
    "contract",
    "policy",
    "claim",
    "docket",
    "型号",
    "型號",
    "物料",
    "料号",
    "条码",
    "条形码",
    "合同",
    "批次",
    "型番",
    "品番",
    "部品",
    "契約",
    "製造",
    "コード",
    "荷物",
    "請求書",
    "受付番号",
];

/// Words between a label and its number that say nothing more.
const FILLERS: [&str; 22] = [
    " ", ":", "#", "=", "\"", "'", "`", "*", "(", "（", "：", "_", "no.", "no", "nr", "number",
    "id", "is", "是", "为", "は", "の",
];
/// The same in Chinese and Japanese, where they are a part of the word before.
const SUFFIXES: [&str; 5] = ["号码", "番号", "号", "號", "码"];

/// Words that make digits a phone's.
const PHONES: [&str; 36] = [
    "tel",
    "tel.",
    "telephone",
    "phone",
    "phones",
    "mobile",
    "cell",
    "cellphone",
    "whatsapp",
    "wechat",
    "call",
    "call me",
    "call me at",
    "call me on",
    "reach me at",
    "reach me on",
    "text me at",
    "text me on",
    "ring me on",
    "contact me at",
    "contact me on",
    "contact",
    "电话",
    "電話",
    "手机",
    "手機",
    "行動電話",
    "携帯",
    "联系方式",
    "联络",
    "聯絡",
    "連絡先",
    "连络",
    "微信",
    "致电",
    "ケータイ",
];

const CARDS: [&str; 8] = ["card", "visa", "mastercard", "amex", "卡", "カード", "银联", "銀聯"];

const MY_NUMBERS: [&str; 6] =
    ["マイナンバー", "個人番号", "個人ナンバー", "my number", "mynumber", "my-number"];
const SSNS: [&str; 5] = ["ssn", "social security", "social-security", "社会安全号", "社会保障番号"];
const PASSPORTS: [&str; 5] = ["passport", "护照", "護照", "パスポート", "旅券"];

/// Whether the number after this text is an order's, a parcel's or a build's, not a person's.
pub(super) fn is_of_business(before: &str) -> bool {
    is_said(before, &OTHERS)
}

/// Whether the number after this text is said to be a phone's.
pub(super) fn is_phone(before: &str) -> bool {
    is_said(before, &PHONES)
}

/// Whether a card is spoken of before the number.
pub(super) fn is_card(before: &str) -> bool {
    holds_any(before, &CARDS)
}

/// Whether a Japanese individual number is spoken of before the number.
pub(super) fn is_my_number(before: &str) -> bool {
    holds_any(before, &MY_NUMBERS)
}

/// Whether an American social security number is spoken of before the number.
pub(super) fn is_ssn(before: &str) -> bool {
    holds_any(before, &SSNS)
}

/// Whether a passport is spoken of before the number.
pub(super) fn is_passport(before: &str) -> bool {
    holds_any(before, &PASSPORTS)
}

/// The last words before a number, lower-case, within its sentence.
fn near(before: &str) -> String {
    let mut from = before.len().saturating_sub(LABEL_BYTES);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let near = before[from..].to_lowercase();
    let sentence = near.rsplit(['\n', '。', ';', '；']).next().unwrap_or_default();
    sentence.replace('_', " ")
}

/// Whether the text ends with one of the words, ignoring what is between it and its number.
fn is_said(before: &str, words: &[&str]) -> bool {
    let near = near(before);
    let mut label = near.as_str();
    loop {
        if ends_with_any(label, words) {
            return true;
        }
        match shorter(label) {
            Some(rest) => label = rest,
            None => return false,
        }
    }
}

/// The label without its last sign or empty word.
fn shorter(label: &str) -> Option<&str> {
    let filler = FILLERS.iter().find_map(|filler| {
        let rest = label.strip_suffix(filler)?;
        let is_word = filler.chars().all(|c| c.is_ascii_alphabetic() || c == '.');
        let cuts_a_word = is_word && rest.ends_with(|c: char| c.is_ascii_alphanumeric());
        (!cuts_a_word).then_some(rest)
    });
    filler.or_else(|| SUFFIXES.iter().find_map(|suffix| label.strip_suffix(suffix)))
}

fn ends_with_any(label: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        label.strip_suffix(word).is_some_and(|rest| {
            !(word.is_ascii() && rest.ends_with(|c: char| c.is_ascii_alphanumeric()))
        })
    })
}

fn holds_any(before: &str, words: &[&str]) -> bool {
    let near = near(before);
    words.iter().any(|word| {
        near.match_indices(word).any(|(at, _)| {
            !(word.is_ascii() && near[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_number_is_said_to_be() {
        for before in [
            "order ",
            "Order no. ",
            "your order number is ",
            "订单号",
            "订单编号：",
            "\"order_id\": \"",
            "ご注文番号：",
            "tracking #",
            "伝票番号 ",
            "ref: ",
            "运单号是",
        ] {
            assert!(is_of_business(before), "{before}");
            assert!(!is_phone(before), "{before}");
        }
        for before in
            ["tel:", "Phone number: ", "call me at ", "手机号码：", "電話番号は", "联系电话 "]
        {
            assert!(is_phone(before), "{before}");
            assert!(!is_of_business(before), "{before}");
        }
        for before in ["in order to ", "iPhone ", "border ", "hotel ", "", "我的"] {
            assert!(!is_phone(before) && !is_of_business(before), "{before}");
        }
        assert!(is_ssn("my social security number is ") && !is_ssn("the assn "));
        assert!(is_my_number("マイナンバー（個人番号）は") && !is_my_number("番号は"));
    }
}
