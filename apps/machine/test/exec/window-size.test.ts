import { expect, it } from "vitest";
import { Say } from "../../src/exec/agent-abi.js";
import { Nr } from "../../src/exec/guest-syscalls.js";
import { WindowSize } from "../../src/exec/window-size.js";
import { FakeAgent, int64 } from "./fake-agent.js";

function setup() {
  let time = 0;
  const size = { rows: 24, columns: 80 };
  const window = new WindowSize(
    (bytes) => guest.receive(bytes),
    () => size,
    () => time,
  );
  const guest = new FakeAgent((bytes) => {
    for (const byte of bytes) window.push(byte);
  });
  const told = (): number => guest.calls.filter((number) => number === Nr.ioctl).length;
  const wait = (ms: number): void => {
    time += ms;
  };
  return { window, guest, told, wait };
}

it("the guest is told the size when its agent is there, and at each change", () => {
  const { window, guest, told } = setup();
  window.tell();
  expect(told()).toBe(0);
  guest.say(Say.Hello, int64(0));
  expect(told()).toBe(1);
  window.tell();
  expect([told(), guest.calls]).toEqual([2, [Nr.open, Nr.ioctl, Nr.close, Nr.open, Nr.ioctl, Nr.close]]);
});

it("a key tells it again, a second after the last time", () => {
  const { window, guest, told, wait } = setup();
  guest.say(Say.Hello, int64(0));
  window.typed();
  expect(told()).toBe(1);
  wait(1001);
  window.typed();
  window.typed();
  expect(told()).toBe(2);
});
