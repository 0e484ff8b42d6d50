//! Checksum algorithms for files.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use wharf_core::hex;

/// A checksum algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
    Sha1,
    Md5,
    Crc32,
}

impl Algorithm {
    /// All algorithms; the first is the default of HASH.
    pub(crate) const EACH: &[Self] =
        &[Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5, Self::Crc32];

    /// As in the registry of draft-bryan-ftpext-hash.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Sha1 => "SHA-1",
            Self::Md5 => "MD5",
            Self::Crc32 => "CRC32",
        }
    }

    /// From its name, in any case.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let each = Self::EACH.iter().copied();
        each.into_iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    pub(crate) fn start(self) -> Digest {
        match self {
            Self::Sha256 => Digest::Sha256(Sha256::new()),
            Self::Sha512 => Digest::Sha512(Box::new(Sha512::new())),
            Self::Sha1 => Digest::Sha1(Sha1::new()),
            Self::Md5 => Digest::Md5(Md5::new()),
            Self::Crc32 => Digest::Crc32(crc32fast::Hasher::new()),
        }
    }
}

/// A checksum computation in progress.
pub(crate) enum Digest {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
    Sha1(Sha1),
    Md5(Md5),
    Crc32(crc32fast::Hasher),
}

impl Digest {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
            Self::Crc32(digest) => digest.update(bytes),
        }
    }

    /// The checksum in lower-case hexadecimal.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Sha256(digest) => hex(&digest.finalize()),
            Self::Sha512(digest) => hex(&digest.finalize()),
            Self::Sha1(digest) => hex(&digest.finalize()),
            Self::Md5(digest) => hex(&digest.finalize()),
            Self::Crc32(digest) => hex(&digest.finalize().to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_the_published_test_vectors() {
        for (algorithm, sum) in [
            (Algorithm::Crc32, "352441c2"),
            (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Algorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            let mut digest = algorithm.start();
            digest.update(b"a");
            digest.update(b"bc");
            assert_eq!(digest.finish(), sum);
            assert_eq!(
                Algorithm::named(algorithm.name().to_lowercase().as_bytes()),
                Some(algorithm)
            );
        }
        assert_eq!(Algorithm::named(b"SHA256"), None);
    }
}
