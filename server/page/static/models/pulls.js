// Pulls: downloads of models, which go on while the page is open, whatever view is shown.

import { stream } from "../api/client.js";
import { errorText } from "../lib/errors.js";

/** @typedef {import("../api/types.js").Progress} Progress */
/** @typedef {"running" | "paused" | "failed" | "done"} PullState */
/** @typedef {{total: number, completed: number}} Layer */
/** @typedef {{at: number, bytes: number}} Sample */

const WINDOW_MS = 5000;

/** One pull. Pausing keeps what has arrived, so that it goes on from there. */
class Pull {
  /**
   * @param {string} model
   * @param {boolean} insecure
   */
  constructor(model, insecure) {
    this.model = model;
    this.insecure = insecure;
    this.controller = new AbortController();
    /** @type {PullState} */
    this.state = "paused";
    /** @type {Map<string, Layer>} */
    this.layers = new Map();
    /** @type {Sample[]} */
    this.samples = [];
    this.status = "";
    this.error = "";
  }

  get total() {
    return sum(this.layers, (layer) => layer.total);
  }

  get completed() {
    return sum(this.layers, (layer) => layer.completed);
  }

  /** Bytes per second, over the last seconds. */
  get rate() {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (!first || !last || last.at - first.at < 200) return 0;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }

  async run() {
    this.controller = new AbortController();
    this.state = "running";
    this.error = "";
    this.samples = [];
    changed();
    try {
      /** @type {AsyncGenerator<Progress, void, void>} */
      const events = stream(
        "api/pull",
        { model: this.model, insecure: this.insecure },
        this.controller.signal,
      );
      for await (const event of events) this.take(event);
      this.state = "done";
    } catch (error) {
      if (this.controller.signal.aborted) return;
      this.state = "failed";
      this.error = errorText(error);
    } finally {
      changed();
    }
  }

  /** @param {Progress} event */
  take(event) {
    this.status = event.status;
    if (event.digest && event.total) {
      this.layers.set(event.digest, { total: event.total, completed: event.completed ?? 0 });
      const now = performance.now();
      this.samples.push({ at: now, bytes: this.completed });
      while (now - this.samples[0].at > WINDOW_MS) this.samples.shift();
    }
    changed();
  }

  pause() {
    this.controller.abort();
    this.state = "paused";
    changed();
  }

  remove() {
    this.controller.abort();
    pulls.splice(pulls.indexOf(this), 1);
    changed();
  }
}

/** @typedef {Pull} PullType */

/** @type {Pull[]} */
const pulls = [];
/** @type {Set<() => void>} */
const listeners = new Set();

/** All pulls of this page, the oldest first. */
export function allPulls() {
  return pulls;
}

/** Return whether any pull is running. */
export function isPulling() {
  return pulls.some(({ state }) => state === "running");
}

/**
 * Start a pull, or go on with the one of the same model.
 * @param {string} model
 * @param {boolean} insecure whether plain HTTP is allowed
 */
export function startPull(model, insecure) {
  const earlier = pulls.find((pull) => pull.model === model);
  if (earlier?.state === "running") return earlier;
  const pull = earlier ?? new Pull(model, insecure);
  pull.insecure = insecure;
  if (!earlier) pulls.push(pull);
  pull.run();
  return pull;
}

/**
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function onPulls(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

function changed() {
  for (const listener of listeners) listener();
}

/**
 * @param {Map<string, Layer>} layers
 * @param {(layer: Layer) => number} value
 */
function sum(layers, value) {
  return [...layers.values()].reduce((total, layer) => total + value(layer), 0);
}
