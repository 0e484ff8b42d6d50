"""Everything that ftplib does over a plain connection. Arguments: host, port, "passive" or "active"."""

import ftplib
import io
import sys

host, port, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ftp = ftplib.FTP(encoding="utf-8")
ftp.connect(host, port, timeout=20)
ftp.login("anna", "secret")
ftp.set_pasv(way == "passive")

content = bytes(range(256)) * 300
assert ftp.mkd("目 录") == "/目 录"
ftp.cwd("目 录")
assert ftp.pwd() == "/目 录"
assert ftp.storbinary("STOR file", io.BytesIO(content)).startswith("226")
ftp.voidcmd("TYPE I")
assert ftp.size("file") == len(content)

got = io.BytesIO()
assert ftp.retrbinary("RETR file", got.write).startswith("226")
assert got.getvalue() == content
got = io.BytesIO()
ftp.retrbinary("RETR file", got.write, rest=70000)
assert got.getvalue() == content[70000:]
ftp.storbinary("APPE file", io.BytesIO(b"end"))
ftp.storbinary("STOR file", io.BytesIO(b"END"), rest=len(content))
got = io.BytesIO()
ftp.retrbinary("RETR file", got.write)
assert got.getvalue() == content + b"END"

lines = [b"one", b"two", b"", b"last"]
ftp.storlines("STOR text", io.BytesIO(b"\n".join(lines)))
back = []
ftp.retrlines("RETR text", back.append)
assert back == ["one", "two", "", "last"], back
got = io.BytesIO()
ftp.retrbinary("RETR text", got.write)
assert got.getvalue() in (b"one\ntwo\n\nlast", b"one\ntwo\n\nlast\n"), got.getvalue()

assert sorted(ftp.nlst()) == ["file", "text"]
facts = dict(ftp.mlsd())
assert set(facts) - {".", ".."} == {"file", "text"}, facts
assert facts["file"]["type"] == "file"
assert facts["file"]["size"] == str(len(content) + 3)
assert len(facts["file"]["modify"]) >= 14
some = dict(ftp.mlsd(facts=["type", "size"]))
assert set(some["file"]) == {"type", "size"}, some
listing = []
ftp.dir(listing.append)
assert any(line.endswith(" file") for line in listing), listing

ftp.rename("text", "../文本")
ftp.cwd("..")
ftp.delete("文本")
try:
    ftp.rmd("目 录")
    raise SystemExit("a directory that is not empty was removed")
except ftplib.error_perm as error:
    assert str(error).startswith("550"), error
ftp.delete("目 录/file")
ftp.rmd("目 录")
assert ftp.nlst() == []

# An aborted upload leaves no file, and the session continues.
data = ftp.transfercmd("STOR aborted")
data.sendall(b"x" * 100000)
reply = ftp.abort()
assert reply[:3] in ("225", "226", "426"), reply
data.close()
if reply.startswith("426"):
    assert ftp.getresp().startswith("226")
assert ftp.nlst() == []

# A download too.
ftp.storbinary("STOR large", io.BytesIO(bytes(20_000_000)))
data = ftp.transfercmd("RETR large")
data.recv(1000)
reply = ftp.abort()
assert reply[:3] in ("225", "226", "426"), reply
data.close()
if reply.startswith("426"):
    assert ftp.getresp().startswith("226")
ftp.delete("large")
assert ftp.nlst() == []
assert ftp.quit().startswith("221")
