//! MODE Z in memory: compressed transfers, and that malformed data does no harm.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use wharf_core::permission::Permissions;
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n\
                     C: MODE Z\nS: 200 Mode set to Z*\n";
const EPSV: &str = "C: EPSV\nS: 229 *\n";

fn world() -> World {
    let world = World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello");
    world.settings(|settings| settings.compat.mode_z = true)
}

fn inside(world: &World, script: &str) -> wharf_sim::DialogueOutcome {
    world.run(&format!("{LOGIN}{}", script.replace("EPSV;", EPSV)))
}

/// As a client compresses it, in one piece.
fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(content).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

/// Bytes as a script writes them.
fn written(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\x{byte:02x}");
        text
    })
}

fn z(content: &[u8]) -> String {
    written(&compressed(content))
}

#[test]
fn row_16_mode_z_compresses_files_in_both_directions_and_mode_s_ends_it() {
    inside(
        &world(),
        &format!(
            "EPSV;C: RETR a\nS: 150 *\nD: {}\nS: 226 *\nEPSV;C: STOR b\nS: 150 *\nU: {}\nS: 226 *\n\
             HAS /b compressed in between\nEPSV;C: APPE b\nS: 150 *\nU: {}\nS: 226 *\n\
             HAS /b compressed in between, twice\nC: MODE S\nS: 200 *\nEPSV;C: RETR a\nS: 150 *\n\
             D: hello\nS: 226 *",
            z(b"hello"),
            z(b"compressed in between"),
            z(b", twice"),
        ),
    );
}

#[test]
fn row_16_mode_z_compresses_listings_too() {
    inside(
        &world(),
        &format!(
            "C: OPTS MLST type;size;\nS: 200 *\n\
             EPSV;C: NLST\nS: 150 *\nD: {}\nS: 226 *\nEPSV;C: MLSD\nS: 150 *\nD: {}\nS: 226 *\n\
             EPSV;C: NLST *.none\nS: 150 *\nD: {}\nS: 226 *",
            z(b"a\r\n"),
            z(b"type=file;size=5; a\r\n"),
            z(b""),
        ),
    );
}

#[test]
fn row_16_rest_counts_bytes_of_the_file_and_text_is_converted_before_compression() {
    let world = world().file("/text", b"one\ntwo\n");
    inside(
        &world,
        &format!(
            "C: REST 3\nS: 350 *\nEPSV;C: RETR a\nS: 150 *\nD: {}\nS: 226 *\n\
             C: REST 2\nS: 350 *\nEPSV;C: STOR a\nS: 150 *\nU: {}\nS: 226 *\nHAS /a hey\n\
             C: TYPE A\nS: 200 *\nEPSV;C: RETR text\nS: 150 *\nD: {}\nS: 226 *\n\
             EPSV;C: STOR up\nS: 150 *\nU: {}\nS: 226 *\nHAS /up a\\nb",
            z(b"lo"),
            z(b"y"),
            z(b"one\r\ntwo\r\n"),
            z(b"a\r\nb"),
        ),
    );
}

#[test]
fn row_16_an_incomplete_zlib_stream_is_not_published() {
    let whole = compressed(b"all of this or nothing of it");
    for bad in [&whole[..whole.len() - 1], b"plain bytes", &[&whole[..], b"x"].concat()] {
        inside(
            &world(),
            &format!(
                "EPSV;C: STOR b\nS: 150 *\nU: {}\nS: 426 Invalid or incomplete zlib stream*\n\
                 HASNOT /b\nC: NOOP\nS: 200 *\nEPSV;C: STOR a\nS: 150 *\nU: {}\nS: 426 *\n\
                 HAS /a hello",
                written(bad),
                written(bad),
            ),
        );
    }
}

#[test]
fn row_16_an_interrupted_compressed_upload_resumes_at_the_end_of_the_file() {
    let whole = compressed(&b"0123456789".repeat(10_000));
    let outcome = inside(
        &world(),
        &format!(
            "EPSV;C: STOR b\nS: 150 *\nU... {}\nWAIT 1s\nUX\nS: 426 *\nHASNOT /b\nC: APPE b\n\
             S: 425 *\nEPSV;C: APPE b\nS: 150 *\nU: {}\nS: 226 *",
            written(&whole[..whole.len() / 2]),
            z(b"END"),
        ),
    );
    let content = outcome.memory.content("/b").unwrap();
    assert!(content.ends_with(b"END") && b"0123456789".repeat(10_000).starts_with(&content[..9]));
}

#[test]
fn row_16_a_decompression_bomb_is_rejected_early() {
    let bomb = compressed(&vec![0; 40 << 20]);
    let outcome = inside(
        &world(),
        &format!(
            "EPSV;C: STOR b\nS: 150 *\nU: {}\nS: 552 Decompressed data exceeds 100 times*\n\
             HASNOT /b\nC: NOOP\nS: 200 *",
            written(&bomb)
        ),
    );
    assert!(outcome.events.iter().any(|line| line.contains("100 times its size")));
}

#[test]
fn row_16_abor_ends_a_compressed_transfer() {
    let scrambled = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes();
    let noise: Vec<u8> = (0..500_000).flat_map(scrambled).collect();
    inside(
        &world().file("/big", noise),
        "EPSV;C: RETR big\nS: 150 *\nD< 1000\nC: ABOR\nS: 426 *\nS: 226 *\nDX\nC: NOOP\nS: 200 *\n\
         EPSV;C: STOR b\nS: 150 *\nU... \\x78\\x9c\nC: ABOR\nS: 426 *\nS: 226 *\nHASNOT /b",
    );
}

#[test]
fn row_16_mode_z_works_with_tls_and_can_be_disabled() {
    let secure = "C: AUTH TLS\nS: 234 *\nTLS\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";
    let script = format!(
        "{secure}{LOGIN}{EPSV}C: RETR a\nS: 150 *\nD: {}\nS: 226 *\n{EPSV}C: STOR b\nS: 150 *\n\
         U: {}\nS: 226 *\nHAS /b sealed\n{EPSV}C: STOR c\nS: 150 *\nU... {}\nUF\nS: 426 *\n\
         HASNOT /c",
        z(b"hello"),
        z(b"sealed"),
        z(b"without an end"),
    );
    world().tls().run(&script);
}

#[test]
fn row_16_mode_z_is_disabled_by_default_and_help_shows_it() {
    let login = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\n";
    let default = World::new().account("anna", "secret", Permissions::ALL);
    let about = "Set the transfer mode: stream (S) or compressed with zlib (Z) \
                 (RFC 959 §4.1.2, draft-preston-ftpext-deflate-04)";
    default.run(&format!(
        "{login}C: MODE Z\nS: 504 MODE Z is disabled; use MODE S.\nC: OPTS MODE Z LEVEL 9\n\
         S: 501 *\nC: HELP MODE\nS: 214 MODE S - {about}; Z is disabled"
    ));
    let help = format!("C: HELP MODE\nS: 214 MODE S|Z - {about}");
    world().run(&format!("{login}C: MODE Z\nS: 200 *\n{help}"));
}

/// lftp does not send the end of an empty file until anything comes on its control connection.
#[test]
fn row_16_only_lftp_is_woken_if_no_data_of_an_upload_arrives() {
    let empty = |client: &str, next: &str| {
        format!(
            "C: CLNT {client}\nS: 200 *\nEPSV;C: STOR e\nS: 150 *\nU... \nWAIT 1s\nU: {}\n{next}",
            z(b"")
        )
    };
    inside(&world(), &empty("lftp/4.9.2", "S: \nS: 226 *\nHAS /e "));
    inside(&world(), &empty("other", "S: 226 *\nHAS /e "));
    let busy =
        format!("C: CLNT lftp/4.9.2\nS: 200 *\nEPSV;C: STOR b\nS: 150 *\nU: {}\nS: 226 *", z(b"b"));
    inside(&world(), &busy);
}

#[test]
fn row_16_the_level_is_an_option() {
    inside(
        &world(),
        "C: OPTS MODE Z LEVEL 0\nS: 200 MODE Z LEVEL set to 0.\nC: OPTS MODE Z LEVEL 12\n\
         S: 501 *\n\
         C: OPTS MODE Z ENGINE LZMA\nS: 504 *\nEPSV;C: RETR a\nS: 150 *\n\
         D: \\x78\\x01\\x01\\x05\\x00\\xfa\\xffhello\\x06,\\x02\\x15\nS: 226 *",
    );
}

#[test]
fn row_16_checksums_are_computed_one_at_a_time_and_abor_ends_one() {
    let world = world().file("/big", vec![b'x'; 50_000_000]).settings(|settings| {
        settings.limits.transfer_download_rate =
            wharf_core::account::Rate::from_bytes_per_second(1_000_000);
    });
    inside(
        &world,
        "C: HASH a\n\
         S: 213 SHA-256 0-5 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 /a\n\
         C: HASH big\nC: NOOP\nS: 200 *\nC: ABOR\nS: 426 *\nS: 226 *\nC: NOOP\nS: 200 *\n\
         C: HASH big\nC: HASH a\nWAIT 100s\nS: 213 SHA-256 0-50000000 *\nS: 213 SHA-256 0-5 *",
    );
}

#[test]
fn row_44_a_shutdown_does_not_wait_for_a_checksum() {
    let world = world().file("/big", vec![b'x'; 50_000_000]).settings(|settings| {
        settings.limits.transfer_download_rate =
            wharf_core::account::Rate::from_bytes_per_second(1_000_000);
    });
    inside(&world, "C: HASH big\nSHUTDOWN 30s\nWAIT 1s\nS: 426 *\nS: 421 *\nS: EOF");
    // Without a shutdown it completes.
    inside(&world, "C: HASH big\nWAIT 100s\nS: 213 SHA-256 0-50000000 *");
}
