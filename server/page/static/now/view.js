// What the server is doing now: loaded models, requests, and tokens per second.

import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { number, size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { KeyedList } from "../lib/keyed.js";
import { Chart } from "./chart.js";
import { KeysSection } from "./keys.js";
import { LoadingCard, ModelCard } from "./model_card.js";
import { readServer } from "./readings.js";
import { RequestRow } from "./request_row.js";
import { UsageSection } from "./usage.js";

/** @typedef {import("../api/types.js").LoadedModel} LoadedModel */
/** @typedef {import("./readings.js").LoadingModel} LoadingModel */
/** @typedef {import("./readings.js").QueuedRequest} QueuedRequest */
/** @typedef {import("./readings.js").Reading} Reading */

const PERIOD_MS = 2000;

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
    this.loadingList = h("ul", { class: "list loading", "aria-label": t("phaseLoading") });
    this.loading = new KeyedList(
      this.loadingList,
      (/** @type {LoadingModel} */ model) => model.name,
      (model) => new LoadingCard(model),
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
    this.keys = new KeysSection();
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
      h(
        "section",
        null,
        h("h2", null, t("loadedModels")),
        this.noModels,
        this.loadingList,
        this.modelList,
      ),
      this.requestSection,
      this.usage.element,
      this.keys.element,
    );
  }

  async refresh() {
    try {
      this.show(await readServer());
      await Promise.all([this.usage.refresh(), this.keys.refresh()]);
      this.error.hidden = true;
    } catch (error) {
      this.error.hidden = false;
      fill(this.error, icon("warning"), errorText(error));
    }
  }

  /** @param {Reading} reading */
  show({ models, loading, requests, contextUse, rates }) {
    const memory = models.reduce((sum, model) => sum + model.size, 0);
    this.tiles.rate.value.textContent = number(rates.at(-1)?.value ?? 0, 1);
    this.tiles.running.value.textContent = requests ? number(requests.length) : "–";
    this.tiles.memory.value.textContent = size(memory);
    this.chart.show(rates, performance.now());
    this.noModels.hidden = models.length + loading.length > 0;
    this.loading.show(loading);
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
