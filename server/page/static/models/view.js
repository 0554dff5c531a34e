// Installed models: the list, pulls, and what can be done with each model.

import { json } from "../api/client.js";
import { button, confirmed, entered, iconButton, notify } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { ago, number, size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { setPreference } from "../lib/preferences.js";
import { canChat, installedModels, shortName } from "./catalog.js";
import { openCreate } from "./create.js";
import { PullCard } from "./pull_card.js";
import { allPulls, onPulls, startPull } from "./pulls.js";

/** @typedef {import("../api/types.js").InstalledModel} InstalledModel */
/** @typedef {import("../lib/i18n.js").StringKey} StringKey */

/** @type {Record<string, (a: InstalledModel, b: InstalledModel) => number>} */
const ORDERS = {
  latest: (a, b) => Date.parse(b.modified_at) - Date.parse(a.modified_at),
  name: (a, b) => a.name.localeCompare(b.name),
  size: (a, b) => b.size - a.size,
};
/** @type {Record<string, StringKey>} */
const CAPABILITIES = {
  completion: "capabilityChat",
  vision: "capabilityImages",
  audio: "capabilityAudio",
  tools: "capabilityTools",
  thinking: "capabilityThinking",
  embedding: "capabilityEmbedding",
  insert: "capabilityInsert",
};

/**
 * Show the installed models until `signal` is aborted.
 * @param {HTMLElement} root
 * @param {AbortSignal} signal
 */
export async function modelsView(root, signal) {
  const view = new ModelsView();
  fill(root, view.element);
  onPulls(() => view.pullsChanged(), signal);
  await view.load();
}

class ModelsView {
  constructor() {
    /** @type {InstalledModel[] | null} */
    this.models = null;
    /** @type {Map<object, PullCard>} */
    this.cards = new Map();
    this.nDone = allPulls().filter(({ state }) => state === "done").length;
    this.total = h("p", { class: "subtitle", role: "status" });
    this.search = h("input", {
      type: "search",
      placeholder: t("searchModels"),
      "aria-label": t("searchModels"),
      on: { input: () => this.show() },
    });
    this.order = h(
      "select",
      { "aria-label": t("sortBy"), on: { change: () => this.show() } },
      h("option", { value: "latest" }, t("sortLatest")),
      h("option", { value: "name" }, t("sortName")),
      h("option", { value: "size" }, t("sortSize")),
    );
    this.list = h("ul", { class: "list", "aria-label": t("installedModels") });
    this.pulls = h("ul", { class: "list pulls", "aria-label": t("pulls") });
    this.element = h(
      "div",
      { class: "page" },
      h(
        "header",
        { class: "page-head" },
        h("div", null, h("h1", { tabindex: "-1" }, t("models")), this.total),
        h("span", { class: "spacer" }),
        button(t("createModel"), () => openCreate(() => this.load()), {
          class: "button with-icon",
        }),
      ),
      this.pullForm(),
      this.pulls,
      h("div", { class: "filter" }, this.search, this.order),
      this.list,
    );
    this.pullsChanged();
  }

  pullForm() {
    const name = h("input", {
      type: "text",
      required: true,
      placeholder: t("pullPlaceholder"),
      "aria-label": t("modelName"),
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
    });
    const insecure = h("input", { type: "checkbox" });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      const model = name.value.trim().replace(/^ollama (pull|run) /, "");
      if (model) startPull(model, insecure.checked);
      name.value = "";
    };
    return h(
      "form",
      { class: "pull-form card", on: { submit } },
      h(
        "div",
        { class: "row" },
        name,
        h("button", { class: "button primary with-icon" }, icon("download"), t("pull")),
      ),
      h(
        "div",
        { class: "row help" },
        h("span", null, t("pullHelp")),
        h("span", { class: "spacer" }),
        h("label", { class: "check" }, insecure, t("insecure")),
      ),
    );
  }

  pullsChanged() {
    const pulls = allPulls();
    for (const pull of pulls) {
      const card = this.cards.get(pull);
      if (card) card.update();
      else this.cards.set(pull, new PullCard(pull));
    }
    for (const [pull, card] of this.cards) {
      if (pulls.some((each) => each === pull)) {
        if (!card.element.isConnected) this.pulls.prepend(card.element);
      } else {
        card.element.remove();
        this.cards.delete(pull);
      }
    }
    const nDone = pulls.filter(({ state }) => state === "done").length;
    if (nDone > this.nDone) this.load();
    this.nDone = nDone;
  }

  async load() {
    try {
      this.models = await installedModels();
      this.show();
    } catch (error) {
      fill(this.list, h("li", { class: "error" }, icon("warning"), errorText(error)));
    }
  }

  show() {
    if (!this.models) return;
    const words = this.search.value.toLowerCase().split(/\s+/);
    const shown = this.models.filter((model) =>
      words.every((word) => searchText(model).includes(word)),
    );
    shown.sort(ORDERS[this.order.value]);
    this.total.textContent = totalText(this.models);
    const empty = this.models.length === 0 ? t("noModelsYet") : t("noMatches");
    fill(
      this.list,
      ...(shown.length > 0
        ? shown.map((model) => this.row(model))
        : [h("li", { class: "empty" }, empty)]),
    );
  }

  /** @param {InstalledModel} model */
  row(model) {
    const name = shortName(model.name);
    return h(
      "li",
      { class: "card model-row" },
      h(
        "div",
        { class: "model-facts" },
        h("a", { class: "model-name", href: `#/models/${encodeURIComponent(model.name)}` }, name),
        h("div", { class: "facts" }, ...facts(model).map((fact) => h("span", null, fact))),
        capabilityBadges(model.capabilities ?? []),
      ),
      h("span", { class: "model-size" }, size(model.size)),
      h(
        "span",
        { class: "row-actions" },
        canChat(model) &&
          iconButton("chat", t("chatWith", { model: name }), () => chatWith(model.name)),
        iconButton("copy", t("copyModel", { model: name }), () =>
          copyModel(model.name, () => this.load()),
        ),
        iconButton("trash", t("deleteModel", { model: name }), () =>
          deleteModel(model.name, () => this.load()),
        ),
      ),
    );
  }
}

/** @param {InstalledModel} model */
function searchText({ name, details, capabilities }) {
  return [
    name,
    details.family,
    details.parameter_size,
    details.quantization_level,
    ...(capabilities ?? []),
  ]
    .join(" ")
    .toLowerCase();
}

/** @param {InstalledModel[]} models */
function totalText(models) {
  const sizes = new Map(models.map((model) => [model.digest, model.size]));
  const total = [...sizes.values()].reduce((sum, each) => sum + each, 0);
  return t(models.length === 1 ? "oneModel" : "modelCount", {
    count: number(models.length),
    size: size(total),
  });
}

/** @param {InstalledModel} model */
function facts({ details, modified_at }) {
  const context = details.context_length
    ? t("contextOf", { count: number(details.context_length) })
    : "";
  const quantization = details.quantization_level === "unknown" ? "" : details.quantization_level;
  return [
    details.family,
    details.parameter_size,
    quantization,
    context,
    ago(Date.parse(modified_at)),
  ].filter(Boolean);
}

/** @param {string[]} capabilities */
export function capabilityBadges(capabilities) {
  const badges = capabilities.map((name) =>
    h("span", { class: "badge" }, CAPABILITIES[name] ? t(CAPABILITIES[name]) : name),
  );
  return h("div", { class: "badges" }, ...badges);
}

/** @param {string} name */
export function chatWith(name) {
  setPreference("model", name);
  location.hash = "#/chat";
}

/**
 * @param {string} name
 * @param {() => void} done
 */
export async function copyModel(name, done) {
  const destination = await entered({
    title: t("copyTitle", { model: shortName(name) }),
    label: t("newName"),
    action: t("copy"),
  });
  if (!destination) return;
  try {
    await json("api/copy", { body: { source: name, destination } });
    notify(t("copiedModel", { model: destination }));
    done();
  } catch (error) {
    notify(errorText(error), "error");
  }
}

/**
 * @param {string} name
 * @param {() => void} done
 */
export async function deleteModel(name, done) {
  const model = shortName(name);
  const question = {
    title: t("deleteTitle", { model }),
    text: t("deleteText"),
    action: t("delete"),
    danger: true,
  };
  if (!(await confirmed(question))) return;
  try {
    await json("api/delete", { method: "DELETE", body: { model: name } });
    notify(t("deleted", { model }));
    done();
  } catch (error) {
    notify(errorText(error), "error");
  }
}
