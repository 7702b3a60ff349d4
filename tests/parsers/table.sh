# SPDX-License-Identifier: ISC
# The table of parsers.sh: NAME, INPUTS, promises, unveils, what is refused and does not matter, the command. Sourced.
#
# What is probed for, and does not matter for what is done here: a tape; the settings of a user who has none; databases
# of users by the name service; what libraries want to know of the machine when they are loaded; more fonts.
tape="unveil /dev/st0 r"
home="unveil $work/home.* rw?"
users="promise unix|unveil /etc/(nsswitch.conf|passwd|group) r"
media="no promise allows this|unveil /etc/(gcrypt|gnutls|selinux/config) r|unveil (/sys)?(/fs)?/selinux r|unveil /proc r|unveil /sys/devices/system/node r"
gconv=$(ls -d /usr/lib/*/gconv 2>/dev/null | head -n 1)
parse "xmllint --format" a.xml stdio,rpath r:a.xml "" xmllint --format a.xml
parse "xmllint, ISO 8859-15" legacy.xml stdio,rpath r:legacy.xml "unveil $gconv/.* r" xmllint legacy.xml
parse "xmllint, EUC-JP" japan.xml stdio,rpath r:japan.xml "unveil $gconv/.* r" xmllint japan.xml
parse "iconv, EUC-JP" japan.xml stdio,rpath r:japan.xml "" iconv -f EUC-JP -t UTF-8 japan.xml
parse "xmllint --stream" a.xml stdio,rpath r:a.xml "" xmllint --stream --noout a.xml
parse "xmllint, an external DTD" "dtd.xml a.dtd" stdio,rpath "r:dtd.xml r:a.dtd" "" xmllint --noent --valid dtd.xml
parse "xmlwf" a.xml stdio,rpath r:a.xml "" xmlwf -c a.xml
parse "bsdtar -t, gzip" a.tar.gz stdio,rpath r:a.tar.gz "$tape" bsdtar -tf a.tar.gz
parse "bsdtar -t, xz" a.tar.xz stdio,rpath r:a.tar.xz "$tape" bsdtar -tf a.tar.xz
parse "bsdtar -tv" a.tar stdio,rpath r:a.tar "$tape" bsdtar -tvf a.tar
parse "bsdtar -tv, zip" a.zip stdio,rpath r:a.zip "$tape" bsdtar -tvf a.zip
parse "bsdtar -tv, iso9660" a.iso stdio,rpath r:a.iso "$tape" bsdtar -tvf a.iso
parse "bsdtar -xO, 7zip" a.7z stdio,rpath r:a.7z "$tape|unveil $gconv/.* r" bsdtar -xOf a.7z
parse "bsdtar -x" a.tar.gz stdio,rpath,wpath,cpath,fattr "r:a.tar.gz rwc:$out" "$tape|$users" \
	bsdtar -C "$out" -xf a.tar.gz
parse "unzip -l" a.zip stdio,rpath r:a.zip "" unzip -l a.zip
parse "unzip -p" a.zip stdio,rpath r:a.zip "" unzip -p a.zip
parse "mutool draw" a.pdf stdio,rpath r:a.pdf "unveil /var/tmp r|unveil /tmp.* r" mutool draw -F pnm -o - a.pdf
parse "mutool draw, to a file" text.pdf stdio,rpath,wpath,cpath "r:text.pdf rwc:$out" \
	"unveil /var/tmp r|unveil /tmp.* r" mutool draw -F png -o "$out/page.png" text.pdf
parse "mutool show" a.pdf stdio,rpath r:a.pdf "" mutool show a.pdf trailer 4
poppler="unveil /usr/share/poppler r"
parse "pdftoppm" a.pdf stdio,rpath r:a.pdf "$poppler" pdftoppm a.pdf
parse "pdftoppm, to a file" a.pdf stdio,rpath,wpath,cpath "r:a.pdf rwc:$out" "$poppler" pdftoppm -png a.pdf "$out/page"
parse "pdftoppm, standard fonts" text.pdf stdio,rpath \
	"r:text.pdf r:$work/fonts.conf r:/usr/share/fonts r:$work/cache" \
	"$poppler|$home|unveil /usr/share/fontconfig/.* r" pdftoppm text.pdf
parse "pdftotext" text.pdf stdio,rpath r:text.pdf "$poppler" pdftotext text.pdf -
parse "qpdf --check" a.pdf stdio,rpath r:a.pdf "unveil /etc/gnutls r" qpdf --check a.pdf
parse "qpdf --qdf" text.pdf stdio,rpath,wpath,cpath "r:text.pdf rwc:$out" "unveil /etc/gnutls r" \
	qpdf --deterministic-id --qdf text.pdf "$out/plain.pdf"
parse "jq" a.json stdio,rpath r:a.json "$home" jq -S ".list | map(.n) | add" a.json
parse "jq, of standard input" a.txt stdio "" "promise rpath" jq -R length
parse "file" a.png stdio,rpath "r:a.png r:/usr/share/misc/magic.mgc" "unveil /etc/magic.* r|$home" file a.png
parse "file -z" a.txt.gz stdio,rpath "r:a.txt.gz r:/usr/share/misc/magic.mgc" "unveil /etc/magic.* r|$home" file -z a.txt.gz
parse "xz -dc" a.txt.xz stdio,rpath r:a.txt.xz "" xz -dc a.txt.xz
parse "bzip2 -dc" a.txt.bz2 stdio,rpath r:a.txt.bz2 "" bzip2 -dc a.txt.bz2
parse "gzip -dc" a.txt.gz stdio,rpath r:a.txt.gz "unveil $in r" gzip -dc a.txt.gz
parse "openssl x509" a.pem stdio,rpath r:a.pem "unveil /etc/ssl/.* r" openssl x509 -in a.pem -noout -text
parse "openssl asn1parse" a.der stdio,rpath r:a.der "unveil /etc/ssl/.* r" openssl asn1parse -inform DER -in a.der
parse "ffprobe, png" a.png stdio,rpath r:a.png "$media" ffprobe -hide_banner -show_streams a.png
parse "ffprobe, mp4" a.mp4 stdio,rpath r:a.mp4 "$media" ffprobe -hide_banner -show_packets a.mp4
parse "ffmpeg, flac" a.flac stdio,rpath r:a.flac "$media" ffmpeg -v error -threads 1 -i a.flac -f s16le -
parse "tiffinfo" a.tiff stdio,rpath r:a.tiff "" tiffinfo -D a.tiff
sqlite="unveil (/[^/]*)*/in(/a.db-.*)? r|unveil $(dirname "$work") r|unveil $work r|$home|$users"
parse "sqlite3, reading" a.db stdio,rpath,flock r:a.db "$sqlite" sqlite3 -readonly a.db "select count(*), sum(x) from t"
parse "sqlite3, in memory" a.txt stdio "" "promise rpath|$users" sqlite3 :memory: "select hex(zeroblob(9))"
parse "sqlite3, writing" a.db stdio,rpath,wpath,cpath,flock "rwc:$in" "$sqlite" \
	sqlite3 a.db "update t set x = 1 where n < 10; select sum(x) from t; pragma integrity_check"
parse "python3, json" a.json stdio,rpath,prot_exec "r:a.json r:/usr" "unveil /etc/python3.*" \
	python3 -I -c "import json; print(len(json.load(open('a.json'))['list']), json.scanner.c_make_scanner is None)"
