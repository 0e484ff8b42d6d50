"""FTP_TLS of ftplib. Arguments: host, port, version, what its data connections meet, `resume`.

ftplib does not resume the TLS session of the control connection on data connections. With `resume`
it does, as programs have it do that need it.
"""

import ftplib
import io
import ssl
import sys

host, port, version, meets = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)


class Resuming(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            session = self.sock.session
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=session)
        return conn, size


kind = Resuming if sys.argv[5:] == ["resume"] else ftplib.FTP_TLS
ftp = kind(context=context, encoding="utf-8")
ftp.connect(host, port, timeout=20)
ftp.login("anna", "secret")
ftp.prot_p()

content = bytes(range(256)) * 700
try:
    reply = ftp.storbinary("STOR file", io.BytesIO(content))
    assert meets == "welcome", reply
except ftplib.all_errors as error:
    reply = str(error)
    if isinstance(error, OSError):
        # The data connection broke first; the reply is still to come.
        try:
            reply = ftp.getresp()
        except ftplib.error_perm as late:
            reply = str(late)
    assert reply.startswith(meets), reply
    raise SystemExit(0)

got = io.BytesIO()
ftp.retrbinary("RETR file", got.write)
assert got.getvalue() == content
assert ftp.nlst() == ["file"]
assert {name for name, _ in ftp.mlsd()} - {".", ".."} == {"file"}
ftp.storlines("STOR text", io.BytesIO(b"a\nb\n"))
back = []
ftp.retrlines("RETR text", back.append)
assert back == ["a", "b"]
ftp.prot_c()
got = io.BytesIO()
ftp.retrbinary("RETR file", got.write)
assert got.getvalue() == content
for name in ("file", "text"):
    ftp.delete(name)
assert ftp.quit().startswith("221")
