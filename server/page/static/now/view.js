// What the server is doing now: loaded models, requests, and tokens per second.

import { ApiError, json } from "../api/client.js";
import { iconButton, notify } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { duration, number, size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { KeyedList } from "../lib/keyed.js";
import { shortName } from "../models/catalog.js";
import { Chart } from "./chart.js";
import { readServer } from "./readings.js";
import { UsageSection } from "./usage.js";

/** @typedef {import("../api/types.js").LoadedModel} LoadedModel */
/** @typedef {import("./readings.js").QueuedRequest} QueuedRequest */
/** @typedef {import("./readings.js").Reading} Reading */

const PERIOD_MS = 2000;
const FOREVER_SECONDS = 10 * 365 * 86_400;

/**
 * Show what the server does until `signal` is aborted.
 * @param {HTMLElement} root
 * @param {AbortSignal} signal
 */
export async function nowView(root, signal) {
  const view = new NowView();
  fill(root, view.element);
  const tick = async () => {
    if (!document.hidden) await view.refresh();
    if (!signal.aborted) setTimeout(tick, PERIOD_MS);
  };
  await tick();
}

class NowView {
  constructor() {
    this.chart = new Chart();
    this.tiles = {
      rate: tile(t("tokensPerSecond")),
      running: tile(t("requestsNow")),
      memory: tile(t("memoryUsed")),
    };
    this.modelList = h("ul", { class: "list", "aria-label": t("loadedModels") });
    this.models = new KeyedList(
      this.modelList,
      (/** @type {LoadedModel} */ model) => model.name,
      (model) => new ModelCard(model),
      (card, model) => card.update(model),
    );
    this.requestList = h("ul", { class: "list", "aria-label": t("requests") });
    this.requests = new KeyedList(
      this.requestList,
      (/** @type {QueuedRequest} */ request) => request.id,
      (request) => new RequestRow(request),
      (row, request) => row.update(request),
    );
    this.noModels = h("p", { class: "empty" }, t("nothingLoaded"));
    this.noRequests = h("p", { class: "empty" }, t("noRequests"));
    this.requestSection = h(
      "section",
      null,
      h("h2", null, t("requests")),
      this.noRequests,
      this.requestList,
    );
    this.usage = new UsageSection();
    this.error = h("div", { class: "error", role: "alert", hidden: true });
    this.element = h(
      "div",
      { class: "page" },
      h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, t("now"))),
      this.error,
      h("div", { class: "tiles" }, ...Object.values(this.tiles).map(({ element }) => element)),
      h(
        "section",
        { class: "card chart-card", "aria-label": t("tokensPerSecond") },
        this.chart.element,
      ),
      h("section", null, h("h2", null, t("loadedModels")), this.noModels, this.modelList),
      this.requestSection,
      this.usage.element,
    );
  }

  async refresh() {
    try {
      this.show(await readServer());
      await this.usage.refresh();
      this.error.hidden = true;
    } catch (error) {
      this.error.hidden = false;
      fill(this.error, icon("warning"), errorText(error));
    }
  }

  /** @param {Reading} reading */
  show({ models, requests, contextUse, rates }) {
    const memory = models.reduce((sum, model) => sum + model.size, 0);
    this.tiles.rate.value.textContent = number(rates.at(-1)?.value ?? 0, 1);
    this.tiles.running.value.textContent = requests ? number(requests.length) : "–";
    this.tiles.memory.value.textContent = size(memory);
    this.chart.show(rates, performance.now());
    this.noModels.hidden = models.length > 0;
    this.models.show(models);
    for (const [name, card] of this.models.rows) card.showContext(contextUse.get(name));
    this.requestSection.hidden = requests === null;
    this.noRequests.hidden = (requests?.length ?? 0) > 0;
    this.requests.show(requests ?? []);
  }
}

/** @param {string} label */
function tile(label) {
  const value = h("span", { class: "tile-value" }, "–");
  return {
    value,
    element: h("div", { class: "tile card" }, value, h("span", { class: "tile-label" }, label)),
  };
}

class ModelCard {
  /** @param {LoadedModel} model */
  constructor(model) {
    const name = shortName(model.name);
    this.facts = h("div", { class: "facts" });
    this.bar = h("meter", { min: 0, max: 1, "aria-label": t("contextUse", { model: name }) });
    this.share = h("span", null);
    this.context = h("div", { class: "row context-use", hidden: true }, this.bar, this.share);
    this.element = h(
      "li",
      { class: "card model-row" },
      h(
        "div",
        { class: "model-facts" },
        h("strong", { class: "model-name" }, name),
        this.facts,
        this.context,
      ),
      h("span", { class: "model-size" }, size(model.size)),
      h(
        "span",
        { class: "row-actions" },
        iconButton("eject", t("unloadModel", { model: name }), () => unload(model.name)),
      ),
    );
    this.n_ctx = 0;
  }

  /** @param {LoadedModel} model */
  update({ details, size_vram, context_length, expires_at }) {
    this.n_ctx = context_length;
    const seconds = (Date.parse(expires_at) - Date.now()) / 1000;
    const expiry =
      seconds > FOREVER_SECONDS
        ? t("staysLoaded")
        : seconds > 0
          ? t("expiresIn", { time: duration(seconds) })
          : t("unloadsSoon");
    const facts = [
      [details.parameter_size, details.quantization_level]
        .filter((fact) => fact !== "unknown")
        .join(" "),
      t("contextOf", { count: number(context_length) }),
      size_vram > 0 ? t("onGpu", { size: size(size_vram) }) : t("onCpu"),
      expiry,
    ];
    fill(this.facts, ...facts.map((fact) => h("span", null, fact)));
  }

  /** @param {number | undefined} ratio */
  showContext(ratio) {
    this.context.hidden = ratio === undefined;
    if (ratio === undefined) return;
    this.bar.value = ratio;
    this.share.textContent = t("contextUsed", { percent: number(ratio * 100) });
  }
}

/** @param {string} model */
async function unload(model) {
  try {
    await json("api/unload", { body: { model } }).catch((error) => {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      return json("api/generate", { body: { model, keep_alive: 0, stream: false } });
    });
    notify(t("unloading", { model: shortName(model) }));
  } catch (error) {
    notify(errorText(error), "error");
  }
}

class RequestRow {
  /** @param {QueuedRequest} request */
  constructor(request) {
    this.phase = h("span", { class: "badge" });
    this.facts = h("div", { class: "facts" });
    this.bar = h("progress", { max: 1, "aria-label": t("progress") });
    this.element = h(
      "li",
      { class: "card request-row" },
      h(
        "div",
        { class: "model-facts" },
        h(
          "div",
          { class: "row" },
          h("strong", null, shortName(request.model)),
          this.phase,
          h("code", null, request.route),
        ),
        this.facts,
        this.bar,
      ),
      h(
        "span",
        { class: "row-actions" },
        iconButton("close", t("cancelRequest", { id: request.id }), () => cancel(request.id)),
      ),
    );
  }

  /** @param {QueuedRequest} request */
  update({ phase, age_seconds, ratio, prompt_tokens, generated_tokens }) {
    this.phase.textContent = phaseName(phase);
    this.phase.className = `badge phase-${phase}`;
    this.bar.hidden = ratio === undefined || ratio === null;
    if (ratio !== undefined && ratio !== null) this.bar.value = ratio;
    const facts = [
      duration(age_seconds),
      prompt_tokens ? t("promptTokens", { count: number(prompt_tokens) }) : "",
      generated_tokens ? t("generatedTokens", { count: number(generated_tokens) }) : "",
    ];
    fill(this.facts, ...facts.filter(Boolean).map((fact) => h("span", null, fact)));
  }
}

/**
 * @param {string} phase
 * @returns {string}
 */
function phaseName(phase) {
  switch (phase) {
    case "queued":
      return t("phaseQueued");
    case "loading":
      return t("phaseLoading");
    case "prompt":
      return t("phasePrompt");
    case "decoding":
      return t("phaseDecoding");
    default:
      return phase;
  }
}

/** @param {string} id */
async function cancel(id) {
  try {
    await json(`api/requests/${encodeURIComponent(id)}`, { method: "DELETE" });
    notify(t("cancelled"));
  } catch (error) {
    notify(errorText(error), "error");
  }
}
