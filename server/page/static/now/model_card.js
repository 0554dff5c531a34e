// A loaded model: its memory, the use of its context, and when it is unloaded.

import { ApiError, json } from "../api/client.js";
import { iconButton, notify } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { duration, number, size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { shortName } from "../models/catalog.js";

/** @typedef {import("../api/types.js").LoadedModel} LoadedModel */
/** @typedef {import("./readings.js").LoadingModel} LoadingModel */

const FOREVER_SECONDS = 10 * 365 * 86_400;

/** A model that is being loaded. */
export class LoadingCard {
  /** @param {LoadingModel} model */
  constructor(model) {
    const name = shortName(model.name);
    this.bar = h("progress", { max: 1, "aria-label": t("loadOf", { model: name }) });
    this.element = h(
      "li",
      { class: "card" },
      h("div", { class: "row" }, h("strong", { class: "model-name" }, name), phaseBadge("loading")),
      this.bar,
    );
  }

  /** @param {LoadingModel} model */
  update({ ratio }) {
    if (ratio === undefined || ratio === null) this.bar.removeAttribute("value");
    else this.bar.value = ratio;
  }
}

/** @param {string} phase */
export function phaseBadge(phase) {
  return h("span", { class: `badge phase-${phase}` }, phaseName(phase));
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
    case "prefill":
      return t("phasePrefill");
    case "decode":
      return t("phaseDecode");
    default:
      return phase;
  }
}

export class ModelCard {
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
