/** The real programs that are run on a Debian root, and the script that runs them in the guest. */

/** A program. `$bench` is the disk with the benchmark's files, the directory an empty one in memory. */
export interface Program {
  readonly name: string;
  /** Shell commands that make ready for it. */
  readonly before?: string;
  /** What is measured: shell commands that print the same, everywhere and always. */
  readonly run: string;
}

const COMMIT = "git -c user.name=a -c user.email=b -c core.abbrev=12 -c gc.auto=0";

/** Those that need little first. Each takes TCG half a second to a few. */
export const PROGRAMS: readonly Program[] = [
  { name: "ash", run: "$bench/busybox ash -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo $i'" },
  {
    name: "dd",
    run: "dd if=/dev/zero of=zeros bs=64k count=2000 2>/dev/null; dd if=zeros of=/dev/null bs=512 2>/dev/null; cksum zeros",
  },
  { name: "fork", run: "i=0; while [ $i -lt 150 ]; do /bin/true; i=$((i+1)); done; echo $i" },
  { name: "python", run: "python3 $bench/work.py" },
  { name: "perl", run: "perl $bench/work.pl" },
  { name: "sort", run: "sort $bench/lines >sorted; sort -k2 -n -r $bench/lines | head -n 1; cksum sorted" },
  { name: "xz", run: "xz -6 -k -c $bench/lines >lines.xz; xz -d -c lines.xz | cksum; wc -c <lines.xz" },
  { name: "sha256", before: "cp $bench/lines .", run: "for i in 1 2 3 4 5 6 7 8; do openssl dgst -sha256 lines; done" },
  {
    name: "aes",
    before: "cp $bench/lines .",
    run: "for i in 1 2 3 4 5 6 7 8; do openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0 -in lines | cksum; done 2>/dev/null",
  },
  {
    name: "rsa",
    run: "openssl rsa -in $bench/key.pem -check -noout; openssl dgst -sha256 -sign $bench/key.pem $bench/work.py | cksum",
  },
  {
    name: "sqlite",
    run: `sqlite3 db "create table t(a integer primary key, b text, c integer);
begin; with recursive n(i) as (select 1 union all select i+1 from n where i < 60000) insert into t select i, 'row ' || (i * 7919 % 60000), i % 97 from n; commit;
create index u on t(b); select count(*), sum(c) from t where b like 'row 1%'; select c, count(*), max(b) from t group by c order by 2, 1 limit 3;
update t set b = upper(b) where c < 20; select count(distinct b) from t;"`,
  },
  { name: "find", run: "find /usr -xdev -type f -name '*.h' | sort | cksum" },
  {
    name: "git",
    before:
      "cp -r /usr/include/linux /usr/include/x86_64-linux-gnu tree 2>/dev/null || { mkdir tree; cp -r /usr/include/linux tree; }",
    run: `export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'; cd tree; git init -q -b main .; git add .; ${COMMIT} commit -q -m first
for f in linux/a*.h; do echo '/* more */' >>$f; done; git diff --stat | tail -n 1; ${COMMIT} commit -q -a -m second; git log --format=%T; git status --short | wc -l; git gc -q; git fsck --no-progress`,
  },
  { name: "x87", run: "$bench/x87 3000" },
  { name: "smc", run: "$bench/smc 150000" },
  { name: "syscalls", run: "$bench/syscalls 200000" },
  { name: "clock", run: "$bench/clock 8000000" },
  { name: "signals", run: "$bench/signals 60000" },
  { name: "go", run: "$bench/go-work" },
  { name: "gcc", run: "gcc -O2 -Wno-unknown-pragmas -c $bench/work.c -o work.o; nm work.o | cksum" },
  { name: "node", run: "node $bench/work.js" },
  { name: "java", run: "java $bench/Work.java" },
];

/** Names of the boots that are measured besides: to the first program of the root, and through systemd to the login. */
export const BOOTS = ["boot", "login"] as const;

/** Label of the file system with the benchmark's files. */
export const LABEL = "vmbench";
/** Line the script prints first. */
export const READY = "READY";
export const DONE = "ALLDONE";

/**
 * The script: `sh run.sh NAME...` prints, for each program, `B name` before, `E name status` after, and `C name sum` with a
 * checksum of what it wrote.
 */
export function guestScript(programs: readonly Program[]): string {
  const cases = (of: (program: Program) => string) =>
    programs.map((program) => `    ${program.name})\n${of(program)}\n      ;;`).join("\n");
  return `#!/bin/sh
echo ${READY}
dmesg -n 1
export bench=/mnt PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C
mount -t tmpfs tmpfs /tmp
before() {
  case $1 in
${cases(({ before }) => before ?? ":")}
  esac
}
run() {
  case $1 in
${cases(({ run }) => run)}
  esac
}
for name; do
  mkdir "/tmp/$name" && cd "/tmp/$name" || exit 1
  before "$name"
  echo "B $name"
  (run "$name") >/tmp/out 2>&1 </dev/null
  echo "E $name $?"
  echo "C $name $(cksum </tmp/out)"
  cd /tmp && rm -rf "/tmp/$name"
done
echo ${DONE}
poweroff -f
`;
}

const shellWords = (command: string): string =>
  `root=LABEL=debian ro init=/bin/sh -- -c "mount -o ro LABEL=${LABEL} /mnt && exec sh /mnt/${command}"`;

/** Kernel command line words that boot the root into the script. */
export const scriptWords = (names: readonly string[]): string => shellWords(`run.sh ${names.join(" ")}`);
/** Those that boot it into a loop that compiles for some minutes, after it has touched some memory. */
export const compileWords = (minutes: number, fillMib: number): string =>
  shellWords(`compile-loop.sh ${minutes * 60} ${fillMib}`);
/** Those that boot it as Debian does. */
export const LOGIN_WORDS = "root=LABEL=debian ro";
