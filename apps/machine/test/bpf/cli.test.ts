import { describe, expect, it } from "vitest";
import { CLI, type Ended, Running } from "../cli.js";

/** Runs `vm bpf` with a program on standard input. */
async function bpf(args: readonly string[], input = ""): Promise<Ended> {
  const running = new Running(process.execPath, [CLI, "bpf", ...args]);
  running.process.stdin.end(input);
  return running.ended;
}

const EXIT = "95 00 00 00 00 00 00 00";
const RETURN_42 = `b7 00 00 00 2a 00 00 00 ${EXIT}`;
const READ_R1 = `79 10 00 00 00 00 00 00 ${EXIT}`;

describe("vm bpf", () => {
  it("conformance: r0 for a program and memory in hexadecimal, by either engine", async () => {
    for (const engine of ["jit", "interpreter"]) {
      const { status, stdout } = await bpf(["conformance", "88 77 66 55 44 33 22 11", "--engine", engine], READ_R1);
      expect([status, stdout]).toEqual([0, "1122334455667788\n"]);
    }
    expect(await bpf(["conformance"], `05 00 ff ff 00 00 00 00 ${EXIT}`)).toMatchObject({
      status: 1,
      stderr: "vm: EFAULT: budget fault at instruction 0\n",
    });
    expect((await bpf(["conformance"], "xyz")).status).toBe(2);
  });

  it("verify: accept or reject, the log, and the status", async () => {
    expect(await bpf(["verify", "-"], RETURN_42)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^accept\n/),
    });
    const refused = await bpf(["verify", "-", "--type", "xdp"], READ_R1);
    expect(refused.status).toBe(1);
    expect(refused.stdout).toMatch(/^reject EACCES\n.*invalid bpf_context access off=0 size=8/s);
    const { stdout } = await bpf(["verify", "-", "--json"], EXIT);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: "reject",
      errno: "EACCES",
      log: expect.stringContaining("R0 !read_ok"),
    });
  });

  it("boot --bpf: what is no object is refused before anything is booted", async () => {
    const running = new Running(process.execPath, [CLI, "boot", "--builtin", "--bpf", CLI]);
    expect(await running.ended).toMatchObject({ status: 2, stderr: expect.stringMatching(/--bpf .*: no ELF file\n$/) });
  });

  it("run: what is in maps after it, which it names by descriptors", async () => {
    // *(u32 *)(r10 - 4) = 1; r1 = map 0; r2 = r10 - 4; call map_lookup_elem; if r0 == 0 exit; *(u64 *)r0 = 7; r0 = 3; exit
    const program = [
      "62 0a fc ff 01 00 00 00 18 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00 bf a2 00 00 00 00 00 00",
      `07 02 00 00 fc ff ff ff 85 00 00 00 01 00 00 00 55 00 01 00 00 00 00 00 ${EXIT}`,
      `7a 00 00 00 07 00 00 00 b7 00 00 00 03 00 00 00 ${EXIT}`,
    ].join(" ");
    const maps = JSON.stringify([{ type: "array", key_size: 4, value_size: 8, max_entries: 2, name: "numbers" }]);
    const { status, stdout, stderr } = await bpf(["run", "-", "--maps", maps, "--json"], program);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const told = JSON.parse(stdout) as { r0: string; maps: { numbers: { value: string[] }[] } };
    expect(told.r0).toBe("0x3");
    expect(told.maps.numbers.map(({ value }) => value[0])).toEqual(["0x00", "0x07"]);
  });

  describe("--maps", () => {
    const told = async (maps: unknown, program = RETURN_42): Promise<Record<string, unknown[]>> => {
      const { stdout, stderr } = await bpf(["run", "-", "--json", "--maps", JSON.stringify(maps)], program);
      expect(stderr).toBe("");
      return (JSON.parse(stdout) as { maps: Record<string, unknown[]> }).maps;
    };
    const HASH = { type: "hash", key_size: 4, value_size: 8, max_entries: 2 };

    it("takes bpftool's names, those of linux/bpf.h and camelCase, and shows maps as bpftool does", async () => {
      const maps = [
        {
          ...{
            id: 7,
            type: "percpu_hash",
            name: "a",
            flags: 0,
            bytes_key: 4,
            bytes_value: 1,
            max_entries: 2,
            frozen: 0,
          },
        },
        {
          ...{ type: "BPF_MAP_TYPE_LPM_TRIE", name: "b", key_size: 5, value_size: 1, max_entries: 1 },
          flags: ["BPF_F_NO_PREALLOC"],
        },
        { ...{ type: "LRU_PERCPU_HASH", name: "c", keySize: 1, valueSize: 1, maxEntries: 3 } },
        { ...{ type: "Queue", name: "d", valueSize: 1, maxEntries: 3 } },
      ];
      const elements = [
        [{ key: ["0x01", "0x00", "0x00", "0x00"], values: [{ cpu: 0, value: ["0x2a"] }] }],
        [{ key: "04 00 00 00 a0", value: [7] }],
        [{ key: "0x09", value: "08" }],
        [{ value: "01" }, { value: "02" }],
      ];
      expect(await told(maps.map((map, k) => ({ ...map, elements: elements[k] })))).toEqual({
        a: [{ key: ["0x01", "0x00", "0x00", "0x00"], values: [{ cpu: 0, value: ["0x2a"] }] }],
        b: [{ key: ["0x04", "0x00", "0x00", "0x00", "0xa0"], value: ["0x07"] }],
        c: [{ key: ["0x09"], values: [{ cpu: 0, value: ["0x08"] }] }],
        d: [
          { key: [], value: ["0x01"] },
          { key: [], value: ["0x02"] },
        ],
      });
    });

    it("makes maps of maps, whose values are the names or the descriptors of others", async () => {
      // As above, with a lookup in the map that was found: 9 if there is none, or else its value for key 1.
      const program = [
        "62 0a fc ff 01 00 00 00 18 11 00 00 05 00 00 00 00 00 00 00 00 00 00 00 bf a2 00 00 00 00 00 00",
        `07 02 00 00 fc ff ff ff 85 00 00 00 01 00 00 00 55 00 02 00 00 00 00 00 b7 00 00 00 09 00 00 00 ${EXIT}`,
        "bf 01 00 00 00 00 00 00 bf a2 00 00 00 00 00 00 07 02 00 00 fc ff ff ff 85 00 00 00 01 00 00 00",
        `55 00 01 00 00 00 00 00 ${EXIT} 79 00 00 00 00 00 00 00 ${EXIT}`,
      ].join(" ");
      const maps = (type: string, value: string | number): string =>
        JSON.stringify([
          { ...HASH, name: "seen", elements: [{ key: "01 00 00 00", value: "2a 00 00 00 00 00 00 00" }] },
          { type, fd: 5, key_size: 4, max_entries: 2, inner: HASH, elements: [{ key: "01000000", value }] },
        ]);
      for (const [type, value] of [
        ["array_of_maps", "seen"],
        ["hash_of_maps", 0],
      ] as const) {
        const { status, stdout } = await bpf(["run", "-", "--maps", maps(type, value)], program);
        expect(status).toBe(0);
        expect(stdout).toMatch(/^r0 0x2a\n.*map1 .*"key":\["0x01","0x00","0x00","0x00"\],"value":\["0x01",/s);
      }
      const verdict = await bpf(["verify", "-", "--maps", maps("array_of_maps", 0)], program);
      expect(verdict.stdout).toMatch(/^accept\n/);
    });

    it("knows what values hold besides bytes, and what is constant", async () => {
      // r1 = the value of map 0; r2 = 0; call bpf_spin_lock; exit: a lock that is not given back.
      const lock = `18 21 00 00 00 00 00 00 00 00 00 00 00 00 00 00 85 00 00 00 5d 00 00 00 b7 00 00 00 00 00 00 00 ${EXIT}`;
      const array = { type: "array", key_size: 4, value_size: 8, max_entries: 1 };
      const verify = async (map: object, program: string): Promise<string> =>
        (await bpf(["verify", "-", "--type", "tc", "--maps", JSON.stringify([map])], program)).stdout;
      expect(await verify({ ...array, fields: [{ kind: "bpf_spin_lock", offset: 0 }] }, lock)).toMatch(
        /lock.*held|unlock/,
      );
      expect(await verify(array, lock)).toMatch(/no valid bpf_spin_lock|has to have BTF/);
      // r1 = the value; r0 = *(u32 *)r1; if r0 == 7 exit; r0 = *(u64 *)0: only a constant saves it.
      const constant = [
        "18 21 00 00 00 00 00 00 00 00 00 00 00 00 00 00 61 10 00 00 00 00 00 00",
        `15 00 02 00 07 00 00 00 b7 01 00 00 00 00 00 00 79 10 00 00 00 00 00 00 ${EXIT}`,
      ].join(" ");
      const data = { ...array, data: "07 00 00 00 00 00 00 00", flags: ["BPF_F_RDONLY_PROG"] };
      expect(await verify({ ...data, frozen: true }, constant)).toMatch(/^accept/);
      expect(await verify({ ...data, frozen: false }, constant)).toMatch(/^reject/);
      // Programs may still write it.
      expect(await verify({ ...data, frozen: true, flags: 0 }, constant)).toMatch(/^reject/);
    });

    it("what is wrong is told in a line, and nothing is run", async () => {
      const maps = JSON.stringify([{ ...HASH, flags: 1024 }]);
      expect(await bpf(["run", "-", "--maps", maps], RETURN_42)).toMatchObject({
        ...{ status: 2, stdout: "" },
        stderr: expect.stringMatching(
          /^vm: --maps: map 0 \(map0\): EINVAL: flags 0x400 of a hash table: expected .*\n$/,
        ),
      });
    });
  });
});
