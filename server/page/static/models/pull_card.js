// The progress of one pull, with buttons that pause it, go on with it, and take it away.

import { announce, iconButton } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { duration, size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";

/** @typedef {import("./pulls.js").PullType} Pull */

export class PullCard {
  /** @param {Pull} pull */
  constructor(pull) {
    this.pull = pull;
    /** @type {string} */
    this.shownState = "";
    this.bar = h("progress", { max: 1, "aria-label": t("pulling", { model: pull.model }) });
    this.text = h("span", { class: "progress-text" });
    this.buttons = h("span", { class: "row-actions" });
    this.layers = h("ul", { class: "layers" });
    this.details = h(
      "details",
      { class: "layer-list" },
      h("summary", null, t("layers")),
      this.layers,
    );
    this.element = h(
      "li",
      { class: "card pull" },
      h(
        "div",
        { class: "row" },
        h("strong", null, pull.model),
        h("span", { class: "spacer" }),
        this.buttons,
      ),
      this.bar,
      this.text,
      this.details,
    );
    this.update();
  }

  update() {
    const { pull, bar } = this;
    const { total, completed, state } = pull;
    if (state === "done") bar.value = 1;
    else if (total > 0) bar.value = completed / total;
    else bar.removeAttribute("value");
    // Without a value it would seem to go on.
    bar.hidden = state === "failed" && total === 0;
    this.element.className = `card pull ${state}`;
    this.details.hidden = pull.layers.size < 2;
    fill(this.text, state === "failed" && icon("warning"), progressText(pull));
    fill(this.layers, ...[...pull.layers].map(([digest, layer]) => layerRow(digest, layer)));
    if (this.shownState === state) return;
    this.shownState = state;
    this.showButtons();
    if (state === "done" || state === "failed") announce(`${pull.model}: ${progressText(pull)}`);
  }

  showButtons() {
    const { pull } = this;
    const values = { model: pull.model };
    const isRunning = pull.state === "running";
    fill(
      this.buttons,
      isRunning && iconButton("pause", t("pausePull", values), () => pull.pause()),
      (pull.state === "paused" || pull.state === "failed") &&
        iconButton("play", t("resumePull", values), () => pull.run()),
      iconButton("close", t(isRunning ? "cancelPull" : "dismissPull", values), () => pull.remove()),
    );
  }
}

/** @param {Pull} pull */
function progressText(pull) {
  const { state, total, completed, rate } = pull;
  if (state === "failed") return pull.error;
  if (state === "done") return t("pullDone");
  if (total === 0) return pull.status || t("starting");
  const parts = [t("of", { done: size(completed), total: size(total) })];
  if (state === "paused") parts.push(t("paused"));
  else if (completed >= total) parts.push(pull.status);
  else if (rate > 0)
    parts.push(`${size(rate)}/s`, t("left", { time: duration((total - completed) / rate) }));
  return parts.join(" · ");
}

/**
 * @param {string} digest
 * @param {import("./pulls.js").Layer} layer
 */
function layerRow(digest, { total, completed }) {
  const name = digest.replace("sha256:", "").slice(0, 12);
  return h(
    "li",
    null,
    h("code", null, name),
    h("progress", { max: total, value: completed, "aria-label": name }),
    h("span", null, t("of", { done: size(completed), total: size(total) })),
  );
}
