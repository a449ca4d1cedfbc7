// @openai/agents-realtime: RealtimeSession over its WebSocket transport, which truncates by its own clock.

import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";
import { INSTRUCTIONS, MODEL, URL_, User, calculate } from "./user.mjs";

const calculator = tool({
  name: "calculator", description: "Calculates.",
  parameters: z.object({ expression: z.string() }),
  execute: async ({ expression }) => calculate(expression),
});
const agent = new RealtimeAgent({ name: "Assistant", instructions: INSTRUCTIONS, tools: [calculator] });
const session = new RealtimeSession(agent, { transport: "websocket", model: MODEL });
const user = new User((pcm) => session.sendAudio(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.byteLength)));

session.on("audio", (event) => user.hear(Buffer.from(event.data)));
session.on("audio_interrupted", () => user.stopPlaying());
session.on("error", (event) => console.error(JSON.stringify(event).slice(0, 500)));
await session.connect({ apiKey: "local", url: `${URL_}?model=${MODEL}` });
try {
  await user.converse();
} finally {
  session.close();
  process.exit(0);
}
