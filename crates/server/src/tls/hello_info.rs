//! Fields of a `ClientHello` that rustls does not expose: the versions, and all fields of a message
//! that rustls rejects.

const HEADER_BYTES: usize = 5;
const RANDOM_BYTES: usize = 32;
const SUPPORTED_VERSIONS: u16 = 43;
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

/// Fields of a `ClientHello`, parsed without rustls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHelloInfo {
    /// The versions that the client offers.
    pub(super) versions: Vec<u16>,
    /// Its cipher suites.
    pub(super) suites: Vec<u16>,
}

impl ClientHelloInfo {
    pub(super) fn has_tls_1_2(&self) -> bool {
        self.versions.contains(&TLS_1_2)
    }

    pub(super) fn has_tls_1_3(&self) -> bool {
        self.versions.contains(&TLS_1_3)
    }
}

/// Parses a `ClientHello` (RFC 8446 §4.1.2) from its records.
pub(super) fn shown(records: &[u8]) -> Option<ClientHelloInfo> {
    let mut message = Vec::with_capacity(records.len());
    let mut rest = records;
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let [_, _, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (body, others) = behind.split_at_checked(length)?;
        message.extend_from_slice(body);
        rest = others;
    }
    let mut fields = Fields(&message);
    let _kind_and_length = fields.take(4)?;
    let newest = fields.number()?;
    let _random = fields.take(RANDOM_BYTES)?;
    let _session = fields.short_list()?;
    let mut suites = Fields(fields.list()?);
    let suites = std::iter::from_fn(|| suites.number()).collect();
    let _compressions = fields.short_list()?;
    // Without extensions, the client supports TLS 1.2 at most.
    let mut extensions = Fields(fields.list().unwrap_or_default());
    while let Some(kind) = extensions.number() {
        let content = extensions.list()?;
        if kind == SUPPORTED_VERSIONS {
            let mut versions = Fields(Fields(content).short_list()?);
            let versions = std::iter::from_fn(|| versions.number()).collect();
            return Some(ClientHelloInfo { versions, suites });
        }
    }
    Some(ClientHelloInfo { versions: vec![newest.min(TLS_1_2)], suites })
}

/// A reader of consecutive fields of a TLS message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    /// A vector with a length of one byte.
    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(length.into())
    }

    /// A vector with a length of two bytes.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `ClientHello` with these versions, or without any, in one record.
    fn hello(newest: u16, versions: Option<&[u16]>) -> Vec<u8> {
        let mut body = newest.to_be_bytes().to_vec();
        body.extend([7; RANDOM_BYTES]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        if let Some(versions) = versions {
            let length = u8::try_from(2 * versions.len()).unwrap();
            let mut content = vec![length];
            content.extend(versions.iter().flat_map(|one| one.to_be_bytes()));
            // An unknown extension without content comes first.
            let mut extensions = vec![0xff, 0x01, 0, 0, 0, 43, 0, length + 1];
            extensions.extend(content);
            body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
            body.extend(extensions);
        }
        let length = u8::try_from(body.len()).unwrap();
        let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
        record.extend(body);
        record
    }

    #[test]
    fn the_versions_that_a_client_offers_are_read_from_its_first_message() {
        for (newest, versions, offered, has_tls_1_2) in [
            (0x0303, Some(&[0x0304, 0x0303][..]), &[0x0304, 0x0303][..], true),
            (0x0303, Some(&[0x0304]), &[0x0304], false),
            (0x0303, None, &[0x0303], true),
            (0x0302, None, &[0x0302], false),
        ] {
            let shown = shown(&hello(newest, versions)).unwrap();
            assert_eq!((&shown.versions[..], &shown.suites[..]), (offered, &[0x1301][..]));
            assert_eq!(shown.has_tls_1_2(), has_tls_1_2);
        }
        let whole = hello(0x0303, Some(&[0x0304, 0x0303]));
        for cut in 0..whole.len() {
            let _ = shown(&whole[..cut]);
        }
    }
}
