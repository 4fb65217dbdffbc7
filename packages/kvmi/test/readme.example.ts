import { createServer } from "node:net";
import { KvmiClient, streamTransport } from "@vm/kvmi";

// The machine comes to the tool: vm boot --kernel ... --initrd ... --kvmi /tmp/introspector
const listener = createServer(async (socket) => {
  listener.close();
  const client = await KvmiClient.accept(streamTransport(socket));
  console.log(`${client.identity.name} has ${await client.vcpuCount()} vCPU`);
  await client.controlEvent(0, "cr", true);
  await client.controlCr(0, 3, true);
  for await (const event of client.events) {
    if (event.name === "cr") console.log(`CR3 becomes 0x${event.data.new_value.toString(16)}`);
    event.reply();
  }
});
listener.listen(process.env.INTROSPECTOR ?? "/tmp/introspector");
