//! What the server and its helper say to each other: one packet, one message.
//!
//! A question is its number, then name, address and secret, divided by NUL: neither of the first
//! two holds one. An answer is the number of its question, one byte of [`Said`], and a text.

/// The largest packet: a name has 64 bytes, a secret 1024, a home 4096.
pub(super) const PACKET_BYTES_MAX: usize = 8192;

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub(super) number: u32,
    pub(super) user: &'a str,
    pub(super) address: &'a str,
    pub(super) secret: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) said: Said,
    /// For `Right` the home in the system's list of accounts, else why.
    pub(super) text: String,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Right,
    Unknown,
    Wrong,
    Locked,
    Expired,
    Busy,
    Broken,
}

impl Said {
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

impl<'a> Question<'a> {
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

impl Answer {
    pub(super) fn to_bytes(&self, number: u32) -> Vec<u8> {
        let said = Said::ALL.iter().find(|(_, said)| *said == self.said);
        let said = said.map_or(b'x', |(byte, _)| *byte);
        let mut packet = [&number.to_be_bytes(), [said].as_slice(), self.text.as_bytes()].concat();
        packet.truncate(PACKET_BYTES_MAX);
        packet
    }

    pub(super) fn from_bytes(packet: &[u8]) -> Option<(u32, Self)> {
        let (number, rest) = packet.split_first_chunk()?;
        let (byte, text) = rest.split_first()?;
        let (_, said) = Said::ALL.iter().find(|(known, _)| known == byte)?;
        let text = String::from_utf8_lossy(text).into_owned();
        Some((u32::from_be_bytes(*number), Self { said: *said, text }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_said_is_heard(
            number: u32,
            user in "[^\0]{0,64}",
            secret in proptest::collection::vec(any::<u8>(), 0..1024),
        ) {
            let question = Question { number, user: &user, address: "::1", secret: &secret };
            let packet = question.to_bytes();
            prop_assert!(packet.len() <= PACKET_BYTES_MAX);
            prop_assert_eq!(Question::from_bytes(&packet), Some(question));
            for (_, said) in Said::ALL {
                let answer = Answer { said, text: user.clone() };
                let packet = answer.to_bytes(number);
                prop_assert_eq!(Answer::from_bytes(&packet), Some((number, answer)));
            }
        }

        #[test]
        fn no_packet_breaks_either_end(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Question::from_bytes(&packet);
            let _ = Answer::from_bytes(&packet);
        }
    }
}
