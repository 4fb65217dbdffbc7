import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ExecFrame } from "../src/cli/exec-frame.js";

const NONCE = "0123456789abcdef";
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const BEGIN = "\x01VM-EXEC-BEGIN\x02";
const end = (status: number | string, nonce = NONCE): string => `\x01VM-EXEC-END ${nonce} ${status}\x02`;

/** What a frame makes of a line that comes in `pieces`. */
function take(...pieces: Uint8Array[]): { log: string; output: string; status: number | null; begun: boolean } {
  let log = "";
  let output = "";
  const text = (b: Uint8Array): string => Buffer.from(b).toString("latin1");
  const frame = new ExecFrame(
    NONCE,
    (b) => {
      log += text(b);
    },
    (b) => {
      output += text(b);
    },
  );
  for (const piece of pieces) frame.push(piece);
  frame.finish();
  return { log, output, status: frame.status, begun: frame.begun };
}

describe("the frame of a command", () => {
  it("parts log, output, status and log", () => {
    const taken = take(bytes(`[0.0] boot\n${BEGIN}hello\n${end(3)}power down\n`));
    expect(taken).toEqual({ log: "[0.0] boot\npower down\n", output: "hello\n", status: 3, begun: true });
  });

  it("is the same however the line is cut into pieces", () => {
    const line = bytes(`log \x01 \x01VM-EXEC ${BEGIN}out \x01VM-EXEC-END ${end(1, "other")} put${end(255)}rest`);
    const whole = take(line);
    expect(whole.status).toBe(255);
    fc.assert(
      fc.property(fc.array(fc.nat(line.length), { maxLength: 20 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), line.length];
        expect(take(...at.slice(1).map((to, k) => line.subarray(at[k], to)))).toEqual(whole);
      }),
    );
  });

  it("passes any bytes the command writes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const line = Buffer.concat([bytes(BEGIN), data, bytes(end(0))]);
        const { output, status } = take(line.subarray(0, 20), line.subarray(20));
        expect([output, status]).toEqual([Buffer.from(data).toString("latin1"), 0]);
      }),
    );
  });

  it("is not ended by a command that does not know the nonce", () => {
    expect(take(bytes(BEGIN + end(0, "f".repeat(16))))).toMatchObject({ output: end(0, "f".repeat(16)), status: null });
  });

  it("holds nothing back for good", () => {
    expect(take(bytes("log \x01VM-EX"))).toMatchObject({ log: "log \x01VM-EX", begun: false, status: null });
    expect(take(bytes(`${BEGIN}out\x01VM-EXEC-END ${NONCE} 1`))).toMatchObject({
      output: `out\x01VM-EXEC-END ${NONCE} 1`,
      status: null,
    });
  });
});
