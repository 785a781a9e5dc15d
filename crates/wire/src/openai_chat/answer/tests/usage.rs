use super::*;
use crate::facts::Tier;

#[test]
fn tokens_of_the_cache_and_of_thoughts_are_read() {
    let check = |usage: &str, read: u64, write: u64, thought: u64| {
        let chunk = format!("{{\"choices\":[],\"usage\":{{{usage}}}}}").into_bytes();
        let found = chunk_piece(&chunk).unwrap();
        let expected = Usage {
            tokens_in: 10,
            tokens_out: 5,
            cache_read_in: read,
            cache_write_in: write,
            reasoning_out: thought,
            ..Usage::default()
        };
        assert_eq!(found.usage, Some(expected), "{usage}");
        assert_eq!(usual::chunk(&chunk), Some(found));
    };
    let counts = r#""prompt_tokens":10,"completion_tokens":5"#;
    check(counts, 0, 0, 0);
    let prompt = r#""prompt_tokens_details":{"cached_tokens":7,"cache_write_tokens":2}"#;
    let answer = r#""completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":null}"#;
    check(&format!("{counts},{prompt},{answer}"), 7, 2, 4);
    // More than there were is no more than there were.
    let prompt = r#""prompt_tokens_details":{"cached_tokens":700}"#;
    let answer = r#""completion_tokens_details":{"reasoning_tokens":400}"#;
    check(&format!("{counts},{prompt},{answer}"), 10, 0, 5);
    check(&format!("{counts},\"prompt_tokens_details\":null"), 0, 0, 0);
}

#[test]
fn both_readers_read_the_tier_and_sound_alike() {
    let details = r#""prompt_tokens_details":{"audio_tokens":3},
        "completion_tokens_details":{"audio_tokens":900}"#;
    for (tier, expected) in [
        (r#""flex""#, Tier::Flex),
        (r#""Priority ""#, Tier::Priority),
        (r#""default""#, Tier::Standard),
        (r#""new-one""#, Tier::Other),
        ("null", Tier::Standard),
        ("7", Tier::Standard),
    ] {
        let chunk = format!(
            r#"{{"choices":[],"service_tier":{tier},
            "usage":{{"prompt_tokens":10,"completion_tokens":5,{details}}}}}"#
        );
        let found = chunk_piece(chunk.as_bytes()).unwrap();
        let usage = found.usage.unwrap();
        assert_eq!((usage.tier, usage.audio_in, usage.audio_out), (expected, 3, 5), "{tier}");
        assert!(usual::chunk(chunk.as_bytes()).is_none_or(|usual| usual == found), "{tier}");
    }
}
