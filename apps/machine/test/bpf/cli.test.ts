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
});
