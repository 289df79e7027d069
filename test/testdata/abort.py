"""Aborts a transfer in the middle and fetches a file in the same session.

abort.py HOST PORT USER PASSWORD PATH get|put
"""
import ftplib
import os
import sys

host, port, user, password, path, direction = sys.argv[1:]
ftp = ftplib.FTP(timeout=120)
ftp.connect(host, int(port))
ftp.login(user, password)
ftp.cwd(path)
ftp.voidcmd("TYPE I")
if direction == "get":
    conn = ftp.transfercmd("RETR big.bin")
    conn.recv(1 << 16)
else:
    conn = ftp.transfercmd("STOR sent.bin")
    conn.sendall(bytes(1 << 16))
print("abort", ftp.abort())
conn.close()
print("then", ftp.getmultiline())  # the transfer and the ABOR have a reply each
with open("small.bin", "wb") as f:
    ftp.retrbinary("RETR small.bin", f.write)
ftp.quit()
