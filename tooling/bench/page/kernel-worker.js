// A Worker with one machine: told an image and how to run it, it says the lines of the console, those together that come at once.
import { createBareMachine } from "@vm/machine";

addEventListener("message", async ({ data: { image, ...options } }) => {
  const decoder = new TextDecoder();
  let partial = "";
  try {
    const bytes = new Uint8Array(await (await fetch(image)).arrayBuffer());
    const machine = await createBareMachine({ image: bytes, ...options });
    machine.console.onOutput((bytes) => {
      const lines = (partial + decoder.decode(bytes, { stream: true })).split("\n");
      partial = lines.pop();
      if (lines.length > 0) postMessage(lines);
    });
    const { reason } = await machine.run();
    postMessage([`ENDED ${reason}`]);
  } catch (error) {
    postMessage([`ENDED ${error}`]);
  }
});
