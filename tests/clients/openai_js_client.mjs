// The `openai` package for JavaScript: OpenAIRealtimeWS, which speaks wss only.

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { BASE_URL, INSTRUCTIONS, MODEL, User, calculate } from "./user.mjs";

const tool = {
  type: "function", name: "calculator", description: "Calculates.",
  parameters: { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] },
};
const client = new OpenAI({ baseURL: BASE_URL, apiKey: "local" });
const realtime = new OpenAIRealtimeWS({ model: MODEL }, client);
const user = new User((pcm) => realtime.send({ type: "input_audio_buffer.append", audio: pcm.toString("base64") }));
let playing = null, began = 0, gotMs = 0;

realtime.on("error", (error) => { console.error(String(error)); process.exit(1); });
realtime.on("response.output_audio.delta", (event) => {
  const pcm = Buffer.from(event.delta, "base64");
  if (event.item_id !== playing) [playing, began, gotMs] = [event.item_id, Date.now(), 0];
  gotMs += pcm.length / 48;
  user.hear(pcm);
});
realtime.on("input_audio_buffer.speech_started", () => {
  const playedMs = Math.floor(Math.min(gotMs, Date.now() - began));
  if (playing !== null && playedMs < gotMs) {
    user.stopPlaying();
    realtime.send({ type: "conversation.item.truncate", item_id: playing, content_index: 0, audio_end_ms: playedMs });
  }
  playing = null;
});
realtime.on("response.done", (event) => {
  const calls = event.response.output.filter((item) => item.type === "function_call");
  for (const call of calls) {
    const output = calculate(JSON.parse(call.arguments).expression);
    realtime.send({ type: "conversation.item.create", item: { type: "function_call_output", call_id: call.call_id, output } });
  }
  if (calls.length) realtime.send({ type: "response.create" });
});
realtime.on("session.created", async () => {
  realtime.send({ type: "session.update", session: { type: "realtime", instructions: INSTRUCTIONS, tools: [tool] } });
  try {
    await user.converse();
  } finally {
    realtime.close();
    process.exit(0);
  }
});
