// Readings of the server: loaded models, requests, and how many tokens it generates per second.

import { json, send } from "../api/client.js";
import { recent } from "./chart.js";
import { byModel, parseMetrics, total } from "./metrics.js";
import { optional } from "./optional.js";

/** @typedef {import("../api/types.js").LoadedModel} LoadedModel */
/**
 * @typedef {object} QueuedRequest an entry of /api/queue
 * @property {string} id
 * @property {string} route
 * @property {string} model
 * @property {string} phase
 * @property {number} age_seconds
 * @property {number} [ratio] of the load or of the prompt
 * @property {number} [prompt_tokens]
 * @property {number} [generated_tokens]
 * @property {string} [key] the name of the API key
 * @property {boolean} [background]
 */
/** @typedef {{name: string, ratio?: number | null}} LoadingModel an entry of `loading` in /api/ps */
/**
 * @typedef {object} Reading
 * @property {LoadedModel[]} models
 * @property {LoadingModel[]} loading
 * @property {QueuedRequest[] | null} requests null where the server does not tell
 * @property {Map<string, number>} contextUse share of the KV cache by model
 * @property {import("./chart.js").Point[]} rates
 */

/** @type {import("./chart.js").Point[]} */
let rates = [];
/** @type {{at: number, tokens: number} | null} */
let last = null;

/** @returns {Promise<Reading>} */
export async function readServer() {
  const [{ models, loading = [] }, queue, text] = await Promise.all([
    json("api/ps"),
    optional(json("api/queue")),
    optional(send("metrics").then((response) => response.text())),
  ]);
  const samples = parseMetrics(text ?? "");
  const requests = queue?.requests ?? null;
  if (text !== null) addRate(samples, requests ?? []);
  return {
    models,
    loading,
    requests,
    contextUse: byModel(samples, "paddock_kv_cache_usage_ratio"),
    rates,
  };
}

/**
 * Add how many tokens were generated per second since the last reading. Requests are counted when
 * they end, those that run by the queue; one that has just ended may be in neither or in both.
 * @param {import("./metrics.js").Sample[]} samples
 * @param {QueuedRequest[]} requests
 */
function addRate(samples, requests) {
  const now = performance.now();
  const ended = total(samples, "paddock_generation_tokens_total");
  const running = requests.reduce((sum, request) => sum + (request.generated_tokens ?? 0), 0);
  const isRestarted = last !== null && ended + running < last.tokens / 2;
  const tokens = last && !isRestarted ? Math.max(last.tokens, ended + running) : ended + running;
  // After a pause, nobody knows when the tokens came.
  if (last && now - last.at < 10_000) {
    rates.push({ at: now, value: ((tokens - last.tokens) / (now - last.at)) * 1000 || 0 });
  } else {
    rates = [];
  }
  rates = recent(rates, now);
  last = { at: now, tokens: isRestarted ? ended + running : tokens };
}
