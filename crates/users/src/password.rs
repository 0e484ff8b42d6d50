//! Password hashes: new ones, and the formats of other servers.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64, Base64Unpadded, Encoding};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::md5_crypt;

/// The longest password in bytes. Longer ones are rejected without any work.
pub const SECRET_BYTES_MAX: usize = 1024;
/// The memory of new hashes in KiB: 19 MiB, as OWASP recommends for Argon2id with two passes.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// The passes of new hashes.
pub const ARGON2_PASSES: u32 = 2;
/// The parallelism of new hashes.
pub const ARGON2_LANES: u32 = 1;
/// The most memory of a stored Argon2id or yescrypt hash: 128 MiB in KiB. Several hashes run
/// concurrently, so one that needs more could exhaust the machine.
pub const STORED_MEMORY_KIB_MAX: u32 = 128 * 1024;
/// The most passes of a stored Argon2id hash with the most memory: about two seconds. With less
/// memory more passes are allowed: `pure-pw` creates hashes with 8 MiB and 255 passes.
pub const STORED_PASSES_MAX: u32 = 16;
/// The highest parallelism of a stored Argon2id hash.
pub const STORED_LANES_MAX: u32 = 16;
/// The highest cost of a stored bcrypt hash: about one second.
pub const STORED_BCRYPT_COST_MAX: u32 = 14;
/// The most rounds of a stored `$5$` or `$6$` hash: about one second.
pub const STORED_SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;
/// The longest stored hash in bytes; the longest real ones have about 140.
pub const STORED_BYTES_MAX: usize = 512;

/// The result of verifying a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is the password.
    Right,
    /// It is the password, and the hash is weaker than that of [`hash_new`]: store a new one.
    RightButOld,
    /// It is not the password.
    Wrong,
    /// The hash is empty, unknown, damaged, or exceeds the `STORED_*_MAX` bounds. No password
    /// matches it.
    Unreadable,
}

/// A new hash cannot be created: no random bytes or no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFailed;

impl std::fmt::Display for HashFailed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("cannot create a password hash: no random bytes or memory available")
    }
}

impl std::error::Error for HashFailed {}

/// Hashes a password with Argon2id and a random salt, as a PHC string of about 97 letters.
///
/// Takes tens of milliseconds and 19 MiB: on a server, use
/// [`Hasher::hash_new`](crate::hasher::Hasher::hash_new).
///
/// # Errors
/// The system has no random bytes or no memory.
pub fn hash_new(secret: &[u8]) -> Result<String, HashFailed> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| HashFailed)?;
    let parameters = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None)
        .map_err(|_| HashFailed)?;
    let mut hash = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    run(&argon2, secret, &salt, hash.as_mut_slice()).ok_or(HashFailed)?;
    let cost = format!("m={ARGON2_MEMORY_KIB},t={ARGON2_PASSES},p={ARGON2_LANES}");
    let encoded = |bytes: &[u8]| Base64Unpadded::encode_string(bytes);
    Ok(format!("$argon2id$v=19${cost}${}${}", encoded(&salt), encoded(hash.as_slice())))
}

/// Computes the hash into `out`.
///
/// The memory is allocated by the system for each hash and returned to it. glibc caches freed
/// chunks up to [`MMAP_THRESHOLD_MAX`], and does not reuse one with the alignment of Argon2 blocks:
/// each login would leak 19 MiB. So the capacity is above that threshold; its unused part is never
/// touched and costs nothing.
fn run(argon2: &Argon2<'_>, secret: &[u8], salt: &[u8], out: &mut [u8]) -> Option<()> {
    let blocks = argon2.params().block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks.max(MMAP_THRESHOLD_MAX / Block::SIZE + 1)).ok()?;
    memory.resize(blocks, Block::new());
    argon2.hash_password_into_with_memory(secret, salt, out, memory.as_mut_slice()).ok()
}

/// `DEFAULT_MMAP_THRESHOLD_MAX` of glibc on systems of 64 bits.
const MMAP_THRESHOLD_MAX: usize = 32 << 20;

/// Verifies `secret` against the hash `stored`.
///
/// Supported formats: Argon2id (`$argon2id$`), bcrypt (`$2a$`, `$2b$`, `$2y$`), SHA-crypt (`$5$`,
/// `$6$`), yescrypt (`$y$`), MD5-crypt (`$1$`), and salted SHA of LDAP (`{SSHA}`, `{SSHA256}`,
/// `{SSHA512}`). Results are compared in constant time. Takes as long as the parameters of the hash
/// require, within the bounds above.
pub fn verify(stored: &str, secret: &[u8]) -> Verified {
    if stored.len() > STORED_BYTES_MAX || !stored.is_ascii() {
        return Verified::Unreadable;
    }
    if secret.len() > SECRET_BYTES_MAX {
        return Verified::Wrong;
    }
    let kind = KINDS.iter().find(|(prefix, _)| stored.starts_with(prefix));
    kind.and_then(|(_, check)| check(stored, secret)).unwrap_or(Verified::Unreadable)
}

/// Whether [`verify`] supports this format, by its prefix alone. For error messages when a password
/// is written where a hash is expected.
pub fn looks_like_hash(text: &str) -> bool {
    KINDS.iter().any(|(prefix, _)| text.starts_with(prefix))
}

/// A hash of an unknown password, with the cost of a new hash. Verifying it for an unknown name
/// takes as long as verifying the password of a known one.
pub(crate) const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$+KhMn2K9D1lIaCs9z1vcEQ$\
    N9e59WylKXdEu27q7HQaHxZgmALzFC6OpZM9IPDaT5o";

/// Whether checking this hash costs exactly what checking the decoy costs.
pub(crate) fn has_current_cost(stored: &str) -> bool {
    let cost = |hash: &str| hash.rsplitn(3, '$').nth(2).map(str::to_owned);
    cost(stored) == cost(DUMMY_HASH)
}

/// Whether checking this hash takes no time worth a thread of its own.
pub(crate) fn is_cheap(stored: &str) -> bool {
    stored.starts_with("{SSHA")
}

/// Checks a password against one kind of hash; nothing where the hash is not to be trusted.
type VerifyFn = fn(&str, &[u8]) -> Option<Verified>;

const KINDS: &[(&str, VerifyFn)] = &[
    ("$argon2id$", argon2id),
    ("$2a$", bcrypt),
    ("$2b$", bcrypt),
    ("$2y$", bcrypt),
    ("$5$", |stored, secret| sha_crypt(stored, secret, 43)),
    ("$6$", |stored, secret| sha_crypt(stored, secret, 86)),
    ("$y$", yescrypt),
    ("$1$", md5_crypt),
    ("{SSHA}", |stored, secret| salted::<Sha1>(stored, secret)),
    ("{SSHA256}", |stored, secret| salted::<Sha256>(stored, secret)),
    ("{SSHA512}", |stored, secret| salted::<Sha512>(stored, secret)),
];

fn argon2id(stored: &str, secret: &[u8]) -> Option<Verified> {
    let hash = PasswordHash::new(stored).ok()?;
    let version = Version::try_from(hash.version?).ok()?;
    let parameters = Params::try_from(&hash).ok()?;
    let (memory, passes, lanes) = (parameters.m_cost(), parameters.t_cost(), parameters.p_cost());
    let work = |memory: u32, passes: u32| u64::from(memory) * u64::from(passes);
    let is_bounded = memory <= STORED_MEMORY_KIB_MAX
        && work(memory, passes) <= work(STORED_MEMORY_KIB_MAX, STORED_PASSES_MAX)
        && lanes <= STORED_LANES_MAX;
    let expected = hash.hash?;
    // A short result would be met by chance, an empty one by everything.
    if !is_bounded || expected.len() < 16 || hash.algorithm.as_str() != "argon2id" {
        return None;
    }
    let mut found = Zeroizing::new(vec![0; expected.len()]);
    let argon2 = Argon2::new(Algorithm::Argon2id, version, parameters);
    run(&argon2, secret, hash.salt?.as_ref(), &mut found)?;
    let is_right = bool::from(found.ct_eq(expected.as_bytes()));
    let is_old = version != Version::V0x13
        || memory < ARGON2_MEMORY_KIB
        || work(memory, passes) < work(ARGON2_MEMORY_KIB, ARGON2_PASSES);
    Some(match (is_right, is_old) {
        (false, _) => Verified::Wrong,
        (true, true) => Verified::RightButOld,
        (true, false) => Verified::Right,
    })
}

fn bcrypt(stored: &str, secret: &[u8]) -> Option<Verified> {
    let parts: ::bcrypt::HashParts = stored.parse().ok()?;
    // The library also reads the cost `+5`.
    let has_digits = stored.get(4..6).is_some_and(is_digits);
    if !has_digits || !(4..=STORED_BCRYPT_COST_MAX).contains(&parts.get_cost()) {
        return None;
    }
    // bcrypt ignores everything after 72 bytes, here as on every other server.
    ::bcrypt::verify(secret, stored).ok().map(valid_but_old)
}

/// `$6$rounds=5000$salt$result`; the rounds may be missing, the result has `result_letters`.
fn sha_crypt(stored: &str, secret: &[u8], result_letters: usize) -> Option<Verified> {
    use sha_crypt::{PasswordVerifier, ShaCrypt};
    let mut fields = stored.split('$').skip(2);
    let mut salt = fields.next()?;
    if let Some(rounds) = salt.strip_prefix("rounds=") {
        let rounds: u32 = rounds.parse().ok().filter(|_| is_digits(rounds))?;
        let rounds_min = sha_crypt::Params::ROUNDS_MIN;
        if !(rounds_min..=STORED_SHA_CRYPT_ROUNDS_MAX).contains(&rounds) {
            return None;
        }
        salt = fields.next()?;
    }
    let result = fields.next()?;
    if salt.is_empty() || result.len() != result_letters || fields.next().is_some() {
        return None;
    }
    answer(ShaCrypt::default().verify_password(secret, stored))
}

/// `$y$j9T$salt$result`: the middle contains flavour, memory and block size in its own digits.
fn yescrypt(stored: &str, secret: &[u8]) -> Option<Verified> {
    use ::yescrypt::{Mode, Params, PasswordVerifier, Yescrypt};
    let mut fields = stored.split('$').skip(2);
    let (written, salt, result) = (fields.next()?, fields.next()?, fields.next()?);
    // The result is 32 bytes. The library compares only the bytes that are present, so a truncated
    // result would match other passwords, and an empty one all.
    if salt.is_empty() || result.len() != 43 || fields.next().is_some() {
        return None;
    }
    let parameters: Params = written.parse().ok()?;
    let kib = parameters.n().checked_mul(u64::from(parameters.r()))? / 8;
    if kib > u64::from(STORED_MEMORY_KIB_MAX) || parameters.p() != 1 {
        return None;
    }
    // Encoded again from the bounded parameters, it must be the same: optional parameters that cost
    // more time, such as `t`, are rejected.
    let plain = Params::new(Mode::Rw, parameters.n(), parameters.r(), 1).ok()?;
    if plain.to_string() != written {
        return None;
    }
    answer(Yescrypt::default().verify_password(secret, stored))
}

/// `$1$salt$result`
fn md5_crypt(stored: &str, secret: &[u8]) -> Option<Verified> {
    let mut fields = stored.split('$').skip(2);
    let (salt, result) = (fields.next()?, fields.next()?);
    if salt.is_empty() || result.len() != md5_crypt::RESULT_LETTERS || fields.next().is_some() {
        return None;
    }
    let found = Zeroizing::new(md5_crypt::result(secret, salt.as_bytes()));
    Some(valid_but_old(bool::from(found.as_bytes().ct_eq(result.as_bytes()))))
}

/// `{SSHA}` and Base64 of the digest of password and salt, then the salt.
fn salted<Hash: Digest>(stored: &str, secret: &[u8]) -> Option<Verified> {
    let (_, encoded) = stored.split_once('}')?;
    let bytes = Base64::decode_vec(encoded).ok()?;
    let (digest, salt) = bytes.split_at_checked(<Hash as Digest>::output_size())?;
    if salt.is_empty() {
        return None;
    }
    let found = Hash::new().chain_update(secret).chain_update(salt).finalize();
    Some(valid_but_old(bool::from(found.ct_eq(digest))))
}

/// Whether it is a number as hashes have it: reading a number accepts a sign as well.
fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The result for every format that is no longer created.
fn valid_but_old(is_right: bool) -> Verified {
    if is_right { Verified::RightButOld } else { Verified::Wrong }
}

fn answer(result: Result<(), argon2::password_hash::Error>) -> Option<Verified> {
    match result {
        Ok(()) => Some(Verified::RightButOld),
        Err(argon2::password_hash::Error::PasswordInvalid) => Some(Verified::Wrong),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &[u8] = "Pier 39, Zürich".as_bytes();

    /// Created with mkpasswd 5.5 (libxcrypt), OpenSSL, argon2-cffi, and Python's hashlib and
    /// bcrypt.
    const OLD: &[&str] = &[
        "$argon2id$v=19$m=8192,t=1,p=1$W5agE+YBvbUeJDZFAxOnHw$4t7Qz0A9RfCMp5F5wS9D24HU6uytxeNG/XshUg/UzPw",
        "$argon2id$v=19$m=19456,t=1,p=1$s/YMo1zD3sN6MejClgfWUA$MzOWUVGTUFZeD1DD1gWtOlu2iFXwyNiwF7Rl3LALmds",
        "$argon2id$v=16$m=19456,t=2,p=1$npCUinMBX43ShsryIbPCZw$49XiYkP/EAT+gnAJuGX9i/nJAQb6fmQpZMcKHPfH0x0",
        "$y$j9T$L.jAuwvHJIijXzFx7jkFv1$yJdGVKQ.UxB4i4Pct/0QGPMfZ2KAFhsAmEBaXe150sC",
        "$y$j75$WuK4G2aTjRZA80COPV7Ud/$K3X9la60Q88jNm4waCZxsPQv8ujI29yR.EpO3wbMxC6",
        "$y$j85$jVyL5xzwYFpS.V8IQ3NFz.$pQlXK9gjf6D39E71z9aeTl6bccnXTlwYHv4DUwdQe/8",
        "$y$j7T$EPXxPqNInOpoSD934O.ob0$vymP5uUzcAQk12GTyfE91KSWaGycChOmx0o.P8DUWC2",
        "$y$j8T$JiGTSLf22bgtP0bFVhrM.0$8Kbe6zuhSl4ltaw/0B/PX2WW8rYIKGu4zqEoeqpSkd1",
        "$y$j9T$LKjEhwQvC3wFKHizPHEyz0$YLeySStpakFRF5QdCsPe0b4KUKQ97TxqNsREVnTuy6/",
        "$y$jAT$FqBNdBb4zwVP4elC/Eem91$Jv6xPtbwEk.G1DREteEkEAOg9PLiCfoQil53UClDq97",
        "$6$HoX8ry52PiR.YDKc$RdWUTW0XnUx3bekue5eXQG2ZYGT2WJjVfVM9FQDV8F3XUUp8uII3SGJvj8LIc2kT/BQlVBXOOZnKbISX.q9ii.",
        "$6$rounds=20000$5HjMqPlp2KvZgLFd$mysn0ljGFlKFy2e8lTYYnCmZ8hgeRTlInq2VM8O.iT4jfkpdGsIc.uGx3uyvppk7ZvadpnRcOTRKfPzA25RVF0",
        "$5$mpSkRkzQFi0AeM1Y$9541BNby612HLF9qm.IBmKp2gJsZrMwjkpbS3i6a6g1",
        "$5$rounds=1000$fNHde79jo8F9RgsL$.0CcTLnNIln5UNLFtXTIMXe45Xj//LCYu0hlg2//tX7",
        "$2b$05$KW6tWESWuAGVHIMotpXj4ONycVFb9ti9Yp7vHxsDvsmcP7hfFQdW.",
        "$2a$05$oZnhO0QaYS03eGWiqqvZ8uniwVtoaFA3JL6goKrPdZcOO0mlE2hEm",
        "$2b$05$wzgChFkJzvbb.uXQ3UcWUemvd95HbgbNr1X6q2duiM4gFPqHqsRYq",
        "$2y$05$wzgChFkJzvbb.uXQ3UcWUemvd95HbgbNr1X6q2duiM4gFPqHqsRYq",
        "$1$abcdefgh$T77egsU0NMFJ6CUO2zXKK.",
        "{SSHA}rkVJUMZq30PQewwp3wBrVidgFF7PfliP7fbmkQ==",
        "{SSHA256}EKTzxI7cIC6llghZVgfTZwi/F9OiCjPTGrevtkPKVGeBukciz6+OwQ==",
        "{SSHA512}JkLmI8bJrkR3ui2lq8uy1vKEN7zYI4q4ftgp9ZUewqNzI48+6QUcIAvVfHZBaCoPoUTBUFFB5UtB7pA+YUhphuV5zzaYrc6E",
    ];

    #[test]
    fn hashes_of_other_programs_match_only_their_password() {
        for stored in OLD {
            assert_eq!(verify(stored, SECRET), Verified::RightButOld, "{stored}");
            assert_eq!(verify(stored, b"pier 39"), Verified::Wrong, "{stored}");
            assert_eq!(verify(stored, b""), Verified::Wrong, "{stored}");
            assert!(looks_like_hash(stored), "{stored}");
        }
    }

    #[test]
    fn hashes_as_strong_as_new_ones_are_not_old() {
        for stored in [
            "$argon2id$v=19$m=19456,t=2,p=1$M4I0egdCHMg+1Q2inS2nAA$3PzAqmr7IodR5jorJgRhB2IJjFdEhWRgaxSb3Gh6Tbw",
            "$argon2id$v=19$m=65536,t=3,p=4$G8cnNuJW+Y1ngBsP1qTD6A$9TTdDKSrOrRk0vbAgt1Fa7WcH+8ubpdOmmcPyvkMZms",
        ] {
            assert_eq!(verify(stored, SECRET), Verified::Right, "{stored}");
            assert_eq!(verify(stored, b"pier 39"), Verified::Wrong, "{stored}");
        }
    }

    #[test]
    fn long_and_empty_passwords_agree_with_mkpasswd() {
        let long = [b'a'; 300];
        for stored in [
            "$y$j9T$02qgH3HmwDH04DsYcxBbv/$DP4phamWZrqeTUNmeDKwk7H0GKMcXgWhr2YinfWEgi/",
            "$6$kGA.DyukcQjLrUez$RT/ECQjsBip5u2gGI5j7u8DsN4FW.XgrPAGMhKETFwio2RSClPrDh9QqP2BgeN8i4kDgLjFoV/900r25I8Lgh0",
            "$1$saltsalt$oc0pVlEfEMksTnNCR5P4S.",
        ] {
            assert_eq!(verify(stored, &long), Verified::RightButOld, "{stored}");
            assert_eq!(verify(stored, &long[..299]), Verified::Wrong, "{stored}");
        }
        for stored in [
            "$y$j9T$r6rlj4xDzExvt1zBjYRyC0$praKOPus307voe9bijEd.rL3zIbl9Row2rnrNIJ2oL.",
            "$5$dPpSovus/EtiK6Xy$3inK7WRdrKPdI15yuPi9PL9zozx2aW814fBEASKLzY3",
            "$1$x$fwjfZtMwarkdetsjiQreU1",
        ] {
            assert_eq!(verify(stored, b""), Verified::RightButOld, "{stored}");
            assert_eq!(verify(stored, b"a"), Verified::Wrong, "{stored}");
        }
        // bcrypt takes 72 bytes of any password.
        let cut = "$2b$04$qKT.YnkVOZj4pqW0L41JIuAV03M1MFD/egI0AdJC/w4A0yoEvivVe";
        assert_eq!(verify(cut, &long), Verified::RightButOld);
        assert_eq!(verify(cut, &long[..71]), Verified::Wrong);
    }

    #[test]
    fn row_20_a_new_hash_is_right_strong_and_salted() {
        let (first, second) = (hash_new(SECRET).unwrap(), hash_new(SECRET).unwrap());
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        assert_eq!(verify(&first, SECRET), Verified::Right);
        assert_eq!(verify(&first, b"other"), Verified::Wrong);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_a_hash_is_returned_to_the_system() {
        fn resident_kib() -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        }
        let hash = || {
            let stored = hash_new(SECRET).unwrap();
            // An allocation after the hash that outlives it.
            (verify(&stored, SECRET), stored)
        };
        let first = hash();
        let before = resident_kib();
        let more: Vec<_> = (0..10).map(|_| std::thread::spawn(hash).join().unwrap()).collect();
        let after = resident_kib();
        assert!(more.iter().chain([&first]).all(|(verified, _)| *verified == Verified::Right));
        let most = before + u64::from(ARGON2_MEMORY_KIB);
        assert!(after < most, "{before} KiB before 20 hashes, {after} KiB after");
    }

    #[test]
    fn row_18_the_dummy_hash_costs_what_a_new_hash_costs() {
        assert!(has_current_cost(&hash_new(b"x").unwrap()));
        assert!(OLD.iter().all(|stored| !has_current_cost(stored)) && !has_current_cost(""));
        assert_eq!(verify(DUMMY_HASH, b"x"), Verified::Wrong);
    }

    #[test]
    fn row_19_no_password_matches_an_invalid_hash() {
        for stored in [
            "",
            " ",
            "!",
            "*",
            "x",
            "$",
            "$$",
            "hunter2",
            "{SSHA}",
            "{SSHA}AAAA",
            "{SHA}AAAA",
            "$1$a$b",
            "$6$",
            "$6$salt$",
            "$6$salt",
            "$6$$",
            "$5$salt$short",
            "$y$",
            "$y$j9T$",
            "$y$j9T$salt$",
            "$y$j9T$L.jAuwvHJIijXzFx7jkFv1$yJdGVKQ",
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1$",
            "$argon2id$v=19$m=19456,t=2,p=1$M4I0egdCHMg+1Q2inS2nAA",
            "$argon2id$v=19$m=19456,t=2,p=1$M4I0egdCHMg+1Q2inS2nAA$",
            "$argon2i$v=19$m=19456,t=2,p=1$/l2GOauhSkfLEU3IsiLgkA$TRShPN1LBiKgyghpruOtruDYDs61uSrddfdSrn3JB1w",
            "$2b$05$",
            "$2x$05$KW6tWESWuAGVHIMotpXj4ONycVFb9ti9Yp7vHxsDvsmcP7hfFQdW.",
        ] {
            for secret in [b"".as_slice(), SECRET, b"hunter2"] {
                assert_eq!(verify(stored, secret), Verified::Unreadable, "{stored}");
            }
        }
        // The whole digest and no salt.
        let unsalted = format!("{{SSHA}}{}", Base64::encode_string(&Sha1::digest(SECRET)));
        assert_eq!(verify(&unsalted, SECRET), Verified::Unreadable);
    }

    #[test]
    fn row_19_a_hash_that_lost_its_end_opens_nothing() {
        for stored in OLD {
            for lost in 1..=8 {
                let cut = &stored[..stored.len() - lost];
                assert!(!opens(cut, SECRET), "{cut}");
            }
            let empty = &stored[..=stored.rfind(['$', '}']).unwrap()];
            assert_eq!(verify(empty, SECRET), Verified::Unreadable, "{empty}");
        }
    }

    #[test]
    fn row_20_a_hash_above_the_bounds_is_not_verified() {
        let result = "RdWUTW0XnUx3bekue5eXQG2ZYGT2WJjVfVM9FQDV8F3XUUp8uII3SGJvj8LIc2kT/BQlVBXOOZnKbISX.q9ii.";
        let argon2 = "M4I0egdCHMg+1Q2inS2nAA$3PzAqmr7IodR5jorJgRhB2IJjFdEhWRgaxSb3Gh6Tbw";
        let yescrypt = "EMkEwhGa.aegNPk8NUQE5/$jTnJ1VaHYc/4PKTOQynkaTTUOVYhYPl3bf7Uml/yZ.D";
        let bcrypt = "KW6tWESWuAGVHIMotpXj4ONycVFb9ti9Yp7vHxsDvsmcP7hfFQdW.";
        for stored in [
            format!("$6$rounds=999999999$salt${result}"),
            format!("$6$rounds=1000001$salt${result}"),
            format!("$6$rounds=999$salt${result}"),
            format!("$6$rounds=-1$salt${result}"),
            format!("$2b$31${bcrypt}"),
            format!("$2b$15${bcrypt}"),
            format!("$2b$03${bcrypt}"),
            format!("$argon2id$v=19$m=4294967295,t=2,p=1${argon2}"),
            format!("$argon2id$v=19$m=131073,t=2,p=1${argon2}"),
            format!("$argon2id$v=19$m=131072,t=17,p=1${argon2}"),
            format!("$argon2id$v=19$m=8,t=4294967295,p=1${argon2}"),
            format!("$argon2id$v=19$m=19456,t=2,p=17${argon2}"),
            format!("$y$jFT${yescrypt}"),       // 1 GiB
            format!("$y$jDT${yescrypt}"),       // 256 MiB
            format!("$y$j9T1zzzzz${yescrypt}"), // extra time
            format!("$y$jzT${yescrypt}"),
            format!("$y$/9T${yescrypt}"), // another flavour
        ] {
            assert_eq!(verify(&stored, SECRET), Verified::Unreadable, "{stored}");
        }
        assert_eq!(verify(OLD[3], &[b'x'; SECRET_BYTES_MAX + 1]), Verified::Wrong);
    }

    #[test]
    fn a_hash_at_the_bound_is_still_read() {
        // Created with `mkpasswd -m yescrypt -R 8 x`: 128 MiB.
        let stored = "$y$jCT$EMkEwhGa.aegNPk8NUQE5/$jTnJ1VaHYc/4PKTOQynkaTTUOVYhYPl3bf7Uml/yZ.D";
        assert_eq!(verify(stored, b"x"), Verified::RightButOld);
        // Created with pure-pw 1.0.50, with its default settings.
        let stored = "$argon2id$v=19$m=8192,t=255,p=1$GIEOSyLK4TdN3VAAsusBkg$\
                      OxnB7g1To1YjpJ1XgD5N9i7Ir1p4Lx5h2d5f+Q5N9HA";
        assert_eq!(verify(stored, b"secret"), Verified::RightButOld);
    }

    #[test]
    fn row_19_a_cost_with_a_sign_opens_nothing() {
        for (cost, other) in [("$2b$05$", "$2b$+5$"), ("rounds=1000$", "rounds=+1000$")] {
            let stored = OLD.iter().find(|stored| stored.contains(cost)).unwrap();
            assert!(opens(stored, SECRET), "{stored}");
            assert!(!opens(&stored.replace(cost, other), SECRET), "{other}");
        }
    }

    /// Few cases, as each computes a hash, unless the environment requests more.
    fn config() -> ProptestConfig {
        let usual = ProptestConfig::default();
        let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 64 };
        ProptestConfig { cases, ..usual }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn no_text_makes_verify_panic(kind in 0..KINDS.len(), rest in "[ -~]{0,120}") {
            let stored = format!("{}{rest}", KINDS[kind].0);
            prop_assert!(!opens(&stored, b"secret"));
        }

        #[test]
        fn a_damaged_hash_opens_nothing(
            stored in prop::sample::select(cheap()),
            at in any::<prop::sample::Index>(),
            letter in b' '..=b'~',
        ) {
            let mut letters = stored.as_bytes().to_vec();
            let at = at.index(letters.len());
            let is_same = std::mem::replace(&mut letters[at], letter) == letter;
            // The last letter of a field has spare bits, and the kinds of bcrypt are one.
            let is_last = letters.get(at + 1).is_none_or(|next| matches!(next, b'$' | b'='));
            let is_bcrypt = stored.starts_with("$2") && (at == 2 || at == 28);
            if !is_same && !is_last && !is_bcrypt {
                let damaged = String::from_utf8(letters).unwrap();
                prop_assert!(!opens(&damaged, SECRET), "{damaged}");
            }
        }
    }

    /// Hashes of every kind that cost a few milliseconds, so that many cases can be run.
    fn cheap() -> Vec<&'static str> {
        let is_cheap = |stored: &&str| {
            let costly = ["$argon2id$v=19$m=19456", "$argon2id$v=16$m=19456", "$6$rounds=20000"];
            let is_yescrypt = stored.starts_with("$y$") && !stored.starts_with("$y$j7");
            !is_yescrypt && !costly.iter().any(|costly| stored.starts_with(costly))
        };
        OLD.iter().copied().filter(is_cheap).collect()
    }

    fn opens(stored: &str, secret: &[u8]) -> bool {
        matches!(verify(stored, secret), Verified::Right | Verified::RightButOld)
    }
}
