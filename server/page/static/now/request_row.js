// A request that waits for a model or uses one, and the button that cancels it.

import { json } from "../api/client.js";
import { iconButton, notify } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { duration, number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { shortName } from "../models/catalog.js";
import { phaseBadge } from "./model_card.js";

/** @typedef {import("./readings.js").QueuedRequest} QueuedRequest */

export class RequestRow {
  /** @param {QueuedRequest} request */
  constructor(request) {
    this.phase = h("span", null);
    this.facts = h("div", { class: "facts" });
    this.bar = h("progress", { max: 1, "aria-label": t("progress") });
    const actions = iconButton("close", t("cancelRequest", { id: request.id }), () =>
      cancel(request.id),
    );
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
      h("span", { class: "row-actions" }, actions),
    );
  }

  /** @param {QueuedRequest} request */
  update({ phase, age_seconds, ratio, prompt_tokens, generated_tokens, key, background }) {
    fill(this.phase, phaseBadge(phase));
    this.bar.hidden = ratio === undefined || ratio === null;
    if (ratio !== undefined && ratio !== null) this.bar.value = ratio;
    const facts = [
      key ?? "",
      background ? t("inBackground") : "",
      duration(age_seconds),
      prompt_tokens ? t("promptTokens", { count: number(prompt_tokens) }) : "",
      generated_tokens ? t("generatedTokens", { count: number(generated_tokens) }) : "",
    ];
    fill(this.facts, ...facts.filter(Boolean).map((fact) => h("span", null, fact)));
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
