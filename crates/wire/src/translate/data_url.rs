//! `data:` URLs (RFC 2397) in base64, as clients send pictures and files.

/// A file in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataUrl<'a> {
    /// Its type, without parameters.
    pub(super) media_type: &'a str,
    /// Its bytes, in base64.
    pub(super) data: &'a str,
}

impl<'a> DataUrl<'a> {
    /// Reads a URL; `None` when it is none of this form.
    pub(super) fn parse(url: &'a str) -> Option<DataUrl<'a>> {
        let (head, data) = url.split_once(',')?;
        let (scheme, rest) = head.split_once(':')?;
        let parameters = rest.strip_suffix(";base64")?;
        let media_type = parameters.split(';').next().unwrap_or_default();
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b);
        let fits = scheme.eq_ignore_ascii_case("data") && data.bytes().all(is_base64);
        (fits && !data.is_empty()).then_some(DataUrl { media_type, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url, expected: Option<(&str, &str)>| {
            let found = DataUrl::parse(url).map(|url| (url.media_type, url.data));
            assert_eq!(found, expected, "{url}");
        };
        check("data:image/png;base64,iVBOR+/=", Some(("image/png", "iVBOR+/=")));
        check("DATA:text/plain;charset=utf-8;base64,5paH", Some(("text/plain", "5paH")));
        check("data:;base64,AA", Some(("", "AA")));
        check("data:image/png;base64,", None);
        check("data:image/png,AA", None);
        check("data:image/png;base64,图", None);
        check("https://example.com/a,b", None);
        check("", None);
    }
}
