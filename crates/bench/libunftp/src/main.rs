//! A minimal server with libunftp: any name and password, one folder, explicit TLS on request.
//!
//! Usage: `libunftp-server PORT ROOT PASSIVE_FIRST PASSIVE_LAST [CERTIFICATE KEY]`

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use libunftp::ServerBuilder;
use unftp_sbe_fs::Filesystem;

/// No client is disconnected while it is measured.
const IDLE_MAX: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, root, first, last, tls @ ..] = words.as_slice() else {
        return Err("usage: libunftp-server PORT ROOT FIRST LAST [CERTIFICATE KEY]".into());
    };
    let root = PathBuf::from(root);
    // A missing root is reported here; the closure below cannot report errors.
    Filesystem::new(root.clone())?;
    let open = move || Filesystem::new(root.clone()).expect("the folder was there at the start");
    let mut builder = ServerBuilder::new(Box::new(open))
        .greeting("libunftp")
        .passive_ports(first.parse()?..=last.parse()?)
        .idle_session_timeout(IDLE_MAX.as_secs());
    if let [certificate, key] = tls {
        builder = builder.ftps(certificate, key);
    }
    builder.build()?.listen(format!("127.0.0.1:{port}")).await?;
    Ok(())
}
