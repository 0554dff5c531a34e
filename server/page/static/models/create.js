// Creating a model, from a Modelfile or from GGUF files of this computer.

import { stream } from "../api/client.js";
import { uploadBlob } from "../api/upload.js";
import { button, field, notify, openDialog } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";

/** @typedef {import("../api/types.js").Progress} Progress */

const QUANTIZATIONS = ["", "Q4_K_M", "Q4_K_S", "Q5_K_M", "Q6_K", "Q8_0"];
const EXAMPLE =
  'FROM paddock\nPARAMETER temperature 0.2\nSYSTEM """You answer in one sentence."""\n';

let nRunning = 0;

/** Return whether a model is being created, which leaving the page would end. */
export function isCreating() {
  return nRunning > 0;
}

/**
 * Open the dialog; `done` is called when a model was made.
 * @param {() => void} done
 * @param {string} [modelfile]
 */
export function openCreate(done, modelfile = "") {
  const controller = new AbortController();
  openDialog(
    t("createModel"),
    (close) => [new CreateForm(modelfile, done, close, controller).element],
    {
      onClose: () => controller.abort(),
    },
  );
}

class CreateForm {
  /**
   * @param {string} modelfile
   * @param {() => void} done
   * @param {() => void} close
   * @param {AbortController} controller
   */
  constructor(modelfile, done, close, controller) {
    this.done = done;
    this.close = close;
    this.signal = controller.signal;
    this.name = h("input", {
      type: "text",
      required: true,
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
    });
    this.modelfile = h("textarea", {
      rows: "9",
      class: "mono",
      spellcheck: "false",
      placeholder: EXAMPLE,
    });
    this.modelfile.value = modelfile;
    this.files = h("input", { type: "file", multiple: true, accept: ".gguf" });
    this.files.addEventListener("change", () => this.suggestName());
    this.quantize = h(
      "select",
      null,
      ...QUANTIZATIONS.map((name) => h("option", { value: name }, name || t("asItIs"))),
    );
    this.source = "modelfile";
    this.bar = h("progress", { max: 1, "aria-label": t("progress"), hidden: true });
    this.state = h("p", { class: "progress-text", role: "status" });
    this.submit = h("button", { class: "button primary" }, t("create"));
    this.fromModelfile = field(t("modelfile"), this.modelfile, t("modelfileHelp"));
    this.fromFiles = h(
      "div",
      { hidden: true },
      field(t("ggufFiles"), this.files, t("ggufHelp")),
      field(t("quantizeTo"), this.quantize),
    );
    this.element = h(
      "form",
      { on: { submit: (/** @type {Event} */ event) => this.submitted(event) } },
      field(t("modelName"), this.name),
      this.tabs(),
      this.fromModelfile,
      this.fromFiles,
      this.bar,
      this.state,
      h("div", { class: "dialog-actions" }, button(t("cancel"), close), this.submit),
    );
  }

  tabs() {
    const tab = (/** @type {string} */ source, /** @type {string} */ label) => {
      const input = h("input", {
        type: "radio",
        name: "source",
        value: source,
        checked: source === this.source,
      });
      input.addEventListener("change", () => {
        this.source = source;
        this.fromModelfile.hidden = source !== "modelfile";
        this.fromFiles.hidden = source !== "files";
      });
      return h("label", null, input, h("span", null, label));
    };
    return h(
      "fieldset",
      { class: "segments" },
      h("legend", { class: "visually-hidden" }, t("createFromWhat")),
      tab("modelfile", t("modelfile")),
      tab("files", t("ggufFiles")),
    );
  }

  suggestName() {
    const file = this.files.files?.[0];
    if (file && !this.name.value)
      this.name.value = file.name.replace(/(-\d+-of-\d+)?\.gguf$/i, "").toLowerCase();
  }

  /** @param {Event} event */
  async submitted(event) {
    event.preventDefault();
    this.submit.disabled = true;
    nRunning += 1;
    try {
      await this.create();
      notify(t("created", { model: this.name.value.trim() }));
      this.done();
      this.close();
    } catch (error) {
      if (!this.signal.aborted)
        fill(
          this.state,
          h("span", { class: "error", role: "alert" }, icon("warning"), errorText(error)),
        );
    } finally {
      nRunning -= 1;
      this.submit.disabled = false;
      this.bar.hidden = true;
    }
  }

  async create() {
    const model = this.name.value.trim();
    if (this.source === "modelfile") return this.send({ model, modelfile: this.modelfile.value });
    /** @type {Record<string, string>} */
    const files = {};
    for (const file of this.files.files ?? []) {
      files[file.name] = await uploadBlob(
        file,
        (progress) => this.show(file.name, progress),
        this.signal,
      );
    }
    const quantize = this.quantize.value;
    return this.send({ model, files, ...(quantize ? { quantize } : {}) });
  }

  /** @param {object} body */
  async send(body) {
    this.bar.hidden = false;
    this.bar.removeAttribute("value");
    /** @type {AsyncGenerator<Progress, void, void>} */
    const events = stream("api/create", body, this.signal);
    for await (const event of events) {
      this.state.textContent = event.status;
      if (event.total) this.bar.value = (event.completed ?? 0) / event.total;
    }
  }

  /**
   * @param {string} name
   * @param {import("../api/upload.js").UploadProgress} progress
   */
  show(name, { step, done, total }) {
    this.bar.hidden = false;
    this.bar.value = total ? done / total : 0;
    const values = { name, done: size(done), total: size(total) };
    this.state.textContent = t(step === "hash" ? "hashing" : "uploading", values);
  }
}
