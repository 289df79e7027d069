"""Does the operations of a cell of the matrix with ftplib, in one session.

client.py HOST PORT USER PASSWORD passive|active PATH
"""
import ftplib
import os
import sys

host, port, user, password, mode, path = sys.argv[1:]
ftp = ftplib.FTP(encoding="utf-8")
ftp.connect(host, int(port))
ftp.login(user, password)
ftp.set_pasv(mode == "passive")
ftp.cwd(path)


def get(name, **options):
    with open(name, "ab" if "rest" in options else "wb") as f:
        ftp.retrbinary("RETR " + name, f.write, **options)


def put(name, command="STOR", to=None, skip=0):
    with open(name, "rb") as f:
        f.seek(skip)
        ftp.storbinary(command + " " + (to or name), f, rest=skip or None)


def names(folder):
    """The files in a folder; Pure-FTPd lists "." and ".." with them."""
    return [n for n in map(os.path.basename, ftp.nlst(folder)) if n not in (".", "..")]


with open("list.txt", "w") as f:
    ftp.retrlines("LIST tree", lambda line: f.write(line + "\n"))
get("down.bin")
get("again.bin", rest=os.path.getsize("again.bin"))
with open("text.txt", "w") as f:
    ftp.retrlines("RETR text.txt", lambda line: f.write(line + "\n"))
put("up.bin")
put("part.bin", skip=ftp.size("part.bin"))
put("tail.bin", "APPE", "grow.bin")
with open("uptext.txt", "rb") as f:
    ftp.storlines("STOR uptext.txt", f)
ftp.rename("old.bin", "new.bin")
ftp.mkd("made.d")
ftp.delete("doomed.bin")
ftp.rmd("doomed.d")

for name in names("tree"):
    get("tree/" + name)
for name in os.listdir("copy"):
    put("copy/" + name)
for name in names("odd"):
    get("odd/" + name)
for name in os.listdir("oddup"):
    put("oddup/" + name)
ftp.quit()
