import { describe, expect, it } from "vitest";
import { Say } from "../../src/exec/agent-abi.js";
import { ExecAgent, type ExecPort } from "../../src/exec/exec-agent.js";
import { type ExecCommand, rootWords } from "../../src/exec/exec-plan.js";
import { decodeValue, encodeValue } from "../../src/snapshot/value-codec.js";
import { AGENT_SIZE, FakeAgent, int32, int64 } from "./fake-agent.js";

const TAG = Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2);

/** A conversation in which the host is another one from byte `from` of the guest's on, then again behind every `every` bytes. */
function converse({ from = Number.POSITIVE_INFINITY, every = 1 }) {
  const heard: string[] = [];
  const commands: (ExecCommand | "wait")[] = [
    { command: "true", input: true },
    "wait",
    { command: "false", input: false },
  ];
  const queue: number[] = [];
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
  const port: ExecPort = {
    send: (bytes) => {
      heard.push(`send ${text(bytes)}`);
      guest.receive(bytes);
    },
    next: () => commands.shift() ?? "leave",
    begin: () => void heard.push("begin"),
    output: (bytes) => void heard.push(`output ${text(bytes)}`),
    errors: (bytes) => void heard.push(`errors ${text(bytes)}`),
    ready: () => void heard.push("ready"),
    closed: () => void heard.push("closed"),
    exit: (status) => void heard.push(`exit ${status}`),
    fail: (why) => void heard.push(`fail ${why}`),
    done: () => void heard.push("done"),
    rest: () => null,
  };
  let agent = new ExecAgent({ tag: TAG, root: rootWords("") }, AGENT_SIZE, port);
  const guest = new FakeAgent((bytes) => void queue.push(...bytes));
  let bytes = 0;
  const drain = (): void => {
    for (let byte = queue.shift(); byte !== undefined; byte = queue.shift()) {
      agent.push(byte);
      if (++bytes < from || (bytes - from) % every !== 0) continue;
      const state = decodeValue(encodeValue(agent.save(), "agent", 1 << 20), "agent");
      agent = ExecAgent.resumed(state as ReturnType<ExecAgent["save"]>, AGENT_SIZE, port);
    }
  };
  const say = (type: number, data?: Uint8Array): void => {
    guest.say(type, data);
    drain();
  };
  say(Say.Hello, int64(0x7000));
  say(Say.Output, Buffer.from("out"));
  say(Say.Ready);
  agent.input(Uint8Array.of(1, 2));
  say(Say.Exit, int32(7 << 8));
  agent.wake();
  drain();
  say(Say.Errors, Buffer.from("err"));
  say(Say.Exit, int32(0));
  return { heard, bytes };
}

describe("a host of an agent", () => {
  it("that is saved and made anew behind any byte carries on the same conversation", () => {
    const whole = converse({});
    expect(whole.heard.filter((line) => !line.startsWith("send"))).toEqual([
      ...["begin", "output out", "ready", "exit 7", "begin", "errors err", "exit 0", "done"],
    ]);
    // Frames are of different lengths: in time it is every place of theirs.
    for (let from = 1; from <= whole.bytes; from += 7)
      expect(converse({ from, every: whole.bytes }), `behind byte ${from}`).toEqual(whole);
    expect(converse({ from: 1 })).toEqual(whole);
  });

  it("asks again for input that the command waited for", () => {
    const asked: string[] = [];
    const guest = new FakeAgent((bytes) => {
      for (const byte of bytes) agent.push(byte);
    });
    const port: ExecPort = {
      ...{ send: (bytes) => guest.receive(bytes), next: () => ({ command: "cat", input: true }) },
      ...{ begin: () => undefined, output: () => undefined, errors: () => undefined, closed: () => undefined },
      ...{ exit: () => undefined, fail: () => undefined, done: () => undefined, rest: () => Uint8Array.of(5) },
      ready: () => void asked.push("ready"),
    };
    let agent = new ExecAgent({ tag: TAG, root: rootWords("") }, AGENT_SIZE, port);
    guest.say(Say.Hello, int64(0x7000));
    guest.say(Say.Ready);
    const state = agent.save();
    expect([state.asked, state.input, agent.command]).toEqual([
      true,
      Uint8Array.of(5),
      { command: "cat", input: true },
    ]);
    agent = ExecAgent.resumed(state, AGENT_SIZE, port);
    agent.takeUp();
    agent.input(Uint8Array.of(5));
    agent.takeUp();
    expect([asked, guest.input]).toEqual([["ready", "ready"], [Uint8Array.of(5)]]);
  });

  it("refuses replies that nobody has asked for", () => {
    const agent = new ExecAgent({ tag: TAG, root: rootWords("") }, AGENT_SIZE, {} as ExecPort);
    const script = {
      origin: { from: "leave", hello: new Uint8Array(0), command: null },
      replies: Array(999).fill(int64(0)),
    } as const;
    expect(() =>
      ExecAgent.resumed({ ...agent.save(), script }, AGENT_SIZE, { done: () => undefined } as ExecPort),
    ).toThrow(RangeError);
  });
});
