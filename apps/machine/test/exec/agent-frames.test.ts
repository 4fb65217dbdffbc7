import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PAYLOAD_MAX, Say } from "../../src/exec/agent-abi.js";
import { FrameReader } from "../../src/exec/agent-frames.js";
import { frame } from "./fake-agent.js";

const TAG = Uint8Array.of(0xfe, 1, 2, 3, 4, 5, 6, 7);
const OTHER = Uint8Array.of(0xfe, 1, 2, 3, 4, 5, 6, 8);

function read(...parts: Uint8Array[]): (readonly [number, string])[] {
  const reader = new FrameReader(TAG);
  const frames: (readonly [number, string])[] = [];
  for (const part of parts) {
    for (const byte of part) {
      const got = reader.push(byte);
      if (got !== null) frames.push([got.type, Buffer.from(got.data).toString("latin1")]);
    }
  }
  return frames;
}

const text = (words: string): Uint8Array => Buffer.from(words, "latin1");

describe("the frames of an agent", () => {
  it("are found among anything else that is written to the line", () => {
    const one = frame(TAG, Say.Output, text("one"));
    expect(read(text("noise \xfe\x01"), one, text("\xfe"), frame(TAG, Say.Ready), text("\x01\x02"), one)).toEqual([
      [Say.Output, "one"],
      [Say.Ready, ""],
      [Say.Output, "one"],
    ]);
  });

  it("open with the tag, all of it", () => {
    expect(read(frame(OTHER, Say.Exit, Uint8Array.of(0, 0, 0, 0)))).toEqual([]);
  });

  it("have a type and a length that an agent sends; a head that has not is passed over, and what it hides is found", () => {
    const long = frame(TAG, Say.Output);
    new DataView(long.buffer).setUint32(12, PAYLOAD_MAX + 1, true);
    expect(read(long, frame(TAG, 99), TAG, frame(TAG, Say.Errors, text("x")))).toEqual([[Say.Errors, "x"]]);
  });

  it("carry any bytes, the tag among them", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), (pieces) => {
        const data = pieces.map((piece, k) => (k % 2 === 0 ? piece : Buffer.concat([TAG, piece])));
        expect(read(...data.map((bytes) => frame(TAG, Say.Output, bytes)))).toEqual(
          data.map((bytes) => [Say.Output, Buffer.from(bytes).toString("latin1")]),
        );
      }),
    );
  });
});
