echo '# echo'; echo one   two 'three  four'
echo '# printf'; printf '%5.2f|%-6s|%06d|%x|%c\n' 3.14159 ab 42 255 xyz
echo '# seq'; seq 1 3 20 | tr '\n' ' '
echo '# expr'; expr \( 6 + 1 \) \* 6 / 2 % 13
echo '# arithmetic'; echo $(((1 << 40) + 0x10 - 7 * 3 ** 2))
echo '# factor'; factor 1234567890 4294967291
echo '# awk'; awk 'BEGIN { for (i = 1; i <= 4; i++) printf "%d %.12g %s\n", i, exp(i) * sin(i) / sqrt(i), substr("emulation", i, 3) }'
seq 1 200 | awk '{ s += $1 * $1; h[$1 % 7]++ } END { print s; for (k = 0; k < 7; k++) print k, h[k] }' >awk.out
echo '# wc'; wc awk.out; echo '# cat -A'; printf 'a\tb\001\n' | cat -A
echo '# sort'; seq 1 30 | sort -r | sort -k1.2n -s | head -n 12 | tr '\n' ' '
echo '# uniq'; printf 'a\na\nb\nc\nc\nc\n' | uniq -c
echo '# cut'; printf 'a:b:c\nd:e:f\n' | cut -d: -f1,3
echo '# tr'; echo 'Hello World' | tr 'a-zA-Z' 'n-za-mN-ZA-M'
echo '# sed'; seq 1 12 | sed -n '/[24]$/{s/\(.\)$/<\1>/;p};$=;3,5{=}'
echo '# grep'; seq 1 100 | grep -n -E '^(.)\1$|00'
echo '# rev'; echo 'stressed desserts' | rev; echo '# tac'; seq 1 4 | tac
echo '# fold'; seq -s ' ' 1 40 | fold -w 23 -s
echo '# expand'; printf 'a\tbc\tdef\n' | expand -t 4 | unexpand -a -t 4 | od -c
echo '# nl'; printf 'x\n\ny\n' | nl -b a; echo '# paste'; seq 1 6 | paste -d, - - -
echo '# head, tail'; seq 1 1000 | tail -n +500 | head -c 30; echo
seq 1 5000 >numbers; printf '%s\n' apple berry cherry >left; printf '%s\n' berry cherry date >right
echo '# md5sum'; md5sum numbers; echo '# sha1sum'; sha1sum numbers; echo '# sha256sum'; sha256sum numbers
echo '# sha512sum'; sha512sum numbers; echo '# sha3sum'; sha3sum numbers
echo '# base64'; head -c 100 numbers | base64; echo '# uuencode'; head -c 50 numbers | uuencode -m x
echo '# od'; head -c 40 numbers | od -A d -t x1z; echo '# hexdump'; head -c 40 numbers | hexdump -C
echo '# gzip'; gzip -c numbers | gunzip -c | cmp - numbers && echo same; echo '# bzip2'; bzip2 -c numbers | md5sum
echo '# diff'; diff -u left right | tail -n +3; echo '# cmp'; cmp left right
echo '# bc'; echo 'scale=40; 4*a(1); 2^100' | bc -l; echo '# dc'; dc -e '16 o 3735928559 p 12 7 ~ f'
echo '# date'; TZ=UTC0 date -d @1000000000 '+%Y-%m-%dT%H:%M:%S %a %j %U'; echo '# cal'; cal 2 2024
echo '# tar'; mkdir d; cp left d/a; cp right d/b; tar cf t.tar d; rm -r d; tar tf t.tar; tar xf t.tar; cat d/b
echo '# cpio'; find d -type f | sort | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null; echo '# find'; find . -name '*[ab]' | sort
echo '# stat'; stat -c '%s %F %a' numbers
echo '# xargs'; seq 1 10 | xargs -n 4 echo; echo '# strings'; printf '\001\002readable text\003no\n' | strings
echo '# basename'; basename /a/b/c.txt .txt; dirname /a/b/c.txt; realpath -m d/../left 2>/dev/null | sed 's,.*/,,'
echo '# env'; env -i A=1 B=2 env; echo '# test'; test 3 -gt 2 -a -s numbers && echo yes; echo '# yes'; yes n | head -n 3
