use super::*;
use http::HeaderValue;
use proptest::prelude::*;

fn kept(text: &str) -> Kept {
    Kept { body: Bytes::copy_from_slice(text.as_bytes()), warnings: Warnings::default() }
}

fn cache(max_mb: u64, ttl_s: u64) -> Cache {
    Cache::of(&CacheConfig { max_mb, ttl_s }).unwrap()
}

fn wanted(lines: &[&'static str]) -> Wanted {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
    }
    Wanted::of(&headers)
}

#[test]
fn a_client_says_what_it_wants() {
    assert_eq!(wanted(&[]), Wanted::Kept);
    assert_eq!(wanted(&["max-age=0"]), Wanted::Kept);
    assert_eq!(wanted(&["No-Cache"]), Wanted::Fresh);
    assert_eq!(wanted(&["no-cache, no-store"]), Wanted::Nothing);
    assert_eq!(wanted(&["max-age=0", "no-store"]), Wanted::Nothing);
}

#[test]
fn an_answer_is_forgotten_after_its_time() {
    let (cache, now) = (cache(1, 60), Instant::now());
    let name = Digest::of(b"a");
    cache.keep(name.clone(), kept("one"), now);
    assert_eq!(cache.find(&name, now + Duration::from_secs(59)), Some(kept("one")));
    // A newer one counts from its own time, and the old one's end does not take it.
    cache.keep(name.clone(), kept("two"), now + Duration::from_secs(59));
    assert_eq!(cache.find(&name, now + Duration::from_secs(61)), Some(kept("two")));
    assert_eq!(cache.find(&name, now + Duration::from_secs(119)), None);
    let state = cache.state();
    assert_eq!((state.bytes, state.answers.len(), state.order.len()), (0, 0, 0));
}

#[test]
fn memory_has_a_bound() {
    let (cache, now) = (cache(1, 60), Instant::now());
    let large = "x".repeat(100_000);
    for n in 0..50_u64 {
        cache.keep(Digest::of(&n.to_le_bytes()), kept(&large), now + Duration::from_millis(n));
        assert!(cache.state().bytes <= 1 << 20);
    }
    assert!(cache.state().answers.len() >= 9, "{}", cache.state().answers.len());
    assert_eq!(cache.find(&Digest::of(&49_u64.to_le_bytes()), now), Some(kept(&large)));
    // Small answers cannot be kept in any number.
    for n in 0..10_000_u64 {
        cache.keep(Digest::of(&n.to_le_bytes()), kept("x"), now + Duration::from_secs(1));
    }
    assert!(cache.state().answers.len() <= (1 << 20) / ENTRY_BYTES);
    // One that would push out all others is not kept.
    let name = Digest::of(b"huge");
    cache.keep(name.clone(), kept(&"x".repeat(300_000)), now);
    assert_eq!(cache.find(&name, now), None);
    assert!(Cache::of(&CacheConfig::default()).is_none());
}

/// The parts of a request that its answer follows from.
fn parts() -> impl Strategy<Value = [Option<String>; 7]> {
    let text = "[a-c\0]{0,2}";
    let some = text.prop_map(Some);
    let maybe = prop::option::of(text);
    (maybe.clone(), maybe, some.clone(), some.clone(), some.clone(), some.clone(), some)
        .prop_map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g])
}

fn name(parts: &[Option<String>; 7]) -> Digest {
    let [tenant, key, arm, set, api, features, body] = parts.each_ref().map(Option::as_deref);
    let body = Digest::of(body.unwrap_or_default().as_bytes());
    Asked {
        tenant,
        key,
        arm: arm.unwrap_or_default(),
        set: set.unwrap_or_default(),
        api: api.unwrap_or_default(),
        features: features.unwrap_or_default().as_bytes(),
        body: &body,
    }
    .name()
}

proptest! {
    #[test]
    fn requests_that_differ_in_anything_have_no_answer_in_common(
        one in parts(),
        other in parts(),
        changed in 0_usize..7,
        is_near in any::<bool>(),
    ) {
        // Most pairs differ in one part alone.
        let mut near = one.clone();
        near[changed].clone_from(&other[changed]);
        let other = if is_near { near } else { other };
        // A tenant's keys are all its own.
        let counts = |parts: &[Option<String>; 7]| {
            let mut parts = parts.clone();
            if parts[0].is_some() {
                parts[1] = None;
            }
            parts
        };
        let cache = cache(1, 60);
        let now = Instant::now();
        cache.keep(name(&one), kept("mine"), now);
        let found = cache.find(&name(&other), now).is_some();
        prop_assert_eq!(found, counts(&one) == counts(&other));
    }
}
