// Usage by API key, where the server has keys.

import { h } from "../lib/dom.js";

export class UsageSection {
  constructor() {
    this.element = h("section", { hidden: true });
  }

  async refresh() {}
}
