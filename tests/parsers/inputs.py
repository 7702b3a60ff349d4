# SPDX-License-Identifier: ISC
"""inputs.py DIR: makes the inputs of parsers.sh in DIR/whole, and hostile kinds of each: DIR/cut ends in the middle,
DIR/flipped has a few bytes changed anywhere, DIR/head some of the first 64. The same bytes wherever the same tools are."""
import json, os, random, sqlite3, struct, subprocess, sys, zlib

os.chdir(sys.argv[1])
os.mkdir("whole")


def write(name, data):
    with open("whole/" + name, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def run(*words):
    try:
        done = subprocess.run(words, cwd="whole", stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if done.returncode:
            print("inputs.py: %s: %s" % (words[0], done.stderr.decode(errors="replace")[-300:]), file=sys.stderr)
    except FileNotFoundError:
        print("inputs.py: %s is not installed" % words[0], file=sys.stderr)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


width, height = 64, 48
pixels = b"".join(b"\0" + b"".join(bytes((x * 4 % 256, y * 5 % 256, x * y % 256)) for x in range(width))
    for y in range(height))
write("a.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    + chunk(b"tEXt", b"Title\0airlock") + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b""))

write("a.xml", '<?xml version="1.0"?>\n<list kind="all">\n' + "".join(
    '<item n="%d">caf\u00e9 &amp; %d<!-- c --></item>\n' % (i, i * i) for i in range(200)) + "</list>\n")
write("legacy.xml", '<?xml version="1.0" encoding="ISO-8859-15"?>\n<a>\u20ac caf\u00e9</a>\n'.encode("iso-8859-15"))
write("japan.xml", '<?xml version="1.0" encoding="EUC-JP"?>\n<a>\u65e5\u672c</a>\n'.encode("euc-jp"))
write("a.dtd", "<!ELEMENT note (#PCDATA)>\n<!ENTITY who 'airlock'>\n")
write("dtd.xml", '<?xml version="1.0"?>\n<!DOCTYPE note SYSTEM "a.dtd">\n<note>&who;</note>\n')
write("a.json", json.dumps({"list": [{"n": i, "name": "caf\u00e9 %d" % i, "x": i / 7, "none": None} for i in range(100)],
    "deep": [[[[[[{}]]]]]]}))
write("a.yaml", "list:\n" + "".join("  - {n: %d, name: 'n %d'}\n" % (i, i) for i in range(100)) + "text: |\n  a\n  b\n")
write("a.txt", "".join("%d line of text, and another %d\n" % (i, i * 7919 % 1000) for i in range(3000)))

objects = ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 144]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
    "<</Length %d>>stream\n%s\nendstream", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
for name, drawing in (("text.pdf", "BT /F1 24 Tf 20 100 Td (Hello airlock) Tj ET"),
        ("a.pdf", "1 0 0 RG 5 w 10 10 m 200 100 l S 0 0 1 rg 50 50 90 40 re f")):
    out, offsets = "%PDF-1.4\n", []
    for i, body in enumerate(objects):
        offsets.append(len(out))
        out += "%d 0 obj\n%s\nendobj\n" % (i + 1, body % (len(drawing), drawing) if "stream" in body else body)
    table = len(out)
    out += "xref\n0 6\n0000000000 65535 f \n" + "".join("%010d 00000 n \n" % o for o in offsets)
    write(name, out + "trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % table)

fonts = sorted(os.path.join(d, f) for d, _, names in os.walk("/usr/share/fonts") for f in names if f.endswith(".ttf"))
if fonts:
    with open(fonts[0], "rb") as f:
        write("a.ttf", f.read())

db = sqlite3.connect("whole/a.db")
db.execute("create table t(n integer primary key, name text, x real)")
db.executemany("insert into t values(?, ?, ?)", [(i, "name %d" % i, i / 3) for i in range(500)])
db.execute("create index names on t(name)")
db.commit()
db.close()

for name in ("a.txt", "a.png", "a.xml"):
    os.utime("whole/" + name, (981173106, 981173106))
owner = ("--uid", "0", "--gid", "0", "--uname", "root", "--gname", "root")
for name, words in (("a.tar.gz", ("-z", "--options", "gzip:!timestamp")), ("a.tar.xz", ("-J",)), ("a.tar", ()),
        ("a.7z", ("--format", "7zip")), ("a.zip", ("--format", "zip")), ("a.iso", ("--format", "iso9660"))):
    run("bsdtar", "-cf", name, *words, *owner, "a.txt", "a.png", "a.xml")
run("xz", "-k", "a.txt")
run("gzip", "-kn", "a.txt")
run("bzip2", "-k", "a.txt")
run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
    "-out", "a.pem", "-subj", "/CN=airlock/O=example", "-addext", "subjectAltName=DNS:example.org", "-days", "30")
run("openssl", "x509", "-in", "a.pem", "-outform", "DER", "-out", "a.der")
one = ("-frames:v", "1", "-map", "0:v")
exact = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact")
sound = ("-map", "1:a", *exact)
run("ffmpeg", "-v", "error", "-y", "-i", "a.png", "-f", "lavfi", "-i", "sine=frequency=440:duration=0.5",
    "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=1",
    *one, "a.jpg", *one, "a.gif", *one, "a.tiff", *one, "-c:v", "libwebp", "a.webp",
    *sound, "a.wav", *sound, "a.flac", *sound, "-c:a", "libvorbis", "a.ogg",
    "-map", "2:v", *exact, "-c:v", "mpeg4", "a.mp4")

for kind in ("cut", "flipped", "head"):
    os.mkdir(kind)
for name in sorted(os.listdir("whole")):
    with open("whole/" + name, "rb") as f:
        data = f.read()
    chance = random.Random(name)
    with open("cut/" + name, "wb") as f:
        f.write(data[:max(1, len(data) * 3 // 5)])
    for kind, reach, count in (("flipped", len(data), max(3, min(20, len(data) // 200))), ("head", min(64, len(data)), 2)):
        bad = bytearray(data)
        for _ in range(count):
            bad[chance.randrange(reach)] ^= 1 << chance.randrange(8)
        with open(kind + "/" + name, "wb") as f:
            f.write(bad)
