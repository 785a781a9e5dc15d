use super::*;
use proptest::prelude::*;

/// A frame with these headers of texts.
pub(crate) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    for (name, value) in headers {
        coded.push(u8::try_from(name.len()).unwrap());
        coded.extend(name.as_bytes());
        coded.push(7);
        coded.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        coded.extend(value.as_bytes());
    }
    let length = u32::try_from(PRELUDE + coded.len() + payload.len() + CRC).unwrap();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(u32::try_from(coded.len()).unwrap().to_be_bytes());
    frame.extend(crc(&frame).to_be_bytes());
    frame.extend(coded);
    frame.extend(payload);
    frame.extend(crc(&frame).to_be_bytes());
    frame
}

fn said(name: &str, payload: &str) -> Vec<u8> {
    let headers =
        [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, payload.as_bytes())
}

fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<Event>, bool), Broken> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for part in parts {
        decoder.push(part);
        while let Some(event) = decoder.next_event()? {
            events.push(event);
        }
    }
    Ok((events, decoder.is_between()))
}

fn stream() -> Vec<u8> {
    let delta = r#"{"contentBlockIndex":0,"delta":{"text":"七天"}}"#;
    let mut stream = said("messageStart", r#"{"role":"assistant"}"#);
    stream.extend(said("contentBlockDelta", delta));
    stream.extend(frame(
        &[(":exception-type", "throttlingException"), (":message-type", "exception")],
        br#"{"message":"slow down"}"#,
    ));
    stream
}

/// The published check value of CRC-32.
#[test]
fn the_checksum_is_that_of_zlib() {
    assert_eq!(crc(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc(b""), 0);
}

#[test]
fn frames_become_events() {
    let (events, is_between) = read([&stream()[..]]).unwrap();
    let data: Vec<_> = events.iter().map(|e| std::str::from_utf8(&e.data).unwrap()).collect();
    assert_eq!(
        data,
        [
            r#"{"messageStart":{"role":"assistant"}}"#,
            r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"七天"}}}"#,
            r#"{"error":{"type":"throttlingException","message":"slow down"}}"#,
        ]
    );
    let are_errors: Vec<_> = events.iter().map(|event| event.is_error).collect();
    assert_eq!((are_errors, is_between), (vec![false, false, true], true));
}

#[test]
fn every_split_is_read_alike() {
    let stream = stream();
    let whole = read([&stream[..]]).unwrap();
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(read([head, tail]).unwrap(), whole, "split at {at}");
    }
    assert_eq!(read(stream.chunks(1)).unwrap(), whole, "byte by byte");
    let (_, is_between) = read([&stream[..stream.len() - 1]]).unwrap();
    assert!(!is_between, "what is cut is seen");
}

/// No flipped bit goes through: it is an error, or what is missing is waited for.
#[test]
fn every_flipped_bit_is_an_error() {
    let stream = said("contentBlockDelta", r#"{"delta":{"text":"七天"}}"#);
    for bit in 0..stream.len() * 8 {
        let mut flipped = stream.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read([&flipped[..]]), Err(Broken::Checksum), "bit {bit}");
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused_at_once() {
    let prelude = |length: u32, headers: u32| {
        let mut prelude = [length.to_be_bytes(), headers.to_be_bytes()].concat();
        prelude.extend(crc(&prelude).to_be_bytes());
        read([&prelude[..]])
    };
    assert_eq!(prelude(15, 0), Err(Broken::NoFrame));
    assert_eq!(prelude(16, 1), Err(Broken::NoFrame));
    assert_eq!(prelude(u32::try_from(FRAME_MAX).unwrap() + 1, 0), Err(Broken::TooLong));
    assert_eq!(prelude(u32::MAX, u32::MAX), Err(Broken::TooLong));
    assert_eq!(prelude(100, 20), Ok((Vec::new(), false)), "it may come");
    let odd = frame(&[], b"x");
    assert!(read([&odd[..]]).unwrap().0[0].is_error, "what does not say that it is an event");
}

proptest! {
    /// Nothing that comes is more than an error, however it is split.
    #[test]
    fn any_bytes_are_read_alike(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200,
    ) {
        let (head, tail) = bytes.split_at(at.min(bytes.len()));
        prop_assert_eq!(read([head, tail]), read([&bytes[..]]));
    }

    /// Payloads and names of any kind come through, in any pieces.
    #[test]
    fn what_is_framed_is_read(
        payload in ".{0,200}", name in "[a-zA-Z]{1,40}", piece in 1_usize..30,
    ) {
        let frame = said(&name, &payload);
        let (events, is_between) = read(frame.chunks(piece)).unwrap();
        prop_assert!(is_between && events.len() == 1);
        let expected = format!("{{\"{name}\":{payload}}}").into_bytes();
        prop_assert_eq!(&events[0].data, &expected);
    }
}
