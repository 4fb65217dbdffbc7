import { describe, expect, it } from "vitest";
import { onePlace, parseWords } from "../../src/cli/bpf/inventory/words.js";
import { CLI, type Ended, Running } from "../cli.js";
import { about, loadedSource, objectPath, printed, recorded } from "./inventory.js";

const sums = about(loadedSource("sums"));
const values = about(loadedSource("values"));

/** Runs `vm bpf`. */
async function bpf(...args: readonly string[]): Promise<Ended> {
  return new Running(process.execPath, [CLI, "bpf", ...args]).ended;
}

describe("vm bpf prog, map, btf and link", () => {
  it("prog show: the line, the key words and the maps of bpftool, with the tag that Linux gives up to 6.17", async () => {
    const text = await printed(sums, "prog", "show", "");
    // The instructions that a tag is of are those that libbpf loads: SHA-256 of the same, which newer kernels take, is ccf03ef84a2a703b there.
    expect(text.replace(/loaded_at \S+/, "loaded_at T")).toBe(
      [
        "1: syscall  name sums  tag 45bf3d124798e011  gpl",
        "\tloaded_at T  uid 0",
        "\txlated 928B  not jited  memlock 4096B  map_ids 1,2,4,5,3",
        "\tbtf_id 1",
        "",
      ].join("\n"),
    );
    expect(text).toMatch(/loaded_at 2023-11-1[45]T\d\d:\d\d:\d\d[+-]\d{4} {2}uid/);
  });

  it("prog show --json: the members of bpftool -p in their order, a list for all and none for one", async () => {
    const all = await printed(sums, "prog", "show", "", true);
    expect(all).toBe(
      `[{
        "id": 1,
        "type": "syscall",
        "name": "sums",
        "tag": "45bf3d124798e011",
        "gpl_compatible": true,
        "loaded_at": 1700000000,
        "uid": 0,
        "bytes_xlated": 928,
        "jited": false,
        "bytes_memlock": 4096,
        "map_ids": [1,2,4,5,3
        ],
        "btf_id": 1
    }
]
`,
    );
    for (const words of ["id 1", "name sums", "tag 45bf3d124798e011"])
      expect(JSON.parse(await printed(sums, "prog", "show", words, true))).toEqual(JSON.parse(all)[0]);
    await expect(printed(sums, "prog", "show", "id 2")).rejects.toThrow("no prog with id 2: there is 1 (sums)");
  });

  it("tells how often a program has run, and how often it could not", async () => {
    const source = loadedSource("values");
    const [first] = source.loaded.programs;
    if (first !== undefined) Object.assign(first.program, { runs: 3, misses: 2 });
    const ask = about(source);
    expect(await printed(ask, "prog", "show", "id 1")).toContain("  gpl run_cnt 3 recursion_misses 2\n");
    expect(JSON.parse(await printed(ask, "prog", "show", "id 1", true))).toMatchObject({
      run_cnt: 3,
      recursion_misses: 2,
    });
  });

  it("map show: sections of data have the name of the object, constant ones are frozen, jumps have an owner", async () => {
    expect(await printed(sums, "map", "show", "")).toBe(
      [
        "1: array  name accounts  flags 0x0",
        "\tkey 4B  value 16B  max_entries 1  memlock 20B",
        "\tbtf_id 1",
        "2: hash  name numbers  flags 0x0",
        "\tkey 4B  value 8B  max_entries 16  memlock 192B",
        "\tbtf_id 1",
        "3: array  name sums.rodata  flags 0x80",
        "\tkey 4B  value 36B  max_entries 1  memlock 40B",
        "\tbtf_id 1  frozen",
        "4: array  name sums.bss  flags 0x400",
        "\tkey 4B  value 4B  max_entries 1  memlock 8B",
        "\tbtf_id 1",
        "5: array  name .rodata.str1.1  flags 0x80",
        "\tkey 4B  value 4B  max_entries 1  memlock 8B",
        "\tfrozen",
        "",
      ].join("\n"),
    );
    expect(JSON.parse(await printed(values, "map", "show", "name jumps", true))).toEqual({
      ...{ id: 1, type: "prog_array", name: "jumps", flags: 0, bytes_key: 4, bytes_value: 4, max_entries: 4 },
      ...{ bytes_memlock: 32, owner_prog_type: "socket_filter", owner_jited: true, frozen: 0 },
    });
  });

  it("map dump: values as bpftool shows them by their types, to people and as JSON", async () => {
    for (const name of ["values.data", "narrow"]) {
      const file = name.replace(".", "-");
      expect(await printed(values, "map", "dump", `name ${name}`)).toBe(recorded(`${file}.txt`));
      expect(await printed(values, "map", "dump", `name ${name}`, true)).toBe(recorded(`${file}.json.txt`));
    }
    expect(await printed(values, "map", "dump", "name broad")).toBe(recorded("broad.txt"));
  });

  it("map dump: arrays of programs and of maps hold the ids that prog show and map show tell", async () => {
    expect(await printed(values, "map", "dump", "name jumps")).toBe(
      "key: 02 00 00 00  value: 01 00 00 00\nFound 1 element\n",
    );
    expect(await printed(values, "map", "dump", "name outer")).toBe(
      "key: 01 00 00 00  value: 02 00 00 00\nFound 1 element\n",
    );
  });

  it("map lookup: bytes in decimal, hexadecimal or all in one; what is not there is null", async () => {
    for (const key of ["key 1 0 0 0", "key 0x01 00 0x0 0", "key hex 01 00 00 00", "key 0x01000000"])
      expect(await printed(values, "map", "lookup", `name narrow ${key}`)).toBe(
        "key: 01 00 00 00  value: 00 00 00 00 00 00\n",
      );
    expect(await printed(values, "map", "lookup", "name narrow key hex 0a 0 0 0")).toBe(
      "key:\n0a 00 00 00\n\nNot found\n",
    );
    expect(await printed(values, "map", "lookup", "name narrow key 9 0 0 0", true)).toBe("null\n");
    expect(JSON.parse(await printed(values, "map", "lookup", "name percpu key 1 0 0 0", true))).toEqual({
      key: ["0x01", "0x00", "0x00", "0x00"],
      values: [{ cpu: 0, value: Array(6).fill("0x00") }],
      formatted: { key: 1, values: [{ cpu: 0, value: { first: 0, rest: [0, 0, 0] } }] },
    });
    await expect(printed(values, "map", "lookup", "name narrow key 1 0")).rejects.toThrow("key expected 4 bytes got 2");
  });

  it("prog dump xlated: signature, source, instructions and their bytes", async () => {
    expect(await printed(values, "prog", "dump", "xlated name tail opcodes")).toBe(recorded("tail-xlated.txt"));
    expect(await printed(values, "prog", "dump", "xlated name tail opcodes", true)).toBe(
      recorded("tail-xlated.json.txt"),
    );
    const entry = await printed(values, "prog", "dump", "xlated name entry");
    expect(entry).toContain("(18) r2 = map[id:1]\n");
    expect(entry).toContain("call bpf_tail_call#12\n");
    expect(entry).toContain("(85) call pc+");
    expect(entry).toContain("\nint helper(int a, const struct values * of):\n");
    expect(entry).not.toContain("\n       ");
  });

  it("btf: which programs and maps have it, and all types as they are loaded", async () => {
    expect(await printed(values, "btf", "show", "")).toMatch(
      /^1: name <anon> {2}size \d+B {2}prog_ids 1,2,3 {2}map_ids 2,4,7,8\n$/,
    );
    expect(await printed(values, "btf", "dump", "id 1")).toBe(recorded("values-btf.txt"));
    const { types } = JSON.parse(await printed(values, "btf", "dump", "id 1", true));
    expect(types[0]).toEqual({ id: 1, kind: "PTR", name: "(anon)", type_id: 3 });
    expect(types.find(({ name }: { name: string }) => name === ".data")).toMatchObject({ kind: "DATASEC", size: 212 });
  });

  it("an object alone has no links; two at once have ids of their own", async () => {
    expect(await printed(values, "link", "show", "", true)).toBe("[]\n");
    const both = about(loadedSource("sums"), loadedSource("values"));
    expect(await printed(both, "prog", "show", "")).toMatch(/^1: syscall.*\n2: socket_filter.*\n3: .*\n4: xdp /s);
    expect(await printed(both, "map", "dump", "name jumps")).toContain("value: 02 00 00 00\n");
    expect(await printed(both, "map", "dump", "name outer")).toContain("value: 07 00 00 00\n");
  });
});

describe("the words of vm bpf", () => {
  const refused = (subject: "prog" | "map" | "btf" | "link", command: "show" | "dump" | "lookup", words: string) =>
    expect(() => parseWords(subject, command, words.split(" ")));

  it("names an object anywhere among them", () => {
    for (const words of ["a.o id 3", "id 3 a.o"])
      expect(parseWords("prog", "show", words.split(" "))).toMatchObject({
        object: "a.o",
        query: { handle: { id: 3 } },
      });
  });

  it("refuses what cannot be meant, and says what would be accepted", () => {
    refused("prog", "show", "id x").toThrow("id x: expected a number from 0 to 4294967295");
    refused("prog", "show", "id").toThrow("id: nothing behind it");
    refused("prog", "show", "a.o b.o").toThrow("b.o: expected [FILE.bpf.o] [id N | name NAME | tag TAG]");
    refused("prog", "show", "tag 12").toThrow("expected 16 hexadecimal digits");
    refused("prog", "dump", "a.o id 1").toThrow("prog dump a.o: expected xlated");
    refused("prog", "dump", "jited id 1").toThrow("expected xlated");
    refused("map", "dump", "a.o").toThrow("which one? Expected [FILE.bpf.o] id N|name NAME");
    refused("map", "lookup", "a.o id 1").toThrow("no key");
    refused("map", "lookup", "id 1 key 256").toThrow("256: expected a byte, 0 to 255");
    refused("map", "lookup", "id 1 key a.o").toThrow("key a.o: expected bytes, as in");
    refused("btf", "dump", "id 1 format c").toThrow("format c: types are not written as C: expected format raw");
    refused("btf", "dump", "id 1 file x").toThrow("expected nothing else");
    expect(() => onePlace(null, undefined)).toThrow("where? Expected an object");
    expect(() => onePlace("a.o", "/tmp/s")).toThrow("expected one of them");
  });

  it("as a command: status 0, 1 for what is not found, 2 for what cannot be", async () => {
    const path = objectPath("values");
    expect(await bpf("map", "dump", path, "name", "values.data")).toMatchObject({
      ...{ status: 0, stderr: "", stdout: recorded("values-data.txt") },
    });
    expect(await bpf("btf", "dump", "file", path, "format", "raw")).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("DATASEC '.data' size=0 "),
    });
    expect(JSON.parse((await bpf("prog", "show", path, "id", "3", "--json")).stdout)).toMatchObject({
      ...{ type: "xdp", name: "pass", jited: true },
    });
    expect((await bpf("map", "lookup", path, "name", "narrow", "key", "9", "0", "0", "0")).status).toBe(1);
    expect(await bpf("prog", "list", CLI)).toMatchObject({ status: 2, stderr: `vm: ${CLI}: no ELF file\n` });
    expect(await bpf("prog", "list", "--machine", "/nowhere/at/all")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("no machine listens there: expected the socket of vm boot"),
    });
    expect(await bpf("btf", "dump", "file", CLI)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("expected type information, or an object with a section .BTF"),
    });
  });
});
