// Prometheus text, as far as the page needs it: values by name, and by model.

/** @typedef {{name: string, labels: Record<string, string>, value: number}} Sample */

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * @param {string} text
 * @returns {Sample[]}
 */
export function parseMetrics(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries(
      [...(match[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]),
    );
    samples.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return samples;
}

/**
 * @param {Sample[]} samples
 * @param {string} name
 */
export function total(samples, name) {
  return samples.reduce((sum, sample) => (sample.name === name ? sum + sample.value : sum), 0);
}

/**
 * @param {Sample[]} samples
 * @param {string} name
 * @returns {Map<string, number>}
 */
export function byModel(samples, name) {
  return new Map(
    samples
      .filter((sample) => sample.name === name)
      .map(({ labels, value }) => [labels.model, value]),
  );
}
