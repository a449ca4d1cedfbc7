// The user of the JavaScript clients: what user.py is to the Python ones.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const URL_ = process.env.CLIENT_URL;
export const BASE_URL = process.env.CLIENT_BASE_URL;
export const MODEL = "gpt-realtime";
export const INSTRUCTIONS = "Be brief.";
const CHUNK_MS = 20;
const BYTES_PER_MS = 48;
const PATIENCE_MS = 60_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function calculate(expression) {
  const [left, sign, right] = expression.split(" ");
  return String(sign === "*" ? left * right : Number(left) + Number(right));
}

export class User {
  #send;
  #microphone = Buffer.alloc(0);
  #ends = 0; // when all audio heard so far has been played
  #last = 0;
  heardMs = 0;
  stopped = false; // the client's player was told to stop

  constructor(send) {
    this.#send = send;
  }

  hear(pcm) {
    const ms = pcm.byteLength / BYTES_PER_MS;
    this.heardMs += ms;
    this.#last = Date.now();
    this.#ends = Math.max(this.#ends, this.#last) + ms;
  }

  stopPlaying() {
    this.stopped = true;
    this.#ends = 0;
  }

  async converse() {
    const size = CHUNK_MS * BYTES_PER_MS;
    let due = Date.now();
    const streaming = setInterval(() => {
      for (; due <= Date.now(); due += CHUNK_MS) {
        const chunk = Buffer.alloc(size);
        this.#microphone.copy(chunk, 0, 0, size);
        this.#microphone = this.#microphone.subarray(size);
        this.#send(chunk);
      }
    }, CHUNK_MS);
    try {
      await sleep(1000);
      await this.#ask("what_is_twelve_times_seven");
      await this.#answered();
      await this.#ask("count_to_thirty");
      await this.#until(() => this.#ends > Date.now() + 1000);
      await sleep(1500);
      this.stopped = false;
      const heard = this.heardMs;
      await this.#ask("what_is_twenty_plus_five");
      await this.#until(() => this.heardMs > heard + 500);
      await this.#answered();
    } finally {
      clearInterval(streaming);
      console.log(`{"heard_ms": ${Math.round(this.heardMs)}, "stopped": ${this.stopped}}`);
    }
  }

  async #ask(name) {
    this.#microphone = readFileSync(join(process.env.CLIENT_SPEECH, `${name}.pcm`));
    await this.#until(() => this.#microphone.length === 0);
  }

  async #answered() {
    const heard = this.heardMs;
    await this.#until(() => this.heardMs > heard);
    await this.#until(() => Date.now() > Math.max(this.#ends, this.#last + 1000));
  }

  async #until(holds) {
    for (const end = Date.now() + PATIENCE_MS; !holds(); await sleep(20)) {
      if (Date.now() > end) throw new Error("the conversation does not go on");
    }
  }
}
