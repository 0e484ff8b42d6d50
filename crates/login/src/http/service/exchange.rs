//! One request and its response, over one connection.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wharf_core::hex;

use super::super::SIGNATURE_HEADER;
use super::HttpSettings;
use crate::endpoint::Endpoint;

/// The largest body that is read; an account takes a few hundred bytes.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// The largest head of a response.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Sends the request, and returns status and body of the response.
pub(super) async fn exchange(
    settings: &HttpSettings,
    tls: Option<&Arc<ClientConfig>>,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), String> {
    let request = request(settings, body)?;
    let stream = connect(&settings.endpoint).await.map_err(|error| error.to_string())?;
    match tls {
        None => converse(stream, request).await,
        Some(tls) => {
            let name = ServerName::try_from(settings.endpoint.host.clone())
                .map_err(|_| "the host name is not valid in a certificate".to_owned())?;
            let connector = TlsConnector::from(Arc::clone(tls));
            let stream = connector.connect(name, stream).await;
            converse(stream.map_err(|error| error.to_string())?, request).await
        }
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let address = (endpoint.host.as_str(), endpoint.port);
    #[expect(clippy::disallowed_methods, reason = "the engine's sockets are not these")]
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn request(settings: &HttpSettings, body: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let mut builder = Request::post(&settings.endpoint.path)
        .header(HOST, settings.endpoint.authority())
        .header(USER_AGENT, "wharf")
        .header(CONTENT_TYPE, "application/json");
    if let Some(secret) = &settings.secret {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        builder = builder.header(SIGNATURE_HEADER, signature(secret, time, &body)?);
    }
    if let Some(token) = &settings.token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.as_str()));
        let mut value = value.map_err(|_| "the token is not valid in a header".to_owned())?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    builder.body(Full::new(body.into())).map_err(|error| error.to_string())
}

/// See [`SIGNATURE_HEADER`].
fn signature(secret: &[u8], time: u64, body: &[u8]) -> Result<String, String> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret).map_err(|_| "invalid secret".to_owned())?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    Ok(format!("t={time},v1={}", hex(&mac.finalize().into_bytes())))
}

async fn converse<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| sentence(&error))?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| sentence(&error))?;
        read_response(response).await
    };
    let mut asking = std::pin::pin!(asking);
    // The response first: after it, the end of the connection does not matter.
    let ended = tokio::select! {
        biased;
        response = &mut asking => return response,
        ended = connection => ended,
    };
    // The whole response may have arrived before the error: many servers close TLS without
    // close_notify.
    asking.await.map_err(|why| ended.err().map_or(why, |error| sentence(&error)))
}

async fn read_response(
    response: Response<hyper::body::Incoming>,
) -> Result<(StatusCode, Bytes), String> {
    let status = response.status();
    if status != StatusCode::OK {
        return Ok((status, Bytes::new()));
    }
    let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
        Some(error) => sentence(error),
        None => format!("the response has more than {RESPONSE_BYTES_MAX} bytes"),
    })?;
    Ok((status, body.to_bytes()))
}

/// The error with its cause, which has the reason.
fn sentence(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_other_tools() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let made = signature(b"key", 1_700_000_000, b"{\"a\":1}").unwrap();
        assert_eq!(
            made,
            "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
