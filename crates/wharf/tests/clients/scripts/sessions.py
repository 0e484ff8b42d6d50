"""Many uploads over TLS 1.3. Arguments: host, port, number, `once` or `silent`.

`once` uses each session once, and reads the next one after its close_notify, as OpenSSL has it.
`silent` never reads from a data connection after the handshake: it closes the socket right behind
its close_notify.
"""

import ftplib
import os
import socket
import ssl
import sys

host, port, count, way = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = ssl.TLSVersion.TLSv1_3
ftp = ftplib.FTP_TLS(context=context, encoding="utf-8")
ftp.connect(host, port, timeout=20)
ftp.login("anna", "secret")
ftp.prot_p()
ftp.voidcmd("TYPE I")


def once(data, session, content):
    """Returns the session for the next upload."""
    tls = context.wrap_socket(data, server_hostname=host, session=session)
    assert tls.session_reused
    tls.sendall(content)
    # The socket forgets its TLS object when it has ended.
    tls_object = tls._sslobj
    tls.unwrap().close()
    assert tls_object.session.id != session.id
    return tls_object.session


def silent(data, session, content):
    received, written = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, written, server_hostname=host, session=session)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            data.sendall(written.read())
            received.write(data.recv(65536))
    assert tls.session_reused
    tls.write(content)
    try:
        tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    data.sendall(written.read())
    data.close()
    return session


session = ftp.sock.session
sizes = (3_000, 700_000, 20, 90_000)
for number in range(count):
    content = os.urandom(sizes[number % len(sizes)])
    data = socket.create_connection(ftp.makepasv())
    assert ftp.sendcmd(f"STOR {number}").startswith("150")
    session = (once if way == "once" else silent)(data, session, content)
    assert session is not None, number
    assert ftp.voidresp().startswith("226"), number
    assert ftp.size(str(number)) == len(content), number
    ftp.delete(str(number))
assert ftp.quit().startswith("221")
