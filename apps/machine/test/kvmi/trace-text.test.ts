import { constants } from "node:os";
import {
  GuestOsError,
  type GuestReader,
  type LinuxKernel,
  type Prototype,
  type Registers,
  UnmappedError,
} from "@vm/kvmi";
import { describe, expect, it } from "vitest";
import { argumentsText, resultText } from "../../src/cli/kvmi/arguments.js";
import { errnoName } from "../../src/cli/kvmi/errno-names.js";
import { FLAG_SETS, flagsText } from "../../src/cli/kvmi/flag-sets.js";
import { probes } from "../../src/cli/kvmi/probes.js";
import { quoted } from "../../src/cli/kvmi/quoted.js";
import { SYSCALLS } from "../../src/cli/kvmi/syscall-table.js";
import { SyscallArguments, syscallResult } from "../../src/cli/kvmi/syscall-values.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Memory of a guest: a page at 0x1000 with `contents` from there on, and nothing else. */
function reader(contents: Uint8Array): GuestReader {
  const page = new Uint8Array(4096);
  page.set(contents);
  const read = (gva: bigint, size: number): Promise<Uint8Array> => {
    const at = Number(gva) - 0x1000;
    return at < 0 || at + size > page.length
      ? Promise.reject(new UnmappedError(gva))
      : Promise.resolve(page.slice(at, at + size));
  };
  return {
    read,
    u64: async (gva: bigint) => new DataView((await read(gva, 8)).buffer).getBigUint64(0, true),
    cString: async (gva: bigint, most: number) => {
      const found = await read(gva, most);
      const end = found.indexOf(0);
      return { bytes: end < 0 ? found : found.subarray(0, end), whole: end >= 0 };
    },
  } as unknown as GuestReader;
}

const words = (...values: (bigint | number)[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  values.forEach((value, k) => void view.setBigUint64(8 * k, BigInt(value), true));
  return new Uint8Array(view.buffer);
};

/** A system call as it is shown. */
async function syscall(
  name: string,
  values: (bigint | number)[],
  result: bigint | null,
  contents: Uint8Array = new Uint8Array(0),
) {
  const shape = SYSCALLS.get(name);
  if (shape === undefined) throw new Error(`no ${name}`);
  const six = [...values.map((value) => BigInt.asUintN(64, BigInt(value))), ...Array(6).fill(0n)].slice(0, 6);
  const memory = reader(contents);
  return (await SyscallArguments.read(shape, six, memory)).text(result, memory);
}

describe("arguments of system calls, as strace(1) shows them", () => {
  it("text, flags, permissions of files that are created, descriptors", async () => {
    const path = bytes("/tmp/x\0");
    expect(await syscall("openat", [-100, 0x1000, 0o1101, 0o644], 3n, path)).toBe(
      'AT_FDCWD, "/tmp/x", O_WRONLY|O_CREAT|O_TRUNC, 0644',
    );
    expect(await syscall("openat", [5, 0x1000, 0o2000000, 0o644], 3n, path)).toBe('5, "/tmp/x", O_RDONLY|O_CLOEXEC');
    expect(await syscall("open", [0x1000, 0o20200002, 0o600], 3n, path)).toBe('"/tmp/x", O_RDWR|O_TMPFILE, 0600');
    expect(await syscall("access", [0x1000, 0], 0n, path)).toBe('"/tmp/x", F_OK');
    expect(await syscall("access", [0x1000, 5], 0n, path)).toBe('"/tmp/x", R_OK|X_OK');
  });

  it("numbers that are one thing each", async () => {
    expect(await syscall("lseek", [3, -8, 2], 0n)).toBe("3, -8, SEEK_END");
    expect(await syscall("kill", [-1, 9], 0n)).toBe("-1, SIGKILL");
    expect(await syscall("mmap", [0, 8192, 3, 0x22, -1, 0], 0n)).toBe(
      "NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0",
    );
    expect(await syscall("clone", [0x1200011, 0, 0, 0, 0], 7n)).toBe(
      "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, NULL, NULL, NULL, NULL",
    );
    expect(await syscall("futex", [0x2000, 129, 1, 0, 0, 0], 0n)).toBe("0x2000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0");
    expect(await syscall("socket", [2, 0o2000001, 0], 3n)).toBe("AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0");
    expect(await syscall("ioctl", [0, 0x1234, 0x2000000], 0n)).toBe("0, 0x1234, 0x2000000");
  });

  it("buffers: what is written at once, what is read when it has been, and no more than is shown", async () => {
    const text = bytes("hi\n\x00\x1b".padEnd(60, "."));
    expect(await syscall("write", [1, 0x1000, 5], 5n, text)).toBe('1, "hi\\n\\x00\\x1b", 5');
    expect(await syscall("write", [1, 0x1000, 2n ** 63n], -14n, text)).toBe(
      `1, "hi\\n\\x00\\x1b${".".repeat(27)}"..., 9223372036854775808`,
    );
    expect(await syscall("read", [0, 0x1000, 100], 3n, text)).toBe('0, "hi\\n", 100');
    expect(await syscall("read", [0, 0x1000, 100], -11n, text)).toBe("0, 0x1000, 100");
    expect(await syscall("read", [0, 0x1000, 100], null, text)).toBe("0, 0x1000, 100");
    expect(await syscall("read", [0, 0x9000, 100], 3n, text)).toBe("0, 0x9000, 100");
  });

  it("vectors of strings; those of a program that is gone are not looked for again", async () => {
    const vector = new Uint8Array(0x200);
    vector.set(words(0x1100, 0x1103, 0));
    vector.set(bytes("ls\0-l\0"), 0x100);
    vector.set(bytes("/bin/ls\0"), 0x180);
    expect(await syscall("execve", [0x1180, 0x1000, 0x1000], 0n, vector)).toBe(
      '"/bin/ls", ["ls", "-l"], 0x1000 /* 2 vars */',
    );
    expect(await syscall("execve", [0x9180, 0x1000, 0x1000], 0n, vector)).toMatch(/^0x9180, \["ls", "-l"\]/);
    const endless = words(...Array(512).fill(0x1000n));
    const shown = await syscall("execve", [0x1000, 0x1000, 0x1000], -14n, endless);
    expect(shown).toMatch(/^"", \["", ("", ){15}\.\.\.\], 0x1000$/);
  });

  it("memory that is brought in by the call itself is looked at again", async () => {
    const shape = SYSCALLS.get("unlink");
    if (shape === undefined) throw new Error("no unlink");
    const given = await SyscallArguments.read(shape, [0x1000n], nowhere);
    expect(await given.text(0n, reader(bytes("/late\0")))).toBe('"/late"');
    expect(await given.text(-14n, nowhere)).toBe("0x1000");
  });

  it("results: numbers, addresses, errors by name, calls that start over", () => {
    expect(syscallResult(3n, false)).toBe("3");
    expect(syscallResult(0x7f0000000000n, true)).toBe("0x7f0000000000");
    expect(syscallResult(BigInt.asUintN(64, -2n), false)).toBe("-1 ENOENT");
    expect(syscallResult(BigInt.asUintN(64, -12n), true)).toBe("-1 ENOMEM");
    expect(syscallResult(BigInt.asUintN(64, -512n), false)).toBe("? ERESTARTSYS");
    expect(syscallResult(BigInt.asUintN(64, -5000n), false)).toBe("-5000");
  });
});

const nowhere = {
  read: (gva: bigint) => Promise.reject(new UnmappedError(gva)),
  u64: (gva: bigint) => Promise.reject(new UnmappedError(gva)),
  cString: (gva: bigint) => Promise.reject(new UnmappedError(gva)),
} as unknown as GuestReader;

it("errors have the names that this host's Linux knows", () => {
  // Elsewhere numbers differ.
  if (process.platform !== "linux") return;
  for (const [name, value] of Object.entries(constants.errno))
    if (!["EWOULDBLOCK", "EOPNOTSUPP", "ENOTSUP"].includes(name))
      expect([value, errnoName(value)]).toEqual([value, name]);
  expect([errnoName(41), errnoName(58), errnoName(134), errnoName(0)]).toEqual([null, null, null, null]);
});

it("flags that have no name are a number behind those that have", () => {
  expect(flagsText(FLAG_SETS.at, 0)).toBe("0");
  expect(flagsText(FLAG_SETS.prot, 0)).toBe("PROT_NONE");
  expect(flagsText(FLAG_SETS.open, 3)).toBe("0x3");
  expect(flagsText(FLAG_SETS.at, 0x80000100 | 0)).toBe("AT_SYMLINK_NOFOLLOW|0x80000000");
});

it("text is one line between quotation marks, whatever it holds", () => {
  expect(quoted(bytes('a"b\\c\n\t\r'))).toBe('"a\\"b\\\\c\\n\\t\\r"');
  expect(quoted(Uint8Array.of(0x1b, 0x5b, 0x9b, 0xff, 7), false)).toBe('"\\x1b[\\x9b\\xff\\x07"...');
  expect(quoted(bytes("\u202eabc\u2028"))).toBe('"\\u202eabc\\u2028"');
});

describe("arguments of kernel functions", () => {
  const regs = { rdi: 1n, rsi: 2n, rdx: 3n, rcx: 4n, r8: 5n, r9: 6n, rsp: 0x1000n } as Registers;
  const int = { kind: "int", size: 4, signed: true, bool: false } as const;
  const long = { kind: "int", size: 8, signed: false, bool: false } as const;
  const take = (...types: Prototype["parameters"][0]["type"][]): Prototype => ({
    parameters: types.map((type, k) => ({ name: `p${k}`, type })),
    variadic: false,
    result: { kind: "void" },
  });

  it("in registers, then on the stack behind the return address", async () => {
    const stack = reader(words(0xdead, 7, 8));
    expect(await argumentsText(take(int, int, int, int, int, int, int, long), regs, stack)).toBe(
      "p0=1, p1=2, p2=3, p3=4, p4=5, p5=6, p6=7, p7=8",
    );
    expect(await argumentsText(take(int, int, int, int, int, int, int), regs, nowhere)).toMatch(/p5=6, p6=\{\.\.\.\}$/);
  });

  it("structures: of one word as a number, of two in two registers, larger ones and those that do not fit on the stack", async () => {
    const stack = reader(words(0xdead, 0xa, 0xb, 0xc, 9));
    const of = (size: number) => ({ kind: "aggregate", size }) as const;
    expect(await argumentsText(take(of(8), of(16), int), regs, stack)).toBe("p0=0x1, p1={...}, p2=4");
    expect(await argumentsText(take(of(24), int, int, int, int, int, of(16), int), regs, stack)).toBe(
      "p0={...}, p1=1, p2=2, p3=3, p4=4, p5=5, p6={...}, p7=6",
    );
  });

  it("numbers by sign and size, enumerations by name, errors in pointers, text where there is some", async () => {
    const values = {
      rdi: 0xffff_fffen,
      rsi: 0x1_0000n,
      rdx: 1n,
      rcx: 0x1000n,
      r8: 0x9000n,
      r9: 2n ** 64n - 2n,
      rsp: 0n,
    } as Registers;
    const text = { kind: "pointer", text: true, constant: true } as const;
    const color = {
      kind: "enum",
      size: 4,
      signed: false,
      nameOf: (value: bigint) => (value === 1n ? "RED" : null),
    } as const;
    const memory = reader(bytes("na\x1bme\0"));
    expect(await argumentsText(take(int, long, color, text, text, { ...text, text: false }), values, memory)).toBe(
      'p0=-2, p1=0x10000, p2=RED, p3="na\\x1bme", p4=0x9000, p5=ERR_PTR(-2 ENOENT)',
    );
    // What the function may write to is shown as text if it can be read as such.
    const buffer = take(long, long, long, { kind: "pointer", text: true, constant: false });
    expect(await argumentsText(buffer, values, memory)).toMatch(/p3=0x1000$/);
    expect(await argumentsText(buffer, values, reader(bytes("name\0")))).toMatch(/p3="name"$/);
    expect(await argumentsText(null, regs, memory)).toBe("rdi=0x1, rsi=0x2, rdx=0x3, ...");
    const named = { ...take(int), parameters: [{ name: "\x1b[2J".padEnd(200, "x"), type: int }], variadic: true };
    expect(await argumentsText(named, regs, memory)).toBe(`\\x1b[2J${"x".repeat(60)}=1, ...`);
  });

  it("results", () => {
    expect(resultText(int, 0xffff_fffen)).toBe("-2 ENOENT");
    expect(resultText(int, 7n)).toBe("7");
    expect(resultText({ ...int, size: 1, bool: true, signed: false }, 0xff01n)).toBe("true");
    expect(resultText({ kind: "void" }, 7n)).toBe("void");
    expect(resultText({ kind: "pointer", text: false, constant: false }, 2n ** 64n - 12n)).toBe("ERR_PTR(-12 ENOMEM)");
    expect(resultText(null, 7n)).toBe("0x7");
  });
});

describe("functions to trace", () => {
  const symbols = new Map<string, bigint>([
    ["vfs_read", 0x1000n],
    ["vfs_read_alias", 0x1000n],
    ["vfs_write", 0x1100n],
    ["vfs_data\x1b", 0x9000n],
    ["init_task", 0x9100n],
    ...Array.from({ length: 300 }, (_, k): [string, bigint] => [`many_${k}`, 0x2000n + BigInt(k)]),
  ]);
  const kernel = {
    symbols,
    symbol: (name: string) => {
      const found = symbols.get(name);
      if (found === undefined) throw new GuestOsError("no-symbol", `no ${name}`);
      return found;
    },
    isCode: (address: bigint) => address < 0x9000n,
  } as unknown as LinuxKernel;

  it("by name and pattern, each address once; what is no code is told", () => {
    expect(probes(kernel, ["vfs_*"])).toEqual({
      functions: new Map([
        [0x1000n, "vfs_read"],
        [0x1100n, "vfs_write"],
      ]),
      left: "no code, so not traced: vfs_data\\x1b",
    });
    expect(probes(kernel, ["vfs_write", "vfs_wr?te"]).left).toBeNull();
  });

  it("names that are none, data, patterns that cover nothing or too much are refused", () => {
    expect(() => probes(kernel, ["vfs_raed"])).toThrow("no vfs_raed");
    expect(() => probes(kernel, ["init_task"])).toThrow(
      "init_task is no function that is there when the kernel has started",
    );
    expect(() => probes(kernel, ["nothing*"])).toThrow("the kernel has no function nothing*");
    expect(() => probes(kernel, ["many_*"])).toThrow("--function many_*: 300 functions, where 256 are the most");
  });
});
