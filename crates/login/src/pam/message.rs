//! The protocol between the server and its helper: one packet per message.
//!
//! A request is its number, then name, address and secret, separated by NUL: the first two contain
//! none. A response is the number of its request, one byte of [`PamStatus`], and a text.

/// The largest packet: a name has 64 bytes, a secret 1024, a home 4096.
pub(super) const PACKET_BYTES_MAX: usize = 8192;

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PamRequest<'a> {
    pub(super) number: u32,
    pub(super) user: &'a str,
    pub(super) address: &'a str,
    pub(super) secret: &'a [u8],
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PamResponse {
    pub(super) status: PamStatus,
    /// For `Right` the home in the system's list of accounts, else why.
    pub(super) text: String,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PamStatus {
    Right,
    Unknown,
    Wrong,
    Locked,
    Expired,
    Busy,
    Broken,
}

impl PamStatus {
    const ALL: [(u8, Self); 7] = [
        (b'r', Self::Right),
        (b'u', Self::Unknown),
        (b'w', Self::Wrong),
        (b'l', Self::Locked),
        (b'e', Self::Expired),
        (b'b', Self::Busy),
        (b'x', Self::Broken),
    ];
}

impl<'a> PamRequest<'a> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let number = self.number.to_be_bytes();
        let (user, address) = (self.user.as_bytes(), self.address.as_bytes());
        [&number, user, &[0], address, &[0], self.secret].concat()
    }

    pub(super) fn from_bytes(packet: &'a [u8]) -> Option<Self> {
        let (number, rest) = packet.split_first_chunk()?;
        let mut parts = rest.splitn(3, |byte| *byte == 0);
        let (user, address, secret) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            number: u32::from_be_bytes(*number),
            user: std::str::from_utf8(user).ok()?,
            address: std::str::from_utf8(address).ok()?,
            secret,
        })
    }
}

impl PamResponse {
    pub(super) fn to_bytes(&self, number: u32) -> Vec<u8> {
        let status = PamStatus::ALL.iter().find(|(_, status)| *status == self.status);
        let status = status.map_or(b'x', |(byte, _)| *byte);
        let mut packet =
            [&number.to_be_bytes(), [status].as_slice(), self.text.as_bytes()].concat();
        packet.truncate(PACKET_BYTES_MAX);
        packet
    }

    pub(super) fn from_bytes(packet: &[u8]) -> Option<(u32, Self)> {
        let (number, rest) = packet.split_first_chunk()?;
        let (byte, text) = rest.split_first()?;
        let (_, status) = PamStatus::ALL.iter().find(|(known, _)| known == byte)?;
        let text = String::from_utf8_lossy(text).into_owned();
        Some((u32::from_be_bytes(*number), Self { status: *status, text }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_are_decoded_as_they_were_encoded(
            number: u32,
            user in "[^\0]{0,64}",
            secret in proptest::collection::vec(any::<u8>(), 0..1024),
        ) {
            let request = PamRequest { number, user: &user, address: "::1", secret: &secret };
            let packet = request.to_bytes();
            prop_assert!(packet.len() <= PACKET_BYTES_MAX);
            prop_assert_eq!(PamRequest::from_bytes(&packet), Some(request));
            for (_, status) in PamStatus::ALL {
                let response = PamResponse { status, text: user.clone() };
                let packet = response.to_bytes(number);
                prop_assert_eq!(PamResponse::from_bytes(&packet), Some((number, response)));
            }
        }

        #[test]
        fn no_packet_breaks_either_end(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = PamRequest::from_bytes(&packet);
            let _ = PamResponse::from_bytes(&packet);
        }
    }
}
