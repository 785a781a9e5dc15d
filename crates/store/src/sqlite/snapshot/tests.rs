use super::*;
use proptest::prelude::*;
use std::time::Duration;
use tidegate_core::retrieval::{chunks, terms};

const LONG: Duration = Duration::from_secs(60);

fn write(
    folder: &Path,
    version: &str,
    documents: &[(&str, &str)],
    pages_max: Option<u32>,
) -> Result<Written> {
    let mut writer = SnapshotWriter::begin(folder, (version, 60), pages_max)?;
    for (path, text) in documents {
        writer.add(path, &chunks(text, 60))?;
    }
    writer.finish(&folder.join(format!("{version}.db")))
}

fn built(folder: &Path, documents: &[(&str, &str)]) -> Snapshot {
    write(folder, "v1", documents, None).unwrap();
    Snapshot::open(&folder.join("v1.db")).unwrap()
}

fn found(snapshot: &Snapshot, question: &str) -> Vec<String> {
    let found = snapshot.search(&terms(question), 5, LONG).unwrap();
    found.into_iter().map(|found| found.id.as_str().to_owned()).collect()
}

const SHOP: &[(&str, &str)] = &[
    (
        "refunds.md",
        "# Refunds\nAn unused bicycle may be returned within 30 days.\n\n\
         未骑过的自行车可在三十天内退货。退款原路返回。",
    ),
    (
        "shipping.md",
        "# Shipping\nDelivery takes five days. Customs duties are paid by the buyer.\n\n\
         配送需要五天。关税由买家支付。配達は五日かかります。",
    ),
    (
        "warranty.md",
        "# Warranty\nThe frame has a warranty of five years, the battery of an e-bike 2. AI 5G\n\n\
         车架保修五年，电池两年。保証は五年です。จักรยานรับประกันห้าปี",
    ),
];

#[test]
fn a_question_finds_its_text_in_each_language() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = built(folder.path(), SHOP);
    let check = |question: &str, document: &str| {
        let found = found(&snapshot, question);
        assert!(found.first().is_some_and(|id| id.starts_with(document)), "{question}: {found:?}");
    };
    check("Can I return an unused bike?", "refunds.md");
    check("refund", "refunds.md");
    check("how long is delivery", "shipping.md");
    check("batteries", "warranty.md");
    // Two characters, and one.
    check("退货", "refunds.md");
    check("退款", "refunds.md");
    check("税", "shipping.md");
    check("关税谁付？", "shipping.md");
    check("可以退货吗", "refunds.md");
    check("保証", "warranty.md");
    check("配達はいつですか", "shipping.md");
    check("5G", "warranty.md");
    check("รับประกัน", "warranty.md");
    // Full width, and letters of another case.
    check("ＤＥＬＩＶＥＲＹ", "shipping.md");
    assert_eq!(found(&snapshot, "xylophone"), Vec::<String>::new());
    assert_eq!(found(&snapshot, ""), Vec::<String>::new());
    assert_eq!(found(&snapshot, "\" OR * NEAR( - ^"), Vec::<String>::new());
}

#[test]
fn what_is_found_is_the_text_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = built(folder.path(), SHOP);
    let hit = snapshot.search(&terms("退款原路"), 1, LONG).unwrap().remove(0);
    assert!(hit.text.contains("退款原路返回。"), "{}", hit.text);
    assert_eq!(hit.document, "refunds.md");
    assert_eq!(snapshot.chunk(&hit.id).unwrap(), Some(hit.text));
    for unknown in ["refunds.md#99", "other.md#1", "refunds.md", "#", "refunds.md#x"] {
        assert_eq!(snapshot.chunk(&ChunkId::given(unknown)).unwrap(), None, "{unknown}");
    }
    let documents = snapshot.documents().unwrap();
    let paths: Vec<&str> = documents.iter().map(|document| document.path.as_str()).collect();
    assert_eq!(paths, ["refunds.md", "shipping.md", "warranty.md"]);
    assert_eq!(documents.iter().map(|d| d.chunks).sum::<u64>(), snapshot.about().chunks);
}

#[test]
fn the_digest_follows_from_the_content_alone() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let of = |folder: &Path, version: &str, documents: &[(&str, &str)]| match write(
        folder, version, documents, None,
    )
    .unwrap()
    {
        Written::New(about) | Written::Same(about) => about.digest,
    };
    let first = of(one.path(), "v1", SHOP);
    assert_eq!(first, of(two.path(), "v2", SHOP));
    assert_ne!(first, of(two.path(), "v3", &SHOP[..2]));
    assert_ne!(first, of(two.path(), "v4", &[("a.md", SHOP[0].1), SHOP[1], SHOP[2]]));
}

#[test]
fn a_version_is_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    let first = built(folder.path(), SHOP);
    let before = std::fs::read(folder.path().join("v1.db")).unwrap();
    let again = write(folder.path(), "v1", SHOP, None).unwrap();
    assert_eq!(again, Written::Same(first.about().clone()));
    let other = write(folder.path(), "v1", &SHOP[..2], None).unwrap_err();
    assert_eq!(other.kind, Kind::Refused);
    assert!(other.message.contains("is built already from other content"), "{other}");
    assert_eq!(std::fs::read(folder.path().join("v1.db")).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_was_not_finished_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = SnapshotWriter::begin(folder.path(), ("v1", 60), None).unwrap();
    writer.add("a.md", &["text"]).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let full = write(folder.path(), "v1", SHOP, Some(12)).unwrap_err();
    assert_eq!(full.kind, Kind::NoRoom);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = Snapshot::open(&folder.path().join("v1.db")).unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound);
}

#[test]
fn whatever_byte_is_damaged_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    drop(built(folder.path(), SHOP));
    let whole = std::fs::read(folder.path().join("v1.db")).unwrap();
    let path = folder.path().join("damaged.db");
    let mut unseen = Vec::new();
    // A stride that meets every page, and not only its start.
    for at in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        // Unused space of a page, and the header's counters, hold nothing that is read.
        if let Ok(snapshot) = Snapshot::open(&path) {
            let found = found(&snapshot, "退货 return delivery");
            assert!(found.iter().any(|id| id.starts_with("refunds.md")), "byte {at}: {found:?}");
            unseen.push(at);
        }
    }
    assert!(unseen.len() < whole.len() / 997, "nothing was seen");
    for length in [0, 100, 4096, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(Snapshot::open(&path).is_err(), "{length} bytes");
    }
    std::fs::write(&path, "not a database, but long enough to be read as one".repeat(100)).unwrap();
    assert_eq!(Snapshot::open(&path).unwrap_err().kind, Kind::Foreign);
}

#[test]
fn a_search_ends_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let text = "the bicycle returns within days. 可以退货。 ".repeat(4_000);
    let snapshot = built(folder.path(), &[("large.md", &text)]);
    let late = snapshot.search(&terms("the bicycle returns"), 5, Duration::ZERO).unwrap_err();
    assert_eq!(late.kind, Kind::Busy);
    // The connection serves the next question all the same.
    assert_eq!(snapshot.search(&terms("the bicycle"), 5, LONG).unwrap().len(), 5);
}

#[test]
fn questions_are_answered_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = built(folder.path(), SHOP);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(found(&snapshot, "退货")[0].starts_with("refunds.md"));
                }
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_stretch_of_a_chunk_is_asked_for_is_found(
        text in "[退货款自行车骑过三十天内可]{8,60}",
        at in 0_usize..50,
        length in 1_usize..8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = built(folder.path(), &[("a.md", &text), ("b.md", "unrelated")]);
        let chars: Vec<char> = text.chars().collect();
        let at = at % chars.len();
        let asked: String = chars[at..chars.len().min(at + length)].iter().collect();
        let found = found(&snapshot, &asked);
        prop_assert!(found.iter().any(|id| id.starts_with("a.md")), "{asked} in {text}: {found:?}");
    }
}

/// A vector of three numbers for a text: what of bicycles, parcels and money is in it.
fn meaning(text: &str) -> Vec<f32> {
    let has = |words: &[&str]| f32::from(u8::from(words.iter().any(|word| text.contains(word))));
    vec![has(&["bicycle", "bike"]), has(&["Delivery", "parcel"]), has(&["Customs", "fee"]) + 0.01]
}

fn built_with_meanings(folder: &Path, version: &str, model: &str) -> Result<Snapshot> {
    let mut writer = SnapshotWriter::begin(folder, (version, 60), None)?;
    for (path, text) in SHOP {
        let chunks = chunks(text, 60);
        let vectors: Vec<Vec<f32>> = chunks.iter().map(|chunk| meaning(chunk)).collect();
        writer.add_embedded(path, &chunks, (model, &vectors))?;
    }
    let place = folder.join(format!("{version}.db"));
    writer.finish(&place)?;
    Snapshot::open(&place)
}

#[test]
fn what_is_near_in_meaning_is_found_without_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = built_with_meanings(folder.path(), "v1", "e1").unwrap();
    let embedded = Embedded { model: "e1".to_owned(), dimensions: 3 };
    assert_eq!(snapshot.about().embedded, Some(embedded));
    let question = "wo ist mein parcel";
    assert_eq!(found(&snapshot, question), [] as [&str; 0]);
    let near = |vector: &[f32]| {
        let found = snapshot.search_near(&terms(question), Some(vector), 2, LONG).unwrap();
        found.into_iter().map(|found| found.text).collect::<Vec<_>>()
    };
    assert!(near(&meaning(question))[0].contains("Delivery"), "{:?}", near(&meaning(question)));
    // A vector of another model is none.
    assert_eq!(near(&[1.0, 0.0]), [] as [&str; 0]);
}

#[test]
fn the_digest_has_the_model_and_a_damaged_vector_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let plain = built(folder.path(), SHOP).about().digest.clone();
    let of = |version: &str, model: &str| {
        built_with_meanings(folder.path(), version, model).unwrap().about().digest.clone()
    };
    let (one, again, other) = (of("v2", "e1"), of("v3", "e1"), of("v4", "e2"));
    assert!(one == again && one != other && one != plain);
    let place = folder.path().join("v2.db");
    let copy = folder.path().join("copy.db");
    std::fs::write(&copy, std::fs::read(&place).unwrap()).unwrap();
    let changed = Connection::open(&copy).unwrap();
    changed.execute("UPDATE vectors SET vector = zeroblob(6) WHERE id = 1", []).unwrap();
    drop(changed);
    assert_eq!(Snapshot::open(&copy).unwrap_err().kind, Kind::Damaged);
}

#[test]
fn vectors_that_are_not_alike_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = SnapshotWriter::begin(folder.path(), ("v1", 60), None).unwrap();
    let mut add = |vectors: &[Vec<f32>]| {
        writer.add_embedded("a.md", &["one", "two"], ("e1", vectors)).unwrap_err().kind
    };
    assert_eq!(add(&[vec![1.0, 2.0], vec![1.0]]), Kind::Refused);
    assert_eq!(add(&[vec![1.0, 2.0]]), Kind::Refused);
    assert_eq!(add(&[vec![], vec![]]), Kind::Refused);
}
